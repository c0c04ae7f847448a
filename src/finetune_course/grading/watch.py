"""A thread that looks at a worker's processes twenty times a second and kills it above a limit, with the reason."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import psutil

from finetune_course.grading.limits import Limits
from finetune_course.memory import INTERVAL, pss, rss, tree

DISK_INTERVAL = 0.25


def kill_below(pid: int) -> None:
    """Kill all descendants of a process, again and again until none is left (5 s at most); the process itself stays.

    Whole groups at a time: the kernel kills a group at one stroke, so that processes which multiply cannot outrun it.
    """
    until = time.monotonic() + 5
    while time.monotonic() < until:
        members = [member for member in tree(pid)[1:] if _alive(member)]
        if not members:
            return
        if hasattr(os, "killpg"):
            for group in {_group(member) for member in members} - {_group(pid), os.getpgrp(), 0}:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, signal.SIGKILL)
        for member in members:
            with contextlib.suppress(psutil.Error):
                psutil.Process(member).kill()
        time.sleep(0.01)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


class Watch:
    """Holds everything below this process (one worker) to ``limits``; what has left its parent is found there too.

    ``reason`` is empty, or the sentence for which all of it was killed.
    """

    def __init__(self, limits: Limits, scratch: Path | None) -> None:
        self.limits, self.scratch = limits, scratch
        self.reason = ""
        self.printed = 0
        """Bytes printed so far; the thread that reads them counts here."""
        self._until, self._cpu_until = time.monotonic() + limits.start, float("inf")
        self._starting = True
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """An exercise begins: its computing time and its waiting time count from here."""
        self._starting = False
        self._cpu_until = self.cpu() + self.limits.seconds
        self._until = time.monotonic() + self.limits.wall

    @staticmethod
    def members() -> list[int]:
        """All processes below this one."""
        return tree(os.getpid())[1:]

    def cpu(self) -> float:
        """Seconds of computing of the tree so far."""
        total = 0.0
        for member in self.members():
            with contextlib.suppress(psutil.Error):
                times = psutil.Process(member).cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def memory(self) -> int:
        """Bytes that the tree holds now."""
        members = self.members()
        return pss(members) or rss(members)

    def end(self, reason: str = "") -> None:
        """Kill the tree for ``reason`` (the first one stands) and stop looking."""
        self.reason = self.reason or reason
        self._stopped.set()
        kill_below(os.getpid())

    def join(self) -> None:
        """Wait until the thread has ended; until then it may still be killing, and a new worker would be killed too."""
        self._thread.join()

    def _look(self) -> None:
        next_disk = 0.0
        while not self._stopped.wait(INTERVAL):
            members = self.members()
            passed = self._passed(members)
            if not passed and self.scratch is not None and time.monotonic() > next_disk:
                next_disk = time.monotonic() + DISK_INTERVAL
                passed = "disk" if size_of(self.scratch) > self.limits.disk else ""
            if passed:
                self.end(self.limits.sentence(passed))
                return

    def _passed(self, members: list[int]) -> str:
        limits = self.limits
        if self.printed > limits.output:
            return "output"
        if len(members) > limits.processes:
            return "processes"
        if rss(members) > limits.memory and (pss(members) or rss(members)) > limits.memory:
            return "memory"
        if time.monotonic() > self._until:
            return "start" if self._starting else "wall"
        return "seconds" if self.cpu() > self._cpu_until else ""


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder; links are not followed."""
    total = 0
    for where, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_size
    return total
