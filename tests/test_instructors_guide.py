"""The instructor's guide: its plans add up, name every notebook, and name sections and exercises that are there."""

import re

import pytest

from finetune_course.notebook_build.source import editions, exercise_titles, read_source
from finetune_course.paths import course_root
from finetune_course.route import ROUTE

GUIDE = (course_root() / "solutions" / "README.md").read_text(encoding="utf-8")
SOURCES = {edition.name[:2]: read_source(edition.source) for edition in editions(course_root())}
HOURS = {"an hour": 60, "an hour and a half": 90, "2 hours": 120}
PLANS = ("Half a day", "One day", "Six weeks")


def part(title):
    """The text of one section of the guide."""
    return re.search(rf"^### {title}\n(.*?)(?=^##)", GUIDE, re.MULTILINE | re.DOTALL)[1]


def rows(title):
    """The cells of each row of a plan's table, by the names of its columns."""
    lines = [line for line in part(title).splitlines() if line.startswith("|")]
    names, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(names, cells, strict=True)) for cells in body]


def texts(number):
    return [cell.source for cell in SOURCES[number].cells if cell.cell_type == "markdown"]


def own_minutes(number):
    """The minutes of a learner's own time that a notebook's head names."""
    text = " ".join(" ".join(texts(number)[:3]).split()).partition("It takes about")[2]
    words = re.search(r"(?:,| and) ([^,]*?) of your time", text)[1]
    return HOURS.get(words) or int(re.fullmatch(r"(\d+) minutes", words)[1])


@pytest.mark.parametrize("title", PLANS)
def test_the_minutes_of_a_plan_add_up_to_what_it_says(title):
    said = int(re.search(r"^(\d+) minutes", part(title), re.MULTILINE)[1])
    assert sum(int(row["minutes"]) for row in rows(title)) == said
    assert {"Half a day": said <= 240, "One day": said <= 480, "Six weeks": said > 480}[title]


def test_six_weeks_hold_every_notebook_with_the_minutes_of_its_head():
    found = {row["notebook"]: int(row["minutes"]) for row in rows("Six weeks")}
    assert list(found) == [stop.number for stop in ROUTE]
    assert {int(row["week"]) for row in rows("Six weeks")} == set(range(1, 7))
    assert {number: found[number] for number in SOURCES} == {number: own_minutes(number) for number in SOURCES}


@pytest.mark.parametrize("title", PLANS[:2])
def test_the_sections_and_exercises_that_a_short_plan_names_are_there(title):
    for row in rows(title):
        if row["notebook"] in SOURCES:
            headings = re.findall(r"^## (.+)$", "\n".join(texts(row["notebook"])), re.MULTILINE)
            assert set(re.findall(r"\*([^*]+)\*", row["do"])) <= set(headings)
            numbers = set(re.findall(r"\b\d+\.\d\b", row["do"]))
            assert numbers <= set(exercise_titles(texts(row["notebook"])))


def test_a_seat_is_described_for_every_place_that_the_front_page_names():
    seats = part("A seat")
    assert all(
        place in seats for place in ("laptop", "JupyterHub", "Binder", "Colab", "Kaggle", "GB of memory", "cores")
    )
