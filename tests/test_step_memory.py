"""The fullest moment of a step, against sizes that can be added up by hand."""

from types import SimpleNamespace

import pytest
import torch

from finetune_course.step_memory import TensorWatch, step_peak

SIDE = 500
MATRIX = 4 * SIDE * SIDE  # bytes


def a_run(frozen=0, steps=1, rows=3):
    """Three square layers, the first ``frozen`` of them not trained, with AdamW, as the parts of a trainer."""
    model = torch.nn.Sequential(*(torch.nn.Linear(SIDE, SIDE, bias=False) for _ in range(3)))
    for layer in model[:frozen]:
        layer.weight.requires_grad_(False)
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad])

    def training_step(model, batch):
        loss = model(batch).square().mean()
        loss.backward()

    run = SimpleNamespace(
        model=model,
        optimizer=SimpleNamespace(optimizer=optimizer),  # as Accelerate wraps it
        train_dataset=[torch.ones(SIDE)] * rows,
        data_collator=torch.stack,
        training_step=training_step,
    )
    for _ in range(steps):
        training_step(model, torch.ones(1, SIDE))
        optimizer.step()
        optimizer.zero_grad()
    return run


def test_a_storage_counts_once_and_until_its_last_tensor_is_gone():
    known = torch.zeros(100)
    with TensorWatch(known) as watch:
        first = torch.ones(1000)
        look = first.view(10, 100)[2:]
        assert watch.bytes == 4000
        known.add_(1.0)  # returns a tensor that was there before
        second = torch.ones(500)
        assert watch.bytes == watch.peak == 6000
        del first, second
        assert watch.bytes == 4000 and look.sum() == 800
        del look
        assert watch.bytes == 0 and watch.peak == 6000


def test_a_full_step_holds_weights_moments_gradients_and_a_passing_result():
    """3 weights, 6 moments and 3 gradients; AdamW works out the updates in one to three more matrices."""
    assert 13 <= step_peak(a_run(), 3) * 1e6 / MATRIX < 15.5


def test_frozen_layers_have_no_gradient_and_no_moments():
    assert 3 + 2 + 1 + 1 <= step_peak(a_run(frozen=2), 3) * 1e6 / MATRIX < 8.5


def test_the_figure_repeats_itself_and_grows_with_the_batch():
    assert step_peak(a_run(), 3) == step_peak(a_run(), 3)
    # With many rows the activations outweigh the gradients and set the peak.
    few, many = (step_peak(a_run(rows=rows), rows) for rows in (3, 2000))
    assert (many - few) * 1e6 >= 3 * 2000 * SIDE * 4 - 5 * MATRIX


def test_without_a_step_made_there_is_no_optimizer_state():
    with pytest.raises(ValueError, match=r"call train\(\) first"):
        step_peak(a_run(steps=0), 3)
