"""The checker's hold on a worker: starting it, asking it, and stand-ins for the student's functions."""

from __future__ import annotations

import builtins
import contextlib
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finetune_course.checking import WrongAnswer
from finetune_course.grading.limits import HEADROOM, Limits, worker_environment
from finetune_course.grading.sandbox import Sandbox
from finetune_course.grading.watch import Watch
from finetune_course.grading.wire import Receiver, Sender, WireError, put_back, read_frame, write_frame

DISTURBED = "The answer disturbed its own process."
PLAIN = "Return plain values: numbers, text, lists, dictionaries, arrays or tensors."


class WorkerGone(BaseException):
    """The worker ended or was killed; the message is the reason line. No ``Exception``: no check may swallow it."""


class Worker:
    """One worker process, from its start to ``close()``. Every method raises ``WorkerGone`` when the worker is gone."""

    def __init__(self, limits: Limits, sandbox: Sandbox) -> None:
        self.limits, self.sandbox = limits, sandbox
        self.ready = False
        """Whether the set-up cells have been run in it; the checker keeps account."""
        self.callbacks: list[Callable] = []
        self.folder = Path(tempfile.mkdtemp(prefix="grading-")) if not sandbox.works else None
        self.scratch = str(self.folder) if self.folder else sandbox.scratch
        command = [*sandbox.prefix(limits.disk), sys.executable, "-s", "-m", "finetune_course.grading.worker"]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=worker_environment(self.scratch, sandbox.user),
            cwd=self.folder,
            start_new_session=True,
        )
        self.watch = Watch(limits, self.folder)
        self.replies: queue.Queue = queue.Queue()
        for target in (self._read_replies, self._read_output):
            threading.Thread(target=target, daemon=True).start()

    def confine(self, together: bool) -> None:
        """Put the limits and the fence up; called after the set-up cells, which are the course's own.

        ``together``: the worker also notes what the library's functions are now.
        """
        cap = max(HEADROOM, self.limits.memory - self.watch.memory() - HEADROOM)
        self.ask(
            do="confine",
            readable=[str(path) for path in self.sandbox.readable],
            scratch=self.scratch,
            cap=cap,
            allowed=asdict(self.limits),
            together=together,
        )

    def ask(self, **request: Any) -> dict:
        """Send a request and wait for its reply, serving calls back to the checker's own functions meanwhile."""
        self._send(request)
        while True:
            reply = self.replies.get()
            if isinstance(reply, WireError):
                too_long = str(reply) == "too long"
                self.watch.end(self.limits.sentence("reply") if too_long else DISTURBED)
                raise WorkerGone(self.watch.reason)
            if reply is None:
                raise WorkerGone(self._why_it_ended())
            if not isinstance(reply, dict):
                raise WorkerGone(DISTURBED)
            if "callback" not in reply:
                return reply
            self._send(self._called_back(reply))

    def call(self, of: str | int, inputs: tuple, named: dict) -> Any:
        """Call the student's function ``of`` (a name, or the number of a returned one); what it raises is raised here.

        What it did to its inputs is done to ``inputs``. Raises ``WrongAnswer`` for a result that is no plain value.
        """
        sender = Sender(function=self._number, trusted=True)
        reply = self.ask(do="call", of=of, inputs=sender.encode(list(inputs)), named=sender.encode(named))
        if "unsent" in reply:
            raise WrongAnswer(f"Your function returned {self._text(reply['unsent'])}. {PLAIN}")
        try:
            changes = [(sender.objects[at], self.receiver(sender).read(new)) for at, new in reply.get("inputs", [])]
            for original, new in changes:
                put_back(original, new)
            if "error" in reply:
                raise exception(reply["error"])
            return self.receiver(sender).read(reply["result"])
        except (WireError, KeyError, TypeError, IndexError, ValueError) as error:
            if "error" in reply:
                raise
            raise WrongAnswer(f"Your function returned something that cannot be read. {PLAIN}") from error

    def receiver(self, sender: Sender | None = None) -> Receiver:
        """A reader of this worker's values; functions in them become stand-ins."""
        return Receiver(sender.objects if sender else (), self.stand_in)

    def stand_in(self, of: int) -> Callable:
        """A function that calls a function from afar that the student's code has returned."""

        def answer(*inputs: Any, **named: Any) -> Any:
            return self.call(of, inputs, named)

        return answer

    def close(self) -> None:
        """Kill the worker and everything it started, and remove its folder."""
        self.watch.end()
        self.watch.join()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=10)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _send(self, message: dict) -> None:
        try:
            write_frame(self.process.stdin, message)
        except (BrokenPipeError, OSError):
            raise WorkerGone(self._why_it_ended()) from None

    def _called_back(self, request: dict) -> dict:
        receiver = self.receiver()
        try:
            inputs, named = receiver.read(request["inputs"]), receiver.read(request["named"])
            result = self.callbacks[request["callback"]](*inputs, **named)
            return {"result": Sender(function=self._number, trusted=True).encode(result)}
        except Exception as error:  # the reason goes to the student's code, which gave the inputs
            return {"error": f"{type(error).__name__}: {error}"}

    def _number(self, function: Callable) -> int:
        self.callbacks.append(function)
        return len(self.callbacks) - 1

    def _why_it_ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        self.watch.end()
        code = self.process.returncode
        if self.watch.reason:
            return self.watch.reason
        number = -code if code is not None and code < 0 else (code or 0) - 128
        if 0 < number < 65:
            return f"The answer crashed the process it ran in (signal {number})."
        return "The answer ended the process it ran in: is there an exit in it?"

    def _read_replies(self) -> None:
        try:
            while True:
                self.replies.put(read_frame(self.process.stdout, self.limits.reply))
        except WireError as error:
            self.replies.put(error)
        except (EOFError, OSError, ValueError):
            self.replies.put(None)

    def _read_output(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while piece := self.process.stderr.read1(65536):
                self.watch.printed += len(piece)

    @staticmethod
    def _text(value: Any) -> str:
        return " ".join(str(value).split())[:80]


def exception(described: Any) -> Exception:
    """The exception that a worker described: of the builtin class it had, or a fresh one of its name."""
    kind, known, text = (str(described.get(key) or "")[:400] for key in ("kind", "known", "text"))
    if known == "CheckProblem":
        return WrongAnswer(text)
    found = getattr(builtins, known, None)
    usable = isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, UnicodeError | OSError)
    if kind == known and usable:
        error = found(text)
    else:
        error = type(kind if kind.isidentifier() else "Exception", (Exception,), {})(text)
    if isinstance(error, NameError):
        error.name = str(described.get("name") or "")[:80]
    return error
