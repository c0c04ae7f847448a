"""Bubblewrap around the worker, on Linux where it is there: no network, read-only files, its own process space.

Inside, the file system holds the system's libraries, Python, the installed packages, the course's package and data, and
one small folder in memory to write in. There is no solutions/, no tests/, no submission, no home folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import finetune_course
from finetune_course.grading.limits import worker_environment
from finetune_course.paths import data_path

INSIDE = "/answer"
"""The worker's only writable folder in a sandbox."""
TRIAL = "from finetune_course.grading import limits; limits.leave_root(); import finetune_course.grading.worker"
IN_A_SANDBOX = "In a sandbox (bubblewrap): no network, read-only files, no solutions, own process space."
FIRST_USER = 200_000
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_SINGLE_FILES = ("/etc/ld.so.cache", "/etc/localtime")


@dataclass(frozen=True)
class Sandbox:
    """How a worker is shut in. ``bwrap`` is empty where there is none; ``note`` then says why in one sentence."""

    bwrap: str = ""
    note: str = ""
    readable: tuple[Path, ...] = field(default_factory=lambda: readable_folders())
    scratch: str = INSIDE
    switch_user: bool = True

    @property
    def user(self) -> int | None:
        """The number of the user that a worker becomes where the grader is root: another one for every checker."""
        as_root = hasattr(os, "geteuid") and os.geteuid() == 0
        return FIRST_USER + os.getpid() if self.bwrap and self.switch_user and as_root else None

    @property
    def works(self) -> bool:
        """Whether workers run inside bubblewrap."""
        return bool(self.bwrap)

    def prefix(self, disk: int) -> list[str]:
        """The words before a command that put it into the sandbox (none without one). ``disk``: bytes it may write."""
        if not self.bwrap:
            return []
        words = [self.bwrap, "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
        if self.user is None:
            words += ["--unshare-all"]
        else:  # root needs no user namespace, and the worker needs two rights to become somebody else
            words += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
            words += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        words += ["--hostname", "grading"]
        above = {str(parent) for path in self.readable for parent in path.parents}
        for folder in sorted(above - {"/"}):  # those that bubblewrap makes by itself could be entered by root only
            words += ["--perms", "0755", "--dir", folder]
        for folder in _SYSTEM:
            if os.path.islink(folder):
                words += ["--symlink", os.readlink(folder), folder]
            elif os.path.isdir(folder):
                words += ["--ro-bind", folder, folder]
        for path in (*_SINGLE_FILES, *map(str, self.readable)):
            if os.path.exists(path):
                words += ["--ro-bind", path, path]
        words += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
        for folder in ("/dev/shm", INSIDE):
            words += ["--perms", "1777", "--size", str(disk), "--tmpfs", folder]
        words += ["--remount-ro", "/"]
        return [*words, "--chdir", INSIDE]


def readable_folders() -> tuple[Path, ...]:
    """What a worker may read besides the system: Python, installed packages, the course's package and its data."""
    package = Path(finetune_course.__file__).resolve().parent
    packages = [Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    found = [
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path(sys.base_exec_prefix),
        *packages,
        package.parent,
        data_path(),
    ]
    return tuple(dict.fromkeys(path for path in found if path.is_dir()))


def find_sandbox(wanted: bool = True) -> Sandbox:
    """The sandbox of this machine, tried out once; without one, ``note`` says why, and so does the command."""
    if not wanted:
        return Sandbox(note="Not in a sandbox: it was switched off.")
    if sys.platform != "linux":
        return Sandbox(note="Not in a sandbox: bubblewrap is for Linux. Grade only people you trust.")
    found = shutil.which("bwrap")
    if not found:
        return Sandbox(
            note="Not in a sandbox: bubblewrap is not installed (package bubblewrap). Grade only people you trust."
        )
    for switch in (True, False):  # other users may not be allowed to read the installation
        sandbox = Sandbox(found, IN_A_SANDBOX, switch_user=switch)
        command = [*sandbox.prefix(1_000_000), sys.executable, "-s", "-c", TRIAL]
        environment = worker_environment(INSIDE, sandbox.user)
        trial = subprocess.run(command, capture_output=True, text=True, env=environment)
        if trial.returncode == 0:
            return sandbox
    why = next((line.strip() for line in reversed(trial.stderr.splitlines()) if line.strip()), "no reason given")
    return Sandbox(note=f"Not in a sandbox: bubblewrap does not work here ({why}).")
