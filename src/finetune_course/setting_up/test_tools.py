"""What some tests need beyond the course itself: tests/requirements.txt, installed into .venv by ``start.py test``.

The course works without it, so nothing here stops anybody: a test whose tool is missing is skipped and says so.
"""

from __future__ import annotations

import os
from pathlib import Path

from .computer import child_env, venv_python
from .environment import RETRIES, run_logged, say
from .lock import SetupLock
from .reasons import explain

READY = ".course-tests-ready"


def add(root: str | Path) -> bool:
    """Install the tools unless that is done; returns whether they are there. ``.venv`` must be complete."""
    root = Path(root)
    wanted, ready, pins = root / "tests/requirements.txt", root / ".venv" / READY, root / ".venv/pins.txt"
    if not wanted.exists():  # the students' edition has no tests
        return False
    if _is_ready(wanted, ready):
        return True
    with SetupLock(root / ".venv.lock") as lock:
        if _is_ready(wanted, ready):  # the one we waited for has done it
            return True
        say("Tools for the tests: a spelling checker, repo2docker, and Playwright for the tests in a browser (once)")
        lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
        # pip takes no "-e ." as a constraint. No tool may change a version that the notebooks were made with.
        pins.write_text("\n".join(line for line in lines if not line.startswith("-")), encoding="utf-8")
        python = str(venv_python(root / ".venv"))
        pip = [python, "-m", "pip", "install", "--no-input", "--progress-bar", "off", "--retries", str(RETRIES)]
        code, output = run_logged([*pip, "--requirement", str(wanted), "--constraint", str(pins)], root, lock)
        if code:
            reason = explain(output, child_env(root / ".venv", os.environ))
            say(f"  They could not be installed, so the tests that need them are skipped. {reason}")
            return False
        ready.write_bytes(wanted.read_bytes())
    return True


def _is_ready(wanted: Path, ready: Path) -> bool:
    return ready.exists() and ready.read_bytes() == wanted.read_bytes()
