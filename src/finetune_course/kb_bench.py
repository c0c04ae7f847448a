"""What the record scripts of notebook 10's two adapters share: settings, trainings that are kept, the choice of passes.

How long to train is chosen on one run: it is looked at after each of the passes that data/kb/training.yaml names under
``epochs``, and the look that has most validation questions right is kept (the first of equals). The runs of the other
seeds stop there, on the same schedule of the learning rate.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from . import lora_runs
from .adapters import own_adapter_folder
from .grid_record import GridRecord, Run
from .hardware import Hardware
from .kb_questions import KbQuestion, is_right, load_kb_questions, load_terms
from .paths import data_path
from .qa_arms import arm, ask
from .retrieved import Retrieved
from .training import training_identity

Rows = Sequence[dict[str, Any]]


@lru_cache(maxsize=1)
def kb_settings() -> dict[str, Any]:
    """The settings of data/kb/training.yaml: seeds, ``room`` (tokens of pieces in a prompt), reader, facts."""
    return yaml.safe_load(data_path("kb", "training.yaml").read_text(encoding="utf-8"))


class KbBench:
    """Data, settings and record of one adapter's runs. ``tiny``: six short rows, two passes, three questions.

    A script's bench says what a ``trial`` is and which ``arms`` its adapter has, and brings the search
    (``retrieved``). ``name`` begins the names of the adapters that are kept.
    """

    arms: Sequence[str]
    record: GridRecord
    retrieved: Retrieved

    def __init__(self, name: str, hw: Hardware, tiny: bool = False, adapters: Path | None = None):
        self.name, self.hw, self.tiny = name, hw, tiny
        self.own, self.room = kb_settings()[name], kb_settings()["room"]
        self.adapters = adapters or own_adapter_folder("kb").parent
        self.states: dict = {}  # below the adapters; the same for every seed, and for the rows that both versions share
        self.looks: list[int] = [1, 2] if tiny else self.own["epochs"]
        few = 3 if tiny else None
        self.validation: Sequence[KbQuestion] = load_kb_questions("validation")[:few]
        self.test: Sequence[KbQuestion] = load_kb_questions("test")[:few]
        self.terms: Sequence[KbQuestion] = load_terms()[:few]

    def grid_record(self, path: Path, command: str, data_sha256: Any, settings: Run) -> GridRecord:
        """The record ``path`` of runs on these data with these settings, and all else that decides them."""
        return GridRecord(
            path, command, data_sha256=data_sha256, settings=settings, room=self.room, tiny=self.tiny,
            search=self.retrieved.settings["pages_sha256"], training=training_identity(),
            dtype=str(self.hw.dtype).removeprefix("torch."),
        )  # fmt: skip

    def trained(
        self, what: str, rows: Rows, seed: int, passes: int, *, looks: Sequence[int] = (), start: Path | None = None
    ) -> tuple[Any, Any, dict[str, float], Path]:
        """Model with adapter, tokenizer, cost and the adapter's folder; trained only where it is not kept yet.

        ``rows``: prompt-completion rows. ``passes``: how many passes over them. ``looks``: passes after which this
        run's adapter is to be kept as well (the run goes on to the last of them). ``start``: the folder of an adapter
        to train further, for ``passes`` passes on a schedule of their own.
        """
        rows = sorted(rows, key=lambda row: len(str(row)))[:6] if self.tiny else rows
        schedule = passes if start else max(self.looks)
        about = self._about(what, rows, seed, schedule, start)
        folders = {each: self.adapters / f"{self.name}-{what}-{seed}-{each}of{schedule}" for each in (passes, *looks)}
        if not all(self._kept(folder, about | {"epochs": each}) for each, folder in folders.items()):
            self._train(rows, seed, schedule, folders, about, start)
        # Answers come from the adapter as it is kept (bfloat16), not from the one in memory.
        model, tokenizer = lora_runs.base_model(self.hw)
        folder = folders[passes]
        return lora_runs.with_adapter(model, folder), tokenizer, lora_runs.adapter_about(folder)["cost"], folder

    def _about(self, what: str, rows: Rows, seed: int, schedule: int, start: Path | None) -> dict[str, Any]:
        """All that decides a training: with the same, a kept adapter may stand."""
        told = json.dumps(list(rows), sort_keys=True).encode()
        return {
            "what": what, "seed": seed, "schedule": schedule, "rate": self.own["learning_rate"],
            "batch": self.own["batch"], "rows_sha256": hashlib.sha256(told).hexdigest(),
            "start_sha256": hashlib.sha256((start / "adapter_model.safetensors").read_bytes()).hexdigest()
            if start else None,
            "training": training_identity(), "dtype": str(self.hw.dtype).removeprefix("torch."),
        }  # fmt: skip

    def _kept(self, folder: Path, about: dict[str, Any]) -> bool:
        kept = lora_runs.adapter_about(folder)
        return kept is not None and all(kept.get(name) == value for name, value in about.items())

    def _train(self, rows: Rows, seed: int, schedule: int, folders: dict[int, Path], about: dict, start: Path | None):
        model, tokenizer = lora_runs.base_model(self.hw)
        if start:
            model = lora_runs.with_adapter(model, start, trainable=True)

        def look(done: int, run: lora_runs.Trained) -> bool:
            if done in folders:
                lora_runs.save_adapter(run.model, folders[done], about | {"epochs": done, "cost": run.cost()})
            return done >= max(folders)

        running = self._running(about)
        lora_runs.train_lora(
            model, tokenizer, rows, self.hw, seed=seed, epochs=schedule, learning_rate=self.own["learning_rate"],
            batch=self.own["batch"], max_length=10_000 if self.tiny else self.own["max_length"], after_epoch=look,
            known_states=self.states, checkpoints=running,
        )  # fmt: skip
        shutil.rmtree(running)

    def _running(self, about: dict[str, Any]) -> Path:
        """The folder in which this very training is kept pass by pass, so that an interrupted one goes on."""
        told = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
        folder = self.adapters / f"running-{self.name}-{told}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def ship(self, task: str, model, folder: Path, run: Run) -> None:
        """Put the adapter of ``folder`` under data/adapters, with how it came to be; not from a tiny run."""
        if not self.tiny:
            about = lora_runs.adapter_about(folder) | {"settings": self.record.settings, "run": run}
            lora_runs.save_adapter(model, data_path("adapters", task), about)

    def trial(self, passes: int) -> Run:
        """Seed 0 after ``passes`` passes, and its answers to the validation questions: ``run["validation"]``."""
        raise NotImplementedError

    def choose(self) -> None:
        """Look at the run of seed 0 after each of the settings' ``epochs``."""
        for passes in self.looks:
            self.record.once(lambda p=passes: self.trial(p), part="choose", epochs=passes)

    def adapted(self, seed: int, passes: int) -> tuple[Any, Any, dict[str, float], Path]:
        """What ``trained`` gives for one seed of the runs that are tested."""
        raise NotImplementedError

    def name_terms(self, seeds: Sequence[int]) -> None:
        """The shop's own terms (version 1), asked in every arm of this adapter with every seed."""
        chosen = self.chosen()
        for seed in seeds:
            for name in self.arms:
                self.record.once(lambda s=seed, n=name: self.named(n, s, chosen), part="terms", arm=name, seed=seed)

    def named(self, name: str, seed: int, passes: int) -> Run:
        model, tokenizer, *_ = self.adapted(seed, passes)
        answers = ask(
            arm(name), model, tokenizer, self.terms, self.retrieved, "v1", room=self.room, batch_size=self.hw.eval_batch
        )
        return {"v1": answers}

    def chosen(self) -> int:
        """The number of passes with the most right answers on validation; the first of equals."""
        self.record.refresh()
        trials = sorted((run for run in self.record.runs if run["part"] == "choose"), key=lambda run: run["epochs"])
        if len(trials) < len(self.looks):
            raise SystemExit("The passes are not chosen yet: run this script with 'choose' first.")
        return max(trials, key=lambda run: self.right(run["validation"]["answers"]))["epochs"]

    def right(self, answers: Sequence[str]) -> int:
        """How many validation questions these answers get right."""
        return sum(is_right(text, question) for text, question in zip(answers, self.validation, strict=True))
