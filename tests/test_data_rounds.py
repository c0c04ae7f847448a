"""The rule of the rounds: which errors lead to which rows, and that it does what its description says."""

from collections import Counter

import pytest

from finetune_course.data_rounds import error_kinds, mend, serves, value_of
from finetune_course.triage import label_text, load_split


def record(name, category="delivery", product=None, urgency="normal", order_id=None, mood="neutral"):
    label = {"category": category, "product": product, "urgency": urgency, "order_id": order_id, "mood": mood}
    return {"id": name, "message": name, "label": label}


def wrong(row, **changes):
    return label_text(row["label"] | changes)


def test_errors_are_counted_by_true_category_field_and_right_value():
    rows = [record("a", product="tent"), record("b", product="tent"), record("c", "return", order_id="WW-12345")]
    answers = [
        wrong(rows[0], product="swag"),
        wrong(rows[1], product=None, mood="happy"),
        wrong(rows[2], order_id=None),
    ]
    assert error_kinds(answers, rows) == {
        ("delivery", "product", "tent"): 2,
        ("delivery", "mood", "neutral"): 1,
        ("return", "order_id", "an id"): 1,
    }


def test_a_wrong_category_counts_under_the_true_one():
    row = record("a", "return")
    assert error_kinds([wrong(row, category="faulty")], [row]) == {("return", "category", "return"): 1}


def test_right_answers_have_no_errors_and_an_unparsable_one_has_five():
    row = record("a")
    assert not error_kinds([label_text(row["label"])], [row])
    assert sum(error_kinds(["I am sorry"], [row]).values()) == 5


def test_order_ids_are_told_apart_only_by_being_there():
    assert value_of(record("a", order_id="WW-10000")["label"], "order_id") == "an id"
    assert value_of(record("a")["label"], "order_id") == "none"


def test_rows_go_to_the_kinds_in_proportion_to_their_errors():
    pool = [record(f"t{n}", product="tent") for n in range(50)] + [record(f"h{n}", "return") for n in range(50)]
    kinds = Counter({("delivery", "product", "tent"): 3, ("return", "mood", "neutral"): 1})
    chosen = mend(kinds, pool, 20)
    assert Counter(row["label"]["category"] for row in chosen) == {"delivery": 15, "return": 5}
    assert len({row["id"] for row in chosen}) == 20
    assert chosen == mend(kinds, pool, 20) and chosen != mend(kinds, pool, 20, seed=1)


def test_a_kind_without_rows_left_is_passed_over_and_without_errors_all_are_drawn():
    pool = [record(f"t{n}", product="tent") for n in range(3)] + [record(f"h{n}", "return") for n in range(9)]
    tents = Counter({("delivery", "product", "tent"): 5})
    chosen = mend(tents, pool, 6)
    assert Counter(row["label"]["category"] for row in chosen) == {"delivery": 3, "return": 3}
    assert len({row["id"] for row in mend(Counter(), pool, 12)}) == 12
    with pytest.raises(ValueError, match="cannot be chosen"):
        mend(tents, pool, 13)


@pytest.mark.slow
def test_with_the_course_s_rows_every_kind_of_error_finds_rows():
    validation, train = load_split("validation_handwritten"), load_split("train")[300:]
    kinds = error_kinds([wrong(row, urgency="low", mood="happy") for row in validation], validation)
    chosen = mend(kinds, train, 150)
    assert len({row["id"] for row in chosen}) == 150
    assert all(any(serves(row, kind) for kind in kinds) for row in chosen)
    served = [kind for kind in kinds if any(serves(row, kind) for row in train)]
    assert len(served) >= 0.9 * len(kinds)
