"""What each notebook's head says it takes on two cores covers what the whole course took when it was last measured.

The record is that of a whole run: ``python start.py run --json benchmarks/results/course_run.json``.
"""

import json

import pytest
from notebook_rules import course
from tiny_course import ROOT

from finetune_course.course_map import columns

RECORD = ROOT / "benchmarks" / "results" / "course_run.json"
BUDGET = 35  # minutes for the whole course, of the course's design


@pytest.fixture(scope="module")
def measured():
    if not RECORD.is_file():
        pytest.skip(
            "the whole course was not measured yet: python start.py run --json benchmarks/results/course_run.json"
        )
    return json.loads(RECORD.read_text(encoding="utf-8"))


def said(edition):
    """Minutes, and the GB that the head names last, as numbers."""
    minutes, memory, _ = columns(edition, {})
    return int(minutes.split()[0]), float(memory.split()[-2])


def test_the_run_was_a_whole_one_in_the_standard_profile_on_two_cores(measured):
    assert measured["edition"] == "solution" and measured["profile"] == "default" and measured["cores"] == 2
    assert {row["notebook"] for row in measured["notebooks"]} == {edition.name for edition in course()}
    assert not [row["failure"] for row in measured["notebooks"] if row["failure"]]
    assert sum(row["minutes"] for row in measured["notebooks"]) <= BUDGET


@pytest.mark.parametrize("edition", course(), ids=lambda edition: edition.name)
def test_a_head_says_no_less_than_was_measured(edition, measured):
    (row,) = (row for row in measured["notebooks"] if row["notebook"] == edition.name)
    minutes, gb = said(edition)
    assert row["minutes"] <= minutes + 0.5, f"{row['minutes']:.1f} minutes were measured, the head says {minutes}"
    assert minutes <= 2 * row["minutes"] + 1, f"{row['minutes']:.1f} minutes were measured, the head says {minutes}"
    assert row["peak_gb"] <= gb + 0.05, f"{row['peak_gb']:.2f} GB were measured, the head says {gb}"
