"""What a submission may use, and the limits that a process sets for itself."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import finetune_course

HEADROOM = 64_000_000
"""Bytes left between a process's own limit and the cap of the tree, so that Python's MemoryError comes first."""
MORE_THREADS = 64
USER_VARIABLE = "GRADING_USER"


@dataclass(frozen=True)
class Limits:
    """Limits of one submission. Times are seconds, sizes bytes.

    ``seconds`` is computing time, which does not depend on how busy the machine is, so that a grade does not either;
    ``wall`` ends an answer that sleeps. Both are for one exercise. ``memory`` is the whole process tree's.
    """

    seconds: float = 20.0
    wall: float = 180.0
    start: float = 600.0
    memory: int = 2_000_000_000
    output: int = 5_000_000
    processes: int = 24
    file: int = 20_000_000
    disk: int = 100_000_000
    reply: int = 50_000_000
    notebook: int = 20_000_000

    def sentence(self, what: str) -> str:
        """The reason line for a limit that was passed."""
        return {
            "seconds": f"The answer computed for longer than {self.seconds:g} seconds: is there an endless loop?",
            "wall": f"The answer did not come back within {self.wall:g} seconds: does it wait for something?",
            "start": "The set-up cells did not come to an end in time.",
            "memory": f"The answer needed more than {self.memory / 1e9:g} GB of memory.",
            "output": f"The answer printed more than {self.output / 1e6:g} MB.",
            "processes": f"The answer started more than {self.processes} processes.",
            "disk": f"The answer wrote more than {self.disk / 1e6:g} MB ({self.file / 1e6:g} MB a file) to the disk.",
            "reply": f"The answer returned more than {self.reply / 1e6:g} MB.",
        }[what]


def confine_memory(extra: int) -> None:
    """Let this process allocate ``extra`` bytes more than now; beyond that Python raises ``MemoryError``. Linux only.

    RLIMIT_DATA counts what the process has made writable for itself. RLIMIT_AS would also count the address space that
    torch reserves and never uses.
    """
    if sys.platform != "linux":
        return
    import resource

    status = Path("/proc/self/status").read_text(encoding="utf-8")
    now = int(re.search(r"^VmData:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (now + extra, now + extra))


def confine_files(limits: Limits) -> None:
    """Limit the size of a file, the number of open ones and core dumps of this process, where the system can."""
    with contextlib.suppress(ImportError):
        import resource

        for kind, value in ((resource.RLIMIT_FSIZE, limits.file), (resource.RLIMIT_CORE, 0)):
            resource.setrlimit(kind, (value, value))
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


def confine_processes() -> None:
    """Let this user start ``MORE_THREADS`` processes and threads more than now. Linux, not for root.

    The system's own limit: processes that multiply meet it before anybody has looked.
    """
    if sys.platform != "linux":
        return
    import resource

    import psutil

    mine = os.getuid()
    threads = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            threads += process.num_threads() if process.uids().real == mine else 0
    resource.setrlimit(resource.RLIMIT_NPROC, (threads + MORE_THREADS, threads + MORE_THREADS))


def leave_root() -> None:
    """Become the user that the checker has named for this worker, if it runs as root (limits do not bind root)."""
    user = os.environ.pop(USER_VARIABLE, "")
    if user and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(int(user))
        os.setuid(int(user))


def first_to_be_killed() -> None:
    """Ask Linux to end this process, not another, should the machine run out of memory."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="utf-8")


def die_with_parent() -> None:
    """Linux: this process is killed when its parent ends."""
    _prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL


def adopt_orphans() -> None:
    """Linux: processes below this one that lose their parent become its own children, so that none is lost."""
    _prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def unreadable_by_others() -> None:
    """Linux: no other process of the same user may look into this one's memory (root still may)."""
    _prctl(4, 0)  # PR_SET_DUMPABLE


def _prctl(option: int, value: int) -> None:
    if sys.platform != "linux":
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def worker_environment(scratch: str, user: int | None = None) -> dict[str, str]:
    """The environment of the processes that grade: nothing of the instructor's own, one thread, fixed hashes.

    They import this very copy of the course, whatever else is installed. ``user`` is the number that a worker of root's
    takes.
    """
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        **kept,
        **({USER_VARIABLE: str(user)} if user is not None else {}),
        **dict.fromkeys(threads, "1"),
        "COURSE_HEADLESS": "1",
        "HF_HUB_OFFLINE": "1",
        "HOME": scratch,
        "LANG": "C.UTF-8",
        "MPLBACKEND": "Agg",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        "PYTHONPATH": str(Path(finetune_course.__file__).resolve().parents[1]),
        "PYTHONWARNINGS": "ignore",
        "TMPDIR": scratch,
        "TOKENIZERS_PARALLELISM": "false",
        "TQDM_DISABLE": "1",
        "USER": "student",
    }
