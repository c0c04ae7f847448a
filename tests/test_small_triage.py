"""The small model's rows, its training and its answers on the triage task."""

import pytest
import torch

from finetune_course.small_triage import (
    BATCH,
    CONTEXT,
    LONGEST_RECORD,
    long_small_model,
    rate_factor,
    row_of,
    small_answers,
    train_small,
)
from finetune_course.triage import label_text, load_split

ROWS = load_split("train")


def test_every_row_fits_into_the_longer_context():
    model, tokenizer = long_small_model()
    assert model.config.max_position_embeddings == CONTEXT
    for name in ("train", "validation_handwritten", "test_handwritten"):
        records = sorted(load_split(name), key=lambda row: len(row["message"]))[-20:]
        assert max(len(row_of(tokenizer, record)[0]) for record in records) <= CONTEXT
    records = list({label_text(row["label"]) for row in ROWS})
    assert max(len(ids) + 1 for ids in tokenizer(records)["input_ids"]) <= LONGEST_RECORD


def test_the_record_and_its_end_are_learned_and_nothing_else():
    _, tokenizer = long_small_model()
    ids, labels = row_of(tokenizer, ROWS[0])
    learned = [label for label in labels if label != -100]
    assert tokenizer.decode(learned[:-1]) == label_text(ROWS[0]["label"]) and learned[-1] == tokenizer.eos_token_id
    assert len(ids) == len(labels) and ids[-len(learned) :] == learned
    assert ROWS[0]["message"] in tokenizer.decode(ids)


@pytest.mark.slow
def test_training_learns_takes_every_row_in_every_pass_and_repeats_itself():
    model, tokenizer = long_small_model()
    rows = sorted(ROWS, key=lambda row: len(row["message"]))[:12]
    losses = train_small(model, tokenizer, rows, passes=2, rate=3e-3, seed=0)
    assert len(losses) == 2 * 2 == 2 * -(-len(rows) // BATCH)
    assert losses[-1] < 0.7 * losses[0]
    again, _ = long_small_model()
    torch.testing.assert_close(train_small(again, tokenizer, rows, passes=2, rate=3e-3, seed=0), losses)
    third, _ = long_small_model()
    begun = train_small(third, tokenizer, rows, passes=2, rate=3e-3, seed=0, stop_after=3)
    torch.testing.assert_close(begun, losses[:3])
    assert len(small_answers(model, tokenizer, rows[:2])) == 2


def test_the_rate_warms_up_and_falls_to_a_tenth():
    factors = [rate_factor(step, 100) for step in range(1, 101)]
    assert factors[0] < 0.3 and max(factors) > 0.98
    assert abs(factors[-1] - 0.1) < 1e-6
