"""The examples of a variant's exercise, worked out with the variant's own solution."""

from __future__ import annotations

import ast
import contextlib
import io
import math
import numbers
from dataclasses import dataclass
from typing import Any

import pandas as pd
from nbformat import NotebookNode

from finetune_course.notebook_build.source import SourceError, exercise_cells, grading

PLAIN = (str, bool, type(None))
DIGITS = 7


class _Number(float):
    """A float that is written as Python reads it again: infinity has no literal."""

    def __repr__(self) -> str:
        return float.__repr__(self) if math.isfinite(self) else f'float("{float(self)}")'


@dataclass(frozen=True)
class Example:
    """A call as it is written, its inputs as they are written, and the right result as plain data."""

    call: str
    inputs: str
    expected: Any


def results(source: NotebookNode, calls: dict[str, list[str]], entries: dict[str, dict]) -> dict[str, list[Example]]:
    """For each exercise its calls with the results of the solution in ``source``, from the cells exercises need.

    Raises ``SourceError`` for a call that is none, or whose result is no plain data.
    """
    space: dict[str, Any] = {"__name__": "__main__"}
    shown: dict[str, list[Example]] = {}
    width = "display.max_colwidth"
    with contextlib.redirect_stdout(io.StringIO()), pd.option_context(width, pd.get_option(width)):
        for cell in exercise_cells(source).cells:
            name = grading(cell).get("grade_id", "")
            if not grading(cell).get("grade"):
                exec(compile(cell.source, name or "set-up", "exec"), space)
            if name in calls:
                view = eval(entries[name]["view"], space) if "view" in entries[name] else lambda result: result
                shown[name] = [_example(call, space, view, name) for call in calls[name]]
    return shown


def expected_output(examples: list[Example]) -> str:
    """The lines of the task's block "Expected output": a call, an arrow and its result; empty without examples."""
    width = max((len(example.call) for example in examples if len(example.call) < 80), default=0)
    return "\n".join(f"{example.call:<{width}}  →  {example.expected!r}" for example in examples)


def _example(call: str, space: dict[str, Any], view: Any, name: str) -> Example:
    try:
        tree = ast.parse(call, mode="eval").body
        inputs = [*tree.args, *(keyword.value for keyword in tree.keywords)]
        named = [f"{keyword.arg}=" for keyword in tree.keywords]
        prefixes = [*[""] * len(tree.args), *named]
        written = [before + ast.get_source_segment(call, part) for before, part in zip(prefixes, inputs, strict=True)]
        found = view(eval(compile(call, name, "eval"), space))
    except Exception as error:  # whatever the call or the solution does wrong, its author wants to know where
        raise SourceError(f"{name}: the example {call} does not work: {error}") from error
    return Example(call, ", ".join(written), _plain(found, name))


def _plain(value: Any, name: str) -> Any:
    """Numbers, text, lists, tuples and dictionaries; arrays and tensors as lists, floats with seven digits."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, dict):
        return {_plain(key, name): _plain(part, name) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(part, name) for part in value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return _Number(f"{float(value):.{DIGITS}g}")
    raise SourceError(f"{name}: an example returns a {type(value).__name__}, which cannot be written down.")
