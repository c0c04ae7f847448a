"""Key numbers: what a notebook found out, in a form that the headless runner can collect into its table.

``publish("exact match, LoRA", 0.91, interval=(0.86, 0.95))`` prints one line, and beside it carries the same numbers
as JSON under a MIME type of our own. A notebook opened on GitHub or in JupyterLab shows the line.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

MIME = "application/vnd.finetune-course.keynumbers+json"
RELEASED = "data/key_numbers.json"
"""The student edition's copy of what the solutions' outputs hold: notebook → its key numbers."""


@dataclass(frozen=True)
class KeyNumber:
    """One number: its name, value, unit (empty for a share) and the ends of its 95% interval (None without one)."""

    name: str
    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None

    def value_text(self) -> str:
        """The value with unit and interval, to three significant digits: ``71.3 s``, ``0.91 (0.86 to 0.95)``."""
        text = _digits(self.value) + (f" {self.unit}" if self.unit else "")
        return text if self.low is None else f"{text} ({_digits(self.low)} to {_digits(self.high)})"

    def __str__(self) -> str:
        return f"{self.name}: {self.value_text()}"


def publish(name: str, value: float, unit: str = "", interval: tuple[float, float] | None = None) -> None:
    """Show one key number in the cell's output and mark it for the runner's table.

    ``interval`` is (low, high), usually a 95% bootstrap interval. Raises ``ValueError`` for a name that is empty, a
    value that is not finite, or an interval the wrong way round: a table with such an entry would mislead.
    """
    low, high = (float(end) for end in interval) if interval is not None else (None, None)
    number = KeyNumber(name, float(value), unit, low, high)
    if not name.strip():
        raise ValueError("a key number needs a name")
    if not all(math.isfinite(part) for part in (number.value, low or 0.0, high or 0.0)):
        raise ValueError(f"key number {name!r} is not finite: {number.value_text()}")
    if low is not None and low > high:
        raise ValueError(f"key number {name!r} has an interval the wrong way round: {number.value_text()}")
    from IPython.display import display  # imported here: the runner reads numbers without IPython

    display({MIME: asdict(number), "text/plain": str(number)}, raw=True)


def collect(outputs: list[dict]) -> list[KeyNumber]:
    """The key numbers in a list of notebook outputs (nbformat dictionaries), in their order."""
    bundles = (output.get("data", {}) for output in outputs)
    return [KeyNumber(**bundle[MIME]) for bundle in bundles if MIME in bundle]


def _digits(value: float) -> str:
    """Three significant digits; whole numbers from 1,000 up with a thousands separator."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def saved(notebook: str) -> list[KeyNumber]:
    """The key numbers in a solution's saved outputs, such as ``saved("03_prompting_first")``.

    In the student edition, which has no solutions, they come from the file that ``release`` puts beside the data.
    Raises FileNotFoundError with one sentence when that notebook is not there.
    """
    import nbformat

    from .paths import course_root

    path = course_root() / "solutions" / f"{notebook}.ipynb"
    if path.is_file():
        cells = nbformat.read(path, as_version=4).cells
        return [number for cell in cells if cell.cell_type == "code" for number in collect(cell.outputs)]
    released = course_root() / RELEASED
    rows = json.loads(released.read_text(encoding="utf-8")).get(notebook) if released.is_file() else None
    if rows is None:
        raise FileNotFoundError(f"The executed notebook solutions/{notebook}.ipynb is missing: build it first.")
    return [KeyNumber(**row) for row in rows]
