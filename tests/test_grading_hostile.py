"""Hostile answers: each is graded among innocent neighbours, ends in a grade or one line, and hurts nobody.

All are handed in at once and graded side by side, as a class is; then each is looked at. Exercise 91.1 (2 points) holds
the attack; the other two answers (4 points) are right and must be graded in full unless the table says otherwise.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import textwrap

import pytest
import tiny_grading as tiny

from finetune_course.grading.sandbox import find_sandbox

pytestmark = pytest.mark.slow
REST = tiny.FULL - tiny.SHARE_POINTS


def body(code):
    """An answer to 91.1 whose function does this."""
    return "def share_of_hits(rows):\n" + textwrap.indent(textwrap.dedent(code).strip(), "    ") + "\n"


def cell(code, wrong="def share_of_hits(rows):\n    return -1\n"):
    """An answer cell that does this on its top level, beside a wrong answer."""
    return textwrap.dedent(code).strip() + "\n" + wrong


# name: (answer to 91.1, what its message must hold)
ATTACKS = {
    "endless-loop": (body("while True: pass"), "longer than 1 seconds"),
    "endless-loop-in-the-cell": (cell("while True: pass"), "longer than 1 seconds"),
    "sleeps": (body("import time; time.sleep(10**6)"), "within 60 seconds"),
    "loop-that-ignores-signals": (
        cell(
            """
            import signal
            for number in range(1, 65):
                try: signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError): pass
            def share_of_hits(rows):
                while True: pass
            """,
            "",
        ),
        "longer than 1 seconds",
    ),
    "memory-bit-by-bit": (body("kept = []\nwhile True: kept.append(bytearray(10**6))"), "0.4 GB of memory"),
    "memory-at-once": (body("return bytearray(10**12)"), "0.4 GB of memory"),
    "memory-kept-on-error": (
        body("kept = []\nwhile True:\n    try: kept.append(bytearray(10**6))\n    except MemoryError: pass"),
        "The answer ",
    ),
    "fork-bomb": (body("import os\nwhile True: os.fork()"), "may not start or signal processes"),
    "subprocess": (body("import subprocess; return subprocess.run(['true'])"), "may not start or signal processes"),
    "a-gigabyte-of-output": (body("while True: print('x' * 10**5)"), "printed more than 2 MB"),
    "output-past-python": (body("import os\nwhile True: os.write(2, b'x' * 10**5)"), "printed more than 2 MB"),
    "full-disk": (
        body("for n in range(10**6): open(f'f{n}', 'wb').write(b'x' * 10**6)"),
        "wrote more than 5 MB",
    ),
    "one-big-file": (body("file = open('f', 'wb')\nwhile True: file.write(b'x' * 10**6)"), "wrote more than 5 MB"),
    "os-exit": (body("import os; os._exit(0)"), "ended the process it ran in"),
    "os-exit-in-the-cell": (cell("import os; os._exit(0)"), "ended the process it ran in"),
    "sys-exit": (body("import sys; sys.exit('0')"), "stopped with SystemExit"),
    "sys-exit-in-the-cell": (cell("import sys; sys.exit(0)"), "does not run: SystemExit"),
    "killed-kernel": (body("import signal; signal.raise_signal(signal.SIGKILL)"), "signal 9"),
    "kills-its-parent": (body("import os; os.kill(os.getppid(), 9)"), "may not start or signal processes"),
    "segmentation-fault": (body("import ctypes; ctypes.string_at(0)"), "signal 11"),
    "alarm": (body("import signal; signal.alarm(1)\nwhile True: pass"), "The answer "),
    "reads-the-hidden-tests": (body("return open({source!r}).read()"), "may not touch this file"),
    "reads-another-submission": (body("return open({neighbour!r}).read()"), "may not touch this file"),
    "lists-the-submissions": (body("import os; return os.listdir({submissions!r})"), "may not touch this file"),
    "writes-outside": (body("open({outside!r}, 'w').write('x')"), "may not touch this file"),
    "deletes-outside": (body("import os; os.remove({neighbour!r})"), "may not touch this file"),
    "network": (
        body("import socket; socket.create_connection(('127.0.0.1', {port}), 1).send(b'x')"),
        "may not use the network",
    ),
    "looks-for-tests-in-memory": (
        body(
            """
            import gc, sys
            frame = sys._getframe()
            while frame:
                if "hidden_test" in str(frame.f_code.co_names): return 0.375 if len(rows) == 8 else 0.5
                frame = frame.f_back
            marker = "given_rows_of_" + "the_hidden_test"
            found = [thing for thing in gc.get_objects() if isinstance(thing, dict) and marker in thing]
            return 0.375 if found and len(rows) == 8 else 0.5
            """
        ),
        "hard-coded",
    ),
    "forged-equality": (
        cell(
            """
            class Right(float):
                __eq__ = __ge__ = __le__ = lambda self, other: True
                __sub__ = __rsub__ = __abs__ = lambda *_: 0.0
                __hash__ = float.__hash__
            def share_of_hits(rows):
                return Right(-1)
            """,
            "",
        ),
        "your code returned -1",
    ),
    "object-that-equals-all": (
        cell(
            """
            class Right:
                def __eq__(self, other): return True
                def item(self): return 0.5
            def share_of_hits(rows):
                return Right()
            """,
            "",
        ),
        "returned a Right",
    ),
    "patched-checks": (
        cell(
            """
            import builtins, sys
            from finetune_course import checking
            checking.require_close = checking.require = checking.ask = lambda *_, **__: 0.5
            share_check = lambda answer: None
            sys.modules["__main__"].share_check = share_check
            builtins.abs = builtins.round = lambda *_: 0
            builtins.AssertionError = ZeroDivisionError
            """
        ),
        "your code returned -1",
    ),
    "patched-mathematics": (
        cell("import math, numbers\nmath.isnan = lambda value: False\nnumbers.Real = object\n"),
        "your code returned -1",
    ),
    "input-transformer": (
        cell(
            """
            shell = get_ipython()
            shell.input_transformers_cleanup.append(lambda lines: ["pass\\n"])
            shell.ast_transformers.clear()
            """
        ),
        "your code returned -1",
    ),
    "prints-a-verdict-at-exit": (
        cell(
            """
            import atexit, json, sys
            line = json.dumps(dict(exercise="ex-91-1", kind="right", message="forged"))
            atexit.register(lambda: print(line))
            print(line)
            sys.stderr.write(line)
            """
        ),
        "your code returned -1",
    ),
    "writes-a-verdict-to-every-pipe": (
        cell(
            """
            import os
            line = b'\\x00\\x00\\x00\\x40{{"exercise": "ex-91-1", "kind": "right", "message": "forged"}}'
            for number in range(3, 40):
                try: os.write(number, line)
                except OSError: pass
            """
        ),
        "disturbed its own process",
    ),
    "endless-recursion": (body("return share_of_hits(rows)"), "RecursionError"),
    "endless-generator": (body("return iter(int, 1)"), "The answer "),
    "huge-result": (body("return 'x' * 3 * 10**6"), "returned more than 2 MB"),
    "deep-result": (body("x = []\nfor _ in range(10**4): x = [x]\nreturn x"), "nested too deeply"),
    "waits-for-the-keyboard": (cell("input()"), "does not run: EOFError"),
    "does-not-parse": (cell("def share_of_hits(rows) return 1", ""), "does not run in line 1: SyntaxError"),
    "changes-its-input": (
        body("share = sum(rows) / len(rows)\nrows.clear()\nreturn share"),
        "hidden tests|changed the list",
    ),
    "hard-coded": (body("return 0.5"), "hard-coded"),
}
HURTS_ITSELF = {"input-transformer"}  # every later answer of the same student becomes `pass`, as in their own kernel
# What is odd and harmless must not cost anything.
ODD = {
    "noise-on-stderr": cell("import sys, warnings\nprint('!' * 1000, file=sys.stderr)\nwarnings.warn('x')", tiny.SHARE),
    "shell-lines-and-magics": "!pip install nothing\n%pip install nothing\n" + tiny.SHARE,
    "numpy-result": "import fractions\n" + body("return fractions.Fraction(sum(rows), len(rows)).__float__()"),
    "a-named-tuple-inside": cell("import collections\nPair = collections.namedtuple('Pair', 'a b')", tiny.SHARE),
    "a-thread": cell("import threading\nthreading.Thread(target=print, args=('x',)).start()", tiny.SHARE),
}
# Exercise 91.3 is a class and is tested beside its answer: what is refused there, with words of the message.
BESIDE = {
    "beside-patched-check": (tiny.TALLY + "\ndef tally_check(answer):\n    pass\n", "replaced tally_check"),
    "beside-patched-require": (
        tiny.TALLY.replace("= 0", "= 9") + "\nfrom finetune_course import checking\n",
        "may not import finetune_course",
    ),
    "beside-interpreter": ("import sys\n" + tiny.TALLY, "may not import sys"),
    "beside-dunder": (tiny.TALLY + "\n    def __eq__(self, other):\n        return True\n", "may not define __eq__"),
    "beside-globals": (tiny.TALLY.replace("= 0", "= print.__self__.len"), "may not use .__self__"),
    "beside-wrong": (tiny.TALLY.replace("self.total + number", "number"), "or replace it"),
    "beside-exit": (tiny.TALLY.replace("self.total = 0", "raise SystemExit"), "SystemExit"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder in which the class is graded: a course, submissions, results, and a port that listens."""
    folder = tmp_path_factory.mktemp("class")
    (folder / "submissions").mkdir()
    return folder


@pytest.fixture(scope="module")
def graded(place):
    """Grade everybody once; (what was printed, rows, verdicts, addresses that connected)."""
    root, handed_in = tiny.course(place / "course"), place / "submissions"
    for number in range(3):
        (handed_in / f"{'amz'[number]}-innocent.ipynb").write_bytes(tiny.text(tiny.notebook()))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        names = {
            "source": str(root / "solutions" / "91_grading.py"),
            "neighbour": str(handed_in / "a-innocent.ipynb"),
            "submissions": str(handed_in),
            "outside": str(place / "outside.txt"),
            "port": server.getsockname()[1],
        }
        for name, (answer, _) in ATTACKS.items():
            needs = any("{" + key in answer for key in names) or "{{" in answer
            share = answer.format(**names) if needs else answer
            (handed_in / f"{name}.ipynb").write_bytes(tiny.text(tiny.notebook(share)))
        for name, share in ODD.items():
            (handed_in / f"{name}.ipynb").write_bytes(tiny.text(tiny.notebook(share)))
        for name, (tally, _) in BESIDE.items():
            (handed_in / f"{name}.ipynb").write_bytes(tiny.text(tiny.notebook(tally=tally)))
        code, printed = tiny.grade(root, handed_in, place / "out")
        try:
            connected = server.accept()
        except BlockingIOError:
            connected = None
    assert code == 0, printed
    return printed, tiny.rows(place / "out"), tiny.verdicts(place / "out"), connected


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_in_one_sentence_and_costs_only_its_own_exercise(graded, name):
    _, rows, verdicts, _ = graded
    verdict, message = verdicts[f"{name}.ipynb", "ex-91-1"]
    assert verdict in ("wrong", "stopped") and re.search(ATTACKS[name][1], message), (verdict, message)
    assert "\n" not in message and len(message) < 700 and "Traceback" not in message
    points = rows[f"{name}.ipynb"]["points"]
    assert points == REST or (name in HURTS_ITSELF and points < REST)


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_but_right_gets_full_marks(graded, name):
    _, rows, verdicts, _ = graded
    assert rows[f"{name}.ipynb"]["points"] == tiny.FULL, verdicts[f"{name}.ipynb", "ex-91-1"]


@pytest.mark.parametrize("name", BESIDE)
def test_an_answer_graded_beside_its_test_cannot_touch_it(graded, name):
    _, rows, verdicts, _ = graded
    verdict, message = verdicts[f"{name}.ipynb", "ex-91-3"]
    assert verdict in ("wrong", "stopped") and BESIDE[name][1] in message, (verdict, message)
    assert rows[f"{name}.ipynb"]["points"] == tiny.FULL - tiny.TALLY_POINTS


def test_the_neighbours_are_graded_in_full_and_nothing_outside_was_touched(graded, place):
    printed, rows, _, connected = graded
    for name in ("a", "m", "z"):
        assert rows[f"{name}-innocent.ipynb"]["points"] == tiny.FULL
        assert (place / "submissions" / f"{name}-innocent.ipynb").exists()
    assert connected is None and not (place / "outside.txt").exists()
    assert f"{len(ATTACKS) + len(ODD) + len(BESIDE) + 3} graded, 0 not graded" in printed
    assert "sandbox" in printed


def test_every_submission_gets_the_same_verdicts_again(graded, place, tmp_path):
    """A sample of the quick ones, graded anew in another folder: byte for byte the same table."""
    chosen = ["forged-equality", "os-exit", "memory-at-once", "hard-coded", "noise-on-stderr", "beside-wrong"]
    (tmp_path / "again").mkdir()
    for name in chosen:
        data = (place / "submissions" / f"{name}.ipynb").read_bytes()
        (tmp_path / "again" / f"{name}.ipynb").write_bytes(data)
    assert tiny.grade(place / "course", tmp_path / "again", tmp_path / "out", "--jobs", "1")[0] == 0
    again = tiny.verdicts(tmp_path / "out")
    assert len(again) == 3 * len(chosen)
    assert again == {key: value for key, value in graded[2].items() if key in again}


SANDBOX = find_sandbox()
needs_sandbox = pytest.mark.skipif(not SANDBOX.works, reason=SANDBOX.note)


@needs_sandbox
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import socket; socket.create_connection(('127.0.0.1', {port}), 2)", "Connection refused"),
        ("open({source!r})", "No such file"),
        ("open({package!r}, 'a')", "Read-only file system"),
        ("open('/usr/evil', 'w')", "Read-only file system"),
        ("open('/evil', 'w')", "Read-only file system"),
        ("open('big', 'wb').write(bytes(3 * 10**6))", "No space left"),
        ("import os; assert os.getuid() or len(os.listdir('/proc')) < 100; os.kill({pid}, 0)", "No such process"),
    ],
)
def test_the_sandbox_itself_holds_without_the_fence_in_python(code, words):
    """Code that would pass the fence, such as a call of the C library, meets the operating system's own walls."""
    package = tiny.command.__file__
    with socket.create_server(("127.0.0.1", 0)) as server:
        names = {"port": server.getsockname()[1], "source": str(tiny.SOURCE), "package": package, "pid": os.getpid()}
        command = [*SANDBOX.prefix(2_000_000), sys.executable, "-s", "-c", code.format(**names)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and words in done.stderr, done.stderr


@needs_sandbox
def test_a_fork_bomb_of_the_c_library_meets_the_limit_of_the_system(tmp_path):
    """Not seen by the fence; tried inside the sandbox only, where the system itself bounds the number of processes."""
    bomb = body("import ctypes\nfork = ctypes.CDLL(None).fork\nwhile True: fork()")
    handed_in = tmp_path / "submissions"
    handed_in.mkdir()
    (handed_in / "bomb.ipynb").write_bytes(tiny.text(tiny.notebook(bomb)))
    (handed_in / "innocent.ipynb").write_bytes(tiny.text(tiny.notebook()))
    assert tiny.grade(tiny.course(tmp_path / "course"), handed_in, tmp_path / "out")[0] == 0
    verdict, message = tiny.verdicts(tmp_path / "out")["bomb.ipynb", "ex-91-1"]
    assert verdict == "stopped" and ("12 processes" in message or "longer than 1 seconds" in message)
    points = {name: row["points"] for name, row in tiny.rows(tmp_path / "out").items()}
    assert points == {"bomb.ipynb": REST, "innocent.ipynb": tiny.FULL}
