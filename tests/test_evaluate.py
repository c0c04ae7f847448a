"""Scores, intervals and comparisons: worked cases, properties, and the sentence for each kind of bad input."""

import json

import numpy as np
import pandas as pd
import pytest

from finetune_course.evaluate import (
    INVALID,
    Interval,
    errors_table,
    field_f1,
    interval,
    paired_difference,
    percent,
    percent_table,
    points,
    score,
    separate_difference,
    summary,
)
from finetune_course.triage import FIELDS, label_text

TENT = {"category": "faulty", "product": "tent", "urgency": "high", "order_id": "WW-12345", "mood": "upset"}
STORE = {"category": "store", "product": None, "urgency": "normal", "order_id": None, "mood": "neutral"}
BOOTS = {"category": "return", "product": "boots", "urgency": "normal", "order_id": "WW-54321", "mood": "neutral"}


def records(*labels):
    return [{"id": f"t-{place}", "message": f"message {place}", "label": label} for place, label in enumerate(labels)]


THREE = records(TENT, STORE, BOOTS)
ANSWERS = [label_text(TENT), label_text({**STORE, "mood": "happy"}), "Here you are: " + label_text(BOOTS)]


def test_score_of_a_right_a_half_right_and_an_unparsable_answer():
    table = score(ANSWERS, THREE)
    assert list(table) == ["id", "valid", "exact", *FIELDS]
    assert table["id"].tolist() == ["t-0", "t-1", "t-2"]
    assert table["valid"].tolist() == [True, True, False]
    assert table["exact"].tolist() == [True, False, False]
    assert table["mood"].tolist() == [True, False, False]
    assert table["category"].tolist() == [True, True, False]
    assert all(kind == "bool" for kind in table.dtypes.drop("id"))


@pytest.mark.parametrize(
    ("answer", "valid"),
    [
        (label_text(TENT), True),
        (f"  {label_text(TENT)}\n", True),
        (f"```json\n{label_text(TENT)}\n```", False),
        (label_text(TENT) + " Have a nice day!", False),
        (label_text(TENT).replace("faulty", "broken"), False),
        (label_text(TENT).replace("WW-12345", "12345"), False),
        (label_text(TENT).replace('"mood":"upset"', '"mood":"upset","note":"x"'), False),
        (label_text(TENT)[:-1], False),
        ("", False),
        ("null", False),
    ],
)
def test_only_exactly_one_valid_record_counts_as_valid(answer, valid):
    row = score([answer], records(TENT)).iloc[0]
    assert row["valid"] == row["exact"] == valid


@pytest.mark.parametrize("function", [score, field_f1, errors_table])
@pytest.mark.parametrize(
    ("answers", "rows", "words"),
    [
        (["x"], THREE, "There are 1 answers for 3 messages"),
        ([], [], "the list of records is empty"),
        (["x", None, "y"], THREE, "Answer 1 (of t-1) is of type NoneType"),
        ("abc", THREE, "one text per message"),
    ],
)
def test_bad_input_is_told_in_one_sentence(function, answers, rows, words):
    with pytest.raises(ValueError) as caught:
        function(answers, rows)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_interval_holds_the_mean_and_narrows_with_more_messages():
    few, many = interval([0, 1] * 10), interval([0, 1] * 1000)
    assert few.mean == many.mean == 0.5
    assert few.low < many.low < 0.5 < many.high < few.high
    assert many.high - many.low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(2000), rel=0.1)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.97])
def test_the_interval_of_a_share_covers_the_truth_about_as_often_as_it_says(share):
    generator, covered = np.random.default_rng(0), 0
    for _ in range(400):
        found = interval(generator.random(100) < share)
        covered += found.low <= share <= found.high
    assert 0.9 <= covered / 400 <= 0.99


def test_the_interval_of_a_mean_covers_the_truth_about_as_often_as_it_says():
    generator, covered = np.random.default_rng(0), 0
    for _ in range(200):
        found = interval(generator.exponential(size=100), draws=400)
        covered += found.low <= 1 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_interval_is_the_same_for_the_same_seed():
    values = np.random.default_rng(1).random(50)
    assert interval(values, seed=3) == interval(values, seed=3)


@pytest.mark.parametrize(
    ("right", "messages", "low", "high"),  # worked out by hand from Wilson's formula with z = 1.96
    [(0, 40, 0.0, 0.0876), (8, 10, 0.4902, 0.9433), (1, 3, 0.0615, 0.7923), (199, 200, 0.9722, 0.9991)],
)
def test_a_share_gets_wilsons_interval(right, messages, low, high):
    for values in ([1] * right + [0] * (messages - right), np.arange(messages) < right):
        found = interval(values)
        assert found == pytest.approx((right / messages, low, high), abs=1e-4)
        assert found == interval(values, draws=10, seed=7)  # nothing is drawn


def test_what_is_no_share_gets_the_bootstrap():
    values = np.array([0, 0, 0.5, 1] * 25)
    found = interval(values)
    standard_error = values.std() / 10
    assert found.mean == 0.375
    assert found.high - found.low == pytest.approx(2 * 1.96 * standard_error, rel=0.1)
    assert found != interval(values, seed=7)


def test_all_wrong_and_all_right_have_a_width():
    none, every = interval([0] * 200), interval([True] * 200)
    assert none.mean == 0 and none.low == 0 and none.high == pytest.approx(0.0188, abs=1e-3)
    assert every.mean == 1 and every.high == 1 and every.low == pytest.approx(0.9812, abs=1e-3)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "at least one number"),
        ([[1, 2]], "shape (1, 2)"),
        ([0.5, 0.5], "without any spread"),
        ([1.0, float("nan")], "1 values that are not numbers"),
    ],
)
def test_interval_refuses_what_has_no_interval(values, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(").replace(")", r"\)")):
        interval(values)


def test_paired_difference_is_narrower_than_an_unpaired_one_where_messages_matter():
    easy = np.arange(200) % 2
    better = easy.copy()
    better[:20] = 1
    found = paired_difference(better, easy)
    assert found.mean == pytest.approx(0.05) and found.low > 0
    spread = interval(better).high - interval(better).low
    assert found.high - found.low < 0.6 * spread
    turned = paired_difference(easy, better)
    assert turned == pytest.approx((-found.mean, -found.high, -found.low))


def test_paired_difference_of_shares_is_the_bootstraps():
    a, b = np.array([1, 1, 0, 1] * 50), np.array([1, 0, 0, 1] * 50)
    found = paired_difference(a, b)
    assert found.mean == 0.25
    assert found.low == pytest.approx(0.19, abs=0.01) and found.high == pytest.approx(0.31, abs=0.01)


def test_paired_difference_without_any_difference_still_has_a_width():
    found = paired_difference([0] * 200, [0] * 200)
    assert found.mean == 0 and found.high == pytest.approx(0.0188, abs=1e-3) and found.low == -found.high
    certain = paired_difference([1] * 200, [0] * 200)
    assert certain.mean == certain.high == 1 and certain.low == pytest.approx(0.9812, abs=1e-3)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [([1, 0], [1], "a has 2 values and b has 1"), ([2.5, 3.5], [2, 3], "no interval"), ([], [], "a must be a list")],
)
def test_paired_difference_refuses(a, b, words):
    with pytest.raises(ValueError, match=words):
        paired_difference(a, b)


def test_separate_difference_is_newcombes():
    # Newcombe (1998), Statistics in Medicine 17, table II, contrast (a), method 10: 56/70 against 48/80.
    found = separate_difference(interval([1] * 56 + [0] * 14), interval([1] * 48 + [0] * 32))
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_separate_difference_covers_the_truth_about_as_often_as_it_says():
    generator, held = np.random.default_rng(3), 0
    for _ in range(400):
        a, b = (interval(generator.random(150) < share) for share in (0.5, 0.3))
        found = separate_difference(a, b)
        held += found.low <= 0.2 <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_separate_difference_refuses_numbers_in_another_order():
    with pytest.raises(ValueError, match="b should be"):
        separate_difference((0.5, 0.4, 0.6), (0.1, 0.2, 0.3))


def test_field_f1_counts_an_unparsable_answer_as_a_miss_and_never_as_a_class():
    table = field_f1(ANSWERS, THREE)
    assert list(table.index) == list(FIELDS) and list(table) == ["accuracy", "precision", "recall", "f1"]
    assert table.loc["category", "f1"] == pytest.approx(2 / 3)  # faulty and store found, return missed
    assert table.loc["category", "accuracy"] == pytest.approx(2 / 3)
    assert table.loc["mood", "f1"] == pytest.approx(1 / 2)  # upset found; neutral called happy and missed


def test_field_f1_of_order_ids_is_about_the_ids_found():
    wrong_id = {**STORE, "order_id": "WW-99999"}
    table = field_f1([label_text(TENT), label_text(wrong_id), "?"], THREE)
    row = table.loc["order_id"]
    assert (row["precision"], row["recall"], row["f1"]) == (0.5, 0.5, 0.5)
    assert row["accuracy"] == pytest.approx(1 / 3)


def test_field_f1_all_unparsable_is_zero_without_a_warning(recwarn):
    assert (field_f1(["?"] * 3, THREE).to_numpy() == 0).all()
    assert not recwarn.list


def test_field_f1_all_right_is_one():
    table = field_f1([label_text(record["label"]) for record in THREE], THREE)
    assert np.allclose(table.to_numpy(), 1)


def test_summary_and_its_table_for_reading():
    right, wrong = score([label_text(r["label"]) for r in THREE], THREE), score(["?"] * 3, THREE)
    table = summary({("tuned", "hand"): right, ("tuned", "made"): right, ("raw", "hand"): wrong}, ["exact", "mood"])
    assert list(table) == ["method", "set", "measure", "messages", "mean", "low", "high"]
    assert len(table) == 6 and (table["messages"] == 3).all()
    cells = percent_table(table)
    assert list(cells.index) == ["tuned", "raw"]
    assert list(cells.columns) == [("hand", "exact"), ("hand", "mood"), ("made", "exact"), ("made", "mood")]
    assert cells.loc["raw", ("hand", "exact")] == "0% [0, 56]"
    assert cells.loc["raw", ("made", "exact")] == "–"


def test_summary_refuses_nothing_and_an_unknown_measure():
    with pytest.raises(ValueError, match="nothing to sum up"):
        summary({})
    with pytest.raises(ValueError, match="raw, hand has no column 'speed'"):
        summary({("raw", "hand"): score(["?"] * 3, THREE)}, ["speed"])


def test_numbers_as_text():
    assert percent(0.857, 0.7999, 0.91) == "86% [80, 91]"
    assert points(0.12, -0.001, 0.18) == "+12 [0, +18]"
    assert points(-0.05, -0.1, -0.004) == "-5 [-10, -0.4]", "an interval that excludes 0 must not seem to touch it"
    assert points(0.02, 0.0049, 0.04) == "+2 [+0.5, +4]"
    assert points(0.0, 0.0, 0.0) == "0 [0, 0]"
    assert str(Interval(0.5, 0.25, 0.75)) == "0.5 [0.25, 0.75]"


def test_errors_are_listed_field_by_field_and_an_unparsable_answer_as_a_whole():
    table = errors_table(ANSWERS, THREE)
    assert table["field"].tolist() == ["mood", INVALID]
    assert table.loc[0, ["id", "expected", "came"]].tolist() == ["t-1", "neutral", "happy"]
    assert json.loads(table.loc[1, "expected"]) == json.loads(label_text(BOOTS)) and ", " in table.loc[1, "expected"]
    assert table.loc[1, "came"].startswith("Here you are")
    nothing = errors_table([label_text(TENT)], records(TENT))
    assert nothing.empty and list(nothing) == ["id", "message", "field", "expected", "came"]
    missing = errors_table([label_text({**TENT, "product": None})], records(TENT))
    assert missing.loc[0, ["expected", "came"]].tolist() == ["tent", "null"]


def test_pandas_columns_go_straight_into_the_statistics():
    table = score(ANSWERS, THREE)
    assert isinstance(table, pd.DataFrame)
    assert interval(table["exact"]).mean == pytest.approx(1 / 3)
    assert paired_difference(table["valid"], table["exact"]).mean == pytest.approx(1 / 3)
