"""Grading a small class from end to end: the tables, the pages, resuming, refusing, and the release of the course."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import tiny_grading as tiny

from finetune_course.grading import command, sandbox
from finetune_course.grading.checker import MISSING, NOT_DONE, RIGHT, STOPPED, WRONG, Verdict
from finetune_course.grading.guard import FILES
from finetune_course.grading.release import release
from finetune_course.grading.remote import DISTURBED
from finetune_course.grading.report import class_page, said
from finetune_course.grading.results import Graded, grades, summary
from finetune_course.grading.submissions import Submission
from finetune_course.grading.together import refusal
from finetune_course.grading.transplant import pristine
from finetune_course.notebook_build.source import editions, hidden_regions, read_source
from finetune_course.paths import course_root

WRONG_SHARE = "def share_of_hits(rows):\n    return sum(rows) / (sum(rows) + 1)\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A class of four, graded once: right, half right with a helper elsewhere, untouched, and no notebook."""
    folder = tmp_path_factory.mktemp("class")
    tiny.course(folder / "course")
    handed_in = folder / "submissions"
    handed_in.mkdir()
    half = tiny.notebook(share=WRONG_SHARE, longest="def longest(words):\n    return helper(words)\n")
    half.cells.append(nbformat.v4.new_code_cell("def helper(words): pass"))
    for name, data in {
        "right": tiny.text(tiny.notebook()),
        "half": tiny.text(half),
        "stub": tiny.text(tiny.notebook(None, None, None)),
        "<b>none": b"",
    }.items():
        (handed_in / f"{name}.ipynb").write_bytes(data)
    code, printed = tiny.grade(folder / "course", handed_in, folder / "out")
    assert code == 0, printed
    return folder, printed


def test_the_table_holds_points_and_reasons(place):
    folder, printed = place
    rows = tiny.rows(folder / "out")
    assert {name: row["points"] for name, row in rows.items()} == {
        "right.ipynb": "6.0",
        "half.ipynb": "1.0",
        "stub.ipynb": "0.0",
        "<b>none.ipynb": "",
    }
    assert rows["right.ipynb"]["percent"] == "100.0" and rows["half.ipynb"]["ex-91-3"] == "1.0"
    assert rows["<b>none.ipynb"]["reason"] == "It is empty." and rows["right.ipynb"]["reason"] == ""
    assert "3 graded, 1 not graded" in printed and "sandbox" in printed


def test_each_exercise_has_one_verdict_and_sentence(place):
    verdicts = tiny.verdicts(place[0] / "out")
    assert verdicts["right.ipynb", "ex-91-1"] == (RIGHT, "two of four rows are hits.")
    assert verdicts["half.ipynb", "ex-91-1"][0] == WRONG
    assert "Divide by the number of rows" in verdicts["half.ipynb", "ex-91-1"][1]
    assert verdicts["half.ipynb", "ex-91-2"] == (
        NOT_DONE,
        "Exercise 91.2 is not done yet: your code uses the name `helper`, which is not defined. "
        "Is it a typo, or a cell above not yet run?",
    )
    assert {verdicts["stub.ipynb", f"ex-91-{number}"][0] for number in (1, 2, 3)} == {NOT_DONE}
    assert all("is not done yet" in verdicts["stub.ipynb", f"ex-91-{number}"][1] for number in (1, 2, 3))


def test_every_student_gets_a_page_that_shows_no_hidden_test(place):
    folder, _ = place
    pages = {path.name: path.read_text("utf-8") for path in (folder / "out" / "feedback").iterdir()}
    assert len(pages) == 4 and all(re.fullmatch(r"[A-Za-z0-9_-]+\.html", name) for name in pages)
    assert not [name for name, page in pages.items() if "hidden_test" in page or "<b>none" in page]
    half = next(page for name, page in pages.items() if name.startswith("half"))
    assert "<strong>1 of 6 points</strong>" in half and "Divide by the number of rows" in half
    assert "<code>helper</code> is defined in another cell" in half and "sum(rows) / (sum(rows) + 1)" in half
    none = next(page for name, page in pages.items() if name.startswith("b-none"))
    assert "Not graded." in none and "&lt;b&gt;none" in none


def test_the_summary_shows_rates_histogram_and_frequent_sentences(place):
    page = (place[0] / "out" / "summary.html").read_text("utf-8")
    assert "3 submissions graded, 1 not graded." in page and "33 %" in page and "67 %" in page
    assert "Half of them reached 16.7 % of the points or more." in page
    pages = {path.name for path in (place[0] / "out" / "feedback").iterdir()}
    assert set(re.findall(r'href="feedback/([^"]+)"', page)) == pages and "91.1 wrong, 91.2 not done" in " ".join(
        page.split()
    )
    assert {row["feedback"] for row in tiny.rows(place[0] / "out").values()} == {f"feedback/{name}" for name in pages}
    assert "Divide by the number of rows" in page and "exercise 91.3" in page and "It is empty." in page


def test_a_sentence_is_shown_with_its_marks_and_nothing_else_of_it_is_markup():
    text = "Use `a < b`, **this** one: <b>x</b> `<i>` **<u>** & `"
    assert said(text) == (
        "Use <code>a &lt; b</code>, <strong>this</strong> one: &lt;b&gt;x&lt;/b&gt; <code>&lt;i&gt;</code> "
        "<strong>&lt;u&gt;</strong> &amp; `"
    )
    assert said("Exercise 3.1 is not right yet. divide") == "Divide" and said("") == ""


def test_a_second_run_grades_nothing_again_and_writes_the_same(place):
    folder, _ = place
    before, tables = tiny.saved(folder / "out"), (folder / "out" / "grades.csv").read_bytes()
    assert len(before) == 3
    code, printed = tiny.grade(folder / "course", folder / "submissions", folder / "out")
    assert code == 0 and "solution first" not in printed
    assert tiny.saved(folder / "out") == before and (folder / "out" / "grades.csv").read_bytes() == tables


def test_a_damaged_result_is_graded_again_and_a_changed_notebook_is_too(place, tmp_path):
    folder, _ = place
    name = sorted(tiny.saved(folder / "out"))[0]
    (folder / "out" / "results" / name).write_text('{"verd')
    before = tiny.rows(folder / "out")
    assert tiny.grade(folder / "course", folder / "submissions", folder / "out")[0] == 0
    assert tiny.rows(folder / "out") == before and len(tiny.saved(folder / "out")) == 3


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_stopped_and_leaves_no_process(tmp_path):
    """Killed with SIGKILL once the first results are there; the answers of the others sleep until then."""
    root, handed_in, out = tiny.course(tmp_path / "course"), tmp_path / "submissions", tmp_path / "out"
    handed_in.mkdir()
    for number in range(3):
        share = tiny.SHARE + f"# {number}\n"
        (handed_in / f"a{number}.ipynb").write_bytes(tiny.text(tiny.notebook(share)))
    slow = tiny.SHARE.replace("    return", "    import time; time.sleep(4)\n    return")
    (handed_in / "slow.ipynb").write_bytes(tiny.text(tiny.notebook(slow)))
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import tiny_grading as t; "
        "words = ['grade', sys.argv[3], '--out', sys.argv[4], '--jobs', '1']; "
        "sys.exit(t.command.main(words, Path(sys.argv[2]), t.LIMITS))"
    )
    words = [sys.executable, "-c", script, str(Path(__file__).parent), str(root), str(handed_in), str(out)]
    run = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 300
    while len(tiny.saved(out)) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    children = command_lines_below(run.pid)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    before = tiny.saved(out)
    assert len(before) == 3 and not (out / "grades.csv").exists() and children
    assert subprocess.run(words, capture_output=True, timeout=300).returncode == 0
    after = tiny.saved(out)
    assert len(after) == 4 and {name: after[name] for name in before} == before
    assert {row["points"] for row in tiny.rows(out).values()} == {tiny.FULL}
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def command_lines_below(pid):
    from finetune_course.memory import tree

    return tree(pid)[1:]


@pytest.mark.slow
def test_a_solution_that_does_not_pass_stops_everything_in_one_sentence(tmp_path):
    root = tiny.course(tmp_path / "course")
    source = root / "solutions" / "91_grading.py"
    source.write_text(source.read_text("utf-8").replace("== 0.375", "== 0.5"), encoding="utf-8")
    (tmp_path / "submissions").mkdir()
    (tmp_path / "submissions" / "x.ipynb").write_bytes(tiny.text(tiny.notebook()))
    code, printed = tiny.grade(root, tmp_path / "submissions", tmp_path / "out")
    assert code == 1 and "own solution of ex-91-1 in 91_grading does not pass here, so nothing was graded" in printed
    assert not (tmp_path / "out" / "grades.csv").exists()


def test_wrong_folders_are_told_in_a_sentence_and_nothing_is_written(tmp_path):
    root = tiny.course(tmp_path / "course")
    code, printed = tiny.grade(root, tmp_path / "none", tmp_path / "out")
    assert code == 1 and "There is no folder 'none'" in printed
    (tmp_path / "submissions").mkdir()
    (tmp_path / "submissions" / "x.ipynb").write_bytes(b"")
    code, printed = tiny.grade(root, tmp_path / "submissions", tmp_path / "submissions" / "out")
    assert code == 1 and "outside of the submissions" in printed
    (tmp_path / "file").write_text("")
    code, printed = tiny.grade(root, tmp_path / "submissions", tmp_path / "file")
    assert code == 1 and "is a file: give a folder" in printed
    assert not (tmp_path / "out").exists() and not (tmp_path / "submissions" / "out").exists()


@pytest.mark.parametrize(
    ("found", "platform", "words"),
    [
        (None, "linux", "bubblewrap is not installed"),
        ("/bin/false", "linux", "bubblewrap does not work here (no reason given)"),
        (None, "win32", "bubblewrap is for Linux"),
    ],
)
def test_without_a_sandbox_it_is_said_plainly_or_nothing_is_graded(found, platform, words, tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: found)
    monkeypatch.setattr(sandbox.sys, "platform", platform)
    box = sandbox.find_sandbox()
    assert not box.works and box.note.startswith("Not in a sandbox: ") and words in box.note
    assert box.prefix(10) == [] and box.user is None
    code, printed = tiny.grade(tiny.course(tmp_path / "c"), tmp_path, tmp_path / "out", "--require-sandbox")
    assert code == 1 and words in printed and "Nothing was graded" in printed


def test_the_graders_processes_import_the_copy_of_the_course_that_the_grader_is_of(tmp_path):
    """Two checkouts on one machine: the answers must meet the checks of the one whose notebooks were handed out."""
    shutil.copytree(course_root() / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import subprocess, sys; sys.path.insert(0, sys.argv[1])\n"
        "from finetune_course.grading.limits import worker_environment\n"
        "words = [sys.executable, '-s', '-c', 'import finetune_course; print(finetune_course.__file__)']\n"
        "print(subprocess.run(words, env=worker_environment(sys.argv[1]), capture_output=True, text=True).stdout)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "src")]
    found = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    assert Path(found).resolve().is_relative_to((tmp_path / "src").resolve())


def test_the_sandbox_shuts_in_and_shows_nothing_of_the_course_but_package_and_data():
    box = sandbox.Sandbox("bwrap", "a note")
    words = box.prefix(12345)
    assert words[0] == "bwrap" and {"--die-with-parent", "--new-session", "--proc", "--chdir"} < set(words)
    assert "--unshare-all" in words or {"--unshare-net", "--unshare-pid", "--unshare-ipc"} < set(words)
    assert words[words.index("--cap-drop") + 1] == "ALL" and "12345" in words and "--bind" not in words
    shown = {words[at + 1] for at, word in enumerate(words) if word == "--ro-bind"}
    root = course_root()
    assert str(root / "data") in shown and str(root / "src") in shown
    assert not {path for path in shown if (Path(path) / "solutions").exists() or "tests" in Path(path).name}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import os", "import os"),
        ("from sys import modules", "import sys"),
        ("x = ().__class__.__bases__", "use .__bases__"),
        ("exec('x')", "use exec"),
        ("torch.allclose = print", "change torch.allclose"),
        ("class A(metaclass=B): pass", "use a metaclass"),
        ("class A:\n    def __bool__(self): return True", "define __bool__"),
        ("__builtins__", "use __builtins__"),
    ],
)
def test_what_an_answer_beside_its_test_may_not_do(source, words):
    assert words in refusal(source)


def test_ordinary_classes_are_accepted_beside_their_test():
    assert refusal(tiny.TALLY) == "" and refusal("not python (") == ""
    layer = "import torch\nclass L(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    assert refusal(layer) == ""


def some(student, kinds, digest=""):
    notebook = pristine("91_grading", read_source(tiny.SOURCE))
    verdicts = [Verdict(f"ex-91-{at + 1}", kind, f"said {kind}") for at, kind in enumerate(kinds)]
    return Graded(Submission(student, f"{student}.ipynb", digest or student), notebook, verdicts)


def test_answers_that_reached_for_what_is_not_theirs_are_named_to_the_instructor():
    one, other = some("a", [WRONG, RIGHT, RIGHT]), some("b", [STOPPED, WRONG, RIGHT])
    one.verdicts[0].message = f"Your code stopped with PermissionError: {FILES.rstrip('.')} when it was given 1."
    other.verdicts[0].message = DISTURBED
    found = summary([one, other])
    assert [(graded.submission.student, name) for graded, name in found.touched] == [("a", "ex-91-1"), ("b", "ex-91-1")]
    page = " ".join(class_page(found, "").split())
    assert "sometimes not: a (91.1), b (91.1)." in page
    assert "sometimes not" not in class_page(summary([some("c", [RIGHT] * 3)]), "")


def test_the_class_in_figures():
    graded = [
        some("a", [RIGHT, RIGHT, RIGHT], "same"),
        some("b", [RIGHT, RIGHT, RIGHT], "same"),
        some("c", [WRONG, RIGHT, MISSING]),
        some("d", [WRONG, NOT_DONE, STOPPED]),
        Graded(Submission("=e", "=e.ipynb"), reason="It is empty."),
    ]
    found = summary(graded)
    assert (found.graded, [one.reason for one in found.not_graded]) == (4, ["It is empty."])
    rates = {row["exercise"]: (row["right"], row["tried"], row["graded"]) for row in found.rates}
    assert rates == {"ex-91-1": (2, 4, 4), "ex-91-2": (3, 3, 4), "ex-91-3": (2, 3, 4)}
    assert sum(count for _, count in found.bins) == 4 and found.bins[-1] == ("90 to 100 %", 2)
    assert found.bins[0][1] == 1 and found.bins[5] == ("50 to under 60 %", 1)
    assert found.messages[0] == ("ex-91-1", "said wrong", 2) and found.same == [["a.ipynb", "b.ipynb"]]
    table = grades(graded)
    assert table.loc[4, "student"] == "'=e" and pd.isna(table.loc[4, "points"]) and table.loc[2, "points"] == 3


@pytest.mark.slow
def test_the_release_holds_the_student_edition_and_nothing_hidden(tmp_path):
    """Made from the real course: every solution and hidden test is looked for in every file of the zip."""
    root = course_root()
    names = release(root, tmp_path / "course.zip")
    with zipfile.ZipFile(tmp_path / "course.zip") as archive:
        members = {name.removeprefix("finetune-course/"): archive.read(name) for name in archive.namelist()}
    assert sorted(members) == names
    assert {"README.md", "start.py", "requirements.txt", "src/finetune_course/checking.py", "data/claims.csv"} <= set(
        names
    )
    assert {f"notebooks/{edition.name}.ipynb" for edition in editions(root)} <= set(names)
    assert not [
        name
        for name in names
        if re.match(r"solutions|tests|benchmarks/(?!results/)|\.|.*/grading/|.*__pycache__", name)
    ]
    notebooks = [data.decode() for name, data in members.items() if name.endswith(".ipynb")]
    assert not [text for text in notebooks if "BEGIN SOLUTION" in text or "BEGIN HIDDEN" in text]
    everything = [data.decode("utf-8", "ignore").replace("\\n", "\n").replace('\\"', '"') for data in members.values()]
    shown = [
        line
        for edition in editions(root)
        for cell in read_source(edition.source).cells
        if cell.metadata.get("nbgrader", {}).get("grade")
        for region in hidden_regions(cell)
        for line in map(str.strip, region)
        if len(line) > 30 and any(line in text for text in everything)
    ]
    assert shown == []


@pytest.fixture
def unpacked(tmp_path) -> Path:
    """The course as it is handed out, unpacked."""
    release(course_root(), tmp_path / "course.zip")
    with zipfile.ZipFile(tmp_path / "course.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path / "finetune-course"


@pytest.mark.slow
def test_the_unpacked_release_runs_with_no_solutions_beside_it(unpacked):
    """As handed out 00 stops at its exercise; with its answers written in it runs to its end."""
    handed_out = unpacked / "notebooks" / "00_start_here.ipynb"

    def run(*more: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "finetune_course.run_notebooks", "00", *more],
            env={**os.environ, "PYTHONPATH": str(unpacked / "src")}, cwd=unpacked, capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    code, said_of_it = run("--student")
    assert code == 1 and "Exercise 0.1 is not done yet" in said_of_it
    code, said_of_it = run()
    assert code == 1 and "no solutions: run your own notebooks with --student" in said_of_it
    answers = {cell.id: cell.source for cell in read_source(course_root() / "solutions" / "00_start_here.py").cells}
    notebook = nbformat.read(handed_out, as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = answers[cell.id]
    nbformat.write(notebook, handed_out)
    code, said_of_it = run("--student")
    assert code == 0, said_of_it


@pytest.mark.slow
def test_in_the_unpacked_release_the_notebooks_find_what_was_recorded(unpacked):
    """Later notebooks quote earlier ones' numbers and recorded runs: there they must come without solutions/."""
    root = course_root()
    recorded = {path.name for path in (root / "benchmarks" / "results").glob("*.json")}
    assert recorded and recorded == {path.name for path in (unpacked / "benchmarks" / "results").iterdir()}
    code = (
        "import finetune_course, sys; from finetune_course.keynumbers import saved; print(finetune_course.__file__)\n"
        "for name in sys.argv[1:]: print(name, *saved(name), sep='|')"
    )
    names = [edition.name for edition in editions(root) if edition.solution.is_file()]
    lines = [
        subprocess.run(
            [sys.executable, "-c", code, *names],
            env={**os.environ, "PYTHONPATH": str(place / "src")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for place in (root, unpacked)
    ]
    assert Path(lines[1][0]).resolve().is_relative_to(unpacked.resolve())
    assert lines[0][1:] == lines[1][1:] and len(lines[0]) == len(names) + 1 and "|" in lines[0][-1]


def test_two_releases_are_the_same_to_the_byte_and_a_failed_one_leaves_nothing(tmp_path, capsys):
    root = tiny.course(tmp_path / "course")
    (root / "README.md").write_text("x")
    for name in ("a.zip", "b.zip"):
        assert command.main(["release", "--out", str(tmp_path / name)], root) == 0
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert "3 files" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = ("README.md", "data/key_numbers.json", "notebooks/91_grading.ipynb")
        assert archive.namelist() == [f"finetune-course/{name}" for name in names]
        text = archive.read("finetune-course/notebooks/91_grading.ipynb").decode()
    assert "NotImplementedError" in text and not re.search("hidden_test|SOLUTION|key=len", text)
    source = root / "solutions" / "91_grading.py"
    source.write_text(source.read_text("utf-8").replace("### END SOLUTION", "", 1), encoding="utf-8")
    assert command.main(["release", "--out", str(tmp_path / "c.zip")], root) == 1
    assert command.main(["release", "--out", str(tmp_path / "no" / "c.zip")], root) == 1
    assert "Traceback" not in capsys.readouterr().err and not list(tmp_path.glob("c.zip*"))
