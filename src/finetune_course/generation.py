"""Greedy answers to many messages that share a prompt: the shared part computed once, the rest in sorted batches.

``model.generate`` gives the same answers (notebook 03 and a test compare them) and takes several times as long: see
``shared_prefix`` for why. Here, too, a text leaves its batch as soon as it is finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from .constrained import Constraint
from .shared_prefix import SharedPrefix, last_position

Chat = Sequence[dict[str, str]]


@dataclass(frozen=True)
class Answers:
    """Texts in the order of the messages; tokens per message (``prompt_tokens`` with the shared part); wall seconds.

    ``watched``: for each message the probability, 0 to 1, that its answer begins with the watched token; empty where
    none was watched.
    """

    texts: list[str]
    prompt_tokens: list[int]
    new_tokens: list[int]
    seconds: float
    watched: list[float] = field(default_factory=list)


def answer_all(
    model,
    tokenizer,
    prefix: Chat,
    messages: Sequence[str],
    *,
    batch_size: int = 32,
    max_new_tokens: int = 40,
    constraint: Constraint | None = None,
    must_begin: str = "",
    watch: str = "",
    report: Callable[[int], None] | None = None,
) -> Answers:
    """Greedy answers of a chat model to every message, each asked on its own after ``prefix``.

    Args:
        prefix: the chat messages before the question: a system message and, for few-shot, example turns.
        messages: the user's messages.
        max_new_tokens: where an answer is cut off. The longest triage record takes 38 as the course writes it, and 55
            with line breaks and spaces, as an untrained model may write it (tests/test_generation.py).
        constraint: lets through only what its grammar allows.
        must_begin: an answer that does not begin with this text is given up as soon as that is plain, to save time.
        watch: a text whose first token is watched: how likely was it to be the first of each answer? With a constraint,
            among what its grammar allows.
        report: called with the number of messages just answered, for a progress bar.

    Raises:
        ValueError: no messages, or a prefix that does not begin with a system message.
    """
    if not messages:
        raise ValueError("There are no messages to answer: the list is empty.")
    if not prefix or prefix[0]["role"] != "system":
        raise ValueError("The prefix must begin with a system message, or else the chat template adds one of its own.")
    start = time.perf_counter()
    shared, rests = split_prompts(tokenizer, prefix, messages)
    order = sorted(range(len(messages)), key=lambda row: len(rests[row]))
    written: dict[int, list[int]] = {}
    watched: dict[int, float] = {}
    token = tokenizer(watch, add_special_tokens=False).input_ids[0] if watch else None
    with torch.inference_mode(), _evaluating(model):
        prompt = SharedPrefix(model, shared)
        with prompt.attention():
            for first in range(0, len(order), batch_size):
                rows = order[first : first + batch_size]
                batch = _Batch(model, tokenizer, prompt, max_new_tokens, constraint, must_begin)
                written |= zip(rows, batch.write([rests[row] for row in rows], token), strict=True)
                watched |= zip(rows, batch.watched, strict=token is not None)
                if report:
                    report(len(rows))
    return Answers(
        [tokenizer.decode(written[row], skip_special_tokens=True) for row in range(len(messages))],
        [len(shared) + len(rest) for rest in rests],
        [len(written[row]) for row in range(len(messages))],
        time.perf_counter() - start,
        [watched[row] for row in range(len(messages))] if watch else [],
    )


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


@contextmanager
def _evaluating(model) -> Iterator[None]:
    """Without dropout inside; afterwards the model is in the mode that it was in."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


class _Batch:
    """One batch of texts being written: keys and values, masks, and which text stands in which row."""

    def __init__(self, model, tokenizer, prompt: SharedPrefix, room: int, constraint: Constraint | None, begin: str):
        self.model, self.tokenizer, self.constraint = model, tokenizer, constraint
        self.room, self.begin = room, begin
        self.cache = prompt.new_cache()
        self.shared = prompt.length
        self.ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
        self.watched: list[float] = []

    def write(self, rests: list[list[int]], watch: int | None = None) -> list[list[int]]:
        """The new tokens of every text, the end token included where one was reached within ``room`` tokens.

        With ``watch``, a token's id, ``watched`` holds afterwards how likely each text was to begin with it.
        """
        answers: list[list[int]] = [[] for _ in rests]
        matchers: list = [None] * len(rests)
        feed = [list(rest) for rest in rests]
        if self.constraint:
            for row in range(len(rests)):
                matchers[row], forced = self.constraint.start()
                answers[row] += forced
                feed[row] += forced
        live = list(range(len(rests)))
        self.mask = torch.ones(len(live), self.shared, dtype=torch.long, device=self.model.device)
        while True:
            scores = self._step(feed)
            if self.constraint:
                scores = self.constraint.mask([matchers[row] for row in live], scores)
            if watch is not None and not self.watched:
                self.watched = scores.float().softmax(-1)[:, watch].tolist()
            feed = []
            for row, token in zip(live, scores.argmax(-1).tolist(), strict=True):
                new = [token, *(self.constraint.accept(matchers[row], token) if self.constraint else [])]
                answers[row] += new
                feed.append(new)
            places = [place for place, row in enumerate(live) if not self._finished(answers[row])]
            if not places:
                return answers
            if len(places) < len(live):
                live, feed = [live[place] for place in places], [feed[place] for place in places]
                keep = torch.tensor(places, device=self.model.device)
                self.mask = self.mask[keep]
                self.cache.batch_select_indices(keep)

    def _step(self, feed: list[list[int]]) -> torch.Tensor:
        """Put new tokens behind each text and return the scores of what comes next, (texts, vocabulary).

        Texts may get different numbers of tokens: shorter ones are padded on the left, the padding is masked, and
        positions count real tokens only.
        """
        width = max(map(len, feed))
        pads = [width - len(tokens) for tokens in feed]
        ids = [[self.tokenizer.pad_token_id] * pad + tokens for pad, tokens in zip(pads, feed, strict=True)]
        new = torch.tensor([[0] * pad + [1] * (width - pad) for pad in pads], device=self.mask.device)
        self.mask = torch.cat([self.mask, new], 1)
        positions = (self.mask.cumsum(1) - 1)[:, -width:].clamp(min=0)
        output = self.model(
            input_ids=torch.tensor(ids, device=self.mask.device),
            attention_mask=self.mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=last_position(width, self.mask.device),
        )
        return output.logits[:, -1]

    def _finished(self, answer: list[int]) -> bool:
        if answer[-1] in self.ends or len(answer) >= self.room:
            return True
        if not self.begin:
            return False
        text = self.tokenizer.decode(answer).lstrip()
        return not (text.startswith(self.begin) or self.begin.startswith(text))
