"""binder/: repo2docker itself turns it into a build file, and what repo2docker would not notice is checked here.

repo2docker takes any line for a requirement, calls a postBuild without a first line #!/bin/bash, and passes over a file
whose name is misspelt; so ``binder_problems`` looks for those, and is shown to find each.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from notebook_rules import course
from packaging.requirements import InvalidRequirement, Requirement
from tiny_course import ROOT

from finetune_course.setting_up.computer import CPU_INDEX
from finetune_course.weights import DEFAULT
from finetune_course.wheel_source import SOURCES

# Every file that repo2docker's Python build looks for, and the one that postBuild itself uses.
KNOWN = {"requirements.txt", "runtime.txt", "apt.txt", "postBuild", "start", "overrides.json"}
NEEDED = {"requirements.txt", "runtime.txt", "postBuild", "start"}
PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]+")
OPTIONS = {"--extra-index-url", "-r", "-e"}


def binder_problems(root: Path) -> list[str]:
    """One phrase for each thing about ``root/binder`` that would fail on Binder, or be ignored there in silence."""
    folder, found = root / "binder", []
    if not folder.is_dir():
        return ["there is no folder binder/"]
    names = {path.name for path in folder.iterdir()}
    found += [f"binder/{name} is a name that nothing reads" for name in sorted(names - KNOWN)]
    found += [
        f"binder/{name} is missing" for name in ("requirements.txt", "runtime.txt", "postBuild") if name not in names
    ]
    if (root / ".binder").exists():
        found.append("there is a .binder beside binder/")
    if "requirements.txt" in names:
        found += _requirement_problems(folder / "requirements.txt", root)
    for name in sorted(names & {"postBuild", "start"}):
        path = folder / name
        if not path.read_bytes().startswith((b"#!/bin/bash\n", b"#!/usr/bin/env bash\n")):
            found.append(f"binder/{name} does not begin with #!/bin/bash")
        if not os.access(path, os.X_OK):
            found.append(f"binder/{name} may not be executed")
        syntax = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
        found += [f"binder/{name}: {syntax.stderr.strip()}"] if syntax.returncode else []
    if "runtime.txt" in names and not re.fullmatch(r"python-3\.1[0-4]\n", (folder / "runtime.txt").read_text()):
        found.append("binder/runtime.txt is not 'python-3.NN'")
    if "apt.txt" in names:
        lines = [line.partition("#")[0].strip() for line in (folder / "apt.txt").read_text().splitlines()]
        found += [
            f"binder/apt.txt: '{line}' is no package" for line in lines if line and not PACKAGE_NAME.fullmatch(line)
        ]
    return found


def _requirement_problems(path: Path, root: Path) -> list[str]:
    """Each line of a requirements file, and of the files that it includes, that pip would refuse."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        option, _, value = line.partition(" ")
        if not line or line.startswith("#"):
            continue
        if line.startswith("-"):
            if option not in OPTIONS or not value:
                found.append(f"{path.name}: the option '{line}' is unknown")
            elif option == "-r" and not (path.parent / value).is_file():
                found.append(f"{path.name}: '{value}' does not exist")
            elif option == "-r":
                found += _requirement_problems(path.parent / value, root)
            elif option == "-e" and not (root / value / "pyproject.toml").is_file():  # pip resolves it from the root
                found.append(f"{path.name}: '{value}' holds no package")
            continue
        try:
            Requirement(line)
        except InvalidRequirement:
            found.append(f"{path.name}: '{line}' is no requirement")
    return found


@pytest.fixture
def copy(tmp_path) -> Path:
    """What repo2docker looks at, to be broken."""
    shutil.copytree(ROOT / "binder", tmp_path / "binder")
    for name in ("requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_binder_is_complete():
    assert binder_problems(ROOT) == []


def _rename(old, new):
    return lambda folder: (folder / old).rename(folder / new)


def _replace(name, old, new):
    def change(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


BREAKS = {
    "binder/PostBuild is a name that nothing reads": _rename("binder/postBuild", "binder/PostBuild"),
    "binder/requirement.txt is a name that nothing": _rename("binder/requirements.txt", "binder/requirement.txt"),
    "binder/runtime.txt is missing": _rename("binder/runtime.txt", "binder/python.txt"),
    "there is no folder binder/": _rename("binder", "binders"),
    "beside binder/": lambda folder: (folder / ".binder").mkdir(),
    "'torch=2.13' is no requirement": _replace("binder/requirements.txt", "torch==2.13.0+cpu", "torch=2.13"),
    "'trl = 1' is no requirement": _replace("requirements.txt", "accelerate==", "trl = 1\naccelerate=="),
    "the option '--index https": _replace("binder/requirements.txt", "--extra-index-url", "--index"),
    "'../requirement.txt' does not exist": _replace("binder/requirements.txt", "../requirements", "../requirement"),
    "'./src' holds no package": _replace("requirements.txt", "-e .", "-e ./src"),
    "postBuild does not begin with": _replace("binder/postBuild", "#!/bin/bash\n", ""),
    "postBuild may not be executed": lambda folder: (folder / "binder/postBuild").chmod(0o644),
    "start: ": _replace("binder/start", 'exec "$@"', 'exec "$@'),
    "runtime.txt is not": _replace("binder/runtime.txt", "python-3", "python3"),
    "'install git' is no package": lambda folder: (folder / "binder/apt.txt").write_text("install git\n"),
}


@pytest.mark.parametrize("phrase", BREAKS)
def test_each_fault_is_found(copy, phrase):
    assert binder_problems(copy) == []
    BREAKS[phrase](copy)
    assert any(phrase in problem for problem in binder_problems(copy)), binder_problems(copy)


def test_scripts_are_executable_in_git_too():
    """Binder clones: the file system's mode does not travel, git's does."""
    listed = subprocess.run(["git", "ls-files", "-s", "binder"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode or not listed.stdout:
        pytest.skip("this copy of the course is not a git repository")
    modes = {line.split("\t")[1]: line[:6] for line in listed.stdout.splitlines()}
    assert modes["binder/postBuild"] == modes["binder/start"] == "100755"
    assert {f"binder/{path.name}" for path in (ROOT / "binder").iterdir()} == set(modes)


def test_all_weights_that_notebooks_load_are_fetched_while_building():
    used = {DEFAULT}
    for edition in course():
        used |= set(re.findall(r"""\bweights\(["']([\w-]+)["']\)""", edition.source.read_text(encoding="utf-8")))
    assert used <= set(SOURCES)
    command = re.search(
        r"^python -m finetune_course\.weights(.*)$", (ROOT / "binder/postBuild").read_text(), re.MULTILINE
    )
    assert used == set(command[1].split() or [DEFAULT])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Binder runs Linux")
def test_post_build_runs(tmp_path):
    """With this environment's Python and the weights that are there: it ends well and has settled JupyterLab."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tmp_path / "bin/python").chmod(0o755)
    env = {k: v for k, v in os.environ.items() if k != "CONDA_PREFIX"}
    env |= {"NB_PYTHON_PREFIX": str(tmp_path), "PATH": f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([ROOT / "binder/postBuild"], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"Weights of {DEFAULT}: ready." in done.stderr
    assert "fetchNews" in (tmp_path / "share/jupyter/lab/settings/overrides.json").read_text()
    assert "@jupyter/nbgrader" in (tmp_path / "etc/jupyter/labconfig/page_config.json").read_text()


# ---- repo2docker itself


@pytest.fixture
def build_file(monkeypatch):
    """What repo2docker makes of a folder: the name of its build pack and the text of the build file."""
    app = pytest.importorskip(
        "repo2docker.app", reason="jupyter-repo2docker is not installed: pip install -r tests/requirements.txt"
    )

    def build(folder: Path) -> tuple[str, str]:
        monkeypatch.chdir(folder)
        repo2docker = app.Repo2Docker()
        pack = next(pack for pack in (kind(repo2docker.base_image) for kind in repo2docker.buildpacks) if pack.detect())
        pack.platform = "linux/amd64"  # what Binder builds for; unset without a container engine
        return type(pack).__name__, pack.render()

    return build


def test_repo2docker_resolves_it_to_a_build_file(build_file, copy):
    pack, text = build_file(copy)
    assert pack == "PythonBuildPack"
    steps = [
        r"environment-2epy-2d3-2e11-2d",  # the Python of runtime.txt, not repo2docker's own default
        r"^ENV NB_PYTHON_PREFIX=",  # postBuild reads it
        r"^COPY .* src/ \$\{REPO_DIR\}/$",  # the whole course is there before pip reads ../requirements.txt
        r'^RUN .*pip install --no-cache-dir -r "binder/requirements\.txt"$',
        r"^RUN \./binder/postBuild$",
        r'^ENV R2D_ENTRYPOINT="\$\{REPO_DIR\}/binder/start"$',
    ]
    places = [re.search(step, text, re.MULTILINE) for step in steps]
    assert all(places), [step for step, place in zip(steps, places, strict=True) if not place]
    order = [place.start() for place in places[2:5]]
    assert order == sorted(order)
    assert CPU_INDEX in (copy / "binder/requirements.txt").read_text()


def test_repo2docker_does_not_notice_what_is_checked_above(build_file, copy):
    """If it does one day, the check above has become needless."""
    _replace("requirements.txt", "accelerate==", "trl = 1\naccelerate==")(copy)
    _replace("binder/postBuild", "#!/bin/bash\n", "")(copy)
    _rename("binder/start", "binder/Start")(copy)
    pack, text = build_file(copy)
    assert pack == "PythonBuildPack" and "binder/postBuild" in text and "binder/Start" not in text
    assert len(binder_problems(copy)) == 3
