"""The ledger is complete and its every claim can be predicted; a damaged ledger lists all its bad lines at once."""

import csv

import pytest

from finetune_course import claims, route
from finetune_course.paths import data_path
from finetune_course.records import DataError

LEDGER = claims.load_claims()


def test_the_ledger_holds_all_42_claims_in_order():
    assert [claim.id for claim in LEDGER] == [f"C{number:02}" for number in range(1, 43)]


def test_twelve_claims_come_first_and_touch_every_group():
    first = [claim for claim in LEDGER if claim.first]
    assert len(first) == 12
    assert {claim.group for claim in first} == {claim.group for claim in LEDGER}


def test_every_notebook_named_is_on_the_route():
    numbers = {stop.number for stop in route.ROUTE}
    assert {number for claim in LEDGER for number in claim.notebooks} <= numbers


def test_the_questions_are_statements_of_their_own():
    questions = [claim.question for claim in LEDGER]
    assert len(set(questions)) == 42
    for claim in LEDGER:
        assert claim.question != claim.text
        assert claim.question.endswith("."), f"{claim.id}: a statement that is true or false, not a question"


def test_numbers_are_asked_for_a_handful_of_claims():
    asked = [claim for claim in LEDGER if claim.number]
    assert 5 <= len(asked) <= 10
    for claim in asked:
        assert claim.number.question.endswith("?")
        assert claim.number.unit == "×" or claim.number.low == 0


def test_columns_added_later_do_not_disturb(tmp_path):
    rows = list(csv.DictReader(data_path("claims.csv").open(encoding="utf-8", newline="")))
    longer = tmp_path / "claims.csv"
    with longer.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "verdict"])
        writer.writeheader()
        writer.writerows({**row, "verdict": "holds in part"} for row in rows)
    assert claims.load_claims(longer) == LEDGER


HEADER = ",".join(claims.COLUMNS)


def written(tmp_path, *lines, encoding="utf-8"):
    path = tmp_path / "claims.csv"
    path.write_bytes("\n".join([HEADER, *lines]).encode(encoding))
    return path


def test_every_bad_line_is_listed_at_once(tmp_path):
    path = written(
        tmp_path,
        "C01,text,02,group,yes,question,,,,",
        "C1,text,02,group,yes,question,,,,",
        "C01,text,02,group,yes,question,,,,",
        "C03,,2,group,maybe,question,,,,",
        "C04,text,02,group,no,question,how many?,%,9,1",
        "C05,text,02,group,no,question,how many?,,0,1",
    )
    with pytest.raises(DataError) as caught:
        claims.load_claims(path)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "claims.csv, line 3, field 'id'",
        "claims.csv, line 4, field 'id'",
        "claims.csv, line 5, field 'claim'",
        "claims.csv, line 5, field 'notebooks'",
        "claims.csv, line 5, field 'first'",
        "claims.csv, line 6, field 'low'",
        "claims.csv, line 7, field 'number'",
    ]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "none.csv", "no such file"),
        (lambda folder: folder, "could not be read"),
        (lambda folder: written(folder), "the ledger is empty"),
        (lambda folder: written(folder, "C01,ü,02,g,yes,q,,,,", encoding="latin-1"), "expected UTF-8"),
        (lambda folder: written(folder, 'C01,"open,02,g,yes,q,,,,'), "expected comma-separated values"),
    ],
)
def test_a_file_that_is_no_ledger_gets_one_sentence(tmp_path, make, words):
    with pytest.raises(DataError, match=words) as caught:
        claims.load_claims(make(tmp_path))
    assert len(caught.value.problems) == 1


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / "claims.csv"
    path.write_text("id,claim\nC01,text\n", encoding="utf-8")
    with pytest.raises(DataError, match="expected a column 'notebooks'"):
        claims.load_claims(path)


def test_the_route_is_00_to_10_and_tells_what_is_there(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "06_the_trl_run.ipynb").touch()
    table = route.route_table(LEDGER, tmp_path)
    assert list(table.index) == [f"{number:02}" for number in range(11)]
    assert list(table.index[table["state"] == "here"]) == ["06"]
    assert set(table["state"]) == {"here", "coming"}
    counted = sum(len(claim.notebooks) for claim in LEDGER)
    assert table["claims measured"].sum() == counted
