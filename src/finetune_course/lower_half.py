"""For runs of several epochs: the layers below the first adapter give the same numbers each time, so run them once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .completion_trainer import CompletionTrainer


class LowerHalf:
    """The hidden states that a Llama model's first ``depth`` layers give for a row of token ids, kept for later epochs.

    Rows are right-padded and attention is causal, so a row's states do not depend on its padding. Nothing below
    ``depth`` may be trained or random (dropout). Memory: rows × tokens × hidden size × 4 bytes (3,000 rows: 0.7 GB).
    """

    def __init__(self, llama: nn.Module, depth: int):
        self.llama, self.depth, self.known = llama, depth, {}

    @torch.no_grad()
    def __call__(self, input_ids: Tensor, lengths: Tensor) -> Tensor:
        """States of shape (rows, tokens, hidden size) for ``input_ids`` (rows, tokens); zero after a row's length."""
        keys = [tuple(row[:length].tolist()) for row, length in zip(input_ids, lengths.tolist(), strict=True)]
        new = [index for index, key in enumerate(keys) if key not in self.known]
        if new:
            with layers_of(self.llama, slice(None, self.depth), norm=False):
                states = self.llama(input_ids=input_ids[new], use_cache=False).last_hidden_state
            for index, row in zip(new, states, strict=True):
                self.known[keys[index]] = row[: len(keys[index])].clone()
        return nn.utils.rnn.pad_sequence([self.known[key] for key in keys], batch_first=True)


@contextmanager
def layers_of(llama: nn.Module, part: slice, norm: bool = True) -> Iterator[None]:
    """Within it the model has those layers alone, and its last normalisation only if asked."""
    layers, last_norm = llama.layers, llama.norm
    llama.layers, llama.norm = layers[part], last_norm if norm else nn.Identity()
    try:
        yield
    finally:
        llama.layers, llama.norm = layers, last_norm


class SeveralEpochsTrainer(CompletionTrainer):
    """CompletionTrainer with the same loss, which runs the layers below the first adapter in the first epoch only."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        llama = self.accelerator.unwrap_model(model).get_base_model().model
        if not hasattr(self, "lower_half"):
            trained = (name for name, parameter in model.named_parameters() if parameter.requires_grad)
            self.lower_half = LowerHalf(llama, min(int(name.split(".layers.")[1].split(".")[0]) for name in trained))
        learned = inputs["labels"] != -100
        lengths = learned.int().cumsum(dim=1).argmax(dim=1) + 1  # a row ends with its last learned token

        def upper_half(input_ids, **arguments):
            states = self.lower_half(input_ids, lengths)
            with layers_of(llama, slice(self.lower_half.depth, None)):
                return model(inputs_embeds=states, **arguments)

        return super().compute_loss(upper_half, inputs, return_outputs, num_items_in_batch)
