"""For answers that cannot be called from another process: the test runs beside the answer, with three precautions.

1. Before: code that reaches for the interpreter's insides is refused from its text (``refusal``), in the checker.
2. The test arrives only after the answer has run.
3. After: library functions that the answer replaced are noticed (``Snapshot``), and the test counts as failed.

They are precautions and no proof; see the package's docstring.
"""

from __future__ import annotations

import ast
import contextlib
import io
import sys
from typing import Any

MODULES = (
    "builtins math random json copy operator functools finetune_course.checking "
    "numpy torch torch.nn torch.nn.functional torch.linalg torch.testing pandas"
).split()
CLASSES = ("torch.Tensor", "torch.nn.Module", "torch.nn.Parameter", "torch.nn.Linear", "pandas.DataFrame")
MAY_IMPORT = frozenset("math random collections itertools functools copy json re statistics numpy torch pandas".split())
FORBIDDEN_NAMES = frozenset(
    "exec eval compile open globals locals vars setattr delattr getattr breakpoint input memoryview "
    "get_ipython sys os gc inspect ctypes threading signal builtins importlib subprocess".split()
)
REPLACED = "The answer replaced {}, which the check relies on."
ALLOWED_DUNDER = frozenset("__init__ __call__ __len__ __repr__ __name__ __doc__ __class__".split())


def refusal(source: str) -> str:
    """Why an answer's text is not accepted beside its test, as one sentence; empty where it is."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""  # running it says what is wrong
    why = "An answer to this exercise runs beside its check, so it may not {}: take that out."
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
            for module in modules:
                if module.split(".")[0] not in MAY_IMPORT:
                    return why.format(f"import {module}")
        elif isinstance(node, ast.Name) and (node.id in FORBIDDEN_NAMES or _private(node.id)):
            return why.format(f"use {node.id}")
        elif isinstance(node, ast.Attribute):
            if _private(node.attr) or node.attr in FORBIDDEN_NAMES - {"compile", "eval"}:
                return why.format(f"use .{node.attr}")
            owner = node.value.id if isinstance(node.value, ast.Name) else "self"
            if isinstance(node.ctx, ast.Store | ast.Del) and owner in ("torch", "nn", "math", "np", "pd", "checking"):
                return why.format(f"change {owner}.{node.attr}")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _private(node.name):
            return why.format(f"define {node.name}")
        elif isinstance(node, ast.ClassDef) and node.keywords:
            return why.format("use a metaclass")
    return ""


def _private(name: str) -> bool:
    return name.startswith("__") and name not in ALLOWED_DUNDER


class Snapshot:
    """What the functions of the libraries and of the notebook so far were before an answer ran."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self.modules = [*MODULES, *(name for name in sys.modules if name.startswith("finetune_course.checks_"))]
        self.held = {place: dict(_contents(thing)) for place, thing in self._places()}

    def _places(self) -> Any:
        yield "", self.names
        for name in self.modules:
            if name in sys.modules:
                yield name, sys.modules[name]
        for name in CLASSES:
            module, _, attribute = name.rpartition(".")
            if module in sys.modules:
                yield name, getattr(sys.modules[module], attribute)

    def changed(self, but: list[str]) -> str:
        """Name of one function that is another now, or an empty text. New names and ``but`` do not count."""
        now = {place: _contents(thing) for place, thing in self._places()}
        for place, held in self.held.items():
            for name, value in held.items():
                if callable(value) and now.get(place, {}).get(name) is not value and (place or name not in but):
                    return f"{place}.{name}".lstrip(".")
        return ""


def _contents(thing: Any) -> dict[str, Any]:
    return thing if isinstance(thing, dict) else vars(thing)


def run_test(names: dict[str, Any], own: list[str], visible: str, hidden: str, before: Snapshot) -> dict:
    """Run the visible and then the hidden part in ``names``; reply ``passed``, or ``error`` and in which part.

    ``own`` are the names that the answer is meant to define; it may define new ones, but replace none of ``before``.
    """
    printed = io.StringIO()
    for part, source in (("visible", visible), ("hidden", hidden)):
        if changed := before.changed(own):
            return {"part": "changed", "error": REPLACED.format(changed)}
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(source, f"<{part} test>", "exec"), names)
        except BaseException as error:
            return {"part": part, "error": " ".join(str(error).split()), "kind": type(error).__name__}
    if changed := before.changed(own):
        return {"part": "changed", "error": REPLACED.format(changed)}
    return {"passed": True, "printed": printed.getvalue()}
