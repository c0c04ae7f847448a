"""A long prompt shared by many messages: its keys and values are kept once, not once per row of the batch.

``generate`` with a stock cache would hold a copy of the prompt's keys and values for every row and, for each new token,
copy and read them all: at 900 tokens and 16 rows that is three quarters of the time. Here one copy serves every row,
and attention is put together from two parts, the shared prompt's and the row's own, by their softmax weights. Serving
engines know the idea as prefix caching with cascade attention. The result is the same to rounding; tests compare it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from transformers import AttentionInterface, AttentionMaskInterface, Cache, DynamicCache, DynamicLayer
from transformers.masking_utils import eager_mask

_NAME = "shared_prefix"
_QUERIES = 512
# transformers keeps what is registered for good: a method of the prefix would keep its model in memory for good too.
_ACTIVE: ContextVar[SharedPrefix] = ContextVar("the prefix that the model attends to")


class SharedPrefix:
    """Keys and values of one token sequence, computed once; 46 kB a token for SmolLM2-135M in float32."""

    def __init__(self, model, tokens: list[int]):
        self.model, self.length = model, len(tokens)
        with torch.inference_mode():
            ids = torch.tensor([tokens], device=model.device)
            last = last_position(len(tokens), model.device)
            cache = model(ids, past_key_values=DynamicCache(), use_cache=True, logits_to_keep=last).past_key_values
        self.states = [(layer.keys[0], layer.values[0]) for layer in cache.layers]

    def new_cache(self) -> Cache:
        """An empty cache for ``generate`` that counts the shared tokens as already there."""
        return Cache(layers=[_OwnLayer(self.length) for _ in self.states])

    @contextmanager
    def attention(self) -> Iterator[None]:
        """Within it, the model attends to the shared tokens before its own. Afterwards it is as it was."""
        before = self.model.config._attn_implementation
        AttentionInterface.register(_NAME, _attend_to_active)
        AttentionMaskInterface.register(_NAME, eager_mask)
        token = _ACTIVE.set(self)
        self.model.set_attn_implementation(_NAME)
        try:
            yield
        finally:
            self.model.set_attn_implementation(before)
            _ACTIVE.reset(token)

    def attend(self, module, query, key, value, attention_mask, scaling, **kwargs):
        """Attention of ``query`` (rows, heads, new, width) over the shared and the row's own states."""
        rows, heads, new, width = query.shape
        kinds = key.shape[1]  # key/value heads; each serves heads // kinds query heads
        shared_key, shared_value = self.states[module.layer_idx]
        grouped = query.reshape(rows, kinds, heads // kinds * new, width)

        # All rows' queries meet the one shared copy, so many at a time that the scores stay in the processor's cache.
        stacked = (grouped * scaling).transpose(0, 1).reshape(kinds, rows * grouped.shape[2], width)
        parts = [_softmax_sum(part @ shared_key.transpose(1, 2), shared_value) for part in stacked.split(_QUERIES, 1)]
        shared_part, shared_weight = (
            torch.cat(whole, 1).unflatten(1, (rows, -1)).transpose(0, 1) for whole in zip(*parts, strict=True)
        )
        mask = attention_mask[..., -key.shape[2] :].repeat(1, 1, heads // kinds, 1)
        own_part, own_weight = _softmax_sum(grouped * scaling @ key.transpose(2, 3) + mask, value)
        mixed = own_part + torch.sigmoid(shared_weight - own_weight).to(value.dtype) * (shared_part - own_part)
        return mixed.reshape(rows, heads, new, width).transpose(1, 2).contiguous(), None


def last_position(tokens: int, device) -> torch.Tensor:
    """``logits_to_keep`` for the scores after the last of so many tokens, alone.

    With the number 1 transformers cuts a slice out of each row, and for a slice in bfloat16 PyTorch copies the whole
    vocabulary's matrix once a row (57 MB for SmolLM2-135M). Picked by an index the states lie side by side.
    """
    return torch.tensor([tokens - 1], device=device)


def _attend_to_active(*args, **kwargs):
    return _ACTIVE.get().attend(*args, **kwargs)


def _softmax_sum(scores: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """softmax(scores) @ values, and the log of the softmax's denominator (with which two such sums are merged)."""
    scores = scores.float()
    highest = scores.amax(-1, keepdim=True)
    powers = scores.sub_(highest).exp_()
    total = powers.sum(-1, keepdim=True)
    return (powers.to(values.dtype) @ values) / total.to(values.dtype), highest + total.log()


class _OwnLayer(DynamicLayer):
    """A layer that stores a row's own tokens and reports the shared ones as part of its length (positions, masks)."""

    def __init__(self, shared: int):
        super().__init__()
        self.shared = shared

    def get_seq_length(self, *args) -> int:
        return self.shared + super().get_seq_length()

    def get_mask_sizes(self, query_length, *args) -> tuple[int, int]:
        new = query_length if isinstance(query_length, int) else query_length.shape[0]
        return self.get_seq_length() + new, 0
