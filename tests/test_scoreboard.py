"""The scoreboard: every figure in it is one that a cell of an executed notebook printed; predictions beside it."""

import json
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from finetune_course import scoreboard
from finetune_course.claims import load_claims
from finetune_course.paths import course_root
from finetune_course.predictions import PredictionError, Predictions
from finetune_course.scoreboard import (
    NOT_MEASURED,
    OUTCOMES,
    build,
    calibration,
    entries,
    load_scoreboard,
    outcomes,
    places,
    reliability,
    verdict_of,
    with_predictions,
)

MIME = "application/vnd.finetune-course.keynumbers+json"
SOLUTIONS = sorted((course_root() / "solutions").glob("[0-9][0-9]_*.ipynb"))


def notebook(folder: Path, name: str, rows, numbers=(), source="table") -> None:
    """An executed notebook with one table of verdicts and some key numbers."""
    table = pd.DataFrame(rows, columns=["id", "claim", "measured", "verdict"]).set_index("id")
    output = nbformat.v4.new_output("execute_result", {"text/html": table.to_html()}, execution_count=1)
    fields = ("name", "value", "unit", "low", "high")
    bundles = [{MIME: dict(zip(fields, number, strict=True))} for number in numbers]
    published = [nbformat.v4.new_output("display_data", bundle) for bundle in bundles]
    cells = [
        nbformat.v4.new_markdown_cell("# A title\n\n## What we measured"),
        nbformat.v4.new_code_cell(source, outputs=[output, *published], execution_count=1),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / name)


# Words to verdicts


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("holds", "holds"),
        ("fails here", "fails here"),
        ("fails here, holds for larger models", "fails here"),
        ("holds in part: in one format, not in the other", "holds in part"),
        ("holds in part", "holds in part"),
        ("10 points or more: fails here", "fails here"),
        ("before: holds; after: fails here", "holds in part"),
        ("linear, exact: fails here; LoRA, category: not decided by this many messages", "not decided"),
        ("linear: fails here; LoRA: fails here", "fails here"),
        ("not decided", "not decided"),
        ("not decided by this many questions", "not decided"),
        ("06 decides: how often is the LoRA's answer valid?", NOT_MEASURED),
        ("a fifth or less: holds; 06 adds whether the records are as good", "not decided"),
        ("not measured here", NOT_MEASURED),
        ("waits for the recorded grid", NOT_MEASURED),
        ("see its cell", NOT_MEASURED),
        ("holdsome", NOT_MEASURED),
        ("", NOT_MEASURED),
    ],
)
def test_a_cell_s_words_become_a_verdict(said, verdict):
    assert verdict_of(said) == verdict


# What is committed


def test_the_committed_scoreboard_is_what_the_executed_solutions_say(capsys):
    assert scoreboard.main(["--check"]) == 0, capsys.readouterr().out


def test_it_holds_all_claims_of_the_ledger_in_their_order():
    table, claims = load_scoreboard(), load_claims()
    assert list(table.index) == [claim.id for claim in claims] and len(table) == 42
    assert list(table["claim"]) == [claim.text for claim in claims]
    assert set(table["verdict"]) <= {*OUTCOMES, "not decided", NOT_MEASURED}


def test_every_figure_equals_what_its_cell_printed():
    """Read anew with other means than the scoreboard's own: the raw text of the cell's outputs."""
    table, cells, published = load_scoreboard(), {}, {}
    for path in SOLUTIONS:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            outputs = [output.get("data", {}) for output in cell.get("outputs", [])]
            cells[path.name[:2], cell.get("id")] = " ".join("".join(data.get("text/plain", "")) for data in outputs)
            for data in outputs:
                if MIME in data:
                    published[path.name[:2], data[MIME]["name"]] = data[MIME]
    measured = table[table["cell"] != ""]
    assert len(measured) >= 10
    for claim, row in measured.iterrows():
        printed = cells[row["notebook"], row["cell"]]
        # pandas' plain text breaks a wide table into several; each value stands in it on one line.
        assert claim in printed
        for words in (row["measured"], row["said"]):
            assert words in printed, (claim, words)
    for claim, place in places()["numbers"].items():
        found = published.get((place["notebook"], place["name"]))
        row = table.loc[claim]
        if found is None:
            assert pd.isna(row["number"]), claim
            continue
        assert row["number"] == pytest.approx(found["value"], rel=1e-12) and row["unit"] == found["unit"]
        for end in ("low", "high"):
            assert pd.isna(row[end]) if found[end] is None else row[end] == pytest.approx(found[end], rel=1e-12)


def test_claims_without_a_notebook_say_so():
    table = load_scoreboard()
    there = {path.name[:2] for path in SOLUTIONS}
    for claim in load_claims():
        if not there & set(claim.notebooks):
            row = table.loc[claim.id]
            assert row["said"] == row["verdict"] == NOT_MEASURED and not row["measured"] and pd.isna(row["number"])


def test_numbers_asked_for_are_those_that_notebook_00_asks():
    asked = {claim.id for claim in load_claims() if claim.number}
    assert set(places()["asked"]) <= asked
    assert set(places()["numbers"]) <= {claim.id for claim in load_claims()}


# How it is built


def test_a_later_verdict_replaces_an_earlier_one_and_an_open_word_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr(
        scoreboard, "places", lambda: {"numbers": {"C10": {"notebook": "06", "name": "exact"}}, "asked": {}}
    )
    notebook(tmp_path, "03_a.ipynb", [("C10", "…", "0% exact", "06 decides"), ("C28", "…", "+2", "fails here")])
    notebook(tmp_path, "06_b.ipynb", [("C10", "…", "87 behind", "fails here"), ("C28", "…", "–", "not measured here")],
             [("exact", 0.87, "", 0.81, 0.91)])  # fmt: skip
    table = build(tmp_path)
    assert tuple(table.loc["C10", ["verdict", "measured", "notebook", "number", "low"]]) == (
        "fails here", "87 behind", "06", 0.87, 0.81,
    )  # fmt: skip
    assert tuple(table.loc["C28", ["verdict", "measured", "notebook"]]) == ("fails here", "+2", "03")
    assert table.loc["C01", "verdict"] == NOT_MEASURED
    assert entries(tmp_path / "06_b.ipynb")[0].heading == "What we measured"


def test_long_and_marked_up_words_come_through_whole(tmp_path):
    words = "a < b & " + "long " * 40 + "end"
    with pd.option_context("display.max_colwidth", None):
        notebook(tmp_path, "05_a.ipynb", [("C12", "…", words, "holds")])
    assert entries(tmp_path / "05_a.ipynb")[0].measured == words


def test_a_renamed_key_number_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(
        scoreboard, "places", lambda: {"numbers": {"C10": {"notebook": "06", "name": "old"}}, "asked": {}}
    )
    notebook(tmp_path, "06_b.ipynb", [("C10", "…", "x", "holds")], [("new", 1.0, "", None, None)])
    with pytest.raises(ValueError, match=re.escape("wants the key number 'old' for C10, and notebook 06")):
        build(tmp_path)


def test_no_file_yet_and_a_stale_one(tmp_path, monkeypatch, capsys):
    with pytest.raises(FileNotFoundError, match="python -m finetune_course.scoreboard"):
        load_scoreboard(tmp_path / "scoreboard.csv")
    monkeypatch.setattr(scoreboard, "data_path", lambda name: tmp_path / name)
    monkeypatch.setattr(scoreboard, "build", lambda: pd.DataFrame({"claim": ["x"]}, index=pd.Index(["C01"], name="id")))
    assert scoreboard.main(["--check"]) == 1 and not list(tmp_path.iterdir())
    assert scoreboard.main([]) == 0 and scoreboard.main(["--check"]) == 0
    assert "current" in capsys.readouterr().out


# Predictions


@pytest.fixture
def board():
    verdicts = {"C01": "holds", "C02": "fails here", "C03": "holds in part", "C04": NOT_MEASURED, "C05": "not decided"}
    columns = {"claim": "…", "measured": "…"}
    return pd.DataFrame([{"verdict": verdict} | columns for verdict in verdicts.values()], index=list(verdicts))


def test_predictions_stand_beside_the_verdicts_and_are_scored(board):
    learner = Predictions({"C01": 90, "C02": 20, "C03": 50, "C04": 100, "C05": 0})
    shown = with_predictions(board, learner)
    assert shown["distance"].round(4).tolist()[:3] == [0.01, 0.04, 0.0]
    assert shown["distance"].isna().tolist() == [False, False, False, True, True]
    assert outcomes(board) == {"C01": 1.0, "C02": 0.0, "C03": 0.5}
    assert calibration(board, learner) == pytest.approx((0.01 + 0.04 + 0) / 3)
    assert calibration(board, Predictions({"C01": 50, "C02": 50})) == 0.25
    with pytest.raises(PredictionError, match="nothing to score yet"):
        calibration(board, Predictions({"C04": 50}))


def test_a_board_without_predictions_shows_none(board):
    shown = with_predictions(board, Predictions())
    assert shown["predicted"].isna().all() and shown["distance"].isna().all()
    assert reliability(board, Predictions()).empty


def test_reliability_compares_what_was_said_with_what_came_true(board):
    table = reliability(board, Predictions({"C01": 90, "C02": 85, "C03": 0}))
    assert table["claims"].tolist() == [1, 2]
    assert table["said"].tolist() == [0, 87.5] and table["came true"].tolist() == [50, 50]
