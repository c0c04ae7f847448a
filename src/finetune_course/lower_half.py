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

    def __init__(self, llama: nn.Module, depth: int, known: dict[tuple[int, ...], Tensor] | None = None):
        """``known``: states by row of token ids, to be shared with another one of the same weights and depth."""
        self.llama, self.depth, self.known = llama, depth, {} if known is None else known

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
    """CompletionTrainer with the same loss for less, in one process: the layers below the first adapter run in the
    first epoch only, and the head runs for each row where that row learns (not where any row of the batch does).

    ``known_states``: a dictionary that several trainers of the same base model and the same adapted layers share.
    """

    known_states: dict[tuple[int, ...], Tensor] | None = None

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        causal = self.accelerator.unwrap_model(model).get_base_model()
        if not hasattr(self, "lower_half"):
            trained = (name for name, parameter in model.named_parameters() if parameter.requires_grad)
            depth = min(int(name.split(".layers.")[1].split(".")[0]) for name in trained)
            self.lower_half = LowerHalf(causal.model, depth, self.known_states)
        learned = inputs["labels"] != -100
        lengths = learned.int().cumsum(dim=1).argmax(dim=1) + 1  # a row ends with its last learned token
        states = self.lower_half(inputs["input_ids"], lengths)
        labels = inputs["labels"][:, 1 : states.shape[1]]  # the scores at position t predict the token at t + 1
        learned = labels != -100
        with self.accelerator.autocast():
            with layers_of(causal.model, slice(self.lower_half.depth, None)):
                hidden = causal.model(inputs_embeds=states, use_cache=False).last_hidden_state
            scores = causal.lm_head(hidden[:, :-1][learned])
        total = nn.functional.cross_entropy(scores.float(), labels[learned], reduction="sum")
        loss = total / (learned.sum() if num_items_in_batch is None else num_items_in_batch)
        return (loss, {"logits": scores}) if return_outputs else loss
