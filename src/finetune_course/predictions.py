"""A learner's predictions for the claims: kept in one small file of their own, and scored when the verdicts are in.

Where the file lies, and that a headless run neither reads nor writes it, is in ``own_files``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .claims import Claim, load_claims
from .own_files import headless, keep_aside, own_file, write_json

FILE_NAME = "predictions.json"
_FORMAT = 1


class PredictionError(ValueError):
    """One sentence: what is wrong with a prediction or its file, and what to do. Shown without a traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython's hook for exceptions that explain themselves
        return [str(self)]


@dataclass
class Predictions:
    """``confidence``: claim id → how sure that the claim holds, 0 to 100 %; ``numbers``: claim id → the number asked.

    A claim without a prediction is simply not there. Set values with ``put``, which checks them.
    """

    confidence: dict[str, float] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.confidence)

    def put(self, claim: Claim, confidence: float | None = None, number: float | None = None) -> None:
        """Note one prediction, or both. Raises ``PredictionError`` for a value outside the slider's range."""
        if confidence is not None:
            self.confidence[claim.id] = _checked(confidence, 0, 100, f"the confidence in {claim.id}", "%")
        if number is not None:
            if claim.number is None:
                raise PredictionError(f"Claim {claim.id} asks for no number: give a confidence only.")
            asked = claim.number
            self.numbers[claim.id] = _checked(number, asked.low, asked.high, f"the number of {claim.id}", asked.unit)


def load_predictions(
    claims: Iterable[Claim] | None = None, path: Path | None = None, report: Callable[[str], None] = print
) -> Predictions:
    """The saved predictions; empty where none were saved, and in a headless run.

    A file that cannot be understood is kept aside under another name and a fresh start made. Single entries that do
    not fit the ledger are left out and the rest is taken; the file as it was is kept aside too. Either way ``report``
    gets one sentence. Raises ``PredictionError`` where the file may not be read.
    """
    if headless():
        return Predictions()
    path = path or own_file(FILE_NAME)
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Predictions()
    except OSError as error:
        raise PredictionError(f"Your predictions ({path.name}) could not be read: {error.strerror}.") from error
    try:
        stored = json.loads(content.decode("utf-8"))
        if not isinstance(stored, dict) or stored.get("format") != _FORMAT:
            raise ValueError("not a predictions file")
        confidence, numbers = stored["confidence"], stored["numbers"]
        if not (isinstance(confidence, dict) and isinstance(numbers, dict)):
            raise ValueError("not a predictions file")
    except (ValueError, KeyError, RecursionError):
        aside = _aside(path, content, move=True)
        report(f"Your file of predictions was damaged: it is kept as {aside} and you start afresh.")
        return Predictions()
    predictions, left_out = _fitting(load_claims() if claims is None else claims, confidence, numbers)
    if left_out:
        aside = _aside(path, content, move=False)
        report(
            f"{len(left_out)} of your saved predictions did not fit the ledger and were left out "
            f"({'; '.join(left_out[:3])}); the file as it was is kept as {aside}."
        )
    return predictions


def save_predictions(predictions: Predictions, path: Path | None = None) -> bool:
    """Write the predictions in one step and return True; in a headless run write nothing and return False.

    Raises ``PredictionError`` where the folder cannot be written; the old file is then still there.
    """
    if headless():
        return False
    path = path or own_file(FILE_NAME)
    stored = {
        "format": _FORMAT,
        "saved": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "confidence": dict(sorted(predictions.confidence.items())),
        "numbers": dict(sorted(predictions.numbers.items())),
    }
    try:
        write_json(path, stored)
    except OSError as error:
        raise PredictionError(
            f"Your predictions could not be saved ({error.strerror}): "
            "set FINETUNE_COURSE_PROGRESS to a folder that you may write to."
        ) from error
    return True


def record(claim: Claim, confidence: float | None = None, number: float | None = None) -> Predictions:
    """Add one prediction to the saved file and return all that are now in it (in a headless run: this one alone).

    The file is read again first, so that two notebooks open at once do not undo each other's predictions.
    Raises ``PredictionError`` like ``put``, ``load_predictions`` and ``save_predictions``.
    """
    predictions = load_predictions(report=lambda sentence: None)
    predictions.put(claim, confidence, number)
    save_predictions(predictions)
    return predictions


def brier_score(confidence: Mapping[str, float], outcomes: Mapping[str, float]) -> float:
    """Mean squared distance between predicted probability and outcome, over the claims that have both; 0 is perfect.

    Args:
        confidence: claim id → how sure, in per cent (``Predictions.confidence``).
        outcomes: claim id → 1 where the claim held, 0 where it failed, 0.5 where it held in part.

    Always answering 50 % scores 0.25 on claims that hold or fail. The score is Brier's (1950), in its form for one
    event, which ranges from 0 to 1. Raises ``PredictionError`` for values out of range or no claim in common.
    """
    shared = sorted(confidence.keys() & outcomes.keys())
    if not shared:
        raise PredictionError("No claim has both a prediction and a verdict, so there is nothing to score yet.")
    distances = [
        _checked(confidence[name], 0, 100, f"the confidence in {name}", "%") / 100
        - _checked(outcomes[name], 0, 1, f"the outcome of {name}", "")
        for name in shared
    ]
    return sum(distance**2 for distance in distances) / len(distances)


def _fitting(
    claims: Iterable[Claim], confidence: Mapping[str, Any], numbers: Mapping[str, Any]
) -> tuple[Predictions, list[str]]:
    """The entries that fit the ledger, and a phrase for each that does not."""
    ledger = {claim.id: claim for claim in claims}
    predictions, left_out = Predictions(), []
    for kind, entries in (("confidence", confidence), ("number", numbers)):
        for name, value in entries.items():
            try:
                if name not in ledger:
                    raise PredictionError(f"There is no claim {name[:20]!r}")
                if value is None:
                    raise PredictionError(f"The {kind} of {name} is empty")
                predictions.put(ledger[name], **{kind: value})
            except PredictionError as error:
                left_out.append(str(error).rstrip("."))
    return predictions, left_out


def _checked(value: Any, low: float, high: float, what: str, unit: str) -> float:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not plain or not low <= value <= high:  # the comparison refuses NaN too
        raise PredictionError(
            f"{what[0].upper()}{what[1:]} must be a number from {low:g} to {high:g}{' ' + unit if unit else ''}; "
            f"found {str(value)[:20]}."
        )
    return value


def _aside(path: Path, content: bytes, move: bool) -> str:
    try:
        return keep_aside(path, content, move)
    except OSError as error:
        raise PredictionError(f"The damaged file {path.name} could not be kept aside: {error.strerror}.") from error
