"""The student edition as one zip: notebooks with placeholders, the package, the data and what was recorded.

No solutions and no hidden tests are in it.

Of a variant there is a second zip, the instructor's: notebooks with solutions and hidden tests, and what they change.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict
from pathlib import Path

import jupytext
import nbformat

from finetune_course.grading.variants import Variant, described, source_of
from finetune_course.keynumbers import RELEASED, collect
from finetune_course.notebook_build.source import Edition, editions
from finetune_course.notebook_build.student import as_text, student_edition

FOLDER = "finetune-course"
"""The one folder inside the zip."""
FILES = ("README.md", "LICENSE", "pyproject.toml", "requirements.txt", "start.py")
FOLDERS = ("src/finetune_course", "data", "binder", "benchmarks/results")
LEFT_OUT = frozenset(("__pycache__", ".ipynb_checkpoints", "grading"))
A_DAY = (2026, 1, 1, 0, 0, 0)
"""The time stamp of every member, so that the same course gives the same zip."""


def release(root: Path, out: Path, variant: Variant | None = None) -> list[str]:
    """Write the zip ``out``; return the names in it. The notebooks are built anew from their sources.

    With a ``variant`` its notebooks are taken, and the instructor's zip is written too (``instructors``). Raises
    ``FileNotFoundError`` with a sentence if the folder of ``out`` is missing, ``SourceError`` for a bad source.
    """
    if not out.parent.is_dir():
        raise FileNotFoundError(f"The folder for {out.name} does not exist: make it first.")
    members: dict[str, bytes] = {}
    kept: dict[str, bytes] = {}
    for edition in editions(root):
        source = source_of(edition, variant)
        members[f"notebooks/{edition.name}.ipynb"] = as_text(student_edition(source)).encode()
        kept[f"solutions/{edition.name}.ipynb"] = as_text(source).encode()
        kept[f"solutions/{edition.name}.py"] = jupytext.writes(source, fmt="py:percent").encode()
    members[RELEASED] = _key_numbers(editions(root))
    for path in _files(root):
        members[path.relative_to(root).as_posix()] = path.read_bytes()
    _write_zip(members, out, FOLDER)
    if variant is not None:
        kept["VARIANT.md"] = described(editions(root), variant).encode()
        _write_zip(kept, instructors(out), f"{FOLDER}-instructor")
    return sorted(members)


def instructors(out: Path) -> Path:
    """Where the instructor's zip of a variant lies: beside the students'."""
    return out.with_name(f"{out.stem}-instructor.zip")


def _write_zip(members: dict[str, bytes], out: Path, folder: str) -> None:
    """One folder with these files, whole or not at all, and the same to the byte for the same files."""
    part = out.with_name(out.name + ".part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(members):
                about = zipfile.ZipInfo(f"{folder}/{name}", A_DAY)
                about.compress_type, about.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(about, members[name])
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _key_numbers(course: list[Edition]) -> bytes:
    """What the executed solutions published, for later notebooks that quote it (``keynumbers.saved``)."""
    found = {
        edition.name: [
            asdict(number)
            for cell in nbformat.read(edition.solution, as_version=4).cells
            for number in collect(cell.get("outputs", []))
        ]
        for edition in course
        if edition.solution.is_file()
    }
    return (json.dumps(found, indent=1) + "\n").encode()


def _files(root: Path) -> list[Path]:
    """What belongs in the zip beside the notebooks, as far as it is there; links and hidden files are left out."""
    found = [root / name for name in FILES if (root / name).is_file()]
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            parts = path.relative_to(root).parts
            ordinary = path.is_file() and not path.is_symlink() and path.suffix != ".pyc"
            if ordinary and not LEFT_OUT.intersection(parts) and not any(part.startswith(".") for part in parts):
                found.append(path)
    return found
