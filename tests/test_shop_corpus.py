"""The shop's texts and questions: held-out parts apart, and answers read as a person would read them.

That the files are what their builder makes is tested with the general texts, in test_corpus.py.
"""

import re

import pytest

from finetune_course import leakage
from finetune_course.shop_questions import first_sentence, is_right, load_questions, responds, score_answers
from finetune_course.small_model import documents

SPLITS = ("train", "validation", "test")
TRAIN, TEST = load_questions("train"), load_questions("test")
NAMES = sorted({row["fact"].split("/")[1] for row in TRAIN + TEST})


def test_sizes():
    texts = {split: documents(split, "shop") for split in SPLITS}
    assert 60_000 <= sum(map(len, texts["train"])) <= 120_000
    assert [len(texts[split]) >= least for split, least in zip(SPLITS, (400, 60, 120), strict=True)] == [True] * 3
    assert len(TRAIN) >= 600
    assert sum(row["asked"] for row in TEST) >= 60 and sum(not row["asked"] for row in TEST) >= 40
    assert len({row["question"] for row in TEST}) == len(TEST)


@pytest.mark.parametrize(("held_out", "seen"), [("validation", "train"), ("test", "train"), ("test", "validation")])
def test_held_out_texts_share_no_text_with_the_others(held_out, seen):
    one, other = documents(held_out, "shop"), documents(seen, "shop")
    assert not leakage.exact_duplicates(one, other)
    assert not leakage.near_duplicates(one, other)


def test_sentences_serve_one_split_only():
    """With names, numbers and the like masked, no sentence of the test texts stands in the training texts."""
    masks = NAMES + [row["value"] for row in TRAIN + TEST]

    def sentences(split):
        return {
            " ".join(leakage.masked(sentence, masks))
            for text in documents(split, "shop")
            for sentence in re.split(r"(?<=[.!?]) ", text)
        }

    assert not {text for text in sentences("test") & sentences("train") if len(text.split()) > 3}


def test_test_questions_are_worded_otherwise():
    """Names masked: no near-duplicate, and no run of five words that a training question holds too."""
    asked = sorted({row["question"] for row in TRAIN})
    tested = [row["question"] for row in TEST]
    assert not leakage.exact_duplicates(tested, asked, NAMES)
    assert not leakage.near_duplicates(tested, asked, wordings=NAMES)
    assert not leakage.shared_runs(tested, asked, words=5, wordings=NAMES)


def test_validation_asks_for_known_facts_in_wordings_that_training_does_not_have():
    validation = load_questions("validation")
    assert len(validation) == 120 and {row["fact"] for row in validation} <= {row["fact"] for row in TRAIN}
    masked = {" ".join(leakage.masked(row["question"], NAMES)) for row in TRAIN}
    assert not [row for row in validation if " ".join(leakage.masked(row["question"], NAMES)) in masked]


def test_asked_says_whether_training_asks_for_the_fact():
    facts = {row["fact"] for row in TRAIN}
    assert all(row["asked"] == (row["fact"] in facts) for row in TEST)


def test_every_training_answer_answers_its_question():
    for row in TRAIN:
        assert responds(row["answer"], row["question"], row["kind"]), row
        assert is_right(row["answer"], row["value"]), row


def test_every_fact_that_is_tested_stands_in_the_training_texts():
    """Of the shop in the shop's texts, of the coast in the general ones: name and value in one text."""
    texts = {part: [text.casefold() for text in documents("train", part)] for part in ("shop", "general")}
    for row in TEST:
        subject, name, _ = row["fact"].split("/")
        part = "general" if subject in ("town", "person") else "shop"
        value = re.sub(r"^(?:an?|the) ", "", row["value"].casefold())
        assert any(name.casefold() in text and value in text for text in texts[part]), f"{row['fact']} = {value}"


@pytest.mark.parametrize(
    ("answer", "kind", "value", "answered", "right"),
    [
        ("It costs 340 dollars.", "dollars", "340 dollars", True, True),
        ("It costs $340.", "dollars", "340 dollars", True, True),
        ("It costs 3400 dollars.", "dollars", "340 dollars", True, False),
        ("The tent is 34. The other costs 340 dollars.", "dollars", "340 dollars", False, False),
        ("The door was open, and 340 people came.", "dollars", "340 dollars", False, False),
        ("On Tuesday.", "weekday", "Monday", True, False),
        ("Is it on Monday?", "weekday", "Monday", False, True),
        ("You should bring a tent.", "weekday", "Monday", False, False),
        ("The shop opens at 10 am.", "hour", "ten", True, True),
        ("It takes three days.", "days", "3 days", True, False),
        ("", "hour", "ten", False, False),
    ],
)
def test_reading_an_answer(answer, kind, value, answered, right):
    assert responds(answer, "A question?", kind) is answered
    assert is_right(answer, value) is right


def test_repeating_the_question_is_no_answer():
    question = "I finish at five on Wednesday. When do you close?"
    assert not responds("At five on Wednesday.", question, "hour")
    assert responds("At six.", question, "hour")


def test_first_sentence():
    assert first_sentence(" It costs 3.50 dollars. Really.") == "It costs 3.50 dollars."
    assert first_sentence("No stop\nsecond line") == "No stop"


def test_score_needs_both_and_counts_a_right_answer_only_when_it_ends():
    rows = [{"id": name, "question": "?", "kind": "weekday", "value": "Monday"} for name in "abc"]
    table = score_answers(["On Monday.", "On Monday.", "A door."], [True, False, True], rows)
    assert table["both"].tolist() == table["right"].tolist() == [True, False, False]
    with pytest.raises(ValueError, match="one of each"):
        score_answers(["On Monday."], [True], rows)


def test_unknown_split():
    with pytest.raises(ValueError, match="train, validation or test"):
        load_questions("dev")
