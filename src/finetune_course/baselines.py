"""What counting alone achieves: unigram, bigram and trigram probabilities of tokens, scored like a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def trigram(tokens: torch.Tensor, table: torch.Tensor, prior: float) -> Callable[[Sequence[int]], np.ndarray]:
    """A function from token ids to the probability of each id after the first, shape (ids - 1,), by the two before.

    After the pair a, b the token c has (count of a b c + ``prior`` · table[b, c]) / (count of a b + ``prior``): the
    bigram ``table`` weighs as much as ``prior`` (above 0) further observations, so a pair seen once is trusted little,
    and after a pair never seen, as at the second token, the bigram stands alone. Raises ValueError for a prior of 0.
    """
    if prior <= 0:
        raise ValueError(f"The prior must be above 0; found {prior}: a run never seen would be impossible.")
    size, stream = len(table), tokens.numpy().astype(np.int64)
    before = stream[:-2] * size + stream[1:-1]
    pairs = np.unique(before, return_counts=True)
    runs = np.unique(before * size + stream[2:], return_counts=True)

    def probabilities(ids: Sequence[int]) -> np.ndarray:
        given = np.asarray(ids, dtype=np.int64)
        alone = table[given[:-1], given[1:]].numpy()
        pair = given[:-2] * size + given[1:-1]
        mixed = (_counted(pair * size + given[2:], *runs) + prior * alone[1:]) / (_counted(pair, *pairs) + prior)
        return np.concatenate([alone[:1], mixed])

    return probabilities


def _counted(keys: np.ndarray, known: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """How often each key was counted; ``known`` is sorted."""
    place = np.searchsorted(known, keys).clip(max=len(known) - 1)
    return np.where(known[place] == keys, counts[place], 0)


def run_loss(probabilities: Callable[[Sequence[int]], np.ndarray], encoded: Sequence[Sequence[int]]) -> np.ndarray:
    """Nats per token of each document under a ``trigram``, as ``table_loss``."""
    return np.array([float(-np.log(probabilities(ids)).mean()) for ids in encoded])
