"""Peak memory of a process and all its children, with an optional cap that really kills.

Memory is the tree's PSS (proportional set size: a page shared by n processes counts 1/n for each): what a forked
child shares with its parent counts once. One correction: pages of files, such as torch's libraries, would count less
while another notebook on the same machine has them mapped too, and the figure must not depend on that; so they count
at least as much as the one process that maps most of them would take alone.

Elsewhere than on Linux it is the sum of RSS, which counts shared pages once per process and is therefore an upper
bound. ``ulimit`` is no substitute: RLIMIT_AS counts the address space that torch reserves and never uses, RLIMIT_RSS
does nothing.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
from pathlib import Path

import psutil

INTERVAL = 0.05
"""Seconds between two looks."""
NOTABLE_GROWTH = 8_000_000
"""Bytes of RSS growth that are worth another look at PSS."""
LONGEST_TRUST = 1.0
"""Seconds after which PSS is read again even though RSS says that it cannot have grown."""
ON_LINUX = sys.platform == "linux"


def tree(pid: int) -> list[int]:
    """``pid`` and its living descendants; empty when the process is gone."""
    if Path(f"/proc/{pid}/task/{pid}/children").exists():
        return _tree_from_proc(pid)
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def _tree_from_proc(pid: int) -> list[int]:
    """The kernel's own lists of children: 0.1 ms, where psutil asks every process of the machine for its parent."""
    members = [pid]
    for member in members:  # grows while it is walked
        for children in Path(f"/proc/{member}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                members += [int(child) for child in children.read_text().split()]
    return members


def rss(pids: list[int]) -> int:
    """Sum of resident memory in bytes; a process that has ended counts 0."""
    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += psutil.Process(pid).memory_info().rss
    return total


def pss(pids: list[int]) -> int:
    """Proportional memory of the processes together in bytes (Linux), or resident memory where there is no PSS."""
    if not ON_LINUX:
        return rss(pids)
    total = files = most_files = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # the process has ended meanwhile
            shares = _kilobytes(Path(f"/proc/{pid}/smaps_rollup"))
            if "Pss_File" not in shares:  # a kernel before 5.4 gives the sum alone
                total += shares.get("Pss", 0)
                continue
            total += shares["Pss_Anon"] + shares["Pss_Shmem"]
            files += shares["Pss_File"]
            most_files = max(most_files, _kilobytes(Path(f"/proc/{pid}/status")).get("RssFile", 0))
    return (total + max(files, most_files)) * 1024


def _kilobytes(path: Path) -> dict[str, int]:
    """The lines ``Name: 123 kB`` of a file under /proc."""
    return {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB$", path.read_text(), re.MULTILINE)}


def kill_tree(pid: int) -> None:
    """End a process and its descendants at once (SIGKILL; on Windows TerminateProcess), children last."""
    for member in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(member).kill()


class MemoryWatch:
    """Watch a process tree from a thread until ``stop()`` or the end of the process.

    ``peak`` is the highest PSS seen, in bytes. With ``cap`` (bytes) the whole tree is killed as soon as its PSS is
    above, on Linux also when it was above between two looks, and ``killed`` is true. Use as a context manager, or
    ``start()`` and ``stop()``.
    """

    def __init__(self, pid: int, cap: int | None = None, interval: float = INTERVAL) -> None:
        self.pid, self.cap, self.interval = pid, cap, interval
        self.peak = 0
        self.killed = False
        self._marks: dict[int, int] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory-watch", daemon=True)

    def start(self) -> MemoryWatch:
        self._thread.start()
        return self

    def stop(self) -> int:
        """Stop watching and return the peak in bytes."""
        self._stopped.set()
        self._thread.join()
        return self.peak

    def __enter__(self) -> MemoryWatch:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _watch(self) -> None:
        last_rss, last_time, ended = 0, 0.0, False
        while True:
            members = tree(self.pid)
            if not members:
                return
            spike = self._spike(members)
            # Reading PSS walks every page of every process (20 ms for 3 GB) and RSS does not. PSS is never above RSS,
            # so it is read only when it may have passed the peak.
            now_rss, now = rss(members) + spike, time.monotonic()
            waited = now - last_time > LONGEST_TRUST or ended
            if now_rss > self.peak and (now_rss > last_rss + NOTABLE_GROWTH or waited):
                now_pss = pss(members) + spike
                self.peak = max(self.peak, now_pss)
                last_rss, last_time = now_rss - spike, now
                if self.cap is not None and now_pss > self.cap:
                    self.killed = True
                    kill_tree(self.pid)
                    return
            if ended:
                return
            ended = self._stopped.wait(self.interval)  # and then a last look

    def _spike(self, members: list[int]) -> int:
        """Bytes by which the processes stood higher since the last look than they stand now (Linux; 0 elsewhere).

        The system keeps each process's highest mark (VmHWM): what was taken and given back between two looks shows.
        """
        spike = 0
        for pid in members if ON_LINUX else []:
            with contextlib.suppress(OSError):
                sizes = _kilobytes(Path(f"/proc/{pid}/status"))
                mark = sizes.get("VmHWM", 0) * 1024
                if mark > self._marks.setdefault(pid, mark):  # a process's first mark may be older than this watch
                    spike += max(0, mark - sizes.get("VmRSS", 0) * 1024)
                self._marks[pid] = mark
        return spike if spike > NOTABLE_GROWTH else 0
