"""Causal attention in plain PyTorch, as notebook 01 builds it by hand."""

from __future__ import annotations

import math

import torch


def causal_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Each position's mix of the values at itself and before it; all of shape (..., tokens, width).

    The weights are the softmax of q·k / sqrt(width) over the positions that are not later (Vaswani and others, 2017).
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
    return scores.masked_fill(later, -torch.inf).softmax(-1) @ v
