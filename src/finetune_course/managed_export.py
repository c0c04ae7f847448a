"""A training file for managed fine-tuning services: chat JSONL, checked against their documented limits.

The form is OpenAI's, which Fireworks and Together take too: a line is {"messages": [system, user, assistant]}.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .costs import upload_limits
from .records import DataError, Problem, load_records

_TURN = {"type": "string", "minLength": 1}
LINE = {
    "type": "object",
    "required": ["messages"],
    "additionalProperties": False,
    "properties": {
        "messages": {
            "type": "array",
            "minItems": 2,
            "items": {
                "type": "object",
                "required": ["role", "content"],
                "additionalProperties": False,
                "properties": {"role": {"enum": ["system", "user", "assistant"]}, "content": _TURN},
            },
        }
    },
}
"""JSON Schema of one line. The order of the roles is checked by ``check_chat_file``."""


@dataclass(frozen=True)
class ChatFile:
    """A checked file: its examples and bytes, the tokens of all examples together and of the longest one."""

    examples: int
    bytes: int
    tokens: int
    longest: int


def chat_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row in TRL's prompt-completion form as one line of a chat file."""
    return {"messages": [*row["prompt"], *row["completion"]]}


def write_chat_file(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write prompt-completion rows as chat JSONL (UTF-8, one line each); returns their number.

    The file appears whole or not at all. Raises ValueError for no rows.
    """
    lines = [json.dumps(chat_row(row), ensure_ascii=False) for row in rows]
    if not lines:
        raise ValueError("There are no rows to write: the list is empty.")
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(partial, path)
    return len(lines)


def check_chat_file(path: str | Path, service: str, count_tokens: Callable[[list[dict[str, str]]], int]) -> ChatFile:
    """Check a chat file against a service's documented limits (data/prices/services.json) and count its tokens.

    Args:
        service: a name in ``costs.upload_limits()``.
        count_tokens: the tokens of one example's messages. Services count with their own tokenizers: another model's
            count is an estimate.

    Raises:
        ValueError: an unknown service.
        DataError: every fault of the file, with its line and what was expected.
    """
    limits = upload_limits()
    if service not in limits.index:
        raise ValueError(f"There are no limits of '{service}'; the table has {', '.join(limits.index)}.")
    limit = limits.loc[service].dropna()
    path = Path(path)
    rows = load_records(path, LINE, unique="")
    problems = [
        Problem(path.name, number, "messages", fault)
        for number, row in enumerate(rows, 1)
        if (fault := _order_fault([message["role"] for message in row["messages"]]))
    ]
    sizes = [count_tokens(row["messages"]) for row in rows]
    longest = limit.get("max_tokens_per_example")
    if longest is not None:
        problems += [
            Problem(path.name, number, "messages", f"expected at most {int(longest):,} tokens; these are {size:,}")
            for number, size in enumerate(sizes, 1)
            if size > longest
        ]
    for name, wrong, compare in (("min_examples", len(rows), "at least"), ("max_examples", len(rows), "at most")):
        if name in limit and (wrong < limit[name] if compare == "at least" else wrong > limit[name]):
            expected = f"{service} takes {compare} {int(limit[name]):,} examples; the file has {wrong:,}"
            problems.append(Problem(path.name, 0, "", expected))
    size = path.stat().st_size
    if "max_megabytes" in limit and size > limit["max_megabytes"] * 1e6:
        expected = f"{service} takes files of at most {limit['max_megabytes']:g} MB; this one has {size / 1e6:.0f} MB"
        problems.append(Problem(path.name, 0, "", expected))
    if problems:
        raise DataError(problems)
    return ChatFile(len(rows), size, sum(sizes), max(sizes))


def _order_fault(roles: list[str]) -> str | None:
    """What is wrong with the order of the roles, or None: a system message at most at the start, then user and
    assistant in turn, the assistant last (there is nothing to learn otherwise)."""
    turns = roles[1:] if roles[0] == "system" else roles
    if "system" in turns:
        return "expected the system message first and only there"
    if any(role != ("user", "assistant")[place % 2] for place, role in enumerate(turns)):
        return "expected user and assistant in turn, the user first"
    if not turns or turns[-1] != "assistant":
        return "expected the assistant's answer last: it is what is learned"
    return None
