"""The parts of the set-up that need no installation: sentences, other systems, pins, Binder's and CI's files."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from tiny_course import ROOT

from finetune_course.setting_up import computer, environment, reasons

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it to Python 3.10

SETTING_UP = sorted((ROOT / "src/finetune_course/setting_up").glob("*.py"))
sys.path.insert(0, str(ROOT))
import start  # noqa: E402

# What pip and venv really print, shortened.
OUTPUTS = {
    "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device": "The disk is full",
    "OSError: [WinError 112] There is not enough space on the disk: 'C:\\\\x'": "The disk is full",
    "OSError: [Errno 122] Disk quota exceeded: '/home/x'": "The disk is full",
    "/usr/bin/python3: No module named venv": "lacks its venv module",
    "WARNING: Retrying (Retry(total=2)) after connection broken by 'ProxyError('Cannot connect to proxy.', "
    "OSError('Tunnel connection failed: 407 Proxy Authentication Required'))': /simple/torch/\n"
    "ERROR: No matching distribution found for torch==2.13.0": "(407 Proxy Authentication Required)",
    "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<HTTPSConnection>: Failed to "
    "establish a new connection: [Errno -3] Temporary failure in name resolution')': /simple/torch/\n"
    "ERROR: No matching distribution found for torch==2.13.0": "cannot be reached",
    "pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool: Read timed out.": "cannot be reached",
    "WARNING: Retrying after connection broken by 'SSLError(SSLCertVerificationError(1, '[SSL: "
    "CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate'))'": "PIP_CERT",
    "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/x/y'": "could not be written",
    "OSError: [WinError 5] Access is denied: 'C:\\\\x\\\\torch.dll'": "could not be written",
    "ERROR: No matching distribution found for torch==2.13.0": "no torch of the course's version",
    'OSError: [WinError 126] The specified module could not be found. Error loading "c10.dll"': "Visual C++",
    "ERROR: Wheel 'torch' located at /x.whl is invalid.": "cache purge",
    "Collecting x\nValueError: something new": "('ValueError: something new'): setup.log",
    "": "The installation stopped: setup.log",
}


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output[:40])
def test_output_of_pip_becomes_one_sentence(output):
    sentence = reasons.explain(output, {})
    assert OUTPUTS[output] in sentence
    assert sentence.endswith(".") and sentence.count(". ") == 0 and "\n" not in sentence
    assert re.search("start again", sentence)


def test_venv_that_hides_a_full_disk():
    hidden = "Error: Command '['/x/.venv/bin/python', '-m', 'ensurepip']' returned non-zero exit status 1."
    assert "The disk is full" in reasons.explain(hidden, {}, free_gb=0.001)
    assert "The disk is full" not in reasons.explain(hidden, {}, free_gb=50)


def test_fault_of_its_own_is_logged(tmp_path):
    try:
        raise KeyError("x")
    except KeyError as error:
        sentence = reasons.explain_exception(error, str(tmp_path))
    assert "fault of its own (KeyError)" in sentence and "KeyError: 'x'" in (tmp_path / "setup.log").read_text()


@pytest.mark.parametrize(
    ("version", "fault"),
    [((2, 7, 18), "too old"), ((3, 9, 20), "too old"), ((3, 10, 0), None), ((3, 14, 1), None), ((3, 15, 0), "too new")],
)
def test_python_versions(version, fault):
    sentence = start.check_python(version)
    assert (sentence is None) if fault is None else (fault in sentence and "install Python 3.10 or newer" in sentence)


def test_too_old_python_ends_start(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    assert start.main([], str(tmp_path)) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_tests_run_in_several_processes():
    """The whole in two, because notebooks take gigabytes; what else is given goes to pytest and may say otherwise."""
    whole = start.command_line(["test", "-x"], "")
    quick = start.command_line(["test", "--quick", "-n", "0"], "")
    assert whole[:2] == quick[:2] == ["-m", "pytest"]
    assert whole[whole.index("--maxprocesses") + 1] == "2" and quick[quick.index("--maxprocesses") + 1] == "4"
    assert whole[whole.index("--dist") + 1] == quick[quick.index("--dist") + 1] == "loadfile"
    assert "not slow and not nbval" in quick and "not slow and not nbval" not in whole
    assert whole[-1] == "-x" and quick[-2:] == ["-n", "0"] and "--quick" not in quick


def test_syntax_is_old_enough():
    ast.parse((ROOT / "start.py").read_text(), feature_version=(3, 6))
    assert not [
        node for node in ast.walk(ast.parse((ROOT / "start.py").read_text())) if isinstance(node, ast.JoinedStr)
    ]
    for path in SETTING_UP:
        ast.parse(path.read_text(), feature_version=(3, 10))


def test_only_the_standard_library_is_imported():
    """With no site-packages at all (-S, -I), the set-up's modules can be imported."""
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); import finetune_course.setting_up.environment"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"system": "darwin", "machine": "x86_64", "mac_release": "15.1"}, "Intel Macs"),
        ({"system": "darwin", "machine": "arm64", "mac_release": "13.7"}, "macOS 13.7"),
        ({"system": "win32", "machine": "x86", "wide": False}, "32-bit"),
    ],
)
def test_computers_without_pytorch(facts, words):
    with pytest.raises(reasons.Stop, match=words):
        computer.check_computer(**facts)


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_computers_with_pytorch(system):
    computer.check_computer(system=system, machine="arm64", mac_release="14.0", wide=True)


def test_torch_index_for_each_computer():
    assert computer.torch_index("linux", False, {}) == "https://download.pytorch.org/whl/cpu"
    assert computer.torch_index("linux", True, {}) is None
    assert computer.torch_index("darwin", False, {}) is None
    assert computer.torch_index("win32", False, {}) is None
    assert computer.torch_index("win32", True, {"COURSE_TORCH_INDEX": "https://x/"}) == "https://x/"


def test_nvidia_is_found_by_its_files():
    assert computer.has_nvidia(lambda _: "/usr/bin/nvidia-smi", lambda _: False)
    assert computer.has_nvidia(lambda _: None, lambda path: path == "/proc/driver/nvidia/version")
    assert not computer.has_nvidia(lambda _: None, lambda _: False)


def test_paths_on_windows_and_elsewhere():
    windows = computer.venv_python(PureWindowsPath("C:/my course/.venv"), "win32")
    assert str(windows) == r"C:\my course\.venv\Scripts\python.exe"
    assert str(computer.venv_python(PurePosixPath("/c/.venv"), "darwin")) == "/c/.venv/bin/python"
    env = {"PATH": r"C:\Windows", "PYTHONPATH": "x", "PIP_USER": "1"}
    child = computer.child_env(PureWindowsPath("C:/c/.venv"), env, "win32")
    assert child["PATH"] == r"C:\c\.venv\Scripts;C:\Windows"
    assert "PYTHONPATH" not in child and child["PIP_USER"] == "0"


def test_fingerprint_changes_with_what_matters(tmp_path):
    (tmp_path / "requirements.txt").write_text("a==1\n")
    base = computer.fingerprint(tmp_path, (3, 11, 7), "linux", "x86_64")
    assert base == computer.fingerprint(tmp_path, (3, 11, 9), "linux", "x86_64")
    assert base != computer.fingerprint(tmp_path, (3, 12, 0), "linux", "x86_64")
    assert base != computer.fingerprint(tmp_path, (3, 11, 7), "darwin", "arm64")
    (tmp_path / "requirements.txt").write_text("a==2\n")
    assert base != computer.fingerprint(tmp_path, (3, 11, 7), "linux", "x86_64")


def test_progress_names_only_long_waits():
    wheel = "  Downloading https://x/whl/torch-2.13.0%2Bcpu-cp311-cp311-manylinux_2_28_x86_64.whl (188.9 MB)\n"
    assert environment.progress(wheel) == "downloading torch, 188.9 MB"
    assert environment.progress("  Downloading rich-15.0.0-py3-none-any.whl (243 kB)\n") is None
    assert environment.progress("Installing collected packages: " + ", ".join("abcdefgh")) == "unpacking 8 packages"


def test_nbgrader_pages_are_off_in_the_learners_jupyterlab(tmp_path):
    server = tmp_path / "etc/jupyter/jupyter_server_config.d/nbgrader.json"
    server.parent.mkdir(parents=True)
    server.write_text('{"ServerApp": {"jpserver_extensions": {"nbgrader.server_extensions.formgrader": true}}}')
    environment.quiet_jupyterlab(tmp_path, ROOT / "binder/overrides.json")
    assert json.loads(server.read_text()) == {
        "ServerApp": {"jpserver_extensions": {"nbgrader.server_extensions.formgrader": False}}
    }
    settings = json.loads((tmp_path / "share/jupyter/lab/settings/overrides.json").read_text())
    assert settings["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"


@pytest.fixture(scope="module")
def pins() -> list[str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_requirements_are_exact(pins):
    assert pins[-1] == "-e ."
    for line in pins[:-1]:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*(; python_version (<|>=) \"3\.11\")?", line), line
    named = [line.split("==")[0] for line in pins[:-1]]
    for name in set(named):  # one pin for all Pythons, or one for 3.10 and one for the newer
        markers = sorted(line.partition("python_version ")[2][:2] for line in pins if line.startswith(f"{name}=="))
        assert markers in ([""], ["< ", ">="]), name


def test_tools_for_tests_are_exact_and_none_is_the_courses_own(pins):
    """A skip is told with the file's name, so that it stands in no second place which versions those are."""
    lines = [line for line in (ROOT / "tests/requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines and all(re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*(; sys_platform != \"win32\")?", line) for line in lines)
    assert not {line.split("==")[0] for line in lines} & {line.split("==")[0] for line in pins}


def test_every_dependency_of_the_package_is_pinned(pins):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {line.split("==")[0] for line in pins}
    assert {re.split("[<>=]", need)[0] for need in project["dependencies"]} <= named


def test_installed_versions_are_the_pinned_ones(pins):
    """The tests run on what requirements.txt says."""
    from importlib.metadata import version

    wanted = "<" if sys.version_info < (3, 11) else ">="
    for line in pins[:-1]:
        pin, _, marker = line.partition(";")
        name, _, pinned = pin.partition("==")
        if not marker or f" {wanted} " in marker:
            assert version(name).split("+")[0] == pinned, name


def binder(name: str) -> str:
    return (ROOT / "binder" / name).read_text()


def test_binder_requirements_stand_alone(pins):
    """binder/ hides the root's files from repo2docker; pip resolves -r beside the file and -e from the root."""
    lines = [line for line in binder("requirements.txt").splitlines() if line and not line.startswith("#")]
    (torch,) = [line for line in pins if line.startswith("torch==")]
    assert lines == ["--extra-index-url https://download.pytorch.org/whl/cpu", f"{torch}+cpu", "-r ../requirements.txt"]
    assert (ROOT / "binder/../requirements.txt").exists()


def test_binder_python_is_one_the_course_supports():
    version = re.fullmatch(r"python-(\d)\.(\d+)\n", binder("runtime.txt"))
    assert version and start.OLDEST <= (int(version[1]), int(version[2])) <= start.NEWEST


@pytest.mark.parametrize("script", ["binder/postBuild", "binder/start", ".ci/run"])
def test_scripts_can_be_run(script):
    path = ROOT / script
    assert path.read_text().startswith(("#!/bin/bash\n", "#!/usr/bin/env bash\n"))
    assert os.access(path, os.X_OK)
    assert re.search("^set -e", path.read_text(), re.MULTILINE)
    subprocess.run(["bash", "-n", path], check=True)


def test_binder_fetches_weights_while_building_and_saves_memory():
    assert "python -m finetune_course.weights" in binder("postBuild")
    assert "install" not in binder("postBuild")
    assert binder("start").rstrip().endswith('exec "$@"')
    shown = subprocess.run(
        ["bash", ROOT / "binder/start", "env"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {"COURSE_PROFILE=small", "OMP_NUM_THREADS=1", "MKL_NUM_THREADS=1"} <= set(shown)
    known = {"requirements.txt", "runtime.txt", "postBuild", "start", "overrides.json"}
    assert {path.name for path in Path(ROOT / "binder").iterdir()} == known  # a misspelt name would be ignored


def test_ci_runs_the_readme_command():
    ci = (ROOT / ".ci/run").read_text()
    assert ci.rstrip().endswith('exec "$python" start.py test')
    assert "chromium" in ci and "skipped" in ci  # for the tests in a browser; they say why when there is none
    allowed = re.search(r"\((\d), (\d+)\) <= sys.version_info\[:2\] <= \((\d), (\d+)\)", ci)
    assert tuple(map(int, allowed.groups())) == start.OLDEST + start.NEWEST
