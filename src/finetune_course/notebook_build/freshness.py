"""Is what is saved still what the sources say? Answers without executing anything.

Stale is: a cell whose text, kind, order, id, tags or grading metadata differ from the source; a code cell never
executed or executed out of order; a data file that the run read and that has other bytes now; a student edition that
differs in one byte from a fresh build. Not stale are other outputs (they hold timings) and a changed helper package:
that is caught by nbval, which executes every notebook and compares its marked cells, not by a hash that would demand
a full re-run for every comment.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from finetune_course.notebook_build.outputs import output_problems
from finetune_course.notebook_build.source import (
    REGIONS,
    Edition,
    SourceError,
    editions,
    hidden_regions,
    read_source,
    visible_lines,
)
from finetune_course.notebook_build.student import as_text, student_edition

COMMAND = "python -m finetune_course.build_notebooks"
SHORT_LINE = 25
"""Hidden lines up to this many characters are not looked for alone: ``return total`` stands in many places by right."""


def data_hashes(root: Path, files: list[str]) -> dict[str, str]:
    """SHA-256 (first 16 digits) of each data file; line ends normalised, so that a Windows checkout has the same."""
    return {
        name: hashlib.sha256((root / name).read_bytes().replace(b"\r\n", b"\n")).hexdigest()[:16]
        if (root / name).is_file()
        else "missing"
        for name in files
    }


def problems(edition: Edition) -> list[str]:
    """One sentence for each thing about a notebook that is not current, with the command that mends it."""
    try:
        source = read_source(edition.source)
        fresh_student = as_text(student_edition(source))
    except SourceError as error:
        return [f"{error} Correct the source."]
    number = edition.name[:2]
    found = [f"{what} Run: {COMMAND} {number}" for what in _solution_problems(edition, source)]
    student = f"notebooks/{edition.student.name}"
    if not edition.student.exists():
        found.append(f"{student} does not exist. Run: {COMMAND} {number} --no-execute")
    elif edition.student.read_bytes() != fresh_student.encode():
        found.append(f"{student} differs from what its source gives. Run: {COMMAND} {number} --no-execute")
    return found


def leaks(root: Path) -> list[str]:
    """One sentence for each hidden line of any source that stands in any file of notebooks/.

    Looked for: the regions' marks; whole regions; single lines longer than ``SHORT_LINE`` characters. Left out: what
    also stands in a visible cell of a source, such as a line that a hint shows on purpose.
    """
    sources = {}
    for edition in editions(root):
        with contextlib.suppress(SourceError):  # ``problems`` reports it
            sources[edition.name] = read_source(edition.source)
    visible = "\n".join(line for source in sources.values() for cell in source.cells for line in visible_lines(cell))
    hidden: dict[str, str] = {}
    for name, source in sources.items():
        for cell in source.cells:
            for region in hidden_regions(cell):
                pieces = [line.strip() for line in region] + ["\n".join(region).strip()]
                hidden.update({piece: name for piece in pieces if len(piece) > SHORT_LINE and piece not in visible})
    found = []
    for path in sorted((root / "notebooks").rglob("*")):
        if not path.is_file() or ".ipynb_checkpoints" in path.parts:
            continue
        text = _plain_text(path)
        marks = [f"BEGIN {name}" for name in REGIONS if f"BEGIN {name}" in text]
        found += [f"notebooks/{path.name} holds the mark {mark!r}. Run: {COMMAND} --no-execute" for mark in marks]
        for piece, name in hidden.items():
            if piece in text:
                line = piece.split("\n")[0]
                found.append(
                    f"notebooks/{path.name} shows a hidden line of solutions/{name}.py: {line!r}. "
                    f"Run: {COMMAND} --no-execute"
                )
    return found


def orphans(root: Path) -> list[str]:
    """One sentence for each built notebook that no source stands behind."""
    names = {edition.name for edition in editions(root)}
    return [
        f"{folder}/{path.name} has no source solutions/{path.stem}.py. Delete it or write its source."
        for folder in ("solutions", "notebooks")
        for path in sorted((root / folder).glob("*.ipynb"))
        if path.stem not in names
    ]


def _solution_problems(edition: Edition, source: NotebookNode) -> list[str]:
    name = f"solutions/{edition.solution.name}"
    if not edition.solution.exists():
        return [f"{name} does not exist."]
    try:
        built = nbformat.read(edition.solution, as_version=nbformat.NO_CONVERT)
        nbformat.validate(built)
    except (ValueError, nbformat.ValidationError) as error:
        return [f"{name} is not a valid notebook ({str(error).splitlines()[0]})."]
    if difference := _first_difference(source, built):
        return [f"{name} differs from its source: {difference}."]
    found = []
    code = [(index, cell) for index, cell in enumerate(built.cells) if cell.cell_type == "code"]
    counts = [cell.execution_count for _, cell in code]
    if None in counts:
        index = code[counts.index(None)][0]
        found.append(f"{name} was not executed at cell {index + 1}.")
    elif counts != list(range(1, len(code) + 1)):
        found.append(f"{name} was not executed from top to bottom in one run.")
    found += [f"{name}, {problem}." for problem in output_problems(built)]
    recorded = built.metadata.get("finetune_course", {}).get("data")
    if recorded is None:
        found.append(f"{name} has no record of the data it was executed with.")
    else:
        now = data_hashes(edition.root, list(recorded))
        changed = [file for file in recorded if recorded[file] != now[file]]
        if changed:
            found.append(f"{name} was executed with other contents of {', '.join(changed)}.")
    return found


def _first_difference(source: NotebookNode, built: NotebookNode) -> str:
    for index, (wanted, found) in enumerate(zip(source.cells, built.cells, strict=False)):
        for what in ("cell_type", "source", "id", "metadata"):
            if wanted[what] != found.get(what):
                return f"cell {index + 1} has another {what.replace('_', ' ')}"
    if len(source.cells) != len(built.cells):
        return f"it has {len(built.cells)} cells and the source {len(source.cells)}"
    return ""


def _plain_text(path: Path) -> str:
    """A notebook's sources and outputs as they read (its JSON would hide line ends and quotes), or a file's text."""
    raw = path.read_bytes().decode("utf-8", errors="replace")
    if path.suffix != ".ipynb":
        return raw
    try:
        notebook = nbformat.reads(raw, as_version=4)
    except Exception:  # not a notebook at all: search what is there
        return raw
    outputs = "\n".join(str(output) for cell in notebook.cells for output in cell.get("outputs", []))
    return "\n".join(cell.source for cell in notebook.cells) + "\n" + outputs
