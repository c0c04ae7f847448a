"""SeveralEpochsTrainer: the loss of CompletionTrainer, the lower layers run once for each row."""

import pytest
import torch
from test_training import batch_of, different_from_zero, loss_and_gradients
from tiny_training import tiny_lora, tiny_trainer
from transformers import PrinterCallback

from finetune_course.completion_trainer import CompletionTrainer
from finetune_course.lower_half import LowerHalf, SeveralEpochsTrainer, layers_of

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")


@pytest.mark.parametrize("items", [None, torch.tensor(1000)], ids=["mean", "accumulated"])
def test_loss_and_gradients_are_the_plain_trainers_in_every_epoch(tmp_path, items):
    plain, cached = (
        tiny_trainer(tmp_path, kind, lora=tiny_lora()) for kind in (CompletionTrainer, SeveralEpochsTrainer)
    )
    different_from_zero(plain.model)
    different_from_zero(cached.model)
    batch = batch_of(plain)
    expected, gradients = loss_and_gradients(plain, batch, items)
    for _ in ("the first epoch", "a later one"):
        loss, found = loss_and_gradients(cached, batch, items)
        assert loss == pytest.approx(expected, abs=1e-5)
        for name, gradient in gradients.items():
            torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.slow
def test_a_short_run_has_the_plain_trainers_losses(tmp_path):
    def losses(kind):
        trainer = tiny_trainer(tmp_path, kind, lora=tiny_lora(), num_train_epochs=2)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        assert len(trainer.model.get_base_model().model.layers) == 2
        return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

    assert losses(SeveralEpochsTrainer) == pytest.approx(losses(CompletionTrainer), abs=1e-4)


def test_a_known_row_is_not_run_again_whatever_its_padding(tmp_path):
    trainer = tiny_trainer(tmp_path, SeveralEpochsTrainer, lora=tiny_lora())
    llama = trainer.model.get_base_model().model
    runs = []
    llama.layers[0].register_forward_hook(lambda *_: runs.append(1))
    half = LowerHalf(llama, 1)
    row = torch.tensor([[5, 6, 7]])
    first = half(row, torch.tensor([3]))
    again = half(torch.tensor([[5, 6, 7, 0, 0], [8, 9, 10, 11, 12]]), torch.tensor([3, 5]))
    assert len(runs) == 2 and len(half.known) == 2
    torch.testing.assert_close(again[0, :3], first[0])
    assert again[0, 3:].abs().max() == 0
    half(torch.tensor([[5, 6, 7]]), torch.tensor([3]))
    assert len(runs) == 2


def test_trainers_of_one_base_model_share_what_is_known(tmp_path):
    known = {}
    for _ in range(2):
        trainer = tiny_trainer(tmp_path, SeveralEpochsTrainer, lora=tiny_lora())
        trainer.known_states = known
        runs = []
        trainer.model.get_base_model().model.layers[0].register_forward_hook(lambda *_, runs=runs: runs.append(1))
        loss, _ = loss_and_gradients(trainer, batch_of(trainer), None)
    assert len(known) == 5 and not runs, "the second trainer ran the layers that the first one had run"
    assert loss == pytest.approx(
        loss_and_gradients(tiny_trainer(tmp_path, lora=tiny_lora()), batch_of(trainer), None)[0]
    )


def test_the_head_runs_where_a_row_learns_and_nowhere_else(tmp_path):
    trainer = tiny_trainer(tmp_path, SeveralEpochsTrainer, lora=tiny_lora())
    batch, seen = batch_of(trainer), []
    trainer.model.get_base_model().lm_head.register_forward_hook(lambda _, given, __: seen.append(given[0].shape[0]))
    trainer.compute_loss(trainer.model, dict(batch))
    assert seen == [int((batch["labels"][:, 1:] != -100).sum())]


def test_the_model_is_whole_again_after_an_error(tmp_path):
    llama = tiny_trainer(tmp_path, lora=tiny_lora()).model.get_base_model().model
    layers, norm = llama.layers, llama.norm
    with pytest.raises(KeyError), layers_of(llama, slice(None, 1), norm=False):
        raise KeyError
    assert llama.layers is layers and llama.norm is norm
