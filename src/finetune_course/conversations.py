"""Conversations of several turns, many at once: what a model answers to each turn, with all that was said before.

A turn's keys and values are kept for the next one, so every token is computed once. Conversations are of unequal
length; where one is shorter, its row is padded and the padding masked, also in the middle of a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import DynamicCache

Chat = Sequence[dict[str, str]]


def hold_conversations(
    model, tokenizer, prefix: Chat, conversations: Sequence[Sequence[str]], *, max_new_tokens: int = 90
) -> list[list[str]]:
    """Greedy replies to every turn of every conversation, shape (conversations, turns), each seeing its own past.

    Args:
        prefix: chat messages before the first turn: a system message and, for examples, user and assistant turns.
        conversations: the customer's turns, equally many in each conversation.

    Raises:
        ValueError: no conversations, a prefix without a system message, or conversations of unequal length.
    """
    if not conversations or len({len(turns) for turns in conversations}) != 1:
        raise ValueError("Give at least one conversation, and the same number of turns in each.")
    if not prefix or prefix[0]["role"] != "system":
        raise ValueError("The prefix must begin with a system message, or else the chat template adds one of its own.")
    rows, cache = len(conversations), DynamicCache()
    ids = torch.empty((rows, 0), dtype=torch.long, device=model.device)
    mask = torch.empty_like(ids)
    replies: list[list[str]] = [[] for _ in conversations]
    ended = [True] * rows
    training = model.training
    model.eval()
    for turn in range(len(conversations[0])):
        blocks = [_turn_ids(tokenizer, prefix, turns[turn], first=turn == 0) for turns in conversations]
        # A reply that was cut off gets the end token that it did not write, as in any chat program.
        blocks = [block if end else [tokenizer.eos_token_id, *block] for block, end in zip(blocks, ended, strict=True)]
        ids, mask = _append(ids, mask, blocks, tokenizer.pad_token_id)
        with torch.inference_mode():
            output = model.generate(
                input_ids=ids,
                attention_mask=mask,
                past_key_values=cache,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
                return_dict_in_generate=True,
            )
        cache, new = output.past_key_values, output.sequences[:, ids.shape[1] :]
        kept = _up_to_the_end(new, tokenizer.eos_token_id)
        ids, mask = torch.cat([ids, new], dim=1), torch.cat([mask, kept.long()], dim=1)
        ended = (new == tokenizer.eos_token_id).any(dim=1).tolist()
        for row in range(rows):
            replies[row].append(tokenizer.decode(new[row][kept[row]], skip_special_tokens=True).strip())
    model.train(training)
    return replies


def _turn_ids(tokenizer, prefix: Chat, message: str, first: bool) -> list[int]:
    """Token ids of a customer's turn up to where the assistant begins; the first turn has the prefix before it.

    An earlier reply ended with its end token, and the template puts a line break after that. The chat template adds a
    system message where there is none, so later turns are cut out of a chat that has an empty one.
    """
    turn = {"role": "user", "content": message}
    if first:
        return tokenizer.apply_chat_template([*prefix, turn], add_generation_prompt=True)["input_ids"]
    empty = [{"role": "system", "content": ""}]
    before = tokenizer.apply_chat_template(empty, tokenize=False)
    whole = tokenizer.apply_chat_template([*empty, turn], tokenize=False, add_generation_prompt=True)
    return tokenizer("\n" + whole.removeprefix(before), add_special_tokens=False)["input_ids"]


def _append(ids: torch.Tensor, mask: torch.Tensor, blocks: list[list[int]], pad: int):
    """``ids`` and ``mask`` with a block of new tokens for each row behind them, padded on the block's left."""
    width = max(map(len, blocks))
    more = torch.tensor([[pad] * (width - len(block)) + block for block in blocks], device=ids.device)
    real = torch.tensor([[0] * (width - len(block)) + [1] * len(block) for block in blocks], device=ids.device)
    return torch.cat([ids, more], dim=1), torch.cat([mask, real], dim=1)


def _up_to_the_end(new: torch.Tensor, end: int) -> torch.Tensor:
    """True for each new token up to and with its row's first end token, shape (rows, tokens)."""
    ended_before = (new == end).long().cumsum(dim=1) - (new == end).long()
    return ended_before == 0
