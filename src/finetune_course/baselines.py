"""What counting alone achieves: unigram and bigram tables of token probabilities, scored like a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def unigram(tokens: torch.Tensor, vocabulary: int) -> torch.Tensor:
    """Probability of each token, shape (vocabulary,): its share of ``tokens``, each count one higher so none is 0."""
    counts = torch.bincount(tokens, minlength=vocabulary).double() + 1
    return counts / counts.sum()


def bigram(tokens: torch.Tensor, vocabulary: int, weight: float = 0.8) -> torch.Tensor:
    """Row a holds the probabilities of the token after a: shape (vocabulary, vocabulary), each row sums to 1.

    ``weight`` times the share of each successor of a in ``tokens``, the rest from the unigram; a token that was never
    followed by anything gets the unigram alone.
    """
    pairs = torch.zeros(vocabulary, vocabulary, dtype=torch.float64)
    pairs.index_put_((tokens[:-1], tokens[1:]), torch.ones(len(tokens) - 1, dtype=torch.float64), accumulate=True)
    seen = pairs.sum(1, keepdim=True)
    alone = unigram(tokens, vocabulary).expand(vocabulary, -1)
    return torch.where(seen > 0, weight * pairs / seen.clamp(min=1) + (1 - weight) * alone, alone)


def table_loss(table: torch.Tensor, encoded: Sequence[Sequence[int]]) -> np.ndarray:
    """Nats per token of each document under a unigram or bigram table, as ``small_model.token_loss``."""
    logs = table.log()
    losses = []
    for ids in encoded:
        before, after = torch.tensor(ids[:-1]), torch.tensor(ids[1:])
        losses.append(float(-(logs[after] if logs.ndim == 1 else logs[before, after]).mean()))
    return np.array(losses)
