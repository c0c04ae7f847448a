"""The outer process's part: a checker for each submission, ended when it takes too long; and the calibration."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace

import psutil

from finetune_course.grading.checker import MISSING, RIGHT, STOPPED, Verdict
from finetune_course.grading.limits import Limits, worker_environment
from finetune_course.grading.sandbox import Sandbox
from finetune_course.grading.transplant import NOT_THERE, Pristine
from finetune_course.grading.watch import kill_below

CHECK_SECONDS = 60.0
"""Seconds that a check itself may take beyond what its answer may."""
UNENDING = "The check could not come to an end with what the answer returned."


class Interrupted(Exception):
    """Grading was stopped from outside; what was not finished has no verdict."""


class NotGradable(Exception):
    """The course's own solution does not get full marks, so nobody can be graded; the message says which and why."""


@dataclass(frozen=True)
class Grader:
    """Grades submissions one at a time under fixed limits and a fixed sandbox; safe to share between threads."""

    limits: Limits
    sandbox: Sandbox
    stop: threading.Event = field(default_factory=threading.Event)
    """Set it, and running submissions end without a verdict (``Interrupted``)."""

    def grade(self, notebook: Pristine, answers: dict[str, str | None]) -> list[Verdict]:
        """Verdicts on all exercises of ``notebook``, in order. Never raises for what a submission does.

        Should an answer end the checker itself, that exercise is stopped and the others are graded by a new one.
        """
        done: dict[str, Verdict] = {
            exercise.id: Verdict(exercise.id, MISSING, NOT_THERE)
            for exercise in notebook.exercises
            if answers.get(exercise.id) is None
        }
        while len(done) < len(notebook.exercises):
            at, before = "", len(done)
            for message in self._messages(self._plan(notebook, answers, done)):
                if "begin" in message:
                    at = message["begin"]
                elif "exercise" in message:
                    done[message["exercise"]] = Verdict(**message)
                elif "lost" in message:
                    left = [exercise.id for exercise in notebook.exercises if exercise.id not in done]
                    if left:
                        first = at if at in left else left[0]
                        done[first] = Verdict(first, STOPPED, message["lost"])
            if self.stop.is_set():
                raise Interrupted
            if len(done) == before:
                raise RuntimeError("The checker gave no verdict; this is a fault of the grader.")
        return [done[exercise.id] for exercise in notebook.exercises]

    def calibrated(self, notebook: Pristine) -> Pristine:
        """The notebook with each exercise marked as graded apart from its answer's process, or together with it.

        Found by grading the solution itself, apart first. Raises ``NotGradable`` if it does not get full marks.
        """
        for together in (False, True):
            solution = {exercise.id: exercise.solution for exercise in notebook.exercises}
            failed = {v.exercise: v.message for v in self.grade(notebook, solution) if v.kind != RIGHT}
            if not failed:
                return notebook
            if not together:
                exercises = [replace(exercise, together=exercise.id in failed) for exercise in notebook.exercises]
                notebook = replace(notebook, exercises=exercises)
        name, why = next(iter(failed.items()))
        raise NotGradable(
            f"The course's own solution of {name} in {notebook.name} does not pass here, so nothing was graded: {why}"
        )

    def _plan(self, notebook: Pristine, answers: dict[str, str | None], done: dict[str, Verdict]) -> dict:
        return {
            "setup": notebook.setup,
            "exercises": [
                {**asdict(exercise), "solution": None, "answer": answers.get(exercise.id), "missing": NOT_THERE}
                for exercise in notebook.exercises
            ],
            "done": {name: verdict.kind for name, verdict in done.items()},
            "limits": asdict(self.limits),
            "sandbox": {
                "bwrap": self.sandbox.bwrap,
                "readable": [str(path) for path in self.sandbox.readable],
                "switch_user": self.sandbox.switch_user,
            },
        }

    def _messages(self, plan: dict) -> Iterator[dict]:
        """Run one checker; what it says, and ``lost`` with a sentence if it did not come to its end."""
        with tempfile.TemporaryDirectory(prefix="grading-") as folder:
            process = subprocess.Popen(
                [sys.executable, "-s", "-m", "finetune_course.grading.checker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=worker_environment(folder),
                cwd=folder,
                start_new_session=True,
            )
            lines: queue.Queue[bytes] = queue.Queue()
            threading.Thread(target=_read, args=(process, lines), daemon=True).start()
            try:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(json.dumps(plan).encode() + b"\n")
                    process.stdin.flush()
                yield from self._until_the_end(lines)
            finally:
                with contextlib.suppress(psutil.Error):
                    psutil.Process(process.pid).suspend()  # so that it starts no new worker meanwhile
                kill_below(process.pid)
                process.kill()
                process.wait()
                process.stdin.close()

    def _until_the_end(self, lines: queue.Queue[bytes]) -> Iterator[dict]:
        until = time.monotonic() + 2 * self.limits.start
        while True:
            try:
                line = lines.get(timeout=0.5)
            except queue.Empty:
                if self.stop.is_set():
                    return
                if time.monotonic() > until:
                    yield {"lost": UNENDING}
                    return
                continue
            if not line:
                yield {"lost": "The process that checks it ended unexpectedly: out of memory?"}
                return
            message = json.loads(line)
            if "end" in message:
                return
            yield message
            # A worker that was ended is started again within the time of the next exercise.
            until = time.monotonic() + self.limits.wall + self.limits.start + CHECK_SECONDS


def _read(process: subprocess.Popen, lines: queue.Queue[bytes]) -> None:
    with contextlib.suppress(OSError, ValueError):
        for line in process.stdout:
            lines.put(line)
    lines.put(b"")
