"""A learner's own files, predictions and passed checks: where they lie, and how they are written.

They lie in the folder ``FINETUNE_COURSE_PROGRESS``, or where the platform keeps a program's data. A file is replaced in
one step, so a kill at any moment leaves the old or the new one whole. With ``COURSE_HEADLESS=1`` (a build, a test run)
they are neither read nor written: what a learner did belongs to the learner.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import platformdirs


def headless() -> bool:
    """Whether nobody is sitting in front of this notebook (``COURSE_HEADLESS`` is set, and not to 0)."""
    return os.environ.get("COURSE_HEADLESS", "").strip() not in ("", "0")


def own_file(name: str) -> Path:
    """Where the file ``name`` of this learner is kept. Nothing is made here."""
    chosen = os.environ.get("FINETUNE_COURSE_PROGRESS", "").strip()
    folder = chosen or platformdirs.user_data_dir("finetune-course", appauthor=False)
    return Path(folder).expanduser() / name


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` in one step. Raises ``OSError`` where that cannot be; the old file is then still there."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}-", delete=False
        ) as file:
            temporary = Path(file.name)
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise


def keep_aside(path: Path, content: bytes, move: bool) -> str:
    """Keep what was found under a name that is free; returns that name. Nothing that a learner wrote is thrown away.

    ``move``: the file itself, otherwise a copy of its ``content``. Raises ``OSError`` where that cannot be.
    """
    count = 1
    while (aside := path.with_name(f"{path.stem}.damaged-{count}{path.suffix}")).exists():
        if aside.read_bytes() == content:
            break
        count += 1
    if move:
        path.replace(aside)
    else:
        aside.write_bytes(content)
    return aside.name
