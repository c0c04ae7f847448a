"""Reading what was handed in: files, folders, nbgrader's ``submitted`` tree and zip archives, none of them trusted.

Nothing is unpacked to the disk and no link is followed. A file that cannot be read as a notebook becomes a
``Submission`` with a reason, in one sentence, and never stops the others.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import nbformat

from finetune_course.grading.limits import Limits

MOST_CELLS = 5_000
MOST_MEMBERS = 500
_ENCODINGS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass
class SubmittedCell:
    """A cell as handed in: its text with plain line ends, and every id that it carries."""

    kind: str
    source: str
    grade_id: str = ""
    ids: tuple[str, ...] = ()


@dataclass
class Submission:
    """One file of one student. ``reason`` is empty when ``cells`` could be read."""

    student: str
    file: str
    digest: str = ""
    cells: list[SubmittedCell] = field(default_factory=list)
    reason: str = ""


class Unreadable(Exception):
    """A file that is no notebook; the message is the reason line."""


def read_submissions(folder: Path, limits: Limits) -> list[Submission]:
    """Everything below ``folder``, sorted by file name; a student is a file, a zip or a folder directly in it.

    Raises ``FileNotFoundError`` with a sentence when there is no such folder or nothing in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder.name!r}: give the folder that holds the submissions.")
    found = list(_walk(folder, limits))
    if not found:
        raise FileNotFoundError(f"The folder {folder.name!r} holds no submission: it should hold notebooks (.ipynb).")
    return sorted(found, key=lambda submission: submission.file)


def _walk(folder: Path, limits: Limits) -> Iterator[Submission]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        path, student = Path(entry.path), _printable(Path(entry.name).stem)
        if entry.is_symlink():
            yield Submission(student, _printable(entry.name), reason="It is a symbolic link and not a file.")
        elif entry.is_dir():
            student = _printable(entry.name)
            files = sorted(_notebooks(path))
            for file in files:
                name = _printable(file.relative_to(folder).as_posix())
                yield from (
                    [_from_file(student, name, file, limits)]
                    if file.suffix != ".zip"
                    else _from_zip(student, name, file, limits)
                )
            if not files:
                yield Submission(student, _printable(entry.name) + "/", reason="The folder holds no notebook (.ipynb).")
        elif path.suffix.lower() == ".zip":
            yield from _from_zip(student, _printable(entry.name), path, limits)
        else:
            yield _from_file(student, _printable(entry.name), path, limits)


def _notebooks(folder: Path) -> Iterator[Path]:
    """Notebooks and archives below a student's folder, saved checkpoints left out; folders that are links too."""
    for where, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        yield from (Path(where, name) for name in files if name.lower().endswith((".ipynb", ".zip")))


def _from_file(student: str, name: str, path: Path, limits: Limits) -> Submission:
    try:
        if not name.lower().endswith(".ipynb"):
            raise Unreadable("It is not a notebook (.ipynb).")
        data = _bytes_of(path, limits.notebook)
        return Submission(student, name, _digest(data), read_cells(data))
    except Unreadable as error:
        return Submission(student, name, reason=str(error))
    except OSError as error:
        return Submission(student, name, reason=f"It cannot be opened: {error.strerror or error}.")


def _bytes_of(path: Path, most: int) -> bytes:
    kind = path.lstat()
    if stat.S_ISLNK(kind.st_mode):
        raise Unreadable("It is a symbolic link and not a file.")
    if not stat.S_ISREG(kind.st_mode):
        raise Unreadable("It is not an ordinary file.")
    if kind.st_size > most:
        raise Unreadable(_too_big(kind.st_size, most))
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        return file.read(most + 1)


def _too_big(size: int, most: int) -> str:
    return f"It is too big ({size / 1e6:.0f} MB; at most {most / 1e6:g} MB): clear the outputs and hand it in again."


def _from_zip(student: str, name: str, path: Path, limits: Limits) -> list[Submission]:
    """The notebooks in an archive, read in memory. An archive with a name that leads outside is refused whole."""
    try:
        kind = path.lstat()
        if not stat.S_ISREG(kind.st_mode):
            raise Unreadable("It is not an ordinary file.")
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS:
                raise Unreadable(f"The archive holds more than {MOST_MEMBERS} files.")
            for member in members:
                parts = PurePosixPath(member.filename.replace("\\", "/"))
                if ".." in parts.parts or parts.is_absolute() or ":" in member.filename[:3]:
                    raise Unreadable("The archive holds a name that leads outside of it, so nothing in it was read.")
            hidden = (".ipynb_checkpoints", "__MACOSX")
            chosen = [m for m in members if m.filename.endswith(".ipynb") and not any(h in m.filename for h in hidden)]
            if not chosen:
                raise Unreadable("The archive holds no notebook (.ipynb).")
            return [_from_member(archive, member, student, name, limits) for member in chosen]
    except Unreadable as error:
        return [Submission(student, name, reason=str(error))]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return [Submission(student, name, reason="It is not an archive that can be read (.zip).")]


def _from_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, student: str, name: str, limits: Limits
) -> Submission:
    inside = f"{name}/{_printable(member.filename)}"
    try:
        with archive.open(member) as file:
            data = file.read(limits.notebook + 1)  # the size an archive claims need not be true
        if len(data) > limits.notebook:
            raise Unreadable(_too_big(max(len(data), member.file_size), limits.notebook))
        return Submission(student, inside, _digest(data), read_cells(data))
    except Unreadable as error:
        return Submission(student, inside, reason=str(error))
    except Exception:  # a broken member: zlib, zipfile and the file system each have their own errors
        return Submission(student, inside, reason="It cannot be unpacked.")


def read_cells(data: bytes) -> list[SubmittedCell]:
    """The cells of a notebook file of any version, whatever its line ends or byte order mark. Raises ``Unreadable``."""
    if not data.strip():
        raise Unreadable("It is empty.")
    encoding = next((name for mark, name in _ENCODINGS.items() if data.startswith(mark)), "utf-8")
    try:
        content = json.loads(data.decode(encoding))
    except (ValueError, RecursionError) as error:
        raise Unreadable("It is not a notebook: it cannot be read as one (damaged or another format).") from error
    if not isinstance(content, dict) or not isinstance(content.get("nbformat"), int):
        raise Unreadable("It is not a notebook: it has no cells.")
    if content["nbformat"] < 4:
        content = _upgraded(content)
    cells = content.get("cells")
    if not isinstance(cells, list) or not cells:
        raise Unreadable("It is not a notebook: it has no cells.")
    if len(cells) > MOST_CELLS:
        raise Unreadable(f"It has more than {MOST_CELLS} cells.")
    return [_cell(cell) for cell in cells if isinstance(cell, dict)]


def _upgraded(content: dict) -> dict:
    """An old notebook (nbformat 3) as a new one; nbformat itself knows how."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return nbformat.convert(nbformat.from_dict(content), 4)
    except Exception as error:  # nbformat checks nothing before it converts
        raise Unreadable("It is a notebook of an old format that cannot be read: save it with JupyterLab.") from error


def _cell(cell: dict) -> SubmittedCell:
    source = cell.get("source", "")
    lines = source if isinstance(source, list) else [source]
    text = "".join(line for line in lines if isinstance(line, str)).replace("\r\n", "\n").replace("\r", "\n")
    metadata = cell.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    grader = metadata.get("nbgrader")
    grade_id = grader.get("grade_id") if isinstance(grader, dict) else None
    ids = [value for value in (cell.get("id"), metadata.get("id")) if isinstance(value, str)]  # Colab moves it
    return SubmittedCell(str(cell.get("cell_type")), text, grade_id if isinstance(grade_id, str) else "", tuple(ids))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _printable(name: str) -> str:
    """A name as one line: undecodable bytes and control characters become question marks."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)
