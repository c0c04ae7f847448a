"""What the course's run is compared with: SFTTrainer as TRL's own LoRA example sets it up, with the page of rules."""

from __future__ import annotations

from typing import Any

from datasets import Dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer

from .hardware import Hardware
from .training import prompt_completion
from .triage import instructions


def with_instructions(record: dict[str, Any]) -> dict[str, Any]:
    """A row as stock prompting would train it: the page of rules stays in the prompt."""
    row = prompt_completion(record)
    row["prompt"][0]["content"] = instructions()
    return row


def stock_trainer(model, tokenizer, records: list[dict[str, Any]], hw: Hardware, **arguments) -> SFTTrainer:
    """TRL's example: rank 32, alpha 16, learning rate 2e-4, 8 batches of 2 a step, and SFTConfig's defaults.

    Only the number format is the one that is faster on this machine, where SFTConfig would take bfloat16 everywhere.
    ``model`` has its weights in float32; ``arguments`` (``output_dir`` among them) are SFTConfig's and go before these.
    """
    own = {
        "per_device_train_batch_size": 2, "gradient_accumulation_steps": 8, "learning_rate": 2e-4,
        "save_strategy": "no", "report_to": "none", "disable_tqdm": True, "use_cpu": hw.device == "cpu",
    } | hw.precision | arguments  # fmt: skip
    return SFTTrainer(
        model=model,
        args=SFTConfig(**own),
        train_dataset=Dataset.from_list([with_instructions(record) for record in records]),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=32, lora_alpha=16, task_type="CAUSAL_LM"),
    )
