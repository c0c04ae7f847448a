"""What the notebooks take on one core in under 2 GB: what is said of it is what was measured, and how it is measured.

With FINETUNE_COURSE_SMALL=1 every notebook is run that way, which takes an hour or two.
"""

import json
import os
from pathlib import Path

import pytest
from notebook_rules import course
from tiny_course import ROOT

from finetune_course import course_map, run_notebooks, small_profile
from finetune_course.course_map import BEGIN, END, Took
from finetune_course.notebook_build.source import SourceError, read_source

FIXTURE = Path(__file__).parent / "fixtures" / "solutions" / "90_tiny.py"
OPENING = "Count things. It takes 1 minute and 0.3 GB of memory."
MEASURE = os.environ.get("FINETUNE_COURSE_SMALL") == "1"
HEAD = (
    "# # A title\n#\n# - a point\n#\n# It takes about 3 minutes of computing, and up to 2 GB of memory.\n#\n# ## Next\n"
)
README = f"# Course\n\n{BEGIN}\n| notebook | you end with | computing | memory | on Binder |\n|---|---|---|---|---|\n"
README += (
    f"| [90 tiny](notebooks/90_tiny.ipynb) | a share | 9 min | 9 GB | x |\n| 91 big | more | | | |\n{END}\n\nEnd.\n"
)


# ---- the course as it is


def test_heads_and_map_say_what_was_measured():
    assert course_map.stale(ROOT, small_profile.measured(ROOT)) == []


def test_every_notebook_was_measured_and_kept_below_the_cap():
    rows = small_profile.record(ROOT)["notebooks"]
    if not rows:
        pytest.skip("nothing has been measured yet: run python -m finetune_course.small_profile")
    assert [edition.name for edition in small_profile.unmeasured(ROOT)] == []  # none is new or has other code by now
    assert all(0 < row["peak_gb"] < run_notebooks.SMALL_CAP / run_notebooks.GB for row in rows.values())


@pytest.mark.small
@pytest.mark.skipif(not MEASURE, reason="runs a whole notebook on one core; set FINETUNE_COURSE_SMALL=1")
@pytest.mark.parametrize("edition", course(), ids=lambda edition: edition.name)
def test_runs_on_one_core_under_the_cap(edition, tmp_path):
    table = tmp_path / "table.json"
    assert run_notebooks.main([edition.name[:2], "--small", "--json", str(table)]) == 0
    result = json.loads(table.read_text())
    (row,) = result["notebooks"]
    assert row["peak_gb"] < result["cap_gb"] <= 1.8
    if recorded := small_profile.record(ROOT)["notebooks"].get(edition.name):
        assert row["peak_gb"] == pytest.approx(recorded["peak_gb"], rel=0.15)


# ---- how it is said


@pytest.mark.parametrize(
    ("row", "took"),
    [((4.6, 1.31), Took(5, 1.4)), ((0.2, 1.3), Took(1, 1.3)), ((11.5, 0.58), Took(12, 0.6))],
)
def test_rounding(row, took):
    """Minutes to the nearest, one at least; memory upwards, as somebody has to have it."""
    assert Took.of({"minutes": row[0], "peak_gb": row[1]}) == took


def test_a_head_gets_the_sentence_once_and_loses_it():
    said = course_map.with_head(HEAD, Took(7, 1.4), "90_tiny")
    assert (
        "# It takes about 3 minutes of computing, and up to 2 GB of memory. In the small profile, on one core" in said
    )
    assert " ".join(said.replace("\n# ", " ").split()).count("it took 7 minutes and 1.4 GB.") == 1
    assert max(map(len, said.splitlines())) <= 120 and said.endswith("\n#\n# ## Next\n")
    again = course_map.with_head(said, Took(1, 1.5), "90_tiny")
    assert "1 minute and 1.5 GB" in " ".join(again.replace("\n# ", " ").split()) and "1.4 GB" not in again
    assert course_map.with_head(again, None, "90_tiny") == HEAD
    assert course_map.with_head(again, Took(1, 1.5), "90_tiny") == again
    with pytest.raises(SourceError, match="90_tiny.py has no paragraph"):
        course_map.with_head("# # A title\n", None, "90_tiny")


@pytest.fixture
def tiny(tmp_path):
    """A course of one notebook."""
    (tmp_path / "solutions").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/words.txt").write_text("one two three\n", encoding="utf-8")
    text = FIXTURE.read_text(encoding="utf-8")
    assert OPENING in text
    text = text.replace(OPENING, "Count things.\n#\n# It takes about 1 minute of computing, and 1 GB of memory.")
    (tmp_path / "solutions" / FIXTURE.name).write_text(text, encoding="utf-8")
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    return tmp_path


def test_the_map_has_the_notebooks_own_numbers_and_the_measured_ones(tiny):
    text = course_map.with_map(README, tiny, {"90_tiny": Took(2, 0.3)})
    assert "| [90 tiny](notebooks/90_tiny.ipynb) | a share | 1 min | 1 GB | 2 min, 0.3 GB |" in text
    assert "| 91 big | more | coming |  |  |" in text and text.endswith("\n\nEnd.\n")
    assert "| notebook | you end with | computing | memory | on Binder |\n|---|---|---|---|---|\n" in text
    assert course_map.with_map(text, tiny, {"90_tiny": Took(2, 0.3)}) == text
    assert course_map.UNMEASURED in course_map.with_map(text, tiny, {})
    with pytest.raises(SourceError, match="README.md has no map"):
        course_map.with_map("# x", tiny, {})


@pytest.mark.slow
def test_one_command_measures_and_writes(tiny, capsys):
    assert small_profile.main(["--check"], tiny) == 1
    assert "90_tiny is new or has changed since it was measured" in capsys.readouterr().err
    assert small_profile.main([], tiny) == 0
    assert "Next: python -m finetune_course.build_notebooks" in capsys.readouterr().out
    (row,) = small_profile.record(tiny)["notebooks"].values()
    assert 0.03 < row["peak_gb"] < 0.5
    assert "In the small profile" in (tiny / "solutions" / FIXTURE.name).read_text(encoding="utf-8")
    assert "| 1 min, 0." in (tiny / "README.md").read_text(encoding="utf-8")
    assert small_profile.main(["--check"], tiny) == 0
    # Nothing has changed: nothing is run again. Then the code does, and fails: the record stays as it was.
    before = small_profile.record_path(tiny).read_text()
    assert small_profile.main([], tiny) == 0
    assert "Written: nothing new." in capsys.readouterr().out
    source = tiny / "solutions" / FIXTURE.name
    source.write_text(source.read_text(encoding="utf-8") + "\n# %%\n1 / 0\n", encoding="utf-8")
    assert [edition.name for edition in small_profile.unmeasured(tiny)] == ["90_tiny"]
    assert small_profile.main([], tiny) == 1
    assert small_profile.record_path(tiny).read_text() == before
    assert read_source(source).cells  # the head's sentence left a source that can be read
