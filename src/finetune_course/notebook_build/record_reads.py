"""Imported by a kernel that a build starts: notes which of the course's data files the notebook opens.

An executed notebook is stale when data it read has changed since. Which files those are is not declared by hand but
seen, through Python's own audit hook on ``open``. Files that compiled code opens by itself (safetensors) are not seen.
"""

from __future__ import annotations

import os
import sys


def _install(target: str, root: str) -> None:
    data = os.path.join(root, "data") + os.sep
    seen: set[str] = set()

    def note(event: str, arguments: tuple) -> None:
        if event != "open" or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if path.startswith(data) and path not in seen and os.path.isfile(path):
            seen.add(path)
            with open(target, "a", encoding="utf-8") as file:
                file.write(os.path.relpath(path, root).replace(os.sep, "/") + "\n")

    sys.addaudithook(note)


if target := os.environ.get("COURSE_RECORD_READS"):
    _install(target, os.environ["COURSE_RECORD_ROOT"])
