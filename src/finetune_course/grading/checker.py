"""The process that finds the verdicts of one submission: ``python -m finetune_course.grading.checker``.

It reads a plan (one line of JSON) from its standard input, starts a worker for the student's code, and writes one line
of JSON for each exercise when it begins and when its verdict is known. When its standard input closes, because the
grader was killed, it kills the worker and ends.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import secrets
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune_course.checking import CheckProblem, NotDoneYet
from finetune_course.grading.limits import (
    Limits,
    adopt_orphans,
    confine_memory,
    die_with_parent,
    unreadable_by_others,
)
from finetune_course.grading.remote import DISTURBED, Worker, WorkerGone
from finetune_course.grading.sandbox import Sandbox
from finetune_course.grading.together import refusal
from finetune_course.grading.wire import WireError
from finetune_course.grading.worker import seed

HIDDEN = (
    "The check that you can see passes, but hidden tests with other values do not: is something hard-coded, or is a "
    "case left out?"
)
BY_THE_SYSTEM = {"MemoryError": "memory", "No space left on device": "disk", "File too large": "disk"}
"""Words in an exception by which the system refused more, and the limit that this means."""
RIGHT, NOT_DONE, WRONG, STOPPED, MISSING = "right", "not done", "wrong", "stopped", "missing"


@dataclass
class Verdict:
    """What became of one exercise. ``kind`` is one of the five words above; ``message`` is one sentence."""

    exercise: str
    kind: str
    message: str


class Checker:
    """Grades the exercises of one plan, one after another, restarting the worker when an answer has ended it."""

    def __init__(self, plan: dict) -> None:
        self.limits = Limits(**plan["limits"])
        sandbox = plan["sandbox"]
        readable = tuple(Path(path) for path in sandbox["readable"])
        self.sandbox = Sandbox(sandbox["bwrap"], readable=readable, switch_user=sandbox["switch_user"])
        self.setup, self.exercises = plan["setup"], plan["exercises"]
        self.done: dict[str, str] = plan.get("done", {})
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.context: list[str] = []
        self.worker: Worker | None = None

    def verdicts(self) -> Iterator[Verdict | str]:
        """For each exercise its id when it begins, then its verdict. What the plan calls done is left out."""
        try:
            self._start()  # the worker imports while the checker does
            with contextlib.redirect_stdout(io.StringIO()):
                for source in self.setup:
                    self._execute(source, "set-up")
            confine_memory(self.limits.memory)
            for exercise in self.exercises:
                if exercise["id"] in self.done:
                    self._remember(exercise, self.done[exercise["id"]])
                    continue
                yield exercise["id"]
                yield self._verdict(exercise)
        finally:
            if self.worker:
                self.worker.close()

    def _verdict(self, exercise: dict) -> Verdict:
        name, answer = exercise["id"], exercise["answer"]
        if answer is None:
            return Verdict(name, MISSING, exercise["missing"])
        try:
            grade = self._together if exercise["together"] else self._apart
            kind, message = grade(exercise)
        except WorkerGone as gone:
            self._drop()
            kind, message = STOPPED, str(gone)
        for words, what in BY_THE_SYSTEM.items():
            if words in message and kind == WRONG:
                kind, message = STOPPED, self.limits.sentence(what)
        self._remember(exercise, kind)
        return Verdict(name, kind, message)

    def _remember(self, exercise: dict, kind: str) -> None:
        """A later answer may call this one, so a new worker runs it too, unless it had ended its process."""
        if kind not in (STOPPED, MISSING):
            self.context.append(exercise["answer"])

    def _apart(self, exercise: dict) -> tuple[str, str]:
        worker = self._running()
        worker.watch.begin()
        reply = worker.ask(do="run", source=exercise["answer"], names=exercise["names"])
        if "error" in reply:
            return WRONG, _cell_error(reply["error"])
        if problem := self._bind(exercise["names"], reply):
            return WRONG, problem
        lesson = io.StringIO()
        for part in ("visible", "hidden"):
            worker.ask(do="seed")
            seed()
            try:
                with contextlib.redirect_stdout(lesson):
                    self._execute(exercise[part], f"{part} test")
            except Exception as error:
                return _explained(part, error)
        return RIGHT, _first_tick(lesson.getvalue())

    def _bind(self, names: list[str], reply: dict) -> str:
        """Put stand-ins for the answer's functions into the namespace of the tests; a sentence if that cannot be."""
        for name in names:
            self.names.pop(name, None)
        try:
            for name, (kind, *value) in reply["names"].items():
                if kind == "unsent":
                    return f"{name} should be a function and is {str(value[0])[:80]}."
                if name in names:
                    as_it_is = kind == "value"
                    self.names[name] = self.worker.receiver().read(value[0]) if as_it_is else self._stand_in(name)
        except (WireError, KeyError, TypeError, ValueError, IndexError, AttributeError):
            raise WorkerGone(DISTURBED) from None
        return ""

    def _stand_in(self, name: str) -> Any:
        """A function that calls the student's one, in whichever worker there is now: a later test may use it too."""

        def answer(*inputs: Any, **named: Any) -> Any:
            return self._running().call(name, inputs, named)

        answer.__name__ = answer.__qualname__ = name
        return answer

    def _together(self, exercise: dict) -> tuple[str, str]:
        if refused := refusal(exercise["answer"]):
            return WRONG, refused
        self._drop()  # a worker of its own
        worker = self._running(together=True)
        worker.watch.begin()
        reply = worker.ask(do="run", source=exercise["answer"], names=[])
        if "error" in reply:
            return WRONG, _cell_error(reply["error"])
        worker.ask(do="seed")
        nonce = secrets.token_hex(16)
        parts = {"own": exercise["names"], "visible": exercise["visible"], "hidden": exercise["hidden"]}
        reply = worker.ask(do="together", nonce=nonce, **parts)
        self._drop()
        if reply.get("nonce") != nonce:
            return STOPPED, DISTURBED
        if reply.get("passed") is True:
            return RIGHT, _first_tick(str(reply.get("printed", "")))
        text, kind = str(reply.get("error", ""))[:600], reply.get("kind")
        if reply.get("part") == "hidden":
            return WRONG, HIDDEN
        if kind in ("NotDoneYet", "NameError"):
            return NOT_DONE, text
        return WRONG, text if kind in ("WrongAnswer", None) else f"The check stopped with {kind}: {text}"

    def _execute(self, source: str, what: str) -> None:
        exec(compile(source, f"<{what}>", "exec"), self.names)

    def _start(self) -> None:
        self.worker = Worker(self.limits, self.sandbox)

    def _running(self, together: bool = False) -> Worker:
        """A worker that has run the set-up cells and the answers so far (``together``: the acceptable ones)."""
        if self.worker is None:
            self._start()
        if not self.worker.ready:
            self.worker.ready = True
            for source in self.setup:
                reply = self.worker.ask(do="run", source=source, names=[])
                if "error" in reply:
                    raise WorkerGone(f"A set-up cell of the course failed here: {_cell_error(reply['error'])}")
            self.worker.confine(together)
            accepted = [source for source in self.context if not (together and refusal(source))]
            for source in accepted:
                self.worker.watch.begin()
                self.worker.ask(do="run", source=source, names=[])
        return self.worker

    def _drop(self) -> None:
        if self.worker:
            self.worker.close()
        self.worker = None


def _explained(part: str, error: Exception) -> tuple[str, str]:
    """Kind and sentence for what a test raised."""
    if part == "hidden":
        return WRONG, HIDDEN
    text = _one_line(str(error))
    if isinstance(error, NotDoneYet):
        return NOT_DONE, text
    if isinstance(error, NameError):
        return NOT_DONE, f"The name `{error.name}` is not defined by the answer: was it renamed?"
    if isinstance(error, CheckProblem):
        return WRONG, text
    if isinstance(error, WireError):
        return WRONG, f"The check could not pass {text} to the answer."
    if isinstance(error, AssertionError):
        return WRONG, text or "A test of this exercise does not hold."
    return WRONG, f"The check stopped with {type(error).__name__}: {text}"


def _cell_error(described: Any) -> str:
    """One sentence for an answer cell that did not run."""
    if not isinstance(described, dict):
        return "The answer cell stopped with an error."
    kind, text = (_one_line(str(described.get(key) or "")) for key in ("kind", "text"))
    line = described.get("line")
    where = f" in line {line}" if isinstance(line, int) else ""
    text = re.sub(r" \(.*?, line \d+\)$", "", text)
    return f"The answer cell does not run{where}: {kind}" + (f": {text}." if text else ".")


def _first_tick(printed: str) -> str:
    return next((line.removeprefix("✓ ") for line in printed.splitlines() if line.startswith("✓ ")), "")


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 600 else line[:599] + "…"


def main() -> None:
    """Read the plan, write the verdicts."""
    die_with_parent()
    adopt_orphans()
    unreadable_by_others()
    lines, told = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    checker = Checker(json.loads(lines.readline()))

    def end_with_the_grader() -> None:
        lines.read()
        if checker.worker:
            checker.worker.close()
        os._exit(1)

    threading.Thread(target=end_with_the_grader, daemon=True).start()
    for step in checker.verdicts():
        print(json.dumps({"begin": step} if isinstance(step, str) else asdict(step)), file=told, flush=True)
    print(json.dumps({"end": True}), file=told, flush=True)


if __name__ == "__main__":
    sys.exit(main())
