"""Which exercises a learner has passed, kept across the notebooks; ``progress_panel`` shows them.

Every check that passes in a notebook with somebody in front of it is noted. A headless run, nbgrader and a test are
nobody, and so is the grader. Where the file lies is in ``own_files``.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from .own_files import headless, keep_aside, own_file, write_json

FILE_NAME = "checks.json"
_FORMAT = 1
_NUMBER = re.compile(r"\d{1,2}\.\d{1,2}")


def passed_checks(path: Path | None = None, report: Callable[[str], None] = print) -> dict[str, str]:
    """The exercises passed so far, the latest last: number ("3.1") → when. Empty in a headless run.

    A file that cannot be understood is kept aside under another name, which ``report`` is told in a sentence. Raises
    ``OSError`` where the file may not be read.
    """
    if headless():
        return {}
    path = path or own_file(FILE_NAME)
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    try:
        stored = json.loads(content.decode("utf-8"))
        if stored["format"] != _FORMAT:
            raise ValueError("another format")
        return {number: str(when) for number, when in stored["passed"].items() if _NUMBER.fullmatch(number)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        aside = keep_aside(path, content, move=True)
        report(f"Your file of passed checks was damaged: it is kept as {aside}, and the list starts afresh.")
        return {}


def keep(exercise: str, path: Path | None = None) -> None:
    """Note that the check of ``exercise`` has passed, if a learner sits in front of this kernel.

    A check never fails for this: where nothing can be written, one line says so.
    """
    if not _somebody_learns():
        return
    try:
        passed = passed_checks(path)
        if exercise not in passed:
            passed[exercise] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            write_json(path or own_file(FILE_NAME), {"format": _FORMAT, "passed": passed})
    except OSError as error:
        print(
            f"(Passed, but that could not be noted: {error.strerror}. "
            "Set FINETUNE_COURSE_PROGRESS to a folder that you may write to.)"
        )


def _somebody_learns() -> bool:
    return _in_a_notebook() and not headless() and not os.environ.get("NBGRADER_EXECUTION")


def _in_a_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
