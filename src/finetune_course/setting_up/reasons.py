"""Why a set-up stopped, as one plain sentence that says what happened and what to do."""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
import traceback
import urllib.parse
from collections.abc import Mapping

NEEDED_GB = 3.0  # .venv takes 2.0 GB with PyTorch's CPU build, and pip needs room for unpacking
LOG = "setup.log"
_PROXY_SETTINGS = ("HTTPS_PROXY", "https_proxy", "PIP_PROXY", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class Stop(Exception):
    """One plain sentence: what happened and what to do. start.py prints it and exits with code 1."""


def explain(output: str, env: Mapping[str, str], free_gb: float | None = None) -> str:
    """One sentence for what a failed pip, venv or import printed.

    Args:
        output: its whole text.
        env: the environment it ran in (names the proxy).
        free_gb: free disk space afterwards; venv hides the reason when its own pip runs out of space.
    """

    def seen(pattern: str) -> bool:
        return re.search(pattern, output, re.IGNORECASE) is not None

    if seen(r"errno (28|122)\b|no space left|not enough space|disk quota|winerror (112|39)\b") or (
        free_gb is not None and free_gb < 0.02
    ):
        return _disk_full()
    if seen("ensurepip is not available|no module named '?(venv|ensurepip)"):
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        return (
            f"This Python lacks its venv module: install it (on Debian and Ubuntu: sudo apt install {package}), "
            "then start again."
        )
    if seen(
        "cannot connect to proxy|unable to connect to proxy|tunnel connection failed|proxy authentication required"
    ):
        answer = re.search(r"(?:tunnel connection failed: |\b)(40[37](?: [a-z]+)+)", output, re.IGNORECASE)
        return (
            f"{_proxy_name(env)} does not let pip through{f' ({answer.group(1)})' if answer else ''}: ask whoever runs "
            "it to allow Python's package index, or correct the setting, then start again."
        )
    if seen("certificate_verify_failed|certificate verify failed"):
        return (
            "The package index showed a certificate that pip does not trust, often the mark of a firewall that reads "
            "along: ask for its certificate file, name that in PIP_CERT, then start again."
        )
    if seen(
        "connection broken|newconnectionerror|max retries exceeded|failed to establish a new connection"
        "|name or service not known|temporary failure in name resolution|getaddrinfo failed|nodename nor servname"
        "|timed out|connecttimeout|network is unreachable|connection (was )?(reset|aborted|refused)"
        "|incompleteread|incomplete-download|remote end closed connection"
    ):
        return (
            "The package index cannot be reached: check the network connection, then start again "
            "(pip keeps the packages that it has already downloaded)."
        )
    if seen(r"errno (13|30|1)\b|permission denied|read-only file system|access is denied|winerror (5|32)\b"):
        return (
            "A file could not be written: make sure that this folder is yours and that no other window has the course "
            f"open, then start again ({LOG} names the file)."
        )
    missing = re.search(r"no matching distribution found for ([\w.\-]+)", output, re.IGNORECASE)
    if missing:
        return (
            f"The package index has no {missing.group(1)} of the course's version for Python {sys.version_info[0]}."
            f"{sys.version_info[1]} on this computer: try another Python, or check that PIP_INDEX_URL, if you set it, "
            "names a complete index, then start again."
        )
    if seen(r"vcruntime|winerror 126|visual c\+\+"):
        return "PyTorch needs Microsoft's Visual C++ Redistributable: install it, then start again."
    if seen("do not match the hashes|is invalid|badzipfile|not a zip file"):
        return "A downloaded package is damaged: run 'python3 -m pip cache purge', then start again."
    errors = [line.strip() for line in output.splitlines() if re.match(r"\s*(ERROR|\w*Error)\b", line)]
    last = f" ('{errors[-1][:160]}')" if errors else ""
    return f"The installation stopped{last}: {LOG} shows what went before; start again to try anew."


def explain_exception(error: Exception, root: str = ".") -> str:
    """One sentence for an exception of the set-up itself; an unforeseen one is logged in ``root``."""
    if isinstance(error, OSError):
        if error.errno in _FULL:
            return _disk_full()
        if error.errno in _REFUSED:
            return (
                "The course folder, or a file in it, cannot be written: copy the course to a folder of your own, close "
                "its other windows, then start again."
            )
        name = os.path.basename(str(error.filename or "a file"))
        return f"The set-up could not go on ({name}: {error.strerror or error}): put that right, then start again."
    try:
        with open(os.path.join(root, LOG), "a", encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
    except OSError:
        pass
    return f"start.py met a fault of its own ({type(error).__name__}): please report it with the file {LOG}."


def too_little_space(needed_gb: float, free_gb: float) -> str:
    """The sentence for a disk that cannot hold the course."""
    return (
        f"The course needs {needed_gb:.1f} GB of disk space in this folder and {free_gb:.1f} GB are free: free some, "
        "then start again."
    )


def _disk_full() -> str:
    return (
        f"The disk is full: the course needs {NEEDED_GB:.1f} GB here, and pip unpacks in {tempfile.gettempdir()}; "
        "free some space, then start again."
    )


def _proxy_name(env: Mapping[str, str]) -> str:
    """The proxy that pip was told to use, without user name and password."""
    for setting in _PROXY_SETTINGS:
        value = env.get(setting, "")
        if value:
            url = urllib.parse.urlsplit(value if "://" in value else f"http://{value}")
            return f"The proxy {url.netloc.rpartition('@')[2]} (from {setting})"
    return "The proxy"
