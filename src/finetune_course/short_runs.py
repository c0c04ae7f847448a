"""Training runs of seconds, to compare ranks: the model's upper blocks learn to name a message's category.

The lower blocks are frozen in every one of these runs and give the same numbers each time, so they are computed once
(``UpperBlocks``). The small task asks for one field, whose few tokens are right or wrong together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from .lora_layer import PROJECTIONS, trained

SYSTEM = {"role": "system", "content": "Category."}


@dataclass(frozen=True)
class Batch:
    """Token ids, attention mask and labels, each (rows, tokens); a label of -100 teaches nothing."""

    ids: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor


def category_batches(tokenizer, records: Sequence[dict[str, Any]], size: int, by_length: bool = True) -> list[Batch]:
    """Batches of prompt and category; ``by_length`` sorts the records, so that little is padded (on the right)."""
    rows = []
    for record in records:
        chat = [SYSTEM, {"role": "user", "content": record["message"]}]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
        rows.append((prompt, tokenizer(record["label"]["category"] + tokenizer.eos_token)["input_ids"]))
    if by_length:
        rows.sort(key=lambda row: len(row[0]) + len(row[1]))
    return [_padded(rows[first : first + size], tokenizer.pad_token_id) for first in range(0, len(rows), size)]


def _padded(rows: list[tuple[list[int], list[int]]], pad: int) -> Batch:
    width = max(len(prompt) + len(answer) for prompt, answer in rows)
    rests = [width - len(prompt) - len(answer) for prompt, answer in rows]
    return Batch(
        torch.tensor([p + a + [pad] * rest for (p, a), rest in zip(rows, rests, strict=True)]),
        torch.tensor([[1] * (width - rest) + [0] * rest for rest in rests]),
        torch.tensor([[-100] * len(p) + a + [-100] * rest for (p, a), rest in zip(rows, rests, strict=True)]),
    )


class UpperBlocks:
    """The blocks of a model from ``first`` on, fed with what the blocks below made of some batches.

    Building it takes the lower blocks' memory away: ``model`` itself keeps its upper blocks alone.
    """

    def __init__(self, model, first: int, **batches: list[Batch]) -> None:
        """``batches`` are named sets, such as ``train=`` and ``held_out=``."""
        body, blocks, norm = model.model, model.model.layers, model.model.norm
        self.model = model.requires_grad_(False).eval()
        body.layers, body.norm = blocks[:first], nn.Identity()
        with torch.no_grad():
            self.sets = {name: [(self._states(b.ids, b.mask), b) for b in some] for name, some in batches.items()}
        body.layers, body.norm = blocks[first:], norm

    def _states(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        device = self.model.device
        body = self.model.model
        return body(ids.to(device), attention_mask=mask.to(device), use_cache=False).last_hidden_state

    def logits(self, states: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
        """Scores (tokens that teach, vocabulary), their right tokens, and how many of them each row has."""
        mask, labels = batch.mask.to(states.device), batch.labels.to(states.device)
        hidden = self.model.model(inputs_embeds=states, attention_mask=mask, use_cache=False).last_hidden_state
        taught = labels[:, 1:] != -100
        return self.model.lm_head(hidden[:, :-1][taught]), labels[:, 1:][taught], taught.sum(1).tolist()

    def weights(self) -> list[nn.Parameter]:
        """The weight matrices of the blocks' linear layers, (out, in) each."""
        named = self.model.model.layers.named_parameters()
        return [weight for path, weight in named if path.split(".")[-2] in PROJECTIONS]

    def train(self, rate: float, name: str = "train", seed: int = 0, only: list[int] | None = None) -> list[float]:
        """One pass with AdamW over a set, in an order that ``seed`` decides; returns the loss (nats) of each step.

        The learning rate rises to ``rate`` over the first tenth of the steps and then falls to zero. With ``only``
        given, a step is made on each of those batches instead, in that order.
        """
        batches = self.sets[name]
        order = only or torch.randperm(len(batches), generator=torch.Generator().manual_seed(seed)).tolist()
        adam = torch.optim.AdamW(trained(self.model), lr=rate, weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.LambdaLR(adam, _ramp(len(order)))
        losses = []
        for place in order:
            scores, right, _ = self.logits(*batches[place])
            loss = cross_entropy(scores, right)
            loss.backward()
            adam.step()
            schedule.step()
            adam.zero_grad()
            losses.append(loss.item())
        return losses

    @torch.no_grad()
    def held_out(self, name: str = "held_out") -> tuple[list[float], list[int]]:
        """Of every row of a set: its loss (nats a token), and 1 where greedy decoding writes all its tokens, else 0.

        A greedy answer is right in full exactly when, after each right beginning, the right token has the highest
        score; so one pass over the right answer says it, and nothing need be generated.
        """
        losses, hits = [], []
        for states, batch in self.sets[name]:
            scores, right, counts = self.logits(states, batch)
            each, found = cross_entropy(scores, right, reduction="none"), scores.argmax(-1) == right
            losses += [part.mean().item() for part in each.split(counts)]
            hits += [int(part.all()) for part in found.split(counts)]
        return losses, hits


def _ramp(steps: int) -> Callable[[int], float]:
    warm = max(1, steps // 10)
    return lambda step: min((step + 1) / warm, (steps - step) / (steps - warm + 1))
