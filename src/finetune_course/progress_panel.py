"""The small panel in notebook 00: which exercises are passed, in all notebooks, and which is next."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from pathlib import Path

from .notebook_build.source import exercise_titles
from .paths import course_root
from .progress import passed_checks
from .route import ROUTE

_LEFT = "style='text-align: left'"


@dataclass(frozen=True)
class Stop:
    """One notebook that is there, with its exercises, number → title."""

    number: str
    title: str
    file: str
    exercises: dict[str, str]


@dataclass(frozen=True)
class Progress:
    """What is passed of all ``stops``; shows itself as a small table in a notebook and as lines of text elsewhere."""

    stops: tuple[Stop, ...]
    passed: tuple[str, ...]

    @property
    def next(self) -> tuple[Stop, str] | None:
        """The notebook and the exercise to go on with: the next open one after the last passed, or the first open."""
        every = [(stop, number) for stop in self.stops for number in stop.exercises]
        numbers = [number for _, number in every]
        begin = next((numbers.index(last) + 1 for last in reversed(self.passed) if last in numbers), 0)
        return next((one for one in every[begin:] + every[:begin] if one[1] not in self.passed), None)

    def __repr__(self) -> str:
        rows = [
            f"{stop.number} {stop.title}: {' '.join(f'{self._mark(number)} {number}' for number in stop.exercises)}"
            for stop in self.stops
            if stop.exercises
        ]
        return "\n".join([self._headline(), *rows])

    def _repr_html_(self) -> str:
        rows = "".join(self._row(stop) for stop in self.stops if stop.exercises)
        columns = ("notebook", "passed", "exercises")
        head = "".join(f"<th scope='col' {_LEFT}>{column}</th>" for column in columns)
        return (
            f"<p>{html.escape(self._headline(link=False))}{self._next_link()}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )

    def _row(self, stop: Stop) -> str:
        done, of = sum(number in self.passed for number in stop.exercises), len(stop.exercises)
        marks = " &nbsp; ".join(
            f"<span title='{html.escape(title, quote=True)}'>{self._mark(number)} {number}</span>"
            for number, title in stop.exercises.items()
        )
        name = _link(stop.file, f"{stop.number} {stop.title}")
        bar = f"<progress value='{done}' max='{of}' aria-label='{done} of {of} passed'></progress> {done} of {of}"
        return f"<tr><th scope='row' {_LEFT}>{name}</th><td {_LEFT}>{bar}</td><td {_LEFT}>{marks}</td></tr>"

    def _headline(self, link: bool = True) -> str:
        of = sum(len(stop.exercises) for stop in self.stops)
        done = sum(number in self.passed for stop in self.stops for number in stop.exercises)
        counted = f"{done} of {of} exercises passed."
        if self.next is None:
            return f"{counted} Nothing is left to do." if of else "No exercises were found beside the course."
        return f"{counted} Next: {self._next_words()}." if link else f"{counted} Next: "

    def _next_words(self) -> str:
        stop, number = self.next
        return f"exercise {number}, {stop.exercises[number]}, in {stop.number} {stop.title}"

    def _next_link(self) -> str:
        return f"{_link(self.next[0].file, self._next_words())}." if self.next else ""

    def _mark(self, number: str) -> str:
        return "✓" if number in self.passed else "○"


def _link(file: str, words: str) -> str:
    return f"<a href='{html.escape(file, quote=True)}'>{html.escape(words)}</a>"


def course_progress(root: Path | None = None) -> Progress:
    """What this learner has passed, in all notebooks under ``root`` (the course's folder)."""
    folder = (root or course_root()) / "notebooks"
    found = {stop.number: next(iter(sorted(folder.glob(f"{stop.number}_*.ipynb"))), None) for stop in ROUTE}
    stops = [
        Stop(stop.number, stop.title, path.name, _exercises(path))
        for stop in ROUTE
        if (path := found[stop.number]) is not None
    ]
    try:
        passed = passed_checks()
    except OSError as error:
        print(f"Your passed checks could not be read: {error.strerror}.")
        passed = {}
    return Progress(tuple(stops), tuple(passed))


def _exercises(path: Path) -> dict[str, str]:
    """The exercises of a notebook file by its headings; none where it cannot be read as one."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return exercise_titles(texts)
