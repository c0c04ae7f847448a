"""One set-up at a time in one folder."""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path

from .reasons import Stop

_BUSY = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
_BEYOND_TEXT = 1 << 20  # on Windows a locked byte cannot be read


class SetupLock:
    """Held while .venv is made; a context manager that waits for its turn.

    The operating system frees the lock when its holders end, however they end: a file left behind means nothing. pip
    inherits ``fd``, so if start.py is killed the next one waits for the orphaned pip instead of deleting the folder
    that pip is still writing to (not on Windows, which refuses to delete files in use anyway).
    """

    def __init__(self, path: Path, wait_minutes: float = 30) -> None:
        self.path, self.wait_seconds, self.fd = path, wait_minutes * 60, -1

    def __enter__(self) -> SetupLock:
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        end, told = time.monotonic() + self.wait_seconds, False
        while not self._try():
            if not told:
                holder = os.read(self.fd, 20).decode("ascii", "ignore").strip() or "unknown"
                print(f"Another start.py (process {holder}) is setting up this folder: waiting for it.", flush=True)
                told = True
            if time.monotonic() > end:
                os.close(self.fd)
                raise Stop("Another start.py has been setting up this folder for too long: end it, then start again.")
            time.sleep(0.2)
        os.ftruncate(self.fd, 0)
        os.lseek(self.fd, 0, os.SEEK_SET)
        os.write(self.fd, b"%d\n" % os.getpid())
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def inherit(self) -> dict[str, tuple[int, ...]]:
        """Arguments that make ``subprocess.Popen`` hand the lock to its child too."""
        return {} if sys.platform == "win32" else {"pass_fds": (self.fd,)}

    def _try(self) -> bool:
        try:
            if sys.platform == "win32":
                import msvcrt

                os.lseek(self.fd, _BEYOND_TEXT, os.SEEK_SET)
                msvcrt.locking(self.fd, msvcrt.LK_NBLCK, 1)
                os.lseek(self.fd, 0, os.SEEK_SET)
            else:
                import fcntl

                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in _BUSY  # any other error: a network disk without locks
        return True
