"""The exercise checks of notebook 04: the mask of a conversation, the likeness of two messages, card numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .checking import WrongAnswer, ask, check, passed, refuse, require, require_close

_OFF = -100


@check("4.1")
def chat_labels(answer: Callable[[list], Any]) -> None:
    """Check of exercise 4.1: ``answer(turns)`` gives (input_ids, labels); turns are pairs (role, token ids)."""
    turns = [("system", [1, 2]), ("user", [7, 9, 2]), ("assistant", [7, 2]), ("user", [8, 2]), ("assistant", [9, 5, 2])]
    whole = [token for _, ids in turns for token in ids]
    right = [token if role == "assistant" else _OFF for role, ids in turns for token in ids]
    inputs, labels = _two_lists(ask(answer, turns))
    require((inputs, labels) != (right, whole), "Return the ids first and the labels second, not the reverse.")
    require(
        inputs != right,
        "-100 stands among the ids: the model still has to read the other turns. Only the labels hide them.",
    )
    require(inputs == whole, f"The ids should be those of all turns in their order, {whole}; yours are {inputs}.")
    missing = (
        "Every token needs a label: -100 for each token of a turn that is only read; yours are too few or too many."
    )
    require(len(labels) == len(whole), missing)
    for wrong, sentence in (
        (whole, "Nothing is masked: the model would also learn to write the customer's messages."),
        ([_OFF] * len(whole), "Everything is masked: a run on that learns nothing."),
        (
            [_OFF] * 9 + [9, 5, 2],
            "Only the last answer is learned: every turn of the assistant counts, the earlier one too.",
        ),
        ([_OFF] * 5 + [7, 2] + [_OFF] * 5, "Only the first answer is learned: every turn of the assistant counts."),
        ([_OFF] * 5 + whole[5:], "From the first answer on all is learned: the customer's next turn is only read."),
        (
            [_OFF if role == "user" else token for role, ids in turns for token in ids],
            "The system's turn is learned too: mask every role but the assistant's, not only the customer's.",
        ),
        (
            [token if role == "user" else _OFF for role, ids in turns for token in ids],
            "That is the wrong way round: the customer's turns are learned and the answers masked.",
        ),
        (
            [token if label != _OFF and token != 2 else _OFF for token, label in zip(whole, right, strict=True)],
            "The end markers of the answers are masked: a model that never learns them never stops.",
        ),
        ([0 if label == _OFF else label for label in right], "0 is a token like any other: the loss skips -100 alone."),
        (right[1:] + [_OFF], "You shifted the labels by hand: the loss does that. Label t stands under token t."),
    ):
        require(labels != wrong, sentence)
    require(
        labels == right, f"Expected the labels {right}; yours are {labels}. Mask by role, not by the token's value."
    )
    require(_two_lists(ask(answer, [])) == ([], []), "Without any turn both lists are empty.")
    passed("5 of the 12 tokens teach: both answers with their end markers.")


def _two_lists(value: Any) -> tuple[list[int], list[int]]:
    shape = "Return two lists of token ids: all ids, and their labels."
    require(isinstance(value, (tuple, list)) and len(value) == 2, shape)
    require(all(hasattr(part, "__len__") for part in value), f"{shape} A generator is none: it can be read only once.")
    try:
        ids, labels = ([int(token) for token in part] for part in value)
    except (TypeError, ValueError):
        raise WrongAnswer(
            f"{shape} One of yours holds something that is no token id (append adds a list whole)."
        ) from None
    return ids, labels


@check("4.2")
def similarity(answer: Callable[..., Any]) -> None:
    """Check of exercise 4.2: ``answer(a, b, n=3)`` is the Jaccard similarity of two texts' n-word shingles."""
    a, b = "the tent leaks at the seam badly", "the tent leaks at night again and again"
    found = ask(answer, a, b)  # 5 and 6 shingles; 2 shared, 9 in either
    refuse(
        found,
        (2, "That is the number of shared shingles: divide it by the number in either."),
        (200 / 9, "That is a percentage: return a share between 0 and 1."),
        (2 / 11, "Did you add the two numbers of shingles? What both share is then counted twice: use | on the sets."),
        (4 / 11, "That is another measure (Dice, twice the shared by the sum): divide by what stands in either set."),
        (2 / 5, "Did you divide by the smaller text's shingles? Then a short text is 'the same' as all that holds it."),
        (2 / 6, "Did you divide by the larger text's shingles? Divide by those that stand in either."),
        (3 / 10, "Those are shingles of two words: n is 3 unless another is asked for."),
        (4 / 9, "Those are single words: compare runs of n words, which know the order."),
        (7 / 9, "That is the distance, 1 minus the similarity."),
        (_of_letters(a, b), "Those are runs of letters. A shingle is a run of words, of what split() gives."),
    )
    require_close(found, 2 / 9, "2 shingles are shared and 9 stand in either: 2 / 9.")
    upper = "Capitals made a difference: turn both texts into lower case first."
    require_close(ask(answer, "My Tent Leaks", "my tent leaks"), 1.0, upper)
    require_close(ask(answer, "the cat sat", "sat cat the"), 0.0, "The order of the words counts within a shingle.")
    again = "Did you count repeated shingles? The comparison is one of sets: what stands twice counts once."
    require_close(ask(answer, "a b a b a", "a b", 2), 0.5, again)
    short = "A text of fewer than n words is one shingle, all its words: equal ones are alike, others share nothing."
    require_close(ask(answer, "hello", "goodbye"), 0.0, short)
    require_close(ask(answer, "thank you", "Thank you"), 1.0, short)
    space = "Blanks and line breaks of any length part words: split() without an argument."
    require_close(ask(answer, "my  tent\nleaks", "my tent leaks"), 1.0, space)
    mark = "Words are what split() gives, with the comma or full stop that hangs on them."
    require_close(ask(answer, "my tent, leaks now", "my tent leaks now"), 0.0, mark)
    require_close(ask(answer, "hello", "hello there"), 0.0, short)
    require_close(ask(answer, "a b c d", "a b c e", 1), 0.6, "`n` is given there as 1 and was not used.")
    passed("2 of 9 shingles are shared: two sentences with the same beginning are 0.22 alike.")


def _of_letters(a: str, b: str) -> float:
    left, right = ({text[at : at + 3] for at in range(len(text) - 2)} for text in (a, b))
    return len(left & right) / len(left | right)


@check("4.3")
def is_card(answer: Callable[[str], Any]) -> None:
    """Check of exercise 4.3: ``answer(text)`` says whether 13 to 19 digits pass Luhn's check."""

    def told(text: str) -> bool:
        value = ask(answer, text)
        value = value.item() if hasattr(value, "item") else value
        require(isinstance(value, bool), f"Return True or False; your code returned {value!r} for {text!r}.")
        return value

    require(not told("4242 4242 4242 4243"), "The last digit was changed and it still passed: divide the sum by 10.")
    require(not told("9" * 16 + "1"), "Luhn's sum of seventeen digits is no multiple of 10 there, and it passed.")
    amex = "3782 822463 10005"
    from_left = (
        "Fifteen digits are refused, and 13 to 19 are allowed. Are places counted from the left? Turn them round first."
    )
    big = "Did you subtract 9 from doubles above 9 (14 counts as 1 + 4)? Otherwise true numbers fail."
    require(
        told("4111 1111 1111 1111"), "A true card number was refused: every second digit from the right is doubled."
    )
    require(told("5555-5555-5555-4444"), "A true number with hyphens was refused. " + big)
    require(told(amex), from_left)
    require(told("4000056655665556"), big)
    require(told("card 4242 4242 4242 4242."), "Words around the digits are to be left out, too.")
    require(not told("18"), "Two digits passed: a card number has 13 to 19 digits.")
    require(not told("0" * 20), "Twenty digits passed: a card number has 13 to 19 digits.")
    require(told("0" * 13) and told("0" * 19), "13 and 19 digits are both allowed: 13 to 19, the ends included.")
    require(not told("order 40718") and not told(""), "A text with few digits or none is no card number: False.")
    require(not told("2424 2424 2424 2424"), "Neighbours were swapped there: the check digit must notice that.")
    require(told("0000000000059"), "A 9 that was not doubled stays 9: subtract 9 from doubles above 9 only.")
    passed("every single mistyped digit is noticed, and nine of ten numbers that are no card's.")
