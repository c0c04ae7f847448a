"""Making .venv, so that a kill at any moment or a full disk leaves nothing that breaks the next try.

The folder is marked as begun before anything is put into it and as complete when everything is; one without the second
mark is made anew (pip's own cache saves the downloads).
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from .computer import CPU_INDEX, check_computer, child_env, fingerprint, has_nvidia, torch_index, venv_python
from .lock import SetupLock
from .reasons import LOG, NEEDED_GB, Stop, explain, too_little_space

BEGUN, COMPLETE = ".course-begun", ".course-ready"
CUDA_GB = 4.0  # what PyTorch's CUDA build takes more than its CPU build: .venv was 5.7 GB with it
RETRIES = 3
Pip = Callable[..., tuple[int, str]]  # arguments of "pip install" -> exit code and output


def set_up(root: str | Path) -> None:
    """Bring .venv and the weights to completion; quick when they are complete. Raises Stop."""
    root = Path(root)
    if not is_ready(root):
        check_computer()
        with SetupLock(root / ".venv.lock") as lock:
            if not is_ready(root):  # the one we waited for may have finished it
                build(root, lock)
        say("Step 4 of 4: the model's weights (93 MB, once)")
    # The sentence that says why it failed is the weights module's own.
    venv = root / ".venv"
    if subprocess.call([venv_python(venv), "-m", "finetune_course.weights"], cwd=root, env=child_env(venv, os.environ)):
        raise Stop("")


def is_ready(root: Path) -> bool:
    """Whether .venv was completed for this very requirements.txt, Python, computer and folder."""
    try:
        made_for = json.loads((root / ".venv" / COMPLETE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return made_for == fingerprint(root) and Path(venv_python(root / ".venv")).exists()


def build(root: Path, lock: SetupLock) -> None:
    """Make .venv from nothing and mark it complete; on any failure remove it again. Raises Stop."""
    venv, log = root / ".venv", root / LOG
    python = str(venv_python(venv))
    log.write_text("", encoding="utf-8")
    discard(root)
    index = torch_index(sys.platform, has_nvidia(), os.environ)
    needed = NEEDED_GB + (CUDA_GB if sys.platform == "linux" and index is None else 0)
    if _free_gb(root) < needed:
        raise Stop(too_little_space(needed, _free_gb(root)))

    def run(*command: str) -> tuple[int, str]:
        return run_logged(list(command), root, lock)

    def pip(*arguments: str) -> tuple[int, str]:
        # Compiling every module takes as long as the rest of the installation; Python compiles those that are imported.
        usual = ("--no-input", "--no-compile", "--progress-bar", "off", "--retries", str(RETRIES))
        return run(python, "-m", "pip", "install", *usual, *arguments)  # of two --retries pip takes the last

    def must(result: tuple[int, str]) -> None:
        code, output = result
        if code:
            raise Stop(explain(output, os.environ, _free_gb(root)))

    try:
        say("Step 1 of 4: making a Python environment in .venv (seconds)")
        venv.mkdir()
        (venv / BEGUN).touch()
        must(run(sys.executable, "-m", "venv", str(venv)))
        if int(installed_version(venv, "pip").split(".")[0]) < 23:  # too old to install "-e ."
            must(pip("--upgrade", "pip"))
        say(f"Step 2 of 4: PyTorch{', CPU build (no NVIDIA card was found)' if index == CPU_INDEX else ''}")
        must(install_torch(pip, root, index))
        say("Step 3 of 4: the other packages (a few minutes)")
        kept = venv / "torch-build.txt"  # so that the next step cannot swap the CPU build for another
        kept.write_text(f"torch=={installed_version(venv, 'torch')}\n", encoding="utf-8")
        must(pip("--requirement", "requirements.txt", "--constraint", str(kept)))
        must(run(python, "-c", "import torch"))
        quiet_jupyterlab(venv, root / "binder" / "overrides.json")
        fresh = venv / (COMPLETE + ".new")
        fresh.write_text(json.dumps(fingerprint(root)), encoding="utf-8")
        fresh.replace(venv / COMPLETE)
    except BaseException:
        discard(root)
        raise


def install_torch(pip: Pip, root: Path, index: str | None) -> tuple[int, str]:
    """Install PyTorch alone, as pinned in requirements.txt: from ``index`` if that answers, else the default index."""
    lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pin = next(line.split(";")[0].strip() for line in lines if line.startswith("torch=="))
    if index:
        code, output = pip("--no-deps", "--index-url", index, "--timeout", "10", "--retries", "1", pin)
        # Once the index has shown the build, a failure is not the index's: the default index would repeat it, larger.
        if code == 0 or re.search(r"^\s*(Downloading|Processing|Using cached) ", output, re.MULTILINE):
            return code, output
        say("  PyTorch's own index is out of reach; taking the default index, whose build can be gigabytes larger.")
    return pip("--no-deps", pin)


def installed_version(venv: Path, package: str) -> str:
    """Version of a package in ``venv`` with its local part ("2.13.0+cpu"), read from the name of its folder."""
    for pattern in ("lib/python*/site-packages", "Lib/site-packages"):
        for found in venv.glob(f"{pattern}/{package}-*.dist-info"):
            return found.name.removeprefix(f"{package}-").removesuffix(".dist-info")
    raise Stop(f"pip reported no error, yet {package} is not installed: {LOG} shows why; start again to try anew.")


def quiet_jupyterlab(venv: Path, overrides: Path) -> None:
    """Settings of JupyterLab in ``venv``: no question about news, and nbgrader's pages off.

    Those pages are for instructors and add a second to every start. nbgrader's own commands switch them on again:
    ``jupyter server extension enable --sys-prefix --py nbgrader`` and
    ``jupyter labextension enable --level=sys_prefix @jupyter/nbgrader``.
    """
    settings, labconfig = venv / "share/jupyter/lab/settings", venv / "etc/jupyter/labconfig"
    for folder in (settings, labconfig):
        folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(overrides, settings / "overrides.json")
    disabled = {"disabledExtensions": {"@jupyter/nbgrader": True}}
    (labconfig / "page_config.json").write_text(json.dumps(disabled), encoding="utf-8")
    server = venv / "etc/jupyter/jupyter_server_config.d/nbgrader.json"
    if server.exists():
        extensions = json.loads(server.read_text(encoding="utf-8"))["ServerApp"]["jpserver_extensions"]
        off = {"ServerApp": {"jpserver_extensions": dict.fromkeys(extensions, False)}}
        server.write_text(json.dumps(off), encoding="utf-8")


def discard(root: Path) -> None:
    """Remove .venv, renaming it first so that a kill leaves no folder that looks complete.

    One that this module did not make is put aside, not deleted.
    """
    venv, doomed = root / ".venv", root / ".venv.partial"
    if doomed.exists():
        _remove(doomed)
    if not os.path.lexists(venv):
        return
    own = (venv / BEGUN).exists() or (venv / COMPLETE).exists()
    if venv.is_dir() and not venv.is_symlink() and (own or not any(venv.iterdir())):
        venv.rename(doomed)
        _remove(doomed)
        return
    aside = next(name for number in range(1, 1000) if not os.path.lexists(name := root / f".venv-earlier-{number}"))
    venv.rename(aside)
    say(f"There was a .venv here that start.py had not made: it is now called {aside.name}.")


def _remove(folder: Path, tries: int = 10) -> None:
    """Delete a folder tree. A pip just ended may still write its last file: a tree that grows is tried again."""
    for left in reversed(range(tries)):
        try:
            shutil.rmtree(folder)
            return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or not left:
                raise
            time.sleep(0.2)


def run_logged(command: list[str], root: Path, lock: SetupLock) -> tuple[int, str]:
    """Run ``command`` with its output in setup.log, telling the reader about long waits. Returns exit code, output."""
    lines = []
    with open(root / LOG, "a", encoding="utf-8", buffering=1) as log:  # each line at once, for whoever is looking
        print("$", *command, file=log)
        child = subprocess.Popen(
            command,
            cwd=root,
            env=child_env(root / ".venv", os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            **lock.inherit(),
        )
        try:
            for line in child.stdout:
                lines.append(line)
                log.write(line)
                if news := progress(line):
                    say(f"  {news}")
            return child.wait(), "".join(lines)
        finally:
            if child.poll() is None:  # Ctrl-C, or no room for the log
                child.terminate()
                try:
                    child.wait(10)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()


def progress(line: str) -> str | None:
    """What to tell the reader about a line of pip's that stands for a long wait, if it does."""
    download = re.match(r"\s*Downloading (\S+) \(([\d.]+) (MB|GB)\)", line)
    if download and (download[3] == "GB" or float(download[2]) >= 10):
        file = urllib.parse.unquote(download[1].rpartition("/")[2])
        return f"downloading {file.split('-')[0]}, {download[2]} {download[3]}"
    if line.startswith("Installing collected packages:") and line.count(",") > 5:
        return f"unpacking {line.count(',') + 1} packages"
    return None


def hand_over(root: str | Path, arguments: list[str]) -> int:
    """Run .venv's Python with ``arguments`` in place of this process; returns the exit code (on Windows only)."""
    venv = Path(root) / ".venv"
    command, env = [str(venv_python(venv)), *arguments], child_env(venv, os.environ)
    os.chdir(root)
    sys.stdout.flush()
    if sys.platform != "win32":
        os.execve(command[0], command, env)
    child = subprocess.Popen(command, env=env)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:  # the child received it too, and decides
            continue


def say(sentence: str) -> None:
    """Print a line now, whatever the terminal can show of it."""
    encoding = sys.stdout.encoding or "ascii"
    print(sentence.encode(encoding, "replace").decode(encoding), flush=True)


def _free_gb(folder: Path) -> float:
    return shutil.disk_usage(folder).free / 1e9
