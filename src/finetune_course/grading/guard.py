"""The fence inside the worker's Python: an audit hook that refuses files, network and new processes.

It gives plain reasons and the same grade with and without bubblewrap. It is a fence, not a wall: code that calls the C
library, or hunts this hook down in memory, passes it. The wall is ``sandbox.py``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

NETWORK = "An answer may not use the network while it is graded."
PROCESSES = "An answer may not start or signal processes while it is graded."
FILES = "An answer may not touch this file while it is graded: only the course's package and data can be read."
_REFUSED = {
    **dict.fromkeys(("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"), NETWORK),
    **dict.fromkeys(("socket.gethostbyname", "socket.gethostbyaddr", "socket.sendmsg"), NETWORK),
    **dict.fromkeys(("os.system", "os.fork", "os.forkpty", "os.exec", "os.spawn", "os.posix_spawn"), PROCESSES),
    **dict.fromkeys(("subprocess.Popen", "pty.spawn", "os.kill", "os.killpg", "os.startfile"), PROCESSES),
}
_CHANGES = frozenset(
    "os.remove os.rename os.rmdir os.mkdir os.link os.symlink os.truncate os.chmod os.chown os.utime".split()
)
_LOOKS = frozenset(("os.listdir", "os.scandir", "os.chdir"))
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PROC = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/")


def put_up(readable: Sequence[str], scratch: str) -> None:
    """From now on: read below ``readable`` and ``scratch`` only, write below ``scratch`` only. Cannot be taken back.

    What is refused raises ``PermissionError`` with a sentence.
    """
    real, join = os.path.realpath, os.path.join
    system = ("/usr/", "/etc/", "/dev/", "/sys/", "/lib", f"/proc/{os.getpid()}/", *_PROC)
    here = real(scratch)
    may_read = tuple(join(real(folder), "") for folder in (*readable, here))
    may_write = (join(here, ""),)
    devices = (os.devnull, "/dev/urandom", "/dev/tty")

    def inside(path: object, folders: tuple[str, ...]) -> bool:
        if path is None or isinstance(path, int):
            return True
        whole = real(os.fsdecode(path))
        return join(whole, "").startswith(folders) or whole in devices

    def hook(event: str, arguments: tuple) -> None:
        if event == "open":
            path, _, flags = arguments
            writes = isinstance(flags, int) and flags & _WRITING
            if not inside(path, may_write if writes else may_read + system):
                raise PermissionError(FILES)
        elif event in _REFUSED:
            raise PermissionError(_REFUSED[event])
        elif event in _LOOKS:
            if not inside(arguments[0] if arguments else None, may_read + system):
                raise PermissionError(FILES)
        elif event in _CHANGES and not all(
            inside(path, may_write) for path in arguments if isinstance(path, str | bytes | os.PathLike)
        ):
            raise PermissionError(FILES)

    sys.addaudithook(hook)
