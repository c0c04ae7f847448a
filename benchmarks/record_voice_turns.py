"""Record conversations of eight turns in the brand voice, for notebook 07: with a persona prompt, and trained on it.

    python benchmarks/record_voice_turns.py          # about 30 minutes on one core; --arms persona for a part

Written to benchmarks/results/voice_turns.json, arm by arm: every reply in full, so that whoever doubts the scorer can
read. The persona prompt is the one of data/voice, alone and with three training pairs as example turns; the trained
model gets four words. Nothing is chosen here: the LoRA's settings are those of the triage runs. ``--tiny`` proves that
the script works and wants an --output folder of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile

import torch
from datasets import Dataset
from peft import LoraConfig
from peft.optimizers import create_loraplus_optimizer
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, set_seed
from trl import SFTConfig

from finetune_course.allocator import keep_freed_memory
from finetune_course.conversations import hold_conversations
from finetune_course.grid_record import GridRecord, Run, grid_options
from finetune_course.hardware import inspect_hardware
from finetune_course.lower_half import SeveralEpochsTrainer
from finetune_course.paths import data_path
from finetune_course.training import quiet_libraries, training_identity, triage_settings
from finetune_course.voice import load_conversations, load_split, persona, prompt_completion, trained_prompt
from finetune_course.weights import weights

PASSES, EXAMPLES, ROOM = 2, 3, 90
ARMS = {"persona": (0,), "persona with examples": (0,), "trained": (0, 1)}


def voice_hash() -> str:
    """SHA-256 of the texts that the runs stand on: training pairs, conversations and prompts."""
    names = ("train.jsonl", "conversations.jsonl", "persona_chat.txt", "trained_prompts.yaml")
    return hashlib.sha256(b"".join(data_path("voice", name).read_bytes() for name in names)).hexdigest()


def prefix_of(arm: str) -> list[dict[str, str]]:
    """The chat messages before a conversation."""
    if arm == "trained":
        return [{"role": "system", "content": trained_prompt("chat")}]
    chat = [{"role": "system", "content": persona("chat")}]
    for pair in load_split("train")[: EXAMPLES if arm == "persona with examples" else 0]:
        chat += [{"role": "user", "content": pair["customer"]}, {"role": "assistant", "content": pair["voice"]}]
    return chat


def train(model, tokenizer, hw, seed: int, rows: int | None, passes: int):
    """The LoRA of the triage settings, trained on customers' questions and the voice's answers."""
    set_seed(seed)
    settings = triage_settings()
    with tempfile.TemporaryDirectory() as folder:
        own = settings["trainer"] | {
            "save_strategy": "no", "activation_checkpointing": False, "output_dir": folder, "seed": seed,
            "num_train_epochs": passes, "logging_strategy": "no",
        } | hw.precision  # fmt: skip
        trainer = SeveralEpochsTrainer(
            model=model,
            args=SFTConfig(**own),
            train_dataset=Dataset.from_list([prompt_completion(pair, "chat") for pair in load_split("train")[:rows]]),
            processing_class=tokenizer,
            peft_config=LoraConfig(**settings["lora"]),
        )
        trainer.optimizer = create_loraplus_optimizer(
            trainer.model, torch.optim.AdamW, lr=own["learning_rate"], loraplus_lr_ratio=settings["loraplus_lr_ratio"]
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return trainer.model.eval()


def talk(arm: str, seed: int, tiny: bool = False) -> Run:
    """One arm's replies to all conversations, shape (conversations, turns)."""
    hw = inspect_hardware("standard")
    tokenizer = AutoTokenizer.from_pretrained(weights())
    model = AutoModelForCausalLM.from_pretrained(weights(), dtype=hw.dtype).to(hw.device)
    if arm == "trained":
        model = train(model, tokenizer, hw, seed, 8 if tiny else None, 1 if tiny else PASSES)
    conversations = [talk["turns"][: 2 if tiny else None] for talk in load_conversations()[: 2 if tiny else None]]
    room = 8 if tiny else ROOM
    return {"replies": hold_conversations(model, tokenizer, prefix_of(arm), conversations, max_new_tokens=room)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    options = grid_options(parser)
    quiet_libraries()
    keep_freed_memory()
    settings = {
        "voice_sha256": voice_hash(),
        "passes": PASSES,
        "examples": EXAMPLES,
        "room": ROOM,
        "training": training_identity(),
        "tiny": options.tiny,
    }
    record = GridRecord(options.output / "voice_turns.json", "python benchmarks/record_voice_turns.py", **settings)
    for arm in options.arms:
        for seed in ARMS[arm]:
            record.once(lambda a=arm, s=seed: talk(a, s, options.tiny), arm=arm, seed=seed)


if __name__ == "__main__":
    main()
