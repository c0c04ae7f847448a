"""Fills patterns: ``[this|that]`` chooses, ``{slot}`` draws a word (``{slot:s}`` its plural); a document keeps its draws."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from .lexicon import LISTS, plural

SEED = 2026
SHARES = {"validation": 8, "test": 10}
"""Of each pool of whole plots, tasks or wordings: so many in a hundred are kept for validation and for test."""

FRESH = {"when", "manner", "sound", "smell", "hour", "count", "ago", "number"}
"""Slots that are drawn anew each time: no text refers back to them."""

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+?)(\d?)(?::(\w+))?\}")
# "a" before a vowel, but not before one that is spoken as "yoo" or "w".
_A = re.compile(r"\b([Aa]) (?=(?:[aeio](?!ne\b|ne-|u[kr])|u(?!ni|se|ku|te)|hour|honest))")
# A letter that starts a sentence; after ?" and !" the sentence of the speaker goes on ("Where?" asked Nell).
_START = re.compile(r"((?:^|[.!?] |\.\" )\"?)([a-z])")


def parted(items: Sequence, name: str, split: str) -> list:
    """The items of ``split``: shuffled once with a seed from ``name``, then cut; no item serves two splits."""
    items = list(items)
    random.Random(f"{SEED} {name}").shuffle(items)
    start = 0
    for held_out, percent in SHARES.items():
        count = max(1, round(len(items) * percent / 100))
        if held_out == split:
            return items[start : start + count]
        start += count
    return items[start:]


TURN = 0.3
"""This share of draws goes round the list in turn; the others follow a word's rank, about as 1 / rank (Zipf)."""
WEIGHTS = [1 / (rank + 2) for rank in range(1, 200)]


def _ranked(name: str) -> list[str]:
    """The words of a list in an order of its own, the same for all splits: the first is the most frequent."""
    return random.Random(f"{SEED} rank {name}").sample(LISTS[name], len(LISTS[name]))


RANKED = {name: _ranked(name) for name in LISTS}


class Pool:
    """Items handed out in shuffled rounds, so that each is used as often as any other."""

    def __init__(self, items: Sequence, rng: random.Random):
        self.items, self.rng, self.waiting = list(items), rng, []

    def draw(self):
        if not self.waiting:
            self.waiting = self.rng.sample(self.items, len(self.items))
        return self.waiting.pop()


class Writer:
    """Fills the patterns of one split; ``facts`` of the present document win over draws from the lists."""

    def __init__(self, name: str):
        self.rng = random.Random(f"{SEED} {name}")
        self.pools = {name: Pool(items, self.rng) for name, items in LISTS.items()}
        self.facts: dict[str, str] = {}

    def begin(self, **facts: str) -> None:
        """A new document with these facts; what earlier ones drew is forgotten."""
        self.facts = dict(facts)

    def draw(self, name: str) -> str:
        """A word of a list. As in any language a few are frequent and many are rare; each has its turn now and then."""
        words = RANKED[name]
        if len(words) < 8 or self.rng.random() < TURN:
            return self.pools[name].draw()
        return self.rng.choices(words, WEIGHTS[: len(words)])[0]

    def fill_raw(self, item: str) -> str:
        """An item of a list with its own slots and choices filled, nothing else changed."""
        return self._slots(self._choices(item))

    def sentence(self, pattern: str, where: str | None = None) -> str:
        """One pattern as text: choices made, slots filled, a/an put right, capitals after full stops.

        ``where`` names the list of places that ``{where}`` draws from, for patterns without a fixed one.
        """
        if "{where}" in pattern and "where" not in self.facts:
            place = where or self.rng.choice(("shore", "shops", "civic", "bush"))
            pattern = pattern.replace("{where}", f"{self.rng.choice(('near', 'behind', 'beside'))} {self.draw(place)}")
        text = self._slots(self._choices(pattern))
        text = _A.sub(r"\1n ", text)
        text = re.sub(r" {2,}", " ", text).replace(" ,", ",").replace(" .", ".").strip()
        return _START.sub(lambda found: found.group(1) + found.group(2).upper(), text)

    def _choices(self, pattern: str) -> str:
        while found := _CHOICE.search(pattern):
            chosen = self.rng.choice(found.group(1).split("|"))
            pattern = pattern[: found.start()] + chosen + pattern[found.end() :]
        return pattern

    def _slots(self, pattern: str) -> str:
        while found := _SLOT.search(pattern):
            name, number, form = found.groups()
            key = name.lower() + number if name in ("When",) else name + number
            value = self.facts.get(key) or self.fill_raw(self.draw(key.rstrip("0123456789")))
            if key not in self.facts and key not in FRESH:
                self.facts[key] = value
            value = plural(value) if form == "s" else value
            pattern = pattern[: found.start()] + value + pattern[found.end() :]
        return pattern
