"""The headless runner on small notebooks in real kernels: table, exit codes, the cap, and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from finetune_course import build_notebooks, run_notebooks

FIXTURE = Path(__file__).parent / "fixtures" / "solutions" / "90_tiny.py"
SOURCES = {
    "91_fails": "# %% [markdown]\n# ## Work\n\n# %%\nx = 1\n\n# %%\nraise ValueError('first line\\nsecond')\n",
    "92_grows": "# %%\nimport time\nkept = []\nfor _ in range(300):\n"
    "    kept.append(bytearray(b'1') * 10**7)\n    time.sleep(0.02)\n",
    "93_profile": "# %%\nimport os\nfrom finetune_course.keynumbers import publish\n"
    "publish('threads', int(os.environ['OMP_NUM_THREADS']))\n"
    "publish('small', os.environ['COURSE_PROFILE'] == 'small')\n"
    "publish('cores', len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 1)\n",
    "94_sleeps": "# %%\nimport os, pathlib, time\n"
    "pathlib.Path('../pid').write_text(str(os.getpid()))\ntime.sleep(120)\n",
    "95_dies": "# %%\nimport os\nos._exit(3)\n",
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "solutions").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "words.txt").write_text("one two three\n", encoding="utf-8")
    (tmp_path / "solutions" / FIXTURE.name).write_text(FIXTURE.read_text(encoding="utf-8"), encoding="utf-8")
    for name, text in SOURCES.items():
        (tmp_path / "solutions" / f"{name}.py").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_a_run_ends_with_minutes_peak_memory_and_key_numbers(root, capsys):
    before = sorted(root.rglob("*"))
    assert run_notebooks.main(["90", "--json", str(root.parent / "measured" / "table.json")], root) == 0
    shown = capsys.readouterr().out
    assert "90_tiny: cell 6 of 6" in shown and "words: 3" in shown
    table = json.loads((root.parent / "measured" / "table.json").read_text(encoding="utf-8"))
    (row,) = table["notebooks"]
    assert row["notebook"] == "90_tiny" and row["failure"] == "" and table["profile"] == "default"
    assert 0.005 < row["minutes"] < 2 and 0.03 < row["peak_gb"] < 0.5
    assert row["key_numbers"] == [{"name": "words", "value": 3.0, "unit": "", "low": None, "high": None}]
    assert sorted(root.rglob("*")) == before, "a run writes nothing beside the notebooks"


@pytest.mark.slow
def test_a_failure_names_notebook_cell_and_error_and_the_others_still_run(root, capsys):
    assert run_notebooks.main(["91", "95"], root) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "91_fails stopped at cell 3 (under “Work”): ValueError: first line" in shown and "second" not in shown
    assert "95_dies stopped at cell 1: the kernel died" in shown
    assert "together" in shown and "Traceback" not in shown


@pytest.mark.slow
def test_an_unmodified_student_notebook_stops_at_its_exercise(root, capsys):
    assert build_notebooks.main(["90", "--no-execute"], root) == 0
    assert run_notebooks.main(["90", "--student"], root) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "cell 11 (under “Exercise 90.1 — The share of hits”): Exercise 90.1 is not done yet" in shown
    assert run_notebooks.main(["91", "--student"], root) == 1
    assert "notebooks/91_fails.ipynb does not exist; make it with" in capsys.readouterr().err


@pytest.mark.slow
def test_a_notebook_above_the_cap_is_killed_and_the_table_says_so(root, capsys, tmp_path):
    start = time.monotonic()
    file = tmp_path / "table.json"
    assert run_notebooks.main(["92", "--cap-gb", "0.5", "--json", str(file)], root) == 1
    assert "92_grows stopped at cell 1: killed above the cap of 0.5 GB" in " ".join(capsys.readouterr().out.split())
    peak = json.loads(file.read_text(encoding="utf-8"))["notebooks"][0]["peak_gb"]
    assert 0.5 < peak < 0.8, "a kernel that wants 3 GB is stopped soon after the cap"
    assert time.monotonic() - start < 60


@pytest.mark.slow
def test_the_small_profile_reaches_the_kernel(root, capsys):
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    assert run_notebooks.main(["93", "--small"], root) == 0
    shown = capsys.readouterr().out
    assert "threads: 1" in shown and "small: 1" in shown and "cores: 1" in shown
    assert before is None or os.sched_getaffinity(0) == before, "only the notebook is held to one core"


def test_an_unknown_number_gets_one_sentence(root, capsys):
    assert run_notebooks.main(["7"], root) == 1
    assert (
        capsys.readouterr().err
        == "There is no notebook '7'; there are 90, 91, 92, 93, 94, 95. Give the number, such as 06.\n"
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_ctrl_c_ends_the_kernel_too(root):
    code = (
        "import sys, pathlib\nfrom finetune_course.run_notebooks import main\n"
        "sys.exit(main(['94', '90'], pathlib.Path(sys.argv[1])))"
    )
    runner = subprocess.Popen(
        [sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (root / "pid").exists() or not (root / "pid").read_text():
        assert time.monotonic() < deadline and runner.poll() is None
        time.sleep(0.05)
    os.kill(runner.pid, signal.SIGINT)
    shown, errors = runner.communicate(timeout=60)
    assert runner.returncode == 130 and "Traceback" not in errors and errors.startswith("Stopped.")
    assert "90_tiny" not in shown, "the next notebook is not started"
    kernel = int((root / "pid").read_text())
    deadline = time.monotonic() + 20
    while psutil.pid_exists(kernel) and psutil.Process(kernel).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the kernel lives on"
        time.sleep(0.1)
