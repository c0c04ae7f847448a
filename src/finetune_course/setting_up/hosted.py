"""Colab and Kaggle: install what the run-time lacks, leave its PyTorch and its front end alone, speak about the GPU.

Called by the bootstrap cell of a notebook (``notebook_build/bootstrap.py``) from a fresh clone, so nothing but the
standard library is imported at the top. Safe to call again: with nothing missing it runs no pip.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from .reasons import Stop

COURSE = Path(__file__).resolve().parents[3]
# What draws the notebook is the host's own. Colab's page cannot show the widgets of ipywidgets 8, a newer ipykernel
# would have to replace the one that runs this, and the others serve authors only.
LEFT_ALONE = {"ipykernel", "ipywidgets", "jupyter-client", "jupytext", "nbclient", "nbformat", "nbgrader"}
KEPT = re.compile(r"torch|torchvision|torchaudio|torchao|triton|(pytorch-triton|nvidia-).*")
_NO_GPU = {
    "Colab": "choose Runtime → Change runtime type → T4 GPU",
    "Kaggle": "choose Settings → Accelerator → GPU T4 x2",
}


class HostedProblem(Stop):
    """One sentence: what the run-time lacks and what to do. Shown in a notebook without traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython's hook for exceptions that explain themselves
        return [str(self)]


def prepare(root: Path = COURSE, say: Callable[[str], None] = print) -> None:
    """Make the notebook's run-time fit for the course in ``root`` and say in a few lines what was done.

    Raises ``HostedProblem`` when PyTorch is missing or too old, or pip fails.
    """
    host = "Kaggle" if "KAGGLE_KERNEL_RUN_TYPE" in os.environ else "Colab"
    installed = installed_versions()
    wanted = to_install(root, installed)
    if wanted:
        names = ", ".join(pin.partition("==")[0] for pin in wanted)
        say(f"Installing {names} (a minute or two) …")
        _install(wanted, constraints(installed, loaded_distributions()), host)
    source = str(root / "src")
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != source]
    os.environ["PYTHONPATH"] = os.pathsep.join([source, *others])  # for the processes that a notebook starts
    say(f"The course is here ({root.name}), with everything that it needs.")
    say(gpu_sentence(host, gpu_names()))


def installed_versions() -> dict[str, str]:
    """Version of each installed distribution by its name in normal form ("huggingface-hub")."""
    from packaging.utils import canonicalize_name

    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:  # a broken installation has none; of two with one name the first is the one that is imported
            found.setdefault(canonicalize_name(name), distribution.version)
    return found


def to_install(root: Path, installed: Mapping[str, str]) -> list[str]:
    """Pins ("trl==1.16.0") of what the course needs and the run-time lacks or has too old.

    The lower bounds are those of ``pyproject.toml``, the versions those of ``requirements.txt``. Raises
    ``HostedProblem`` when PyTorch itself is missing or too old: it comes with the run-time or not at all.
    """
    from packaging.requirements import Requirement

    pins = _pins(root)
    wanted = []
    for text in _dependencies(root):
        need = Requirement(text)
        if need.name in LEFT_ALONE:
            continue
        version = installed.get(need.name)
        if version is not None and need.specifier.contains(version, prereleases=True):
            continue
        if KEPT.fullmatch(need.name):
            has = f"{need.name} {version}" if version else f"no {need.name}"
            raise HostedProblem(
                f"This run-time has {has} and the course needs {need}: choose the host's newest default "
                "environment (Colab: Runtime → Change runtime type → latest), then run this cell again."
            )
        wanted.append(pins[need.name])
    return wanted


def constraints(installed: Mapping[str, str], loaded: Iterable[str]) -> list[str]:
    """What pip must not exchange: PyTorch's family, the front end, and what this kernel has already imported."""
    kept = {name for name in installed if KEPT.fullmatch(name) or name in LEFT_ALONE} | set(loaded)
    return [f"{name}=={installed[name]}" for name in sorted(kept) if name in installed]


def loaded_distributions() -> set[str]:
    """Names of the distributions of which this process has imported something."""
    from packaging.utils import canonicalize_name

    modules = {name.partition(".")[0] for name in sys.modules}
    owners = importlib.metadata.packages_distributions()
    return {canonicalize_name(owner) for module in modules for owner in owners.get(module, [])}


def gpu_names() -> list[str]:
    """Names of the NVIDIA cards that answer; a driver's files alone prove nothing on a hosted run-time."""
    try:
        outcome = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return re.findall(r"(?m)^GPU \d+: (.+?)(?: \(UUID.*)?$", outcome.stdout) if outcome.returncode == 0 else []


def gpu_sentence(host: str, names: list[str]) -> str:
    """What to tell the learner about the run-time's GPU."""
    if names:
        return f"GPU: {', '.join(names)}."
    return (
        "This run-time has no GPU. Every notebook runs without one, only more slowly. "
        f"To have one: {_NO_GPU[host]}, then run this notebook from the top."
    )


def _dependencies(root: Path) -> list[str]:
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        from pip._vendor import tomli as tomllib
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]


def _pins(root: Path) -> dict[str, str]:
    """The pin of each package in requirements.txt that is meant for this Python."""
    from packaging.requirements import Requirement

    pins = {}
    for line in (root / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", "-")):
            pin = Requirement(line)
            if pin.marker is None or pin.marker.evaluate():
                pins[pin.name] = f"{pin.name}{pin.specifier}"
    return pins


def _install(wanted: list[str], kept: list[str], host: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        limits = Path(folder) / "constraints.txt"
        limits.write_text("\n".join(kept) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        command += ["--constraint", str(limits), *wanted]
        outcome = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if outcome.returncode:
        raise HostedProblem(why_pip_failed(outcome.stderr + outcome.stdout, host))


def why_pip_failed(output: str, host: str) -> str:
    """One sentence for what a failed pip printed on a hosted run-time."""
    text = output.lower()
    if "no space left" in text or "errno 28" in text:
        return "The run-time's disk is full: remove files or start a new session, then run this cell again."
    if "resolutionimpossible" in text or "conflicting dependencies" in text:
        restart = "Runtime → Restart session" if host == "Colab" else "Run → Restart & clear cell outputs"
        return (
            "A package that the course needs does not fit one that this session has already loaded: choose "
            f"{restart}, run this cell before any other, and report it if that does not help."
        )
    if re.search("connection|timed out|resolve|unreachable|max retries|from versions: none", text):
        switch = ": switch on Settings → Internet" if host == "Kaggle" else ": wait a minute"
        return f"The package index cannot be reached{switch}, then run this cell again."
    last = next((line.strip() for line in output.splitlines() if line.strip().startswith("ERROR")), "no message")
    return f"pip stopped ({last[:160]}): restart the session and run this cell again."
