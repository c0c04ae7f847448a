"""Runs on few rows: nested draws, runs that leave the base as it was and repeat themselves, full fine-tuning."""

import copy

import pytest
import torch
from test_lower_half import pytestmark  # noqa: F401  (the same library warning is let through)
from tiny_training import tiny_model, tiny_tokenizer

from finetune_course import completion_trainer, few_rows
from finetune_course.few_rows import STEPS, FewRows, full_fine_tune, rows_for, triage_answers
from finetune_course.hardware import Hardware
from finetune_course.training import triage_settings
from finetune_course.triage import load_split

CPU = {"bf16": False, "fp16": False, "use_cpu": True}
# The tiny tokenizer has a token for each byte, so only short messages fit into max_length with their record.
SHORT = sorted(load_split("train"), key=lambda row: len(row["message"]))[:20]


@pytest.fixture(scope="module")
def hw():
    return Hardware("cpu", "test", torch.float32, CPU, 8.0, 1, "standard", 4, False, {}, [])


@pytest.fixture
def small_settings(monkeypatch):
    """The settings file with the adapter in the second of two layers."""
    settings = copy.deepcopy(triage_settings())
    settings["lora"]["layers_to_transform"] = [1]
    for module in (few_rows, completion_trainer):
        monkeypatch.setattr(module, "triage_settings", lambda: settings)
    return settings


def test_a_larger_draw_holds_the_smaller_ones_and_another_seed_draws_others():
    train = load_split("train")
    some, more = rows_for(train, 10, 1), rows_for(train, 50, 1)
    assert more[:10] == some and len({row["id"] for row in more}) == 50
    assert rows_for(train, 10, 2) != some
    with pytest.raises(ValueError, match="cannot be drawn"):
        rows_for(train, len(train) + 1, 0)


def test_the_steps_from_300_rows_to_600_are_the_same():
    assert len({steps for size, steps in STEPS.items() if 300 <= size <= 600}) == 1
    assert list(STEPS) == sorted(STEPS)


@pytest.mark.slow
def test_a_run_leaves_the_base_as_it_was_and_comes_out_again(hw, small_settings):
    rows = rows_for(SHORT, 8, 0)
    few = FewRows(tiny_tokenizer(), hw, tiny_model())
    before = {name: value.clone() for name, value in few.model.state_dict().items()}
    found = []
    for seed in (0, 1, 0):
        with few.lora(rows, seed, steps=3, rate=0.05) as model:
            trained = {name: value.clone() for name, value in model.named_parameters() if ".lora_" in name}
            found.append(torch.cat([value.flatten() for value in trained.values()]))
            assert not model.training
            assert len(triage_answers(model, few.tokenizer, rows[:2], 2)) == 2
        after = few.model.state_dict()
        assert after.keys() == before.keys()
        assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])


@pytest.mark.slow
def test_the_lower_layers_are_run_once_for_a_row_until_they_are_forgotten(hw, small_settings):
    rows = rows_for(SHORT, 4, 0)
    few = FewRows(tiny_tokenizer(), hw, tiny_model())
    with few.lora(rows, 0, steps=2):
        pass
    known = dict(few.known_states)
    with few.lora(rows, 1, steps=2):
        pass
    assert len(known) == 4
    assert all(few.known_states[key] is value for key, value in known.items())
    few.forget()
    assert not few.known_states


def test_full_fine_tuning_changes_every_weight(hw):
    model = tiny_model()
    before = {name: value.clone() for name, value in model.named_parameters()}
    rows = rows_for(SHORT, 8, 0)
    tuned = full_fine_tune(tiny_tokenizer(), hw, rows, 0, steps=2, rate=1e-2, model=model)
    assert all(not torch.equal(value, before[name]) for name, value in tuned.named_parameters())
    assert not tuned.training


@pytest.mark.slow
def test_a_run_in_bfloat16_works_too(small_settings):
    """Many processors are faster in it, and the notebook's live run then takes it."""
    precision = {"bf16": True, "fp16": False, "use_cpu": True}
    hw = Hardware("cpu", "test", torch.bfloat16, precision, 8.0, 1, "standard", 4, False, {}, [])
    few = FewRows(tiny_tokenizer(), hw, tiny_model().to(torch.bfloat16))
    with few.lora(rows_for(SHORT, 4, 0), 0, steps=2, rate=0.05) as model:
        trained = [value for name, value in model.named_parameters() if ".lora_B" in name]
        assert all(torch.isfinite(value).all() for value in trained) and any(value.abs().max() > 0 for value in trained)
        assert len(triage_answers(model, few.tokenizer, SHORT[:1], 1)) == 1
