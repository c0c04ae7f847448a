"""A run in several processes: what stays together, what comes first, and what its log says."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import notebook_rules
import psutil
import pytest
import side_by_side
from side_by_side import costs, in_order, longest_first, still_running, threads_each, unit_of

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import start  # noqa: E402

NBVAL, STUDENT = "tests/test_nbval.py::test_nbval", "tests/test_student_notebooks.py::test_it_stops"


def test_a_file_stays_together_and_a_notebook_stands_alone():
    assert (
        unit_of("tests/test_plots.py::test_a[1::2]") == unit_of("tests/test_plots.py::test_b") == "tests/test_plots.py"
    )
    assert unit_of(f"{NBVAL}[06_trl_run]") == f"{NBVAL}[06_trl_run]"
    assert unit_of("tests/test_nbval.py::test_a_tampered_output") == "tests/test_nbval.py"
    assert unit_of(f"{STUDENT}[00_start_here]") != unit_of(f"{STUDENT}[06_trl_run]")


def test_long_notebooks_come_first_and_cheap_files_last():
    costly = f"tests/{side_by_side.COSTLY_FILES[0]}.py::test_a"
    cheap = ["tests/test_a.py::test_1", "tests/test_a.py::test_2"]
    given = [cheap[0], costly, f"{STUDENT}[03_x]", f"{NBVAL}[00_x]", f"{NBVAL}[03_x]", cheap[1]]
    found = [given[place] for place in in_order(given, ["03_x", "00_x"])]
    assert found == [f"{NBVAL}[03_x]", f"{NBVAL}[00_x]", f"{STUDENT}[03_x]", costly, *cheap]


def test_what_is_named_is_there():
    for name in side_by_side.COSTLY_FILES:
        assert (HERE / f"{name}.py").is_file(), name
    for beginning in side_by_side.ALONE:
        file, _, test = beginning.partition("::")
        assert test.rstrip("[") in (HERE.parent / file).read_text(encoding="utf-8")


def test_every_notebook_says_what_it_takes(tmp_path):
    found = costs()
    assert set(found) == {edition.name for edition in notebook_rules.course()}
    assert all(0 < minutes < side_by_side.UNKNOWN[0] and 0 < gb < 9 for minutes, gb in found.values()), found
    (tmp_path / "11_none.py").write_text("# %% [markdown]\n# Nothing is said.\n")
    said = "# It takes about two\n# minutes of computing on 2 CPU cores, your time, and 1 to 2.5 GB of memory.\n"
    (tmp_path / "12_broken.py").write_text(said)
    assert costs(tmp_path) == {"11_none": side_by_side.UNKNOWN, "12_broken": (2, 2.5)}


def test_hungry_notebooks_get_the_same_process():
    cost = {"00": (1, 2.0), "01": (4, 1.5), "03": (5, 3.0), "04": (3, 2.0), "06": (5, 4.0)}
    assert longest_first(cost) == ["06", "01", "03", "04", "00"]
    assert longest_first({name: (minutes, 1.0) for name, (minutes, _) in cost.items()}) == [
        "03",
        "06",
        "01",
        "04",
        "00",
    ]
    assert longest_first({name: (minutes, 3.0) for name, (minutes, _) in cost.items()}) == [
        "00",
        "01",
        "03",
        "04",
        "06",
    ]


def test_the_processes_share_the_cores(monkeypatch):
    for cores, processes, threads in ((2, 2, 1), (8, 2, 4), (4, 1, 4), (1, 2, 1)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: range(cores), raising=False)
        assert threads_each(processes) == threads


def test_the_log_names_the_longest_first():
    assert still_running({"b": 540.0, "a": 0.0}, 600.0) == "running: a (10 min), b (1 min)"


# Real runs of small test files under the real conftest.py.

SLEEPS = (
    "import os, subprocess, sys, pathlib, pytest\n"
    "@pytest.mark.parametrize('name', ['01_short', '02_long'])\n"
    "def test_nbval(name):\n"
    "    if name == '02_long':\n"
    "        child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(SECONDS)'])\n"
    "        pathlib.Path('child').write_text(f'{os.getpid()} {child.pid}')\n"
    "        child.wait()\n"
    "    assert os.environ['OMP_NUM_THREADS'] == 'EXPECTED'\n"
)


@pytest.fixture
def folder(tmp_path):
    """A course of two notebooks and two test files; a function that begins its run."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "solutions").mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    for name, minutes in (("01_short", 1), ("02_long", 4)):
        said = f"# about {minutes} minutes of computing, 1 GB of memory\n"
        (tmp_path / "solutions" / f"{name}.py").write_text(said)
    for name in ("conftest.py", "side_by_side.py"):
        text = (HERE / name).read_text(encoding="utf-8")
        (tmp_path / "tests" / name).write_text(
            text.replace("QUIET_SECONDS = 60", "QUIET_SECONDS = 1"), encoding="utf-8"
        )
    (tmp_path / "tests" / "test_a.py").write_text("def test_1(): pass\ndef test_2(): assert 1 == 2\n")

    def begin(seconds):
        text = SLEEPS.replace("SECONDS", str(seconds)).replace("EXPECTED", str(threads_each(2)))
        (tmp_path / "tests" / "test_nbval.py").write_text(text)
        unset = ("OMP_NUM_THREADS", "PYTEST_ADDOPTS")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_") and k not in unset}
        command = [sys.executable, *start.command_line(["test", "-v", "-n", "2"], str(tmp_path))]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=tmp_path, env=kept, start_new_session=True, **pipes)

    return begin


@pytest.mark.slow
def test_a_run_tells_what_takes_long_and_ends_with_pytests_line_and_code(folder):
    process = folder(4)
    shown, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    lines = [line for line in shown.splitlines() if line.strip()]
    assert re.fullmatch(r"=+ 1 failed, 3 passed in [\d.]+s (\(.*\) )?=+", lines[-1]), shown
    long = "tests/test_nbval.py::test_nbval[02_long]"
    assert f"running: {long} (0 min)" in shown and f"{long} took 0.1 min" in shown
    begun = [line for line in lines if re.fullmatch(r"tests/\S+ ?", line)]
    assert long in {line.strip() for line in begun[:2]}, "two processes begin at once, and either may be heard first"
    workers = {re.match(r"\[(gw\d)\]", line)[1] for line in lines if " tests/test_a.py::" in line and line[0] == "["}
    assert len(workers) == 1, "a file's tests were parted"
    assert "FAILED tests/test_a.py::test_2 - " in shown, "a name that can be given to pytest as it stands"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize(("number", "to_all"), [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, False)])
def test_a_stopped_run_leaves_no_process_behind(folder, tmp_path, number, to_all):
    """Ctrl-C in a terminal reaches every process of the run; a CI machine may stop the first one alone."""
    process = folder(300)
    deadline = time.monotonic() + 60
    while not (tmp_path / "child").exists() or len((tmp_path / "child").read_text().split()) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    (os.killpg if to_all else os.kill)(process.pid, number)
    process.communicate(timeout=60)
    assert process.returncode not in (0, 1)
    for pid in map(int, (tmp_path / "child").read_text().split()):
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline + 60, "a process lives on"
            time.sleep(0.1)
