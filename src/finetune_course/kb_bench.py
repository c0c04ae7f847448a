"""What the record scripts of notebook 10's two adapters share: the settings file, and the choice among settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from .grid_record import GridRecord, Run
from .kb_questions import KbQuestion, is_right
from .paths import data_path


def kb_settings() -> dict[str, Any]:
    """The settings of data/kb/training.yaml."""
    return yaml.safe_load(data_path("kb", "training.yaml").read_text(encoding="utf-8"))


class TriedSettings:
    """Settings that are tried with seed 0 and chosen on validation; a script's bench says what a ``trial`` is."""

    own: dict[str, Any]
    record: GridRecord
    validation: Sequence[KbQuestion]

    def trial(self, epochs: float, learning_rate: float) -> Run:
        """Train with one setting and answer the validation questions: ``run["validation"]["answers"]``."""
        raise NotImplementedError

    def choose(self) -> None:
        """Try every setting of the file, each once."""
        for tried in self.own["tried"]:
            self.record.once(lambda t=tried: self.trial(**t), part="choose", **tried)

    def chosen(self) -> dict[str, float]:
        """The tried setting with the most right answers on validation; the first of equals."""
        trials = [run for run in self.record.runs if run["part"] == "choose"]
        if len(trials) < len(self.own["tried"]):
            raise SystemExit("The settings are not chosen yet: run this script with 'choose' first.")
        best = max(trials, key=lambda run: self.right(run["validation"]["answers"]))
        return {name: best[name] for name in ("epochs", "learning_rate")}

    def right(self, answers: Sequence[str]) -> int:
        """How many validation questions these answers get right."""
        return sum(is_right(text, question) for text, question in zip(answers, self.validation, strict=True))
