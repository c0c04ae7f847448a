"""What kind of computer this is: whether PyTorch has a build for it and which to take, and where .venv keeps things."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath

from .reasons import Stop

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
OLDEST_MACOS = 14


def check_computer(
    system: str = sys.platform,
    machine: str = platform.machine(),
    mac_release: str = platform.mac_ver()[0],
    wide: bool = sys.maxsize > 2**32,
) -> None:
    """Raise Stop when PyTorch has no build for this computer (the Python version is start.py's own check)."""
    if not wide:
        raise Stop("This is a 32-bit Python, for which there is no PyTorch: install the 64-bit one, then start again.")
    if system == "darwin" and machine == "x86_64":
        raise Stop(
            "There is no current PyTorch for Intel Macs, nor for an Intel Python on a newer Mac: install a Python for "
            "Apple silicon, or open the course on Binder or Colab."
        )
    if system == "darwin" and mac_release and int(mac_release.split(".")[0]) < OLDEST_MACOS:
        raise Stop(
            f"This Mac runs macOS {mac_release} and PyTorch needs {OLDEST_MACOS} or newer: update macOS, "
            "or open the course on Binder or Colab."
        )


def has_nvidia(
    which: Callable[[str], str | None] = shutil.which, exists: Callable[[str], bool] = os.path.exists
) -> bool:
    """Whether an NVIDIA driver is installed, going by its files alone."""
    return bool(which("nvidia-smi")) or exists("/proc/driver/nvidia/version")


def torch_index(system: str, nvidia: bool, env: Mapping[str, str]) -> str | None:
    """URL of the package index to ask for PyTorch first, or None for the default index."""
    chosen = env.get("COURSE_TORCH_INDEX", "").strip()
    if chosen:
        return chosen
    # The default index's Linux build brings gigabytes of CUDA; its builds for macOS and Windows do not.
    return CPU_INDEX if system.startswith("linux") and not nvidia else None


def venv_python(venv: PurePath, system: str = sys.platform) -> PurePath:
    """Path of the Python inside the virtual environment ``venv``."""
    return venv / "Scripts" / "python.exe" if system == "win32" else venv / "bin" / "python"


def child_env(venv: PurePath, env: Mapping[str, str], system: str = sys.platform) -> dict[str, str]:
    """The environment for what runs in ``venv``: that folder first, and no setting that leads elsewhere."""
    # The last one would have every start compile afresh what pip leaves uncompiled.
    misleading = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PYTHONDONTWRITEBYTECODE")
    child = {name: value for name, value in env.items() if name not in misleading}
    separator = ";" if system == "win32" else ":"
    child["PATH"] = str(venv_python(venv, system).parent) + separator + env.get("PATH", "")
    child.update(VIRTUAL_ENV=str(venv), JUPYTER_PREFER_ENV_PATH="1")
    child.update(PYTHONUTF8="1")  # so that files are read alike on Windows
    child.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1")
    return child


def fingerprint(
    root: Path,
    version: tuple[int, ...] = tuple(sys.version_info),
    system: str = sys.platform,
    machine: str = platform.machine(),
) -> dict[str, str]:
    """What .venv was made for: it is made anew when any of these changes."""
    return {
        "requirements": hashlib.sha256((root / "requirements.txt").read_bytes()).hexdigest(),
        "python": f"{version[0]}.{version[1]}",
        "computer": f"{system} {machine}",
        "folder": str(root.resolve()),  # scripts in .venv, and the course package, hold absolute paths
    }
