"""What notebook 06 and the benchmarks share: the settings file, the rows to train on, and the memory of a run."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import torch
import yaml

from .allocator import keep_freed_memory as keep_freed_memory  # notebook 01 takes it from here
from .paths import data_path
from .triage import label_text


@lru_cache(maxsize=1)
def triage_settings() -> dict[str, Any]:
    """The settings of data/triage/training.yaml: lora, trainer, loraplus_lr_ratio, system_prompt, examples."""
    return yaml.safe_load(data_path("triage", "training.yaml").read_text(encoding="utf-8"))


def training_identity() -> dict[str, Any]:
    """The settings that decide a run, for records: all but those that say how long the triage runs are."""
    return {name: value for name, value in triage_settings().items() if name not in ("live", "recorded")}


def prompt_completion(record: dict[str, Any]) -> dict[str, Any]:
    """One row in TRL's conversational prompt-completion form: the trainer learns the completion alone."""
    system = {"role": "system", "content": triage_settings()["system_prompt"]}
    return {
        "prompt": [system, {"role": "user", "content": record["message"]}],
        "completion": [{"role": "assistant", "content": label_text(record["label"])}],
    }


def tensor_memory(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Megabytes (1e6 bytes) of weights, gradients and optimizer state of a run that has made a step.

    Gradients are counted as the optimizer needs them, one number for each trainable weight in its own dtype: between
    two steps they are freed.
    """
    weights = sum(_bytes(parameter) for parameter in model.parameters())
    gradients = sum(_bytes(parameter) for parameter in model.parameters() if parameter.requires_grad)
    states = [value for state in plain_optimizer(optimizer).state.values() for value in state.values()]
    optimiser = sum(_bytes(value) for value in states if isinstance(value, torch.Tensor))
    rows = {"weights": weights, "gradients": gradients, "optimiser": optimiser}
    return {name: size / 1e6 for name, size in (rows | {"total": sum(rows.values())}).items()}


def activation_memory(trainer, rows: int) -> float:
    """Megabytes (1e6 bytes) that a batch's forward pass keeps for the backward pass; the trainer's weights not counted.

    Counted tensor by tensor through autograd's hooks for saved tensors, each storage once, so the figure is the same on
    every run; a process's peak also has the allocator's leftovers in it. ``rows``: the first rows of the training set.
    """
    weights = {parameter.untyped_storage().data_ptr() for parameter in trainer.model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage  # held, so that no other tensor can get the same address
        return tensor

    items = [trainer.train_dataset[place] for place in range(rows)]
    batch = trainer._prepare_inputs(trainer.data_collator(items))
    trainer.model.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = trainer.compute_loss(trainer.model, batch)
    del loss
    return sum(storage.nbytes() for storage in kept.values()) / 1e6


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def plain_optimizer(optimizer):
    """The torch optimizer inside Accelerate's wrapper."""
    return getattr(optimizer, "optimizer", optimizer)


def quiet_libraries() -> None:
    """Silence what the libraries print on the way (progress bars, notes on defaults), for readable outputs."""
    import warnings

    import datasets
    from transformers.utils import logging

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    # TRL and PEFT still use the older name of a switch that transformers renames in v6.
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
