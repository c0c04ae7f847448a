"""The newest releases of the libraries, in an environment of their own: do 06 and 09 still run?

It reports and does not block: what fails is shown as an expected failure with its reason. It runs only with
FINETUNE_COURSE_NEWEST=1, as it installs gigabytes and trains:

    FINETUNE_COURSE_NEWEST=1 python3 start.py test -m newest -rA
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_course import ROOT

from finetune_course.setting_up import environment
from finetune_course.setting_up.computer import has_nvidia, torch_index, venv_python

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NOTEBOOKS = os.environ.get("FINETUNE_COURSE_NEWEST_NOTEBOOKS", "06 09").split()
REPORTED = ("torch", "transformers", "trl", "peft", "datasets", "jupyterlab")

pytestmark = [
    pytest.mark.newest,
    pytest.mark.skipif(
        os.environ.get("FINETUNE_COURSE_NEWEST") != "1",
        reason="installs the newest releases and trains; set FINETUNE_COURSE_NEWEST=1",
    ),
]


def wanted() -> list[str]:
    """All that the course needs, without the pins: pyproject.toml's lower bounds, and JupyterLab."""
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    return [need for need in needs if re.split("[<>=]", need)[0] != "torch"] + ["jupyterlab"]


@pytest.fixture(scope="module")
def newest(tmp_path_factory) -> Path:
    """A virtual environment with the course's torch, and of everything else what pip takes for the newest."""
    venv = tmp_path_factory.mktemp("newest") / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python, outputs = venv_python(venv), []

    def pip(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [python, "-m", "pip", "install", "--progress-bar", "off", *arguments], capture_output=True, text=True
        )
        outputs.append(done.stdout + done.stderr)
        return done.returncode, outputs[-1]

    index = torch_index(sys.platform, has_nvidia(), os.environ)
    (venv / "torch.txt").write_text(next(line for line in _requirements() if line.startswith("torch==")))
    failed = environment.install_torch(pip, ROOT, index)[0] or pip("-c", str(venv / "torch.txt"), *wanted())[0]
    if failed:
        pytest.xfail(f"the newest releases cannot be installed together: {outputs[-1][-500:]}")
    return venv


def _requirements() -> list[str]:
    return (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()


def test_the_newest_releases_run_the_course(newest, tmp_path):
    python = venv_python(newest)
    listed = subprocess.run([python, "-m", "pip", "list", "--format=json"], capture_output=True, text=True, check=True)
    versions = {package["name"]: package["version"] for package in json.loads(listed.stdout)}
    print("with", ", ".join(f"{name} {versions[name]}" for name in REPORTED))
    there = [number for number in NOTEBOOKS if list((ROOT / "solutions").glob(f"{number}_*.py"))]
    print("not there yet:", ", ".join(number for number in NOTEBOOKS if number not in there) or "none")
    assert there
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [python, "-m", "finetune_course.run_notebooks", *there, "--json", tmp_path / "table.json"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    print(done.stdout[-3000:], done.stderr[-3000:])
    rows = json.loads((tmp_path / "table.json").read_text())["notebooks"]
    failures = [row["failure"] for row in rows if row["failure"]]
    if failures:
        pytest.xfail("; ".join(failures))
    assert [row["notebook"][:2] for row in rows] == there
