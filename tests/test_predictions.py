"""Predictions survive a reload, a damaged file and a headless run; the sliders read them back."""

import json
import threading
import time

import pytest

from finetune_course import predictions, predictions_widget
from finetune_course.claims import load_claims
from finetune_course.predictions import PredictionError, Predictions, load_predictions, record, save_predictions
from finetune_course.predictions_widget import PredictionPanel, predictions_figure

LEDGER = load_claims()
BY_ID = {claim.id: claim for claim in LEDGER}


@pytest.fixture
def file(tmp_path, monkeypatch):
    """The predictions file of a learner who sits in front of the notebook."""
    monkeypatch.setenv("FINETUNE_COURSE_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.delenv("COURSE_HEADLESS", raising=False)
    return tmp_path / "progress" / "predictions.json"


def some_predictions():
    made = Predictions()
    made.put(BY_ID["C01"], 70, number=12)
    made.put(BY_ID["C12"], 0, number=1.8)
    made.put(BY_ID["C42"], 100)
    return made


def stored(file, **changes):
    content = {"format": 1, "saved": "", "confidence": {"C01": 70}, "numbers": {}} | changes
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def test_a_round_trip_keeps_every_value(file):
    assert save_predictions(some_predictions())
    assert load_predictions() == some_predictions()
    assert [path.name for path in file.parent.iterdir()] == ["predictions.json"], "no temporary file is left"


def test_nothing_saved_yet_is_no_prediction(file):
    assert len(load_predictions()) == 0
    assert not file.exists(), "reading makes no file"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe\x00",
        b'{"format": 1}',
        b'{"format": 9, "confidence": {}, "numbers": {}}',
        b"[" * 9999,
    ]
    + [b'{"format": 1, "confidence": [], "numbers": {}}'],
)
def test_a_damaged_file_is_kept_aside_and_said_in_one_sentence(file, content, capsys):
    file.parent.mkdir()
    file.write_bytes(content)
    assert load_predictions() == Predictions()
    out = capsys.readouterr().out
    assert (
        out == "Your file of predictions was damaged: it is kept as predictions.damaged-1.json and you start afresh.\n"
    )
    assert (file.parent / "predictions.damaged-1.json").read_bytes() == content
    assert save_predictions(some_predictions())
    assert load_predictions() == some_predictions()


def test_a_second_damaged_file_does_not_replace_the_first(file):
    for number, content in enumerate((b"{", b"[]"), start=1):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        load_predictions(report=lambda sentence: None)
        assert (file.parent / f"predictions.damaged-{number}.json").read_bytes() == content


@pytest.mark.parametrize(
    ("confidence", "numbers", "words"),
    [
        ({"C01": 70, "C99": 10}, {}, "no claim 'C99'"),
        ({"C01": 70, "\ud800": 10}, {}, "no claim"),
        ({"C01": 70, "C02": 101}, {}, "C02 must be a number from 0 to 100 %; found 101"),
        ({"C01": 70, "C02": "much"}, {}, "found much"),
        ({"C01": 70, "C02": True}, {}, "found True"),
        ({"C01": 70, "C02": None}, {}, "C02 is empty"),
        ({"C01": 70, "C02": float("nan")}, {}, "found nan"),
        ({"C01": 70, "C02": 10**400}, {}, "C02 must be"),
        ({"C01": 70}, {"C12": -1}, "C12 must be a number from 0 to 20 %"),
        ({"C01": 70}, {"C13": 5}, "C13 asks for no number"),
    ],
)
def test_one_bad_entry_costs_no_other(file, confidence, numbers, words):
    stored(file, confidence=confidence, numbers=numbers)
    before, said = file.read_bytes(), []
    assert load_predictions(report=said.append) == Predictions({"C01": 70})
    assert len(said) == 1 and words in said[0] and said[0].startswith("1 of your saved predictions did not fit")
    assert said[0].encode("utf-8")
    assert (file.parent / "predictions.damaged-1.json").read_bytes() == before


@pytest.mark.parametrize("value", [-1, 101, "70", True, float("nan"), float("inf"), [70]])
def test_a_confidence_out_of_range_is_refused(value):
    with pytest.raises(PredictionError, match=r"The confidence in C01 must be a number from 0 to 100 %; found "):
        Predictions().put(BY_ID["C01"], value)


def test_headless_neither_reads_nor_writes(file, monkeypatch):
    save_predictions(some_predictions())
    before = file.read_bytes()
    monkeypatch.setenv("COURSE_HEADLESS", "1")
    assert load_predictions() == Predictions()
    assert not save_predictions(Predictions({"C01": 5}))
    PredictionPanel(LEDGER).confidence["C01"].value = 5
    assert file.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("FINETUNE_COURSE_PROGRESS", str(tmp_path / "file"))
    monkeypatch.delenv("COURSE_HEADLESS", raising=False)
    with pytest.raises(PredictionError, match="set FINETUNE_COURSE_PROGRESS to a folder"):
        save_predictions(Predictions())
    panel = PredictionPanel(LEDGER)
    panel.confidence["C01"].value = 80
    assert "set FINETUNE_COURSE_PROGRESS to a folder" in panel.status.value


def test_a_failed_write_leaves_the_old_file(file, monkeypatch):
    save_predictions(some_predictions())
    before = file.read_bytes()

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(predictions.json, "dump", full_disk)
    with pytest.raises(PredictionError, match="No space left"):
        save_predictions(Predictions())
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["predictions.json"]


def test_two_notebooks_do_not_undo_each_other(file):
    first, second = PredictionPanel(LEDGER), PredictionPanel(LEDGER)
    first.confidence["C01"].value = 90
    second.confidence["C02"].value = 10
    second.numbers["C12"].value = 3.5
    assert load_predictions() == Predictions({"C01": 90, "C02": 10}, {"C12": 3.5})


def test_moves_that_arrive_on_several_threads_are_all_kept(file, monkeypatch):
    """JupyterLab was seen to do this: the first of two quick moves ended last and its value was the one saved."""
    panel, begun = PredictionPanel(LEDGER), threading.Event()
    load, calls = predictions.load_predictions, []

    def slow_at_first(*arguments, **named):
        loaded = load(*arguments, **named)
        calls.append(1)
        begun.set()
        time.sleep(0.3 if len(calls) == 1 else 0)
        return loaded

    monkeypatch.setattr(predictions, "load_predictions", slow_at_first)

    def move(name, value):
        panel.confidence[name].value = value

    moves = [threading.Thread(target=move, args=move_of) for move_of in (("C01", 55), ("C01", 70), ("C04", 45))]
    moves[0].start()
    assert begun.wait(10)
    for later in moves[1:]:
        later.start()
    for each in moves:
        each.join(10)
    assert len(calls) == 3
    assert predictions_widget.load_predictions() == Predictions({"C01": 70, "C04": 45})


def test_the_sliders_read_back_what_they_saved(file):
    panel = PredictionPanel(LEDGER)
    assert set(panel.confidence) == set(BY_ID) and set(panel.numbers) == {c.id for c in LEDGER if c.number}
    assert "0 of 42" in panel.status.value
    panel.confidence["C07"].value = 85
    assert "1 of 42" in panel.status.value
    again = PredictionPanel(LEDGER)
    assert again.confidence["C07"].value == 85
    assert again.confidence["C08"].value == 50, "an untouched slider stands in the middle and is no prediction"
    assert json.loads(file.read_text(encoding="utf-8"))["confidence"] == {"C07": 85}


def test_the_panel_tells_of_a_damaged_file(file):
    file.parent.mkdir()
    file.write_text("{")
    assert "kept as predictions.damaged-1.json" in PredictionPanel(LEDGER).status.value


def test_twelve_claims_are_open_and_the_rest_is_folded():
    panel = PredictionPanel(LEDGER)
    accordion = panel.children[-1]
    assert len(panel.children) == 1 + 12 + 1
    assert accordion.selected_index is None
    assert sum(len(group.children) for group in accordion.children) == 30


def test_the_figure_shows_dots_for_predictions_and_rings_for_none():
    figure = predictions_figure(LEDGER[:3], Predictions({"C02": 80}, {"C01": 12.5}))
    axes = figure.axes[0]
    dots = {line.get_ydata()[0]: line for line in axes.lines if line.get_marker() == "o"}
    assert [dots[row].get_markerfacecolor() == "none" for row in range(3)] == [True, False, True]
    assert dots[1].get_xdata()[0] == 80
    assert [text.get_text() for text in axes.texts] == ["12.5 ×"]
    assert "1 of 3" in axes.get_title(loc="left")


def test_brier_score_by_hand():
    confidence = {"C01": 90, "C02": 60, "C03": 20, "C04": 100}
    outcomes = {"C01": 1, "C02": 0, "C03": 0.5, "C40": 1}
    assert predictions.brier_score(confidence, outcomes) == pytest.approx((0.01 + 0.36 + 0.09) / 3)
    assert predictions.brier_score({"C01": 50}, {"C01": 0}) == 0.25


@pytest.mark.parametrize(
    ("confidence", "outcomes", "words"),
    [
        ({}, {"C01": 1}, "nothing to score yet"),
        ({"C01": 170}, {"C01": 1}, "The confidence in C01 must be"),
        ({"C01": 70}, {"C01": 2}, "The outcome of C01 must be a number from 0 to 1; found 2."),
    ],
)
def test_brier_score_refuses_what_it_cannot_score(confidence, outcomes, words):
    with pytest.raises(PredictionError, match=words):
        predictions.brier_score(confidence, outcomes)


def test_record_in_a_headless_run_returns_the_one_prediction(file, monkeypatch):
    monkeypatch.setenv("COURSE_HEADLESS", "1")
    assert record(BY_ID["C01"], 30) == Predictions({"C01": 30})
    assert not file.exists()
