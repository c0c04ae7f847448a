"""Answers to many messages that share a prompt: ``model.generate`` in sorted batches, the shared part computed once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from .shared_prefix import SharedPrefix

Chat = Sequence[dict[str, str]]


@dataclass(frozen=True)
class Answers:
    """Texts in the order of the messages; tokens per message (``prompt_tokens`` with the shared part); wall seconds."""

    texts: list[str]
    prompt_tokens: list[int]
    new_tokens: list[int]
    seconds: float


def answer_all(
    model,
    tokenizer,
    prefix: Chat,
    messages: Sequence[str],
    *,
    batch_size: int = 32,
    max_new_tokens: int = 48,
    processor: Callable[[], LogitsProcessor] | None = None,
    report: Callable[[int], None] | None = None,
) -> Answers:
    """Greedy answers of a chat model to every message, each asked on its own after ``prefix``.

    Args:
        prefix: the chat messages before the question: a system message and, for few-shot, example turns.
        messages: the user's messages.
        max_new_tokens: where an answer is cut off; a triage record takes up to 45.
        processor: makes a fresh LogitsProcessor for each batch, for instance ``constrained.schema_processor(…)``.
        report: called with the number of messages just answered, for a progress bar.

    Raises:
        ValueError: no messages, or a prefix that does not begin with a system message.
    """
    if not messages:
        raise ValueError("There are no messages to answer: the list is empty.")
    if not prefix or prefix[0]["role"] != "system":
        raise ValueError(
            "The prefix must begin with a system message, otherwise the chat template puts its own one in."
        )
    start = time.perf_counter()
    shared, rests = split_prompts(tokenizer, prefix, messages)
    lengths = [len(rest) for rest in rests]
    order = sorted(range(len(messages)), key=lengths.__getitem__)
    prompt = SharedPrefix(model, shared)
    texts, new_tokens = [""] * len(messages), [0] * len(messages)
    ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        ids, mask = _left_padded(tokenizer, shared, [rests[row] for row in rows], model.device)
        with torch.inference_mode(), prompt.attention():
            output = model.generate(
                input_ids=ids,
                attention_mask=mask,
                past_key_values=prompt.new_cache(),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
                logits_processor=LogitsProcessorList([processor()] if processor else []),
            )
        for row, answer in zip(rows, output[:, ids.shape[1] :].tolist(), strict=True):
            new_tokens[row] = next((place + 1 for place, token in enumerate(answer) if token in ends), len(answer))
            texts[row] = tokenizer.decode(answer, skip_special_tokens=True)
        if report:
            report(len(rows))
    prompt_tokens = [len(shared) + length for length in lengths]
    return Answers(texts, prompt_tokens, new_tokens, time.perf_counter() - start)


def split_prompts(tokenizer, prefix: Chat, messages: Sequence[str]) -> tuple[list[int], list[list[int]]]:
    """Token ids of the shared part, and of what follows it for each message up to where the assistant begins.

    The chat template puts a special token between turns, and no token reaches across one, so the two parts cut apart
    tokenize to the same ids as the whole.
    """
    shared = tokenizer.apply_chat_template(list(prefix), tokenize=False)
    texts = [
        tokenizer.apply_chat_template(
            [*prefix, {"role": "user", "content": message}], tokenize=False, add_generation_prompt=True
        )
        for message in messages
    ]
    if not all(text.startswith(shared) for text in texts):
        raise ValueError("This chat template changes earlier turns when a message follows, so they cannot be shared.")
    ids = tokenizer([shared, *(text[len(shared) :] for text in texts)], add_special_tokens=False).input_ids
    return ids[0], ids[1:]


def _left_padded(tokenizer, shared: list[int], rests: list[list[int]], device) -> tuple[torch.Tensor, torch.Tensor]:
    """Input ids and attention mask, (batch, tokens): the shared part, then padding, then each message's own part."""
    longest = max(map(len, rests))
    pads = [longest - len(rest) for rest in rests]
    ids = [[*shared, *[tokenizer.pad_token_id] * pad, *rest] for pad, rest in zip(pads, rests, strict=True)]
    mask = [[1] * len(shared) + [0] * pad + [1] * len(rest) for pad, rest in zip(pads, rests, strict=True)]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
