"""Are the facts of a neutral text still in its rewriting? Numbers, times, days, names and products are compared.

This is a list of things to look for, not understanding: it sees "$59" turned into "$95", a day that is gone and a name
that is new, and of a lost "not" only that no negation is left. It does not see who must pay whom.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from .triage import allowed_values
from .voice_rules import parts, plain_quotes, sentences

_ORDER_ID = re.compile(r"\bWW-\d{5}\b", re.IGNORECASE)
_NUMBER = re.compile(
    r"(?P<dollar>\$)?(?<![\d.,])(?P<number>\d+(?:,\d{3})*(?:\.\d+)?)(?:\s?-?(?P<unit>%|[a-z]+))?", re.I
)
_NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        "two three four five six seven eight nine ten eleven twelve thirteen fourteen".split(), start=2
    )
} | {"fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "ninety": 90, "hundred": 100}
_NUMBER_WORD = re.compile(r"\b(" + "|".join(_NUMBER_WORDS) + r")\b", re.IGNORECASE)
# Two numbers with different units of this list are different facts; other words behind a number are no units.
_UNITS = {
    "am": "am", "pm": "pm", "%": "per cent", "per": "per cent", "g": "g", "kg": "kg", "mm": "mm", "cm": "cm", "m": "m",
    "km": "km", "ml": "ml", "psi": "psi", **{f"{one}{s}": one for s in ("", "s") for one in (
        "second", "minute", "hour", "night", "day", "week", "month", "year", "metre", "litre", "gram", "degree", "knot",
        "point", "lumen")}, "litres": "litre", "metres": "m", "metre": "m", "grams": "g", "gram": "g",
}  # fmt: skip
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTHS = "January February April June July August September October November December".split()
_CALENDAR = re.compile(rf"\b({'|'.join(_DAYS + _MONTHS)})s?\b", re.IGNORECASE)
# "May" and "March" are months beside a number or after a preposition, else ordinary words.
_MAY_MARCH = re.compile(r"(?:\b(?:\d+|in|of|until|from|by|to|since|and)\s+)(May|March)\b|\b(May|March)(?=\s+\d)")
_MOMENT = re.compile(r"\b(today|tomorrow|tonight|yesterday|noon|midnight)\b", re.IGNORECASE)
_NAME = re.compile(r"(?<=\s)[\"(]?([A-Z][\w'-]*)")
_NEGATION = re.compile(
    r"\b(?:not|no|never|cannot|without|only|except|nobody|none|nothing|unless|neither|nor|exempt|excluded|excludes"
    r"|forbidden|unsuitable)\b|n't\b",
    re.IGNORECASE,
)
# A negation may also be put the other way round: "out of stock", "closed", "just".
_TURNED = re.compile(r"\b(?:out|closed|shut|shuts|missing|single|free)\b", re.IGNORECASE)


@dataclass(frozen=True)
class FactResult:
    """``kept``: every fact is there and none is new. ``missing`` and ``invented`` name the others."""

    kept: bool
    missing: tuple[str, ...]
    invented: tuple[str, ...]


def check_facts(neutral: str, text: str) -> FactResult:
    """Compare the facts of ``neutral`` with those of its rewriting, in any order. The opening is no fact."""
    told, written = plain_quotes(neutral), " ".join(part for part in parts(text)[1:] if part)
    numbers, others = _numbers(told), _numbers(written)
    missing = [_shown(fact) for fact in numbers if not any(_same(fact, other) for other in others)]
    invented = [_shown(fact) for fact in others if not any(_same(fact, other) for other in numbers)]
    for find in (_calendar, _names):
        here, there = find(told), find(written)
        words = set(_words(written)) if find is _names else there
        missing += sorted(here - words)
        invented += sorted(there - (set(_words(told)) if find is _names else here))
    missing += sorted(_moments(told) - _moments(written))
    missing += sorted(product for product in _products() & set(_words(told)) if not _mentions(written, product))
    if _NEGATION.search(told) and not (_NEGATION.search(written) or _TURNED.search(written)):
        missing.append("not")
    return FactResult(not missing and not invented, tuple(missing), tuple(invented))


def _numbers(text: str) -> list[tuple[str, str]]:
    """(number, unit) pairs, both normal forms; an order id is a number of its own. An unknown unit is ''."""
    found = [(match[0].upper(), "order id") for match in _ORDER_ID.finditer(text)]
    text = _NUMBER_WORD.sub(lambda match: str(_NUMBER_WORDS[match[1].lower()]), _ORDER_ID.sub(" ", text))
    for match in _NUMBER.finditer(text):
        unit = "$" if match["dollar"] else _UNITS.get((match["unit"] or "").lower(), "")
        found.append((f"{float(match['number'].replace(',', '')):g}", unit))
    return list(dict.fromkeys(found))


def _same(left: tuple[str, str], right: tuple[str, str]) -> bool:
    """The same number, and not two different units: "7" may stand for "7 am" (as in "7 to 9 am"), "7 pm" may not."""
    return left[0] == right[0] and (left[1] == right[1] or "" in (left[1], right[1]))


def _shown(fact: tuple[str, str]) -> str:
    number, unit = fact
    return f"${number}" if unit == "$" else number if unit in ("", "order id") else f"{number} {unit}"


def _calendar(text: str) -> set[str]:
    months = {first or second for first, second in _MAY_MARCH.findall(text)}
    return {name.title() for name in _CALENDAR.findall(text)} | months


def _moments(text: str) -> set[str]:
    return {word.lower() for word in _MOMENT.findall(text)}


def _names(text: str) -> set[str]:
    """Words with a capital that do not begin a sentence, bare: places, people, product names."""
    names = {name for sentence in sentences(text) for name in _NAME.findall(sentence)}
    lowered = {_bare(name) for name in names if not re.match(r"I\b", name)}
    return lowered - {day.lower() for day in [*_DAYS, *_MONTHS, "may", "march"]} - {f"{day.lower()}s" for day in _DAYS}


def _words(text: str) -> list[str]:
    return [_bare(word) for word in re.findall(r"[\w'-]+", text)]


def _mentions(text: str, product: str) -> bool:
    """Is the product in the text, in full or by its second half (surfboard: board, backpack: pack)?"""
    return any(product == word or (len(word) > 3 and product.endswith(word)) for word in _words(text))


def _bare(word: str) -> str:
    """In lower case, without quotation marks, 's and a plural's s."""
    word = re.sub(r"'s?$|'(?:ll|ve|d|re)$", "", word.lower().strip("'\""))
    return word.removesuffix("s") if len(word) > 3 else word


@lru_cache(maxsize=1)
def _products() -> frozenset[str]:
    """The word that says most of each product family (rain jacket: jacket; snorkel set: snorkel), as in ``_bare``."""
    words = (family.removesuffix(" set").split()[-1] for family in allowed_values("product") if family)
    return frozenset(map(_bare, words))
