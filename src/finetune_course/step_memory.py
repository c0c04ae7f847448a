"""The fullest moment of a training step: the bytes of all tensors that are there at once."""

from __future__ import annotations

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .training import plain_optimizer


class TensorWatch(TorchDispatchMode):
    """While it is active, counts the bytes of all tensors made since; ``peak`` is the most that were there at once.

    Each storage counts once, however many tensors look at it, until the last of them is gone. torch's own MemTracker
    (torch.distributed._tools) does the same, but not for a model with frozen weights, which is what LoRA's are.
    """

    def __init__(self, *known: torch.Tensor):
        """``known``: tensors that are there already and are not to be counted when an operation returns them."""
        super().__init__()
        self.bytes = self.peak = 0
        self._seen = {tensor.untyped_storage()._cdata for tensor in known}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        if place in self._seen:
            return
        self._seen.add(place)
        self.bytes += size
        self.peak = max(self.peak, self.bytes)
        weakref.finalize(storage, self._release, place, size).atexit = False

    def _release(self, place: int, size: int) -> None:
        self._seen.discard(place)
        self.bytes -= size


def step_peak(trainer, rows: int) -> float:
    """Megabytes (1e6 bytes) of all tensors at the fullest moment of a training step on the first ``rows`` rows.

    Weights, optimizer state, activations, gradients and passing results are in it, each for as long as it is there;
    what the allocator holds back is not, so the figure is the same on every run. One more step is made for it, so the
    trainer must have trained: an optimizer has no state before its first step.
    """
    optimizer = plain_optimizer(trainer.optimizer)
    states = [value for state in optimizer.state.values() for value in state.values()]
    known = [*trainer.model.parameters(), *trainer.model.buffers(), *filter(torch.is_tensor, states)]
    if not states:
        raise ValueError("The trainer has made no step yet: call train() first.")
    batch = trainer.data_collator([trainer.train_dataset[place] for place in range(rows)])
    with TensorWatch(*known) as watch:
        trainer.training_step(trainer.model, batch)
        optimizer.step()
        optimizer.zero_grad()
    there = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in known}
    return (sum(there.values()) + watch.peak) / 1e6
