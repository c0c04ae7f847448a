"""The training runs of notebook 07: the triage task learned from few messages, by LoRA and in full.

The settings are those of data/triage/training.yaml; what a run changes is its rows, steps, learning rate and seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, PrinterCallback, set_seed
from trl import SFTConfig

from .completion_trainer import CompletionTrainer, triage_trainer
from .generation import answer_all
from .hardware import Hardware
from .lower_half import SeveralEpochsTrainer
from .training import prompt_completion, triage_settings
from .weights import weights

STEPS = {10: 40, 50: 100, 100: 150, 300: 240, 450: 240, 500: 240, 600: 240, 1000: 320}
"""Optimiser steps of a LoRA run by its number of rows. From 300 to 600 rows the steps are the same, so that runs of
different rows cost the same; the 150 of 100 rows stand among those tried on validation."""

BATCH = 4
FULL_STEPS = 120
"""Steps of full fine-tuning: each costs about three of LoRA's, so this is one and a half times LoRA's computing."""

Record = dict[str, Any]


def rows_for(train: Sequence[Record], size: int, seed: int) -> list[Record]:
    """The first ``size`` training messages of an order that ``seed`` decides: a larger set holds every smaller one.

    Raises ValueError for more messages than there are.
    """
    if not 0 < size <= len(train):
        raise ValueError(f"There are {len(train)} training messages: {size} cannot be drawn from them.")
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)).tolist()
    return [train[place] for place in order[:size]]


class FewRows:
    """The base model, loaded once, and LoRA runs on it that leave it as it was.

    What its frozen lower layers make of a row is kept from run to run (0.2 MB a row); ``forget`` lets it go.
    """

    def __init__(self, tokenizer, hw: Hardware, model=None):
        self.tokenizer, self.hw = tokenizer, hw
        self.model = model or AutoModelForCausalLM.from_pretrained(weights(), dtype=hw.dtype).to(hw.device)
        self.forget()

    def forget(self) -> None:
        """Let go of the lower layers' states."""
        self.known_states: dict = {}

    @contextmanager
    def lora(self, rows: Sequence[Record], seed: int, steps: int, rate: float | None = None) -> Iterator[Any]:
        """Within it, the model with a LoRA trained on ``rows``; ``rate`` None: the settings file's. Yields the model
        (in evaluation mode); afterwards the base model is without an adapter again."""
        set_seed(seed)
        changed = {} if rate is None else {"learning_rate": rate}
        with tempfile.TemporaryDirectory() as folder:
            trainer = triage_trainer(
                self.model, self.tokenizer, list(rows), self.hw, SeveralEpochsTrainer, output_dir=folder, seed=seed,
                max_steps=steps, per_device_train_batch_size=BATCH, logging_strategy="no", **changed,
            )  # fmt: skip
            trainer.known_states = self.known_states
            trainer.remove_callback(PrinterCallback)
            trainer.train()
        try:
            yield trainer.model.eval()
        finally:
            self.model = trainer.model.unload()
            del trainer


def full_fine_tune(tokenizer, hw: Hardware, rows: Sequence[Record], seed: int, steps: int, rate: float, model=None):
    """A new base model of which every weight was trained on ``rows`` (float32, AdamW), in evaluation mode."""
    set_seed(seed)
    model = model or AutoModelForCausalLM.from_pretrained(weights(), dtype=torch.float32).to(hw.device)
    own = triage_settings()["trainer"] | {"save_strategy": "no", "activation_checkpointing": False} | hw.precision
    with tempfile.TemporaryDirectory() as folder:
        arguments = own | {
            "learning_rate": rate, "max_steps": steps, "per_device_train_batch_size": BATCH, "seed": seed,
            "output_dir": folder, "logging_strategy": "no",
        }  # fmt: skip
        trainer = CompletionTrainer(
            model=model,
            args=SFTConfig(**arguments),
            train_dataset=Dataset.from_list([prompt_completion(row) for row in rows]),
            processing_class=tokenizer,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return trainer.model.eval()


def triage_answers(model, tokenizer, records: Sequence[Record], batch_size: int = 32) -> list[str]:
    """What a tuned model answers to the messages of ``records``, greedily, with the trained one-word prompt."""
    system = {"role": "system", "content": triage_settings()["system_prompt"]}
    messages = [record["message"] for record in records]
    return answer_all(model, tokenizer, [system], messages, batch_size=batch_size, must_begin="{").texts
