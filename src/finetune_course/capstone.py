"""The capstone's pipeline: a learner's own rows under every lever, the comparison table, and a one-page report.

Levers: the instruction alone, with examples, with the nearest training rows as examples (retrieval), and a LoRA trained
on the training rows. The instruction is the learner's.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from .evaluate import interval, paired_difference, percent, points
from .levers import SHOTS, Nearest
from .own_data import OwnData, Row, is_right
from .paths import data_path

LEVERS = ("instruction", "with examples", "with retrieved examples", "LoRA")
BASELINES = ("most frequent answer", "nearest training row")
LIBRARIES = ("torch", "transformers", "peft", "trl")


@dataclass
class Project:
    """A capstone: its title, the instruction for the model, the split data, and the results as they come in.

    ``answers``: lever or baseline → its answers to the test rows; ``costs``: lever → tokens, seconds, minutes to train.
    """

    title: str
    instruction: str
    data: OwnData
    answers: dict[str, list[str]] = field(default_factory=dict)
    costs: dict[str, dict[str, float]] = field(default_factory=dict)

    def put(self, name: str, answers: Sequence[str], **cost: float) -> None:
        """Note a lever's answers to the test rows. Raises ValueError for another number of answers than rows."""
        if len(answers) != len(self.data.test):
            raise ValueError(f"There are {len(answers)} answers for {len(self.data.test)} test rows: give one per row.")
        self.answers[name], self.costs[name] = list(answers), cost

    def right(self, name: str) -> np.ndarray:
        """For each test row whether ``name`` answered it right, shape (rows,)."""
        pairs = zip(self.answers[name], self.data.test, strict=True)
        return np.array([is_right(answer, row["answer"]) for answer, row in pairs])


def baselines(project: Project) -> None:
    """Put what needs no language model: the most frequent answer, and the nearest training row's."""
    counts = pd.Series([row["answer"] for row in project.data.train]).value_counts()
    project.put(BASELINES[0], [counts.index[0]] * len(project.data.test))
    nearest = Nearest([row["text"] for row in project.data.train])
    project.put(BASELINES[1], [project.data.train[nearest(row["text"], 1)[0]]["answer"] for row in project.data.test])


def prompts(project: Project, lever: str, rows: Sequence[Row]) -> tuple[list[dict[str, str]], list[str]]:
    """The chat before each text, and the users' messages for ``rows``, as ``generation.answer_all`` takes them.

    Raises ValueError for an unknown lever.
    """
    if lever not in LEVERS:
        raise ValueError(f"There is no lever '{lever}': choose one of {', '.join(LEVERS)}.")
    train = project.data.train
    chat = [{"role": "system", "content": project.instruction}]
    if lever == "with examples":
        for row in train[:SHOTS]:
            chat += [{"role": "user", "content": row["text"]}, {"role": "assistant", "content": row["answer"]}]
    if lever != "with retrieved examples":
        return chat, [row["text"] for row in rows]
    nearest = Nearest([row["text"] for row in train])
    users = []
    for row in rows:
        shown = [train[place] for place in reversed(nearest(row["text"]))]
        parts = [f"Text: {each['text']}\nAnswer: {each['answer']}" for each in shown]
        users.append("\n\n".join([*parts, f"Text: {row['text']}\nAnswer:"]))
    return chat, users


def training_rows(project: Project) -> list[dict[str, Any]]:
    """The training rows in TRL's prompt-completion form, with the learner's instruction as system prompt."""
    system = {"role": "system", "content": project.instruction}
    return [
        {
            "prompt": [system, {"role": "user", "content": row["text"]}],
            "completion": [{"role": "assistant", "content": row["answer"]}],
        }
        for row in project.data.train
    ]


def comparison(project: Project) -> pd.DataFrame:
    """One row per lever and baseline: right on the test with its interval, the gain over the instruction alone
    (paired), and what it costs. Raises ValueError where nothing was put yet."""
    if not project.answers:
        raise ValueError("No lever has answered the test rows yet: run at least one.")
    rows = {}
    for name in project.answers:
        right = project.right(name)
        gain = "–"
        if LEVERS[0] in project.answers and name != LEVERS[0]:
            gain = points(*paired_difference(right, project.right(LEVERS[0])))
        rows[name] = {"right": percent(*interval(right)), "points above the instruction": gain}
        rows[name] |= {label: f"{value:,.1f}" for label, value in project.costs[name].items()}
    return pd.DataFrame.from_dict(rows, orient="index").fillna("–")


def errors(project: Project, name: str, most: int = 5) -> pd.DataFrame:
    """The first wrong answers of a lever: text, wanted, came."""
    wrong = [
        (row["text"], row["answer"], answer)
        for row, answer, right in zip(project.data.test, project.answers[name], project.right(name), strict=True)
        if not right
    ]
    return pd.DataFrame(wrong[:most], columns=["text", "wanted", "came"])


def best(project: Project) -> str:
    """The name with the most right answers; the earlier of equals, so that what needs no training wins a tie."""
    order = [*BASELINES, *LEVERS]
    return max(sorted(project.answers, key=order.index), key=lambda name: project.right(name).mean())


def report(
    project: Project,
    path: str | Path,
    *,
    advice: Sequence[tuple[str, str]] = (),
    limits: str = "",
    today: Callable[[], date] = date.today,
) -> Path:
    """Write the one-page report as HTML that needs nothing else, in one step; returns its path.

    ``advice``: pairs of a lever and the reason for it (from the decision helper); ``limits``: what the learner says
    that the numbers do not show. Everything of the learner's is escaped. Raises ValueError without results, and
    OSError, in one sentence, where the folder cannot be written.
    """
    table, winner = comparison(project), best(project)
    settings: Mapping[str, Any] = {
        "title": project.title,
        "instruction": project.instruction,
        "counts": {
            "to train": len(project.data.train), "to choose": len(project.data.validation),
            "to report": len(project.data.test),
        },
        "notes": project.data.notes,
        "columns": list(table.columns),
        "rows": [(name, list(cells)) for name, cells in zip(table.index, table.to_numpy(), strict=True)],
        "winner": winner,
        "errors": errors(project, winner).to_numpy().tolist(),
        "advice": list(advice),
        "limits": limits,
        "made": today().isoformat(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in LIBRARIES},
    }  # fmt: skip
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(data_path("capstone", "report.html.j2").read_text(encoding="utf-8"))
    path = Path(path)
    text = template.render(settings)
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".tmp", delete=False) as file:
            file.write(text)
        Path(file.name).replace(path)
    except OSError as error:
        raise OSError(
            f"The report {path.name} could not be written: {error.strerror}. Choose another folder."
        ) from error
    return path
