"""The questions about the shop and the coast: the pairs to learn from, the hand-written test, and how it is scored.

An answer can be read by a program, because each question asks for one kind of thing: a sum, a weekday, a town.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import pandas as pd
import torch

from .paths import data_path

CHAT_TEMPLATE = (
    "<|end|>{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""The small model's chat template (Jinja): who speaks stands before each turn, END closes the assistant's."""

MOST_TOKENS = 90
"""An answer that has not ended after so many tokens has not stopped: more than an untuned model's texts mostly have."""

_COUNT = r"(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_OPEN = {
    "dollars": r"\$ ?\d+|\b\d[\d,.]* dollars",
    "years": rf"\b{_COUNT}[ -]years?\b",
    "days": rf"\b{_COUNT}(?: to {_COUNT}|-\d+)? (?:business |working )?(?:hours?|days?|weeks?)\b",
    "hour": rf"\b{_COUNT}\b",
}
"""Kinds whose values are counted; of the other kinds, every value that occurs in the questions' facts is accepted."""
_DIGITS = dict(zip("one two three four five six seven eight nine ten eleven twelve".split(), range(1, 13), strict=True))


def load_questions(split: str) -> list[dict[str, Any]]:
    """The rows of qa_{split}.jsonl: question, kind, value, fact, and ``answer`` (train) or ``asked`` (the others).

    ``asked`` says whether the training pairs ask for the same fact; validation asks in wordings that they do not use.
    Raises ValueError for a split that does not exist and FileNotFoundError, in one sentence, for a missing file.
    """
    if split not in ("train", "validation", "test"):
        raise ValueError(f"There is no split '{split}': choose train, validation or test.")
    path = data_path("corpus", f"qa_{split}.jsonl")
    if not path.is_file():
        raise FileNotFoundError(f"data/corpus/{path.name} is missing: build it with 'python data/build_corpus.py'.")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


class Written(NamedTuple):
    """What a model wrote after each prompt (special tokens left out), and whether it ended the text itself."""

    texts: list[str]
    stopped: list[bool]


def write_answers(
    model,
    tokenizer,
    prompts: Sequence[str],
    max_new_tokens: int = MOST_TOKENS,
    batch: int = 32,
    ends: Sequence[int] = (),
) -> Written:
    """Greedy continuations of some prompts (texts with their special tokens written out), in the prompts' order.

    ``ends`` are the ids that end a text; by default the tokenizer's end token alone. Prompts of like length share a
    batch, padded on the left. The model is left in the mode that it was in.
    """
    ends = list(ends) or [tokenizer.eos_token_id]
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    written: dict[int, tuple[str, bool]] = {}
    training = model.training
    model.eval()
    for start in range(0, len(order), batch):
        places = order[start : start + batch]
        encoded = tokenizer(
            [prompts[place] for place in places],
            add_special_tokens=False,
            padding=True,
            padding_side="left",
            return_tensors="pt",
        ).to(model.device)
        with torch.inference_mode():
            output = model.generate(
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
                max_new_tokens=max_new_tokens,
                do_sample=False,
                eos_token_id=ends,
                pad_token_id=tokenizer.pad_token_id,
            )
        for place, new in zip(places, output[:, encoded["input_ids"].shape[1] :].tolist(), strict=True):
            # The end counts before padding does: some tokenizers use one token for both.
            stop = next((at for at, token in enumerate(new) if token in ends), None)
            written[place] = tokenizer.decode(new[:stop], skip_special_tokens=True).strip(), stop is not None
    model.train(training)
    return Written(*map(list, zip(*(written[place] for place in range(len(prompts))), strict=True)))


def first_sentence(text: str) -> str:
    """The text up to its first full stop, question mark, exclamation mark or line break that ends a sentence."""
    return re.split(r"(?<=[.!?])(?:\s|$)|\n", text.strip(), maxsplit=1)[0]


def responds(answer: str, question: str, kind: str) -> bool:
    """Whether the answer's first sentence gives something of the kind asked for, right or wrong.

    What stands in the question already does not count: repeating it is no answer. A sentence that is a question
    itself is none either.
    """
    sentence, asked = first_sentence(answer).casefold(), question.casefold()
    if sentence.endswith("?"):
        return False
    return any(match.group() not in asked for match in re.finditer(_pattern(kind), sentence))


def is_right(answer: str, value: str) -> bool:
    """Whether the answer's first sentence holds the value asked for (numbers up to twelve also as digits)."""
    sentence, wanted = first_sentence(answer).casefold(), _bare(value)
    if wanted.endswith(" dollars"):
        sentence = re.sub(r"\$ ?(\d+)", r"\1 dollars", sentence)
    forms = {wanted, str(_DIGITS.get(wanted, wanted))}
    return any(re.search(rf"(?<!\w){re.escape(form)}(?!\w)", sentence) for form in forms)


def score_answers(answers: Sequence[str], stopped: Sequence[bool], rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One row per question: ``id``, ``responds``, ``stops``, ``both`` and ``right`` (which asks for both as well).

    ``stopped`` says whether the model ended its answer itself. Raises ValueError for lists of unequal length.
    """
    if not len(answers) == len(stopped) == len(rows):
        raise ValueError(f"{len(rows)} questions, {len(answers)} answers and {len(stopped)} stops: give one of each.")
    table = []
    for answer, stop, row in zip(answers, stopped, rows, strict=True):
        to_the_point = responds(answer, row["question"], row["kind"])
        both = to_the_point and bool(stop)
        table.append((row["id"], to_the_point, bool(stop), both, both and is_right(answer, row["value"])))
    return pd.DataFrame(table, columns=["id", "responds", "stops", "both", "right"])


def _bare(value: str) -> str:
    return re.sub(r"^(?:an?|the) ", "", value.casefold())


@lru_cache(maxsize=64)
def _pattern(kind: str) -> str:
    if kind in _OPEN:
        return _OPEN[kind]
    values = {
        _bare(row["value"]) for split in ("train", "test") for row in load_questions(split) if row["kind"] == kind
    }
    if not values:
        raise ValueError(f"No question asks for the kind '{kind}'.")
    return r"(?<!\w)(?:" + "|".join(sorted(map(re.escape, values), key=len, reverse=True)) + r")(?!\w)"
