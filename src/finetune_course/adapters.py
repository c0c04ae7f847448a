"""Trained adapters and the records of their runs: the learner's own, and the ones shipped under data/adapters/."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from .evaluate import percent
from .paths import course_root, data_path, own_models_dir


def own_adapter_folder(task: str) -> Path:
    """Where the adapter trained on this machine for ``task`` is kept (in the cache folder); created if need be."""
    folder = own_models_dir() / "adapters" / task
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shipped_adapter(task: str) -> Path:
    """The adapter folder that comes with the course. Raises FileNotFoundError with one sentence where there is none."""
    folder = data_path("adapters", task)
    if not (folder / "adapter_model.safetensors").is_file():
        raise FileNotFoundError(
            f"There is no adapter for '{task}', data/adapters/{task} holds no weights: "
            f"get the course's folder again, or train it with 'python benchmarks/{_script(task)}'."
        )
    return folder


def data_hash(name: str = "train") -> str:
    """SHA-256 of a triage split's file, 64 hexadecimal digits: what a recorded run was trained on."""
    return hashlib.sha256(data_path("triage", f"{name}.jsonl").read_bytes()).hexdigest()


@dataclass(frozen=True)
class RecordedRuns:
    """A result file: ``settings`` of the runs (command, versions, date, machine, data) and one entry per seed."""

    settings: dict[str, Any]
    runs: list[dict[str, Any]]

    @property
    def table(self) -> pd.DataFrame:
        """One row per seed: minutes, and for each test set the shares of valid and of exact records with intervals."""
        rows = []
        for run in self.runs:
            cells = {"minutes": round(run["train_seconds"] / 60, 1)}
            for name, measures in run["scores"].items():
                cells |= {f"{name}: {measure}": percent(*values) for measure, values in measures.items()}
            rows.append({"seed": run["seed"], **cells})
        return pd.DataFrame(rows).set_index("seed")


def recorded_runs(task: str) -> RecordedRuns:
    """The recorded runs of ``task`` from benchmarks/results/. Raises FileNotFoundError where there are none."""
    path = course_root() / "benchmarks" / "results" / f"{task}_lora.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no record benchmarks/results/{path.name}: make it with 'python benchmarks/{_script(task)}'."
        )
    content = json.loads(path.read_text(encoding="utf-8"))
    return RecordedRuns(content["settings"], content["runs"])


def _script(task: str) -> str:
    """The file in benchmarks/ that trains the adapter for ``task``."""
    return "record_triage_lora.py" if task == "triage" else f"record_{task}.py"
