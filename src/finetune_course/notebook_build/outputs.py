"""What a saved output may hold. Nothing is cleaned in silence: what should not be there fails the build."""

from __future__ import annotations

import getpass
import json
import re
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
ABSOLUTE_PATH = re.compile(
    r"(?<![\w.~/-])/(?:home|root|tmp|usr|opt|var|etc|Users|work|mnt|private|content|kaggle)/[\w.@-]+"
    r"|file:///\w|\b[A-Z]:\\{1,2}(?:Users|Windows|Program|Temp|dev|src)\b"
)
WARNING = re.compile(r"\b\w*Warning\b:|\bWARNING\b|DeprecationWarning")
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
# User names that are ordinary words or say nothing about a person.
ORDINARY_NAMES = {"root", "user", "admin", "runner", "jovyan", "ubuntu", "build", "test", "student", "learner"}


def drop_widget_views(notebook: NotebookNode) -> int:
    """Remove live widget views from saved outputs and return how many there were.

    A saved view refers to a kernel that is gone: JupyterLab shows an error box and GitHub refuses widget state. What
    stands beside it (a figure, a printed line) stays; an output that was only a view goes.
    """
    dropped = 0
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        kept = []
        for output in cell.get("outputs", []):
            if WIDGET_VIEW in output.get("data", {}):
                dropped += 1
                continue
            kept.append(output)
        if "outputs" in cell:
            cell.outputs = kept
    return dropped


def output_problems(notebook: NotebookNode, private: list[str] | None = None) -> list[str]:
    """One phrase for everything in the outputs that may not be saved, each beginning ``cell N``; empty if all is well.

    ``private`` replaces the machine's own names (user, host, folders); for tests.
    """
    names = machine_names() if private is None else private
    problems = []
    if "widgets" in notebook.metadata:
        problems.append("the notebook holds widget state, which GitHub cannot show")
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            problems += [f"cell {index + 1} {what}" for what in _problems_of(output, names)]
    return list(dict.fromkeys(problems))


def machine_names() -> list[str]:
    """Strings that would tell whose machine made a notebook: folders, and user and host name unless ordinary words."""
    folders = [str(Path.home()), sys.prefix, tempfile.gettempdir(), str(Path(__file__).resolve().parents[3])]
    names = [folder for folder in folders if len(folder) > 3]
    try:
        names.append(getpass.getuser())
    except (OSError, KeyError):  # a container's user without a name
        pass
    names.append(socket.gethostname())
    return [name for name in names if len(name) >= 4 and name.lower() not in ORDINARY_NAMES | {"localhost"}]


def _problems_of(output: NotebookNode, names: list[str]) -> Iterator[str]:
    if output.output_type == "error":
        yield f"ends in an error: {output.ename}: {_excerpt(output.evalue)}"
        return
    if output.output_type == "stream" and output.name == "stderr":
        yield f"writes to stderr: {_excerpt(output.text)}"
    if output.output_type == "stream" and "\r" in output.text:
        yield "redraws a progress line; switch the bar off or print one line at the end"
    data = output.get("data", {})
    if "image/png" in data and not output.get("metadata", {}).get("image/png", {}).get("alt", "").strip():
        yield "shows a picture without alt text; end the cell with plots.show(figure, alt=…)"
    if WIDGET_VIEW in data:
        yield "holds a live widget view"
    for text in _texts(output):
        if found := ABSOLUTE_PATH.search(text):
            yield f"shows an absolute path: {_excerpt(text[found.start() :])}"
        elif found := WARNING.search(text):
            yield f"shows a warning: {_excerpt(text[found.start() :])}"
        if found := ADDRESS.search(text):
            yield f"shows a memory address, which is noise: {_excerpt(text[max(0, found.start() - 40) :])}"
        for name in names:
            if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
                yield f"shows the user, the host or a folder of this machine: {name!r}"


def _texts(output: NotebookNode) -> Iterator[str]:
    """Every text in an output; pictures are left out (their bytes would match by accident)."""
    if output.output_type == "stream":
        yield output.text
    for mime, value in output.get("data", {}).items():
        if not mime.startswith("image/") or mime == "image/svg+xml":
            yield value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    yield json.dumps(output.get("metadata", {}), ensure_ascii=False)


def _excerpt(text: str) -> str:
    """The first 100 characters on one line."""
    line = " ".join(text.split())
    return line if len(line) <= 100 else line[:99] + "…"
