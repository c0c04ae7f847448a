"""What is measured before and after: a text's loss, and whether an ordinary question gets an ordinary answer."""

import pytest
import torch
from tiny_training import tiny_model, tiny_tokenizer
from torch.nn.functional import cross_entropy

from finetune_course.general_ability import OPEN_KINDS, general_ability, open_questions, text_loss, to_the_point


def test_the_loss_is_the_mean_over_a_text_s_tokens():
    model, tokenizer = tiny_model().eval(), tiny_tokenizer()
    texts = ["Hello there.", "A second, longer text."]
    found = text_loss(model, tokenizer, texts)
    for text, loss in zip(texts, found, strict=True):
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            expected = cross_entropy(model(input_ids=ids).logits[0, :-1], ids[0, 1:])
        assert loss == pytest.approx(float(expected), abs=1e-4)


def test_the_questions_can_be_answered_without_knowing_the_shop():
    rows = open_questions()
    assert len(rows) == 40 and {row["kind"] for row in rows} <= set(OPEN_KINDS)


def test_a_record_is_no_answer():
    row = {"question": "What does it cost?", "kind": "dollars"}
    answers = ["It costs 40 dollars.", '{"category":"stock","price":"40 dollars"}', "I cannot say."]
    assert to_the_point(answers, [row] * 3) == [True, False, False]


def test_both_measures_are_recorded_for_every_text_and_question():
    found = general_ability(tiny_model().eval(), tiny_tokenizer())
    assert len(found["text_loss"]) == 60 and len(found["to_the_point"]) == len(found["records"]) == 40
    assert set(found["records"]) <= {"0", "1"}
