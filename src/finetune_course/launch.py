"""The course's settings file for other starters: a configuration for ``trl sft``, and the command that launches it.

data/triage/training.yaml stays the one place where the settings stand: what is written here is made from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from .paths import course_root
from .training import triage_settings

LAUNCHERS = ("ddp", "fsdp", "several_nodes", "two_cpus")
"""The accelerate configurations under data/accelerate/."""

NOT_CARRIED = {"loraplus_lr_ratio": "LoRA+ (matrix B learns as fast as A)"}
"""Settings for which ``trl sft`` has no option, and what the run does without them."""


def launcher(name: str) -> Path:
    """The accelerate configuration data/accelerate/NAME.yaml. Raises ValueError for an unknown name."""
    if name not in LAUNCHERS:
        raise ValueError(f"There is no accelerate configuration '{name}': choose one of {', '.join(LAUNCHERS)}.")
    return course_root() / "data" / "accelerate" / f"{name}.yaml"


def adapted_layers(lora: Mapping[str, Any]) -> str:
    """The layers that get an adapter as one regular expression: ``trl sft`` has no ``layers_to_transform``.

    PEFT matches it against a layer's whole path, such as model.layers.15.mlp.up_proj.
    """
    names = "|".join(map(re.escape, lora["target_modules"]))
    layers = lora.get("layers_to_transform")
    number = r"\d+" if layers is None else "|".join(map(str, layers))
    return rf".*\.layers\.({number})\.\w+\.({names})"


def trl_config(
    model: str | Path,
    rows: str | Path,
    output: str | Path,
    *,
    processes: int = 1,
    settings: Mapping[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """The settings file in the words of ``trl sft --config``.

    Args:
        model: folder or hub id of the base model.
        rows: the folder that ``write_rows`` filled.
        output: where the adapter goes.
        processes: how many will run at once; each takes its share of the batch, so that a step means the same.
        settings: as ``training.triage_settings`` returns them (the default).
        changes: trainer settings (of TRL's SFTConfig) that differ from the file's.

    Raises ValueError where the batch cannot be shared out evenly, or where the file holds a LoRA setting that
    ``trl sft`` has no option for.
    """
    settings = settings or triage_settings()
    lora = dict(settings["lora"])
    trainer = settings["trainer"] | changes
    batch = trainer["per_device_train_batch_size"]
    if processes < 1 or batch % processes:
        raise ValueError(f"A batch of {batch} rows cannot be shared out evenly among {processes} processes.")
    unknown = set(lora) - {"r", "lora_alpha", "lora_dropout", "target_modules", "layers_to_transform", "task_type"}
    if unknown:
        raise ValueError(f"'trl sft' has no option for the LoRA setting '{sorted(unknown)[0]}' of the settings file.")
    return {
        "model_name_or_path": str(model),
        "dataset_name": str(rows),
        "output_dir": str(output),
        "use_peft": True,
        "lora_r": lora["r"],
        "lora_alpha": lora["lora_alpha"],
        "lora_dropout": lora["lora_dropout"],
        "lora_target_modules": [adapted_layers(lora)],
        "lora_task_type": lora["task_type"],
        **trainer,
        "per_device_train_batch_size": batch // processes,
    }


def write_trl_config(path: str | Path, *places: str | Path, **options: Any) -> dict[str, Any]:
    """Write ``trl_config(*places, **options)`` as YAML, with a note on what could not be carried over; returns it."""
    config = trl_config(*places, **options)
    notes = [f"# Not an option of trl sft, left out: {name}, {what}." for name, what in NOT_CARRIED.items()]
    head = ["# Made from data/triage/training.yaml by finetune_course.launch: change that file, not this one.", *notes]
    text = "\n".join(head) + "\n" + yaml.safe_dump(config, sort_keys=False, width=110)
    Path(path).write_text(text, encoding="utf-8")
    return config


def write_rows(folder: str | Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows in TRL's prompt-completion form to FOLDER/train.jsonl, which ``trl sft`` reads; returns their number.

    Raises ValueError for no rows: an empty file would stop the run much later.
    """
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    if not lines:
        raise ValueError("There are no rows to write: the list is empty.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def launch_command(config: str | Path, name: str) -> list[str]:
    """``accelerate launch`` with data/accelerate/NAME.yaml and TRL's own SFT script on a configuration file.

    Without graphics cards the script is started through ``sft_on_cpus``, so that both processes find each other and
    come to an end.
    """
    script = "finetune_course.sft_on_cpus" if name == "two_cpus" else "trl.scripts.sft"
    module = ["-m", script, "--config", str(config)]
    return ["accelerate", "launch", "--config_file", str(launcher(name)), *module]
