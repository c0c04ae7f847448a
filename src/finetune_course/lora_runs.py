"""LoRA runs on prompt-completion rows, for the records of notebook 10: train, keep, load again.

The LoRA is that of data/triage/training.yaml, so that the tasks of the course differ in their data alone.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from peft.helpers import disable_input_dtype_casting
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback, set_seed
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTConfig

from .hardware import Hardware
from .lower_half import SeveralEpochsTrainer
from .training import triage_settings
from .weights import weights

BASE = "smollm2-135m-instruct"


@dataclass(frozen=True)
class Trained:
    """A model in evaluation mode and what its training cost: wall seconds, CPU seconds, optimiser steps, tokens."""

    model: Any
    seconds: float
    cpu_seconds: float
    steps: int
    tokens: int

    def cost(self) -> dict[str, float]:
        """What a record keeps of it."""
        return {
            "train_seconds": round(self.seconds, 1),
            "train_cpu_seconds": round(self.cpu_seconds, 1),
            "steps": self.steps,
            "tokens": self.tokens,
        }


def base_model(hw: Hardware):
    """A fresh base model and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(weights(), dtype=hw.dtype).to(hw.device).eval()
    return model, AutoTokenizer.from_pretrained(weights())


def train_lora(
    model,
    tokenizer,
    rows: Sequence[dict[str, Any]],
    hw: Hardware,
    *,
    seed: int,
    epochs: float,
    learning_rate: float,
    batch: int,
    max_length: int,
    max_steps: int = -1,
    after_epoch: Callable[[int, Trained], bool] | None = None,
    known_states: dict | None = None,
    checkpoints: Path | None = None,
) -> Trained:
    """Train a LoRA on ``rows`` (TRL's prompt-completion form); a model that has one already is trained further.

    ``after_epoch`` is called after each pass, with the number of passes done and the run so far (its model in training
    mode); where it returns True the run ends there, on the schedule of all ``epochs``. ``known_states``: a dictionary
    for the states below the adapters, which runs of one base model may share (4 bytes × 576 a token). ``checkpoints``:
    a folder for this run alone, in which it is kept after each pass; where an interrupted run lies there, it goes on
    from its last pass, and its seconds are counted too. The caller removes the folder once the run is kept elsewhere.

    Rows longer than ``max_length`` tokens would lose the end of their answer, so they are refused: ValueError. So are
    no rows at all.
    """
    if not rows:
        raise ValueError("There are no rows to train on: the list is empty.")
    lengths = [
        len(tokenizer.apply_chat_template(row["prompt"] + row["completion"], return_dict=True)["input_ids"])
        for row in rows
    ]
    if max(lengths) > max_length:
        raise ValueError(
            f"Row {lengths.index(max(lengths))} has {max(lengths)} tokens and max_length is {max_length}: raise it, or "
            "its answer would be cut off."
        )
    set_seed(seed)
    settings = triage_settings()
    has_one = isinstance(model, PeftModel)
    with tempfile.TemporaryDirectory() as folder:
        own = settings["trainer"] | {
            "save_strategy": "epoch" if checkpoints else "no", "save_total_limit": 1, "seed": seed,
            "activation_checkpointing": False, "output_dir": str(checkpoints or folder),
            "num_train_epochs": epochs, "max_steps": max_steps, "learning_rate": learning_rate,
            "per_device_train_batch_size": batch, "max_length": max_length, "logging_strategy": "no",
        } | hw.precision  # fmt: skip
        trainer = SeveralEpochsTrainer(
            model=model,
            args=SFTConfig(**own),
            train_dataset=Dataset.from_list(list(rows)),
            processing_class=tokenizer,
            peft_config=None if has_one else LoraConfig(**settings["lora"]),
        )
        trainer.optimizer = create_loraplus_optimizer(
            trainer.model, torch.optim.AdamW, lr=learning_rate, loraplus_lr_ratio=settings["loraplus_lr_ratio"]
        )
        trainer.known_states = known_states
        trainer.remove_callback(PrinterCallback)
        clock = _Clock(checkpoints)

        def so_far() -> Trained:
            state, seconds = trainer.state, clock.seconds()
            return Trained(trainer.model, *seconds, state.global_step, round(sum(lengths) * state.epoch))

        if after_epoch:
            trainer.add_callback(_AfterEpoch(lambda done: after_epoch(done, so_far())))
        trainer.add_callback(clock)
        # Autocast gives the adapters' inputs the right dtype by itself. PEFT's own cast to float32 and back changes no
        # bit of the losses and took an eighth of the time.
        autocast = any(hw.precision.get(name) for name in ("bf16", "fp16"))
        with disable_input_dtype_casting(trainer.model, active=autocast):
            trainer.train(resume_from_checkpoint=clock.resumed)
        run = so_far()
    run.model.eval()
    return run


class _Clock(TrainerCallback):
    """Wall and CPU seconds of a run, those before an interruption included; kept beside its last checkpoint."""

    def __init__(self, checkpoints: Path | None):
        last = get_last_checkpoint(str(checkpoints)) if checkpoints and checkpoints.is_dir() else None
        self.resumed = last
        self._file = checkpoints / "seconds.json" if checkpoints else None
        self._before = json.loads(self._file.read_text(encoding="utf-8")) if last else (0.0, 0.0)
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> tuple[float, float]:
        wall, cpu = self._before
        return wall + time.perf_counter() - self._wall, cpu + time.process_time() - self._cpu

    def on_save(self, args, state, control, **kwargs):
        if self._file:
            self._file.write_text(json.dumps(self.seconds()), encoding="utf-8")


class _AfterEpoch(TrainerCallback):
    """Calls a function with the number of passes done after each; ends the run where it returns True."""

    def __init__(self, call: Callable[[int], bool]):
        self.call = call

    def on_epoch_end(self, args, state, control, **kwargs):
        control.should_training_stop |= bool(self.call(round(state.epoch)))


def save_adapter(model, folder: Path, about: dict[str, Any]) -> None:
    """Write the adapter in bfloat16 with ``about`` (how it came to be) as run.json; replaces an old one in one go."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        model.save_pretrained(work, save_embedding_layers=False)  # "auto" would ask the hub about the base model
        path = work / "adapter_model.safetensors"
        tensors = {name: tensor.to(torch.bfloat16) for name, tensor in load_file(path).items()}
        save_file(tensors, path, metadata={"format": "pt"})
        config = json.loads((work / "adapter_config.json").read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = BASE  # not a folder of the machine that trained it
        (work / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        (work / "README.md").unlink(missing_ok=True)
        (work / "run.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        os.chmod(work, 0o755)
        path.chmod(0o644)
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def with_adapter(model, folder: Path, trainable: bool = False):
    """The base model with the adapter of ``folder`` in it. Raises FileNotFoundError, in one sentence, without one."""
    if not (folder / "adapter_model.safetensors").is_file():
        raise FileNotFoundError(f"There is no adapter in the folder '{folder.name}': train it first.")
    return PeftModel.from_pretrained(model, str(folder), is_trainable=trainable).eval()


def adapter_about(folder: Path) -> dict[str, Any] | None:
    """The run.json beside an adapter; None where there is none."""
    path = folder / "run.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
