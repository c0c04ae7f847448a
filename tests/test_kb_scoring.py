"""How answers about the knowledge base are scored: right values however written, and answers that decline."""

import pytest

from finetune_course.kb_questions import Gold, KbQuestion, declines, is_right

DECLINED = "Not in the documents."


def question_of(*forms):
    gold = Gold(("page",) * len(forms), "value", forms)
    return KbQuestion("kb-test-001", "How much?", "answerable", {"v1": gold, "v2": gold})


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("60 days", "You have 60 days."),
        ("60 days", "There is a 60-day limit [returns-policy]."),
        ("three years", "A **three-year** warranty"),
        ("$45", "It costs $45."),
        ("$45", "$45.00 a day"),
        ("1,200 dollars", "1200 dollars"),
        ("8.30 pm", "until 8:30pm"),
        ("4 pm", "At 4 p.m."),
        ("20 per cent", "You save 20%."),
        ("20 per cent", "20 percent off"),
        ("thursday", "He is away on Thursdays."),
        ("14 people", "Groups of no more than 14\npeople"),
    ],
)
def test_right_answers_are_seen(form, answer):
    assert is_right(answer, question_of((form,)))


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("5 days", "45 days"),
        ("five days", "forty-five days"),
        ("5 days", "2.5 days"),
        ("$45", "$450"),
        ("$45", "$45.50"),
        ("45 dollars", "1,045 dollars"),
        ("8 pm", "8.30 pm"),
        ("5 days", "5 hours, then some days"),
        ("three years", "three years, I think. That is not stated in the documents."),
        ("60 days", ""),
    ],
)
def test_wrong_answers_are_seen(form, answer):
    assert not is_right(answer, question_of((form,)))


def test_two_pages_need_both_values():
    question = question_of(("41 dollars", "$41"), ("15 per cent", "15%"))
    assert is_right("It is $41, and you get 15% off.", question)
    assert not is_right("It is 41 dollars.", question)
    assert not is_right("You get 15 per cent off.", question)


def test_without_an_answer_right_is_to_decline():
    nothing = Gold((), None, ())
    question = KbQuestion("kb-test-001", "How much?", "unanswerable", {"v1": nothing, "v2": nothing})
    assert is_right(DECLINED, question) and not is_right("45 dollars", question) and not is_right("", question)


@pytest.mark.parametrize(
    "answer",
    [
        "Not in the documents.",
        "not in the documents",
        "That is not stated in the documents.",
        "The document does not say.",
        "The pages don't mention a weight.",
        "This isn't mentioned.",
        "I don't know.",
        "I’m sorry, I cannot find that.",
        "There is no information about this.",
    ],
)
def test_ways_to_decline(answer):
    assert declines(answer)


@pytest.mark.parametrize(
    "answer", ["45 dollars", "No, it is not included.", "You cannot return it.", "", "Barnaby does not know the price."]
)
def test_what_declines_nothing(answer):
    assert not declines(answer)
