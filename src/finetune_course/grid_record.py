"""A recorded grid: one JSON file with the settings of its runs and one entry per run, written as each run is done.

A run that stands in the file for the same settings is not made again, so a stopped script goes on where it was. Several
processes may share the work: each adds its runs to those that stand in the file by then.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from .adapters import data_hash
from .curation_grid import from_bits, to_bits
from .evaluate import score
from .paths import cache_dir, course_root
from .triage import FIELDS

LIBRARIES = ("torch", "transformers", "peft", "trl")
ABOUT_THE_RUN = ("machine", "versions", "date", "command")
"""Settings that say where and when; all others decide whether a stored run may stand."""

Run = dict[str, Any]
RESULTS = course_root() / "benchmarks" / "results"


def grid_options(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line of a record script, with ``--output`` and ``--tiny`` added to its own options.

    Ends the script, in one sentence, where --tiny would write among the results.
    """
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--tiny", action="store_true", help="a proof that it works; wants an --output folder")
    options = parser.parse_args()
    if options.tiny and options.output == RESULTS:
        parser.error("--tiny gives no results worth keeping: name a folder with --output.")
    return options


class GridRecord:
    """The file ``path``; ``settings`` are what all its runs share. A file of other settings is begun anew."""

    def __init__(self, path: Path, command: str, **settings: Any):
        self.path = path
        self.settings = json.loads(json.dumps(settings))  # tuples as lists, as they come back from the file
        self.settings |= {
            "command": command,
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
            "versions": {name: version(name) for name in LIBRARIES},
            "date": date.today().isoformat(),
        }
        self.runs: list[Run] = self._stored()

    def once(self, make: Callable[[], Run], **key: Any) -> Run:
        """The run with this ``key`` (such as size and seed): the stored one, or ``make()``'s, stored and printed."""
        self.refresh()
        for run in self.runs:
            if all(run.get(name) == value for name, value in key.items()):
                return run
        start = time.process_time()
        run = json.loads(json.dumps({**key, **make()}))  # as it comes back from the file
        run["cpu_seconds"] = round(time.process_time() - start, 1)
        with self._locked():
            self.refresh()
            self.runs.append(run)
            self._write()
        print({name: value for name, value in run.items() if len(str(value)) < 60}, flush=True)
        return run

    def refresh(self) -> None:
        """Take in the runs that other processes have added to the file since."""
        self.runs += [run for run in self._stored() if run not in self.runs]

    def _stored(self) -> list[Run]:
        if not self.path.is_file():
            return []
        stored = json.loads(self.path.read_text(encoding="utf-8"))
        decisive = self.settings.keys() - set(ABOUT_THE_RUN)
        same = all(stored["settings"].get(name) == self.settings[name] for name in decisive)
        return stored["runs"] if same else []

    def _locked(self) -> FileLock:
        """A lock for reading and writing the file in one go; its own file lies in the cache folder."""
        cache_dir().mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(str(self.path.resolve()).encode()).hexdigest()[:16]
        return FileLock(cache_dir() / f"record-{name}.lock")

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        content = {"settings": self.settings, "runs": self.runs}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(self.path)


def triage_identity() -> dict[str, str]:
    """Hashes of the triage splits that the grids of notebook 07 stand on."""
    return {name: data_hash(name) for name in ("train", "validation_handwritten", "test_handwritten")}


def load_record(name: str, folder: Path | None = None) -> dict[str, Any] | None:
    """The record benchmarks/results/``name``.json as a dictionary (settings, runs); None where there is none yet.

    ``folder``, or the environment variable FINETUNE_COURSE_RESULTS, names another place: for trying a notebook on
    records of your own.
    """
    own = os.environ.get("FINETUNE_COURSE_RESULTS", "").strip()
    place = folder or (Path(own) if own else RESULTS)
    path = place / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def outcome_bits(answers: Sequence[str], records: Sequence[dict[str, Any]]) -> dict[str, str]:
    """For valid, exact and every field one text with a 1 for each message that has it right, else 0.

    ``answers`` are the model's texts in the order of ``records``; see ``curation_grid.from_bits`` for the way back.
    """
    table = score(answers, records)
    return {measure: to_bits(table[measure]) for measure in ("valid", "exact", *FIELDS)}


def outcomes(runs: Sequence[Run], measure: str = "exact", split: str = "test") -> np.ndarray:
    """Mean over runs (seeds) of each message's outcome, shape (messages,), from 0 to 1.

    ``measure`` is valid, exact, a field, or ``fields``: the share of a message's fields that are right. Raises
    ValueError for no runs.
    """
    if not runs:
        raise ValueError("There is no run to average: the record holds none of that kind.")
    if measure == "fields":
        return np.mean([outcomes(runs, field, split) for field in FIELDS], axis=0)
    return from_bits([run[split][measure] for run in runs])
