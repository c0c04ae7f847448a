"""Results on the disk, one small file for each different submission, written whole or not at all.

A result's name is a hash of everything that decides it: the submission, the pristine notebook, the limits and the
version of grader and checks. So a run that was killed goes on where it stopped, the same file is never graded twice,
and a changed check or notebook is graded anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import finetune_course
from finetune_course.grading.limits import Limits
from finetune_course.grading.transplant import Pristine


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is seen whole or not at all, whenever this process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def grader_version() -> str:
    """A hash of the course package's own source and of the libraries that answers are compared with."""
    package = Path(finetune_course.__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*package.glob("*.py"), *(package / "grading").glob("*.py")]):
        digest.update(path.name.encode() + path.read_bytes().replace(b"\r\n", b"\n"))
    for library in ("numpy", "torch", "pandas"):
        digest.update(f"{library} {version(library)}".encode())
    return digest.hexdigest()


class Store:
    """The results below one folder."""

    def __init__(self, folder: Path, limits: Limits, grader: str) -> None:
        self.folder, self.limits, self.grader = folder, limits, grader

    def key(self, digest: str, notebook: Pristine) -> str:
        """The name of the result of a submission (by the hash of its bytes) to ``notebook``."""
        whole = json.dumps([digest, asdict(notebook), asdict(self.limits), self.grader], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()[:32]

    def get(self, key: str) -> list[dict] | None:
        """The verdicts saved under ``key``; None if there are none or the file is damaged."""
        try:
            saved = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
            return saved["verdicts"]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, verdicts: list[dict]) -> None:
        """Save the verdicts of a submission."""
        write_whole(self.folder / f"{key}.json", json.dumps({"verdicts": verdicts}, indent=1, ensure_ascii=False))
