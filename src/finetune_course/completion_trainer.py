"""TRL's SFTTrainer with one method changed: the vocabulary head runs only where there is something to learn."""

from __future__ import annotations

from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from peft.optimizers import create_loraplus_optimizer
from trl import SFTConfig, SFTTrainer

from .hardware import Hardware
from .training import prompt_completion, triage_settings


class CompletionTrainer(SFTTrainer):
    """Computes the same loss as SFTTrainer on prompt-completion data, at a fraction of the price.

    Only the answer's tokens carry a label, yet on a CPU SFTTrainer lets the head turn *every* position into a score for
    each of 49,152 tokens. ``logits_to_keep`` (transformers) asks for the positions that some row of the batch learns
    from. No attention mask is needed: rows are padded on the right, and no token looks to its right.
    """

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs["labels"][:, 1:]  # the scores at position t predict the token at t + 1
        learned = labels != -100
        positions = learned.any(dim=0).nonzero().squeeze(1)
        outputs = model(input_ids=inputs["input_ids"], logits_to_keep=positions, use_cache=False)
        scores = outputs.logits.flatten(0, 1).float()
        total = torch.nn.functional.cross_entropy(scores, labels[:, positions].flatten(), reduction="sum")
        loss = total / (learned.sum() if num_items_in_batch is None else num_items_in_batch)
        return (loss, outputs) if return_outputs else loss


def triage_trainer(
    model, tokenizer, records: list[dict[str, Any]], hw: Hardware, kind: type[SFTTrainer] | None = None, **arguments
) -> SFTTrainer:
    """The run of notebook 06 in one call, for the benchmarks and the recorded grids: LoRA, LoRA+, its settings file.

    ``arguments`` (``output_dir`` among them) are SFTConfig's and go before the settings file's; ``kind`` is the
    trainer's class (default: CompletionTrainer).
    """
    settings = triage_settings()
    own = settings["trainer"] | {"save_strategy": "no", "activation_checkpointing": False} | hw.precision | arguments
    trainer = (kind or CompletionTrainer)(
        model=model,
        args=SFTConfig(**own),
        train_dataset=Dataset.from_list([prompt_completion(record) for record in records]),
        processing_class=tokenizer,
        peft_config=LoraConfig(**settings["lora"]),
    )
    trainer.optimizer = create_loraplus_optimizer(
        trainer.model, torch.optim.AdamW, lr=own["learning_rate"], loraplus_lr_ratio=settings["loraplus_lr_ratio"]
    )
    return trainer
