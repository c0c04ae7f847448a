"""Do two sets of messages share what they must not: duplicates, near-duplicates, or long runs of words?

A score on held-out messages means something only if the model has not seen those messages, nor the same sentence with
another product or another number in it. So texts are compared after ``masked`` has taken out what a template varies.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from datasketch import MinHash, MinHashLSH

from .paths import data_path

SHINGLE_WORDS = 3
RUN_WORDS = 6
# In this data two messages from different hands or frames never exceed 0.22, and a frame filled twice (other product,
# number, extra sentence and typing slips; products masked) is above 0.3 nine times in ten, with a median
# of 0.63: tests/test_triage_data.py measures both sides. What falls below still shares a run of RUN_WORDS words.
THRESHOLD = 0.3
# 100 bands of 2 rows: a pair at the threshold is missed as a candidate with probability (1 - 0.3²)^100, 8 in 100,000.
_BANDS, _ROWS = 100, 2

_ORDER_ID = re.compile(r"\bww[\s-]*\d[\d\s-]*\d\b")
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_SLOT = re.compile(r"\{(?:order|n|price)\}")
_APOSTROPHE = re.compile(r"[’'`]")
_NOT_WORD = re.compile(r"[^\w<>]+")


@dataclass(frozen=True)
class Pair:
    """Two messages that are too alike: places in the two lists (from 0), similarity from 0 to 1, the words shared."""

    left: int
    right: int
    similarity: float
    shared: str = ""


@lru_cache(maxsize=1)
def product_wordings() -> tuple[str, ...]:
    """Every wording of a product that the template-made messages use: what to mask in the triage data."""
    families = json.loads(data_path("triage", "sources", "products.json").read_text(encoding="utf-8"))
    return tuple(sorted({word for words in families.values() for word in words} | set(families)))


@lru_cache(maxsize=8)
def _mask_pattern(wordings: tuple[str, ...]) -> re.Pattern[str]:
    plain = sorted({" ".join(_words(wording)) for wording in wordings} - {""}, key=len, reverse=True)
    return re.compile(r"\b(?:" + "|".join(map(re.escape, plain)) + r")(?:s|es)?\b") if plain else re.compile(r"(?!)")


def _words(text: str) -> list[str]:
    text = unicodedata.normalize("NFKC", text).casefold()
    for pattern in (_ORDER_ID, _NUMBER, _SLOT):
        text = pattern.sub(" <n> ", text)
    text = text.replace("{product}", " <p> ")
    return _NOT_WORD.sub(" ", _APOSTROPHE.sub("", text)).replace("_", " ").split()


def masked(text: str, wordings: Iterable[str] = ()) -> list[str]:
    """The words of ``text`` in lower case without punctuation; a number or order id is ``<n>``, a wording ``<p>``.

    A frame's own slots ({order}, {n}, {price}, {product}) are masked in the same way, so that frames and the messages
    made from them compare.
    """
    return list(_masked(text, tuple(wordings)))


@lru_cache(maxsize=20_000)
def _masked(text: str, wordings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_mask_pattern(wordings).sub("<p>", " ".join(_words(text))).split())


def exact_duplicates(
    left: Sequence[str], right: Sequence[str] | None = None, wordings: Iterable[str] = ()
) -> list[Pair]:
    """Pairs that are the same once masked. With one list: pairs within it, the earlier place first."""
    places = defaultdict(list)
    for place, text in enumerate(left if right is None else right):
        places[tuple(masked(text, wordings))].append(place)
    return [
        Pair(first, second, 1.0)
        for first, text in enumerate(left)
        for second in places.get(tuple(masked(text, wordings)), ())
        if right is not None or first < second
    ]


def near_duplicates(
    left: Sequence[str],
    right: Sequence[str] | None = None,
    threshold: float = THRESHOLD,
    wordings: Iterable[str] = (),
) -> list[Pair]:
    """Pairs whose sets of three-word shingles have a Jaccard similarity (shared / all) of ``threshold`` or more.

    MinHash with locality-sensitive hashing finds the candidates without comparing all with all; each is then compared
    exactly. With one list: pairs within it. Exact duplicates are among the pairs, at 1.0. Sorted, most alike first.

    Raises:
        ValueError: a threshold below 0.3 (the hashing would miss pairs) or above 1.
    """
    if not 0.3 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}: choose a value from 0.3 to 1.")
    lefts = [_shingles(masked(text, wordings)) for text in left]
    rights = lefts if right is None else [_shingles(masked(text, wordings)) for text in right]
    pairs = []
    for first, second in _candidates(lefts, rights):
        if right is None and second <= first:
            continue
        similarity = len(lefts[first] & rights[second]) / len(lefts[first] | rights[second])
        if similarity >= threshold:
            pairs.append(Pair(first, second, similarity))
    return sorted(pairs, key=lambda pair: (-pair.similarity, pair.left, pair.right))


def shared_runs(
    left: Sequence[str], right: Sequence[str], words: int = RUN_WORDS, wordings: Iterable[str] = ()
) -> list[Pair]:
    """Pairs that share a run of ``words`` words or more, with the longest run: a sentence frame seen in both lists.

    ``similarity`` is the run's share of the shorter text's words.
    """
    lefts, rights = [masked(text, wordings) for text in left], [masked(text, wordings) for text in right]
    swapped = len(lefts) < len(rights)
    indexed, asked = (lefts, rights) if swapped else (rights, lefts)  # the shorter list, which costs more, is indexed
    holders = defaultdict(set)
    for place, text in enumerate(indexed):
        for run in _runs(text, words):
            holders[run].add(place)
    found = {
        (place, other)
        for place, text in enumerate(asked)
        for run in _runs(text, words)
        for other in holders.get(run, ())
    }
    candidates = sorted((other, place) if swapped else (place, other) for place, other in found)
    return [_longest_run(first, second, lefts[first], rights[second]) for first, second in candidates]


def _runs(words: list[str], length: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[at : at + length]) for at in range(len(words) - length + 1))


def _longest_run(first: int, second: int, left: list[str], right: list[str]) -> Pair:
    length, end = 0, 0
    above = [0] * (len(right) + 1)
    for at, word in enumerate(left):
        row = [0] * (len(right) + 1)
        for other, its_word in enumerate(right):
            if word == its_word:
                row[other + 1] = above[other] + 1
                if row[other + 1] > length:
                    length, end = row[other + 1], at + 1
        above = row
    return Pair(first, second, length / min(len(left), len(right)), " ".join(left[end - length : end]))


def _shingles(words: list[str]) -> frozenset[str]:
    """The text's three-word runs; a text of fewer words is one shingle of its own."""
    last = max(len(words) - SHINGLE_WORDS + 1, 1)
    return frozenset(" ".join(words[at : at + SHINGLE_WORDS]) for at in range(last))


def _candidates(lefts: Sequence[frozenset[str]], rights: Sequence[frozenset[str]]) -> Iterator[tuple[int, int]]:
    """Pairs of places that agree in a band. The shorter list is indexed, which costs more than looking up."""
    swapped = len(lefts) < len(rights)
    indexed, asked = (lefts, rights) if swapped else (rights, lefts)
    index = MinHashLSH(params=(_BANDS, _ROWS), num_perm=_BANDS * _ROWS)
    for place, sketch in enumerate(_sketches(indexed)):
        index.insert(place, sketch)
    for place, sketch in enumerate(_sketches(asked)):
        for other in index.query(sketch):
            yield (other, place) if swapped else (place, other)


def _sketches(sets: Sequence[frozenset[str]]) -> list[MinHash]:
    coded = [[shingle.encode() for shingle in shingles] for shingles in sets]
    return MinHash.bulk(coded, num_perm=_BANDS * _ROWS)
