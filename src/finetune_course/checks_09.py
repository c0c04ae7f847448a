"""The exercise checks of notebook 09: cosine search, recall and reciprocal rank, rank fusion, a prompt's budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .checking import WrongAnswer, ask, check, passed, refuse, require, require_close

_LONG_VECTORS = (
    "Did you compare plain dot products? A long vector then wins by its length alone: divide by both lengths."
)
_ASCENDING = "The order is turned round: the largest cosine is the nearest row and comes first."
_DISTANCE = (
    "Did you compare straight-line distances? A row that points the same way and is merely longer is as near as can "
    "be for the cosine."
)
_SCORES = "Return the rows' numbers, counted from 0, and not their cosines."
_ABSOLUTE = "A cosine of -1 points the opposite way: do not take the absolute value, it is the farthest row of all."
_RANK_FROM_0 = "Did you count the ranks from 0? The first place is rank 1, and counts 1."
_RUNNING_SUM = "Is each piece added to the running sum, and asked *before* it is taken?"
_ONE_RIGHT_PAGE = (
    "Did you look at one right page only, such as `gold[0]`? The third question has two, and each question has its own."
)


@check("9.1")
def cosine_search(answer: Callable[..., Any]) -> None:
    """Check of exercise 9.1: ``answer(question, rows, k)`` gives the numbers of the k rows with the largest cosine."""
    question = np.array([1.0, 0.0])
    # cosines: 0.6, 0.8, -1, 1; dot products: 6, 0.8, -3, 0.5; distances: 9.4, 0.63, 4, 0.5
    rows = np.array([[6.0, 8.0], [0.8, 0.6], [-3.0, 0.0], [0.5, 0.0]])
    found = _row_numbers(ask(answer, question, rows, 4), 4)
    require(found != [0, 1, 3, 2], _LONG_VECTORS)
    require(found != [2, 0, 1, 3], _ASCENDING)
    require(found != [3, 1, 2, 0], _DISTANCE)
    require(set(found[:2]) != {2, 3}, _ABSOLUTE)
    require(found != [4, 2, 1, 3], f"Did you count rows from 1? The first row is row 0; your order is {found}.")
    require(found == [3, 1, 0, 2], f"Expected the rows in the order [3, 1, 0, 2]; yours is {found}.")
    require(
        _row_numbers(ask(answer, 10 * question, rows, 2), 2) == [3, 1],
        "With a question ten times as long the order must stay the same, and k says how many rows are returned.",
    )
    # Dividing by the question's length alone changes no order, so only the rows' lengths are looked for above.
    wide = np.random.default_rng(1).standard_normal((30, 8))
    asked = wide[7] + 0.1
    cosines = wide @ asked / np.linalg.norm(wide, axis=1)
    right = [int(row) for row in np.argsort(-cosines)[:3]]
    require(
        _row_numbers(ask(answer, asked, wide, 3), 3) == right,
        f"On 30 rows of 8 numbers expected {right}: take the length of each *row*, along axis 1.",
    )
    passed("the row that points exactly the question's way comes first, however short it is; the opposite one last.")


def _row_numbers(value: Any, count: int) -> list[int]:
    try:
        numbers = [float(number) for number in value]
    except (TypeError, ValueError):
        raise WrongAnswer("Return a list (or an array) of row numbers.") from None
    require(len(numbers) == count, f"k is {count}, and your code returned {len(numbers)} rows: return the first k.")
    require(all(number == int(number) for number in numbers), _SCORES)
    require(len(set(numbers)) == len(numbers), f"A row stands twice in your answer: {value}.")
    return [int(number) for number in numbers]


@check("9.2")
def recall_and_mrr(answer: Callable[..., Any]) -> None:
    """Check of exercise 9.2: ``answer(ranked, gold, k)`` gives the mean recall@k and the mean reciprocal rank.

    ``ranked`` holds a list of page ids for each question, ``gold`` the list of its right pages.
    """
    ranked = [["a", "b", "c", "d"], ["b", "c", "a", "d"], ["c", "d", "b", "a"], ["b", "d"]]
    gold = [["a"], ["a"], ["a", "c"], ["x"]]
    try:
        recall, mrr = _two_numbers(ask(answer, ranked, gold, 2))
    except WrongAnswer as problem:
        require(not isinstance(problem.__cause__, ZeroDivisionError), f"Your code divided by zero. {_RANK_FROM_0}")
        raise
    wider, _ = _two_numbers(ask(answer, ranked, gold, 3))
    # recall@2: 1, 0, 1/2, 0; recall@3: 1, 1, 1/2, 0; reciprocal ranks: 1, 1/3, 1, 0
    require(
        not _near(recall, 7 / 12) or not _near(mrr, 0.375),
        "Is the order recall first, reciprocal rank second?",
    )
    require(not _near(recall, 0.5) or not _near(mrr, 7 / 9), "Did you leave the question out that found nothing?")
    # One right page only gives a recall@2 of 1/4, as precision does; a recall@3 tells them apart: 1/2, precision 1/4.
    require(not _near(recall, 0.25) or not _near(wider, 0.5), _ONE_RIGHT_PAGE)
    refuse(
        recall,
        (0.5, "Did you count a question as found when *any* right page is there? Of two right pages one was found: ½."),
        (0.25, "Did you divide by k? That is precision. Recall asks how many of the *right pages* were found."),
        (1.5, "That is the sum over the questions: take the mean."),
        (37.5, "That is a percentage: return a share between 0 and 1."),
        (0.4, "Did you add up right pages over all questions? Work out one recall a question, then take the mean."),
    )
    require_close(recall, 0.375, "The four questions have a recall@2 of 1, 0, ½ and 0.")
    refuse(
        mrr,
        ((1 + 1 / 3 + 1) / 3, "You left the question out whose page was not found: it counts 0, and is divided by."),
        ((1 / 2 + 1 / 4 + 1 / 2) / 4, "Did you add one to the rank twice? The first place is rank 1, and counts 1."),
        (0.5, "Did you look at the first k only? The reciprocal rank looks at the whole list."),
        ((1 + 1 / 3 + 1 / 4) / 4, _ONE_RIGHT_PAGE),
        # A rank of 0 is what 1 / rank cannot take: it may have become 0, 1 or (with NumPy) infinity.
        ((0 + 1 / 2 + 0) / 4, _RANK_FROM_0),
        ((1 + 1 / 2 + 1) / 4, _RANK_FROM_0),
        (math.inf, _RANK_FROM_0),
        ((1 + 1 / 3 + 5 / 8) / 4, "With two right pages the *first* one counts: no mean over both."),
        ((1 + 3 + 1) / 4, "That is the mean rank: take 1 / rank, question by question."),
        (4 / 5, "That is one over the mean rank: take 1 / rank for each question first, then the mean."),
    )
    require_close(mrr, 7 / 12, "The four questions have reciprocal ranks of 1, ⅓, 1 and 0.")
    require_close(wider, 0.625, "With k=3 the four questions have a recall of 1, 1, ½ and 0: use the k that is given.")
    again = _two_numbers(ask(answer, [["p"], ["q", "p"]], [["p"], ["p"]], 5))
    require(
        _near(again[0], 1) and _near(again[1], 0.75),
        "Rankings may be shorter than k: [['p'], ['q', 'p']] with 'p' right has a recall@5 of 1 and an MRR of 0.75.",
    )
    passed(
        "recall asks whether the right pages are among the first k, the reciprocal rank how far up the first stands."
    )


def _two_numbers(value: Any) -> tuple[Any, Any]:
    require(
        isinstance(value, (tuple, list, np.ndarray)) and len(value) == 2,
        "Return two numbers: the mean recall@k and the mean reciprocal rank.",
    )
    return value[0], value[1]


@check("9.3")
def fuse(answer: Callable[..., Any]) -> None:
    """Check of exercise 9.3: ``answer(rankings, k=60)`` gives the ids by the sum of 1 / (k + rank), largest first."""
    words, vectors = ["a", "b", "c"], ["d", "b", "e", "a"]
    found = _ids(ask(answer, [words, vectors]))
    # b: 1/62 + 1/62; a: 1/61 + 1/64; d: 1/61; c: 1/63 and e: 1/63
    require(set(found) >= {"c", "d", "e"}, "An id that stands in one list only belongs in the answer, too.")
    require(
        set(found) == {"a", "b", "c", "d", "e"} and len(found) == 5,
        "Each id stands in the answer once, however many lists it is in.",
    )
    require(found[0] != "c" and found[0] != "e", "The order is turned round: the largest sum comes first.")
    require(
        found[0] != "d" and found[:2] != ["a", "d"],
        "Did you take the mean over the lists that an id is in, or its best rank alone? *Add* one part for each list, "
        "so that an id which both lists hold gets ahead.",
    )
    require(
        found[:3] == ["b", "a", "d"] or found[:3] == ["a", "b", "d"],
        f"Expected b and a, which both lists hold, before d; your first three are {found[:3]}.",
    )
    # 1/(60+1) + 1/(60+4) = 0.03202 is less than 2/(60+2) = 0.03226 for k = 60; with k = 0 it is 1.25 against 1.
    require(
        found[0] == "b",
        "Expected b first: two second places, 2/62, are a little more than a first and a fourth, 1/61 + 1/64. Is k "
        "in your sum, and does the rank count from 1?",
    )
    # Ranks from 0 act like a k one smaller, and k = 0 and k = 1 put another one first here.
    close = [["p", "q", "r"], ["s", "q", "t", "u", "v", "p"]]
    require(
        _ids(ask(answer, close, k=1))[0] != "p",
        "With k=1 the sums are 1/2 + 1/7 for p and 1/3 + 1/3 for q, so q comes first. Does your rank count from 1?",
    )
    require(
        _ids(ask(answer, [words, vectors], k=0))[0] == "a",
        "With k=0 a first place counts far more and a comes first, 1 + ¼ against ½ + ½. Use the k that is given.",
    )
    three = [["x", "y"], ["y", "x"], ["y", "z"]]
    require(_ids(ask(answer, three))[0] == "y", "There may be more than two lists: add over all of them.")
    passed("ranks need no common scale, so a BM25 score and a cosine can be fused without comparing them.")


def _ids(value: Any) -> list[str]:
    if isinstance(value, dict):
        raise WrongAnswer("Return the ids in their order, largest sum first, and not the dictionary of sums.")
    require(isinstance(value, (list, tuple)), f"Return a list of ids; your code returned a {type(value).__name__}.")
    require(
        all(isinstance(each, str) for each in value), "The list should hold the ids alone: leave the sums out of it."
    )
    return list(value)


@check("9.4")
def within_budget(answer: Callable[..., Any]) -> None:
    """Check of exercise 9.4: ``answer(pieces, count, budget, reserved)`` gives the first pieces that fit the prompt.

    ``count(text)`` gives a text's tokens; ``reserved`` tokens of ``budget`` are for rules, question and answer.
    """

    def count(text: str) -> int:  # a word is a token here, and a number is one token a digit
        return sum(len(word) if word.isdigit() else 1 for word in text.split())

    pieces = ["one two three", "12345 67", "six", "a b c d e f g h i"]  # 3, 7, 1 and 9 tokens; 3, 2, 1 and 9 words
    kept = _pieces(ask(answer, pieces, count, 20, 8))
    if kept == pieces:
        # Without `reserved`, 14 tokens would hold three pieces; without a running sum, or with one that is looked at
        # too late, it is all four or two.
        no_reserve = _pieces(ask(answer, pieces, count, 14, 5)) == pieces[:3]
        raise WrongAnswer(
            "Nothing was left out: the pieces have 20 tokens together, and 12 are free. "
            + ("Is `reserved` subtracted?" if no_reserve else _RUNNING_SUM)
        )
    # These have 13, 8 and 3 characters: the first alone is too long then, or is left out.
    require(
        kept not in ([], pieces[1:3]),
        "The first piece was left out, though 12 tokens are free and it has 3. Did you count characters? Ask `count`, "
        "and not `len`.",
    )
    require(
        all(piece in pieces for piece in kept),
        "A piece was cut in the middle: half a sentence can say the opposite. Take whole pieces.",
    )
    require(kept == pieces[:3], f"With 20 - 8 = 12 tokens free, 3 + 7 + 1 = 11 fit; your code kept {kept}.")
    kept = _pieces(ask(answer, pieces, count, 14, 5))
    require(
        kept != ["one two three", "12345 67", "six"],
        "Did you count words? Ask `count`: '12345 67' has two words and seven tokens.",
    )
    require(
        kept != ["one two three", "six"],
        "You left out a piece that does not fit and went on with worse ones. Stop there: what follows is less likely "
        "to answer the question.",
    )
    require(
        kept == ["one two three"], f"With 9 tokens free only the first piece (3) fits before the second (7); {kept}."
    )
    require(
        _pieces(ask(answer, pieces, count, 18, 8)) == pieces[:2],
        "Exactly 10 tokens are free, and the first two pieces have 10 together: what fits exactly, fits.",
    )
    require(
        _pieces(ask(answer, ["too long for it"], count, 5, 3)) == [],
        "Where not even the first piece fits, the list is empty.",
    )
    require(
        _pieces(ask(answer, pieces, count, 8, 8)) == [] and _pieces(ask(answer, [], count, 9, 1)) == [],
        "With no room or no pieces, the list is empty.",
    )
    letters = _pieces(ask(answer, ["abc", "de"], len, 9, 5))
    require(
        letters == ["abc"],
        f"There `count` is len, and 4 are free: only 'abc' fits. Ask the `count` that is given: {letters}.",
    )
    passed("whole pieces in their order, counted in tokens, with room kept for the question and the answer.")


def _pieces(value: Any) -> Sequence[str]:
    if isinstance(value, str):
        raise WrongAnswer("Return the list of pieces; joining them into one text comes later.")
    require(isinstance(value, list), f"Return a list of pieces; your code returned a {type(value).__name__}.")
    return list(value)


def _near(value: Any, expected: float) -> bool:
    try:
        return math.isclose(float(value), expected, abs_tol=1e-6)
    except (TypeError, ValueError):
        return False
