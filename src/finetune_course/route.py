"""The route through the course: the one list of its notebooks, from which every map of the course is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas

from .claims import Claim
from .paths import course_root


@dataclass(frozen=True)
class Notebook:
    """One stop: its number ("06"), its title, and what the learner can do at its end."""

    number: str
    title: str
    outcome: str


ROUTE: tuple[Notebook, ...] = (
    Notebook("00", "Start here", "know this machine, the model and the route, and have your predictions saved"),
    Notebook("01", "Pre-training", "train a small transformer from scratch and work out what that costs at any size"),
    Notebook("02", "Fine-tuning", "train the same model further, see what it forgets, and turn it into a responder"),
    Notebook("03", "Prompting first", "prompt, constrain and score a model, with an interval on every number"),
    Notebook("04", "Data", "find leakage, label noise and personal data, and see which tokens a model learns from"),
    Notebook("05", "LoRA by hand", "write a LoRA layer that equals PEFT's, and count parameters from 135M to 70B"),
    Notebook(
        "06", "The TRL run", "fine-tune with TRL and LoRA on your own machine, stop, resume, and score the result"
    ),
    Notebook("07", "Evaluate and iterate", "read learning curves and errors, and improve a model round by round"),
    Notebook("08", "Ship", "serve a tuned model behind the usual API and find its break-even volume"),
    Notebook("09", "RAG", "build retrieval with a vector database, score it, and cite what was found"),
    Notebook("10", "RAG or fine-tune?", "defend, with your own numbers, whether to prompt, retrieve or fine-tune"),
)


def is_written(number: str, root: Path | None = None) -> bool:
    """Whether the notebook is there to be opened (a student edition or a solution), under ``root``."""
    root = root or course_root()
    places = (("notebooks", "ipynb"), ("solutions", "py"))
    return any(next((root / folder).glob(f"{number}_*.{ending}"), None) for folder, ending in places)


def route_table(claims: Iterable[Claim], root: Path | None = None) -> pandas.DataFrame:
    """The route for reading, one row a notebook: index the number; columns notebook, you can then, claims, state.

    ``claims`` counts the ledger's claims that the notebook measures; ``state`` is "here" or "coming".
    """
    ledger = list(claims)
    rows = [
        {
            "": stop.number,
            "notebook": stop.title,
            "at its end you can": stop.outcome,
            "claims measured": sum(stop.number in claim.notebooks for claim in ledger),
            "state": "here" if is_written(stop.number, root) else "coming",
        }
        for stop in ROUTE
    ]
    return pandas.DataFrame(rows).set_index("")
