"""The places of README.md that commands write, each between two marks: badges, map and picture."""

from __future__ import annotations


def around(text: str, begin: str, end: str, missing: Exception) -> tuple[str, str, str]:
    """What stands before the mark ``begin``, between the two, and after ``end``. Raises ``missing`` without both."""
    before, first, rest = text.partition(begin)
    between, last, after = rest.partition(end)
    if not (first and last):
        raise missing
    return before, between, after
