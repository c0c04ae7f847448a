"""The triage task for the small model of notebooks 01 and 02 (2.2 million weights, all of them trained).

The model was made for texts of 128 tokens. A message with its record takes more of its small tokens, so its context is
made longer first; positions are rotations (RoPE), not learned numbers, so that costs nothing but training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import set_seed

from .shop_questions import CHAT_TEMPLATE, write_answers
from .small_model import IGNORED, load_small_model, shipped_small_model
from .triage import label_text

CONTEXT = 512
BATCH = 8
LONGEST_RECORD = 110

Record = dict[str, Any]


def long_small_model():
    """The shipped small model with a context of 512 tokens, and its tokenizer with the chat template of notebook 02."""
    model, tokenizer = load_small_model(shipped_small_model())
    model.config.max_position_embeddings = CONTEXT
    tokenizer.chat_template = CHAT_TEMPLATE
    return model, tokenizer


def row_of(tokenizer, record: Record) -> tuple[list[int], list[int]]:
    """Token ids of a message with its record and the end token, and labels: -100 on the message."""
    prompt = tokenizer(_prompt(tokenizer, record), add_special_tokens=False)["input_ids"]
    answer = tokenizer(label_text(record["label"]), add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    return prompt + answer, [IGNORED] * len(prompt) + answer


def train_small(
    model, tokenizer, records: Sequence[Record], *, passes: int, rate: float, seed: int, stop_after: int | None = None
) -> list[float]:
    """Train every weight on the records ``passes`` times (AdamW, warm-up, half a cosine); returns the steps' losses.

    With ``stop_after`` the run is broken off after so many steps, its learning rates being those of the whole run.
    """
    set_seed(seed)
    rows = [row_of(tokenizer, record) for record in records]
    order = torch.Generator().manual_seed(seed)
    each = math.ceil(len(rows) / BATCH)
    steps, losses = each * passes, []
    optimiser = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.1)
    model.train()
    for _ in range(passes):
        for batch in _batches(rows, order):
            for group in optimiser.param_groups:
                group["lr"] = rate * rate_factor(len(losses) + 1, steps)
            inputs, targets = _padded(batch, tokenizer.pad_token_id)
            logits = model(input_ids=inputs).logits
            loss = cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
            losses.append(loss.item())
            if len(losses) == stop_after:
                return losses
    model.eval()
    return losses


def small_answers(model, tokenizer, records: Sequence[Record]) -> list[str]:
    """What the model answers to the messages of ``records``, greedily."""
    prompts = [_prompt(tokenizer, record) for record in records]
    return write_answers(model, tokenizer, prompts, max_new_tokens=LONGEST_RECORD, batch=50).texts


def rate_factor(step: int, steps: int) -> float:
    """Warm-up over the first twentieth of the steps, then half a cosine down to a tenth."""
    return min(step / max(1, steps / 20), 1) * (0.1 + 0.45 * (1 + math.cos(math.pi * step / steps)))


def _prompt(tokenizer, record: Record) -> str:
    chat = [{"role": "user", "content": record["message"]}]
    return tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)


def _batches(rows: list, order: torch.Generator) -> list[list]:
    """Batches of rows of about the same length, in an order that the generator decides."""
    places = torch.randperm(len(rows), generator=order).tolist()
    window = 25 * BATCH
    groups = [sorted(places[at : at + window], key=lambda p: len(rows[p][0])) for at in range(0, len(rows), window)]
    cut = [group[at : at + BATCH] for group in groups for at in range(0, len(group), BATCH)]
    return [[rows[place] for place in cut[at]] for at in torch.randperm(len(cut), generator=order).tolist()]


def _padded(rows: list[tuple[list[int], list[int]]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets, one step apart, of rows of unequal length."""
    width = max(len(ids) for ids, _ in rows)
    inputs = [ids[:-1] + [pad] * (width - len(ids)) for ids, _ in rows]
    targets = [labels[1:] + [IGNORED] * (width - len(labels)) for _, labels in rows]
    return torch.tensor(inputs), torch.tensor(targets)
