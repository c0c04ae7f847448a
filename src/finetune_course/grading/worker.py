"""The process that holds the student's code: ``python -m finetune_course.grading.worker``, started by the checker only.

It takes requests on its standard input and answers on its standard output; whatever the student's code prints goes to
the standard error, where it is counted and thrown away. It knows no test and no expected value, and nothing it says is
believed beyond "this is what the function returned".
"""

from __future__ import annotations

import builtins
import os
import random
import re
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

from finetune_course.checking import CheckProblem
from finetune_course.grading import guard, limits
from finetune_course.grading.together import Snapshot, run_test
from finetune_course.grading.wire import Receiver, Sender, WireError, read_frame, write_frame

LONGEST_TEXT = 300


class Worker:
    """One student's namespace and the requests it serves."""

    def __init__(self, requests: BinaryIO, replies: BinaryIO, longest: int) -> None:
        self.requests, self.replies, self.longest = requests, replies, longest
        self.functions: list[Callable] = []
        self.shell = _shell()
        self.names = self.shell.user_ns
        self.before: Snapshot | None = None

    def serve(self) -> None:
        """Answer requests until the checker closes the pipe."""
        while True:
            request = self._receive()
            if request is None:
                return
            write_frame(self.replies, getattr(self, "do_" + request.pop("do"))(**request))

    def do_confine(self, readable: list[str], scratch: str, cap: int, allowed: dict, together: bool) -> dict:
        """Set the limits. ``cap``: bytes that may be allocated from now on; ``together``: a test will run here."""
        if together:
            self.before = Snapshot(self.names)
        limits.confine_files(limits.Limits(**allowed))
        limits.confine_processes()
        limits.confine_memory(cap)
        guard.put_up(readable, scratch)
        return {}

    def do_run(self, source: str, names: list[str]) -> dict:
        """Execute a cell as a notebook would; reply which kind each of ``names`` has, or the error."""
        seed()
        result = self.shell.run_cell(source, store_history=False, silent=True)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            return {"error": _described(error)}
        return {"names": {name: self._kind(self.names[name]) for name in names if name in self.names}}

    def do_call(self, of: str | int, inputs: Any, named: Any) -> dict:
        """Call a function of the namespace, or one returned earlier; reply its result and what it did to its inputs."""
        function = self.names.get(of) if isinstance(of, str) else self.functions[of]
        receiver = Receiver(function=self._from_afar, trusting=True)
        inputs, named = receiver.read(inputs), receiver.read(named)
        numbers = {id(thing): at for at, thing in enumerate(receiver.objects)}
        before = [_content(thing, numbers) for thing in receiver.objects]
        try:
            result = function(*inputs, **named)
            sent = Sender(numbers, self._number).encode(result)
        except WireError as error:
            return {"unsent": str(error)}
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: the student's code may raise anything
            return {"error": _described(error), "inputs": self._changes(receiver.objects, before, numbers)}
        return {"result": sent, "inputs": self._changes(receiver.objects, before, numbers)}

    def do_seed(self) -> dict:
        """Set all random generators back: a check gives the same result whatever ran before it."""
        seed()
        return {}

    def do_together(self, own: list[str], visible: str, hidden: str, nonce: str) -> dict:
        """Run the test here, in the answer's own process: for answers that cannot be called from afar."""
        return run_test(self.names, own, visible, hidden, self.before) | {"nonce": nonce}

    def _receive(self) -> dict | None:
        try:
            return read_frame(self.requests, 2**31)
        except EOFError:
            return None

    def _kind(self, value: Any) -> list:
        if isinstance(value, type) or callable(value):
            return ["callable"]
        try:
            return ["value", Sender({}, self._number).encode(value)]
        except WireError as error:
            return ["unsent", str(error)]

    def _number(self, function: Callable) -> int:
        self.functions.append(function)
        return len(self.functions) - 1

    def _from_afar(self, number: int) -> Callable:
        def asked(*inputs: Any, **named: Any) -> Any:
            sender = Sender({}, self._number)
            message = {"callback": number, "inputs": sender.encode(list(inputs)), "named": sender.encode(named)}
            write_frame(self.replies, message)
            while True:
                reply = self._receive()
                if reply is None:
                    os._exit(0)
                if "do" in reply:  # the checker's function called one of the student's in turn
                    write_frame(self.replies, getattr(self, "do_" + reply.pop("do"))(**reply))
                elif "error" in reply:
                    raise ValueError(reply["error"])
                else:
                    return Receiver(function=self._from_afar, trusting=True).read(reply["result"])

        return asked

    @staticmethod
    def _changes(objects: list, before: list, numbers: dict[int, int]) -> list:
        after = [_content(thing, numbers) for thing in objects]
        return [[at, new] for at, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]


def _content(thing: Any, numbers: dict[int, int]) -> Any:
    """What one object holds, the others in it by number only."""
    try:
        return Sender({key: at for key, at in numbers.items() if key != id(thing)}).encode(thing)
    except WireError:
        return None


def _described(error: BaseException) -> dict:
    """An exception as plain data: the name of its class, one line of text without addresses, a few attributes."""
    try:
        text = " ".join(str(error).split())
    except BaseException:  # its __str__ is the student's own
        text = ""
    known = next((kind.__name__ for kind in type(error).__mro__ if kind is getattr(builtins, kind.__name__, None)), "")
    name = getattr(error, "name", None) if isinstance(error, NameError) else None
    return {
        "kind": str(type(error).__name__),
        "known": "CheckProblem" if isinstance(error, CheckProblem) else known,
        "text": re.sub(r"0x[0-9a-fA-F]+", "0x…", text)[:LONGEST_TEXT],
        "name": name if isinstance(name, str) else None,
        "line": error.lineno if isinstance(error, SyntaxError) and isinstance(error.lineno, int) else None,
    }


def seed(number: int = 0) -> None:
    """Seed Python's, NumPy's and torch's random generators, those that are loaded."""
    random.seed(number)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(number)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(number)


def _shell() -> Any:
    """IPython without history, so that a cell means here what it means in a notebook; its ``!commands`` do nothing."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    shell.showtraceback = shell.showsyntaxerror = lambda *_, **__: None
    shell.system = shell.system_raw = shell.system_piped = lambda *_, **__: None
    shell.getoutput = lambda *_, **__: []
    return shell


def main() -> None:
    """Take the two pipes for ourselves, send everything else that is printed to the third, and serve."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    limits.leave_root()
    limits.first_to_be_killed()
    limits.die_with_parent()
    Worker(requests, replies, 2**31).serve()


if __name__ == "__main__":
    main()
