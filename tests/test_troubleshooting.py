"""The table of README.md under "When something goes wrong": each row's words are what the course really says.

Here the words are brought about anew, mostly by the function that prints them; the test that brings about the whole
failure (a full disk, a proxy that refuses, a kill) is named beside it and must be there.
"""

import ast
import errno
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from tiny_course import ROOT

from finetune_course import checks_00, predictions, progress, weights
from finetune_course.checking import NotDoneYet
from finetune_course.claims import load_claims
from finetune_course.notebook_build import execute
from finetune_course.setting_up import computer, environment, hosted, lock, reasons
from finetune_course.wheel_source import SOURCES, WeightsError, _why_pip_failed

sys.path.insert(0, str(ROOT))
import start  # noqa: E402


def said_by_pip(output):
    return lambda *_: reasons.explain(output, {"HTTPS_PROXY": "http://proxy.example:3128"})


def refused(*_):
    return reasons.explain_exception(OSError(errno.EROFS, "Read-only file system", "setup.log"))


def written_in(module, words):
    """For what is printed in the midst of a long set-up: the words stand in that module's own text."""

    def look(*_):
        texts = [node.value for node in ast.walk(_tree(Path(module.__file__))) if isinstance(node, ast.Constant)]
        return next(text for text in texts if isinstance(text, str) and words in text)

    return look


def widget_of_an_ended_kernel(*_):
    """The words are in the extension with which JupyterLab draws widgets, as it is installed here."""
    folder = Path(sys.prefix, "share/jupyter/labextensions/@jupyter-widgets/jupyterlab-manager/static")
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.js")))


def unset_up_kernel(*_):
    done = subprocess.run([sys.executable, "-I", "-S", "-c", "import finetune_course"], capture_output=True, text=True)
    return done.stderr


def unwritten_exercise(*_):
    with pytest.raises(NotDoneYet) as problem:
        checks_00.weights_gb(...)
    return str(problem.value)


def no_model(monkeypatch, _):
    monkeypatch.setenv("COURSE_MODEL", "/no/such/folder")
    with pytest.raises(WeightsError) as problem:
        weights.weights()
    return str(problem.value)


def unwritable_progress(monkeypatch, folder):
    monkeypatch.delenv("COURSE_HEADLESS", raising=False)
    (folder / "file").write_text("")
    with pytest.raises(predictions.PredictionError) as problem:
        predictions.save_predictions(predictions.Predictions(), folder / "file" / "predictions.json")
    return str(problem.value)


def damaged_progress(monkeypatch, folder):
    monkeypatch.delenv("COURSE_HEADLESS", raising=False)
    (folder / "predictions.json").write_text("{")
    told = []
    predictions.load_predictions(load_claims(), folder / "predictions.json", told.append)
    return told[0]


def damaged_checks(monkeypatch, folder):
    monkeypatch.delenv("COURSE_HEADLESS", raising=False)
    (folder / "checks.json").write_text("{")
    told = []
    progress.passed_checks(folder / "checks.json", told.append)
    return told[0]


# The words in the first column: what brings them about here, and the test that brings about the whole failure.
ROWS = {
    "too old: install Python 3.10 or newer": (
        lambda *_: start.check_python((3, 9)),
        "test_start.py::test_real_old_python_gets_one_sentence",
    ),
    "This Python lacks its venv module": (
        said_by_pip("/usr/bin/python3: No module named venv"),
        "test_start.py::test_venv_module_missing",
    ),
    "The package index cannot be reached": (
        said_by_pip("Failed to establish a new connection: [Errno -3] Temporary failure in name resolution"),
        "test_start.py::test_no_network",
    ),
    "does not let pip through": (
        said_by_pip("OSError('Tunnel connection failed: 403 Forbidden')"),
        "test_start.py::test_proxy_refuses",
    ),
    "a certificate that pip does not trust": (
        said_by_pip("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate"),
        "test_setup_parts.py::test_output_of_pip_becomes_one_sentence",
    ),
    "PyTorch's own index is out of reach": (
        written_in(environment, "PyTorch's own index is out of reach"),
        "test_start.py::test_torch_falls_back_to_the_default_index",
    ),
    "GB of disk space in this folder": (
        lambda *_: reasons.too_little_space(3.0, 1.2),
        "test_start.py::test_disk_too_small_is_told_before_anything_is_downloaded",
    ),
    "The disk is full": (said_by_pip("[Errno 28] No space left on device"), "test_start.py::test_full_disk"),
    "The course folder, or a file in it, cannot be written": (refused, "test_start.py::test_read_only_folder"),
    "is setting up this folder: waiting for it": (
        written_in(lock, "is setting up this folder: waiting for it"),
        "test_start.py::test_two_at_once",
    ),
    "There was a .venv here that start.py had not made": (
        written_in(environment, "There was a .venv here that start.py had not made"),
        "test_start.py::test_someone_elses_environment_is_put_aside",
    ),
    "could not be downloaded": (
        lambda *_: _why_pip_failed(SOURCES[weights.DEFAULT], "Failed to establish a new connection"),
        "test_weights.py::test_an_index_out_of_reach",
    ),
    "are damaged or of an older layout; fetching them again": (
        written_in(weights, "are damaged or of an older layout; fetching them again"),
        "test_weights.py::test_damage_is_noticed_and_fetched_again",
    ),
    "COURSE_MODEL is set to": (no_model, "test_weights.py::test_course_model_that_is_nothing"),
    "No module named 'finetune_course'": (
        unset_up_kernel,
        "test_hosted.py::test_on_ones_own_machine_it_installs_nothing",
    ),
    "is not done yet": (
        unwritten_exercise,
        "test_student_notebooks.py::test_an_unmodified_notebook_stops_at_its_first_exercise",
    ),
    "Error displaying widget: model not found": (
        widget_of_an_ended_kernel,
        "test_browser.py::test_sliders_of_an_ended_kernel_say_so_and_come_back",
    ),
    "the kernel died": (
        written_in(execute, "the kernel died"),
        "test_run_notebooks.py::test_a_failure_names_notebook_cell_and_error_and_the_others_still_run",
    ),
    "Your predictions could not be saved": (
        unwritable_progress,
        "test_predictions.py::test_a_folder_that_cannot_be_written_is_one_sentence",
    ),
    "Your file of predictions was damaged": (
        damaged_progress,
        "test_predictions.py::test_a_damaged_file_is_kept_aside_and_said_in_one_sentence",
    ),
    "Your file of passed checks was damaged": (
        damaged_checks,
        "test_progress.py::test_a_damaged_file_is_kept_aside_and_said_in_one_sentence",
    ),
    "Passed, but that could not be noted": (
        written_in(progress, "Passed, but that could not be noted"),
        "test_progress.py::test_where_nothing_can_be_written_the_check_passes_and_says_so",
    ),
    "This run-time has no GPU": (
        lambda *_: hosted.gpu_sentence("Colab", []),
        "test_hosted.py::test_the_gpu_is_named_or_its_lack_explained_for_each_host",
    ),
    "does not fit one that this session has already loaded": (
        lambda *_: hosted.why_pip_failed("ERROR: ResolutionImpossible", "Colab"),
        "test_hosted.py::test_a_failed_pip_becomes_one_sentence",
    ),
}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def table() -> list[list[str]]:
    """The rows of the README's table: what is seen, because of what, what to do."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("### When something goes wrong")[1]
    lines = text.split("| you see | because | what to do |\n|---|---|---|\n")[1].split("\n\n")[0].splitlines()
    return [[column.strip() for column in line.strip("|").split(" | ")] for line in lines]


def test_every_row_has_words_a_reason_and_a_mend_and_is_reproduced_below():
    rows = table()
    assert all(len(row) == 3 and all(row) for row in rows)
    seen = [words for row in rows for words in re.findall(r"`([^`]+)`", row[0])]
    assert sorted(seen) == sorted(ROWS)


@pytest.mark.parametrize("words", ROWS)
def test_the_course_says_these_words(words, monkeypatch, tmp_path):
    bring_about, _ = ROWS[words]
    assert words in bring_about(monkeypatch, tmp_path)


@pytest.mark.parametrize("words", ROWS)
def test_the_whole_failure_is_brought_about_by_a_test(words):
    file, _, name = ROWS[words][1].partition("::")
    functions = [node for node in _tree(ROOT / "tests" / file).body if isinstance(node, ast.FunctionDef)]
    assert name in {function.name for function in functions}


def test_variables_that_a_mend_names_are_read_somewhere():
    """A row that names a variable which nothing reads any more would send the learner nowhere."""
    named = {name for row in table() for name in re.findall(r"\b((?:FINETUNE_)?COURSE_[A-Z_]+)\b", row[2])}
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert named and all(f'"{name}"' in sources for name in named)
    assert computer.torch_index("linux", False, {"COURSE_TORCH_INDEX": "x"}) == "x"
