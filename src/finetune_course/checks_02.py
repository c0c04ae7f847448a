"""The exercise checks of notebook 02: compute saved, forgetting in nats and perplexity, replay, a chat template."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from .checking import WrongAnswer, ask, check, passed, refuse, require, require_close

SCRATCH = [(0, 7.6), (100, 5.0), (400, 3.0), (800, 2.5)]
CONTINUED = [(0, 4.0), (50, 3.1), (160, 2.5), (400, 2.0)]

_NAN_INSTEAD = "It never gets there, so there is no such number: return None."


@check("2.1")
def times_cheaper(answer: Callable[[list, list], Any]) -> None:
    """Check of exercise 2.1: ``answer(scratch, continued)``, lists of (tokens, loss), gives how many times fewer."""
    found = _number_or_none(answer, SCRATCH, CONTINUED)
    require(found is not None, "Your code says that it never gets there, and at 160 tokens it is there (2.5).")
    refuse(
        found,
        (160 / 800, "That is the other way round: how many times fewer is 800 / 160."),
        (800 / 400, "At 400 tokens it is below the target. It was at the target before: take the first such point."),
        (2.5 / 2.0, "Those are losses. The compute is in the tokens."),
        (2.0 / 2.5, "Those are losses. The compute is in the tokens."),
        (1.0, "Both lists have as many points, but not at the same tokens. Read the tokens."),
        (1.5, "Those are places in the lists, counted. Read the tokens that stand there."),
        (640, "That is the difference in tokens: divide instead."),
        (400 / 160, "The from-scratch model ends at 800 tokens, at the end of its list."),
    )
    require_close(found, 5, "Its last loss, 2.5, took 800 tokens from scratch, and the other reached it at 160.")
    never = _number_or_none(answer, SCRATCH, CONTINUED[:2])
    require(never is None, f"{_NAN_INSTEAD} Your code returned {never}.")
    at_once = _number_or_none(answer, SCRATCH, [(0, 2.4), (50, 2.0)])
    require(
        at_once == math.inf,
        "A model that is there before its first step needed 0 tokens: return math.inf and do not divide by 0.",
    )
    bumpy = _number_or_none(answer, [(0, 7.0), (100, 2.0), (300, 3.0)], [(0, 4.0), (60, 3.0), (90, 2.0)])
    refuse(
        bumpy, (300 / 90, "The target is the last loss from scratch (3.0 here), not its lowest, which it did not keep.")
    )
    refuse(bumpy, (100 / 90, "The target is the last loss from scratch, 3.0 at 300 tokens, not its lowest."))
    require_close(bumpy, 5, "From scratch it ends with 3.0 after 300 tokens; the other has 3.0 after 60.")
    passing = _number_or_none(answer, SCRATCH, [(0, 4.0), (80, 2.2), (100, 2.6), (200, 2.4)])
    require_close(passing, 10, "Take the first measured point at or below the target (here 2.2), as it stands.")
    passed("5 times fewer tokens for the same loss; what the pre-training had cost before is not in this number.")


def _number_or_none(answer: Callable[..., Any], scratch: list, continued: list) -> Any:
    try:
        return ask(answer, scratch, continued, allow_none=True)
    except WrongAnswer as problem:
        if isinstance(problem.__cause__, ZeroDivisionError):
            raise WrongAnswer(
                "Your code divided by 0: a model that is there before its first step needed no tokens (math.inf)."
            ) from problem.__cause__
        if isinstance(problem.__cause__, (IndexError, ValueError, StopIteration, TypeError)):
            if min(loss for _, loss in continued) > scratch[-1][1]:
                raise WrongAnswer(f"{_NAN_INSTEAD} Yours stopped with an error.") from problem.__cause__
        raise


@check("2.2")
def forgetting(answer: Callable[[list, list, list], Any]) -> None:
    """Check of exercise 2.2: ``answer(before, after, tokens)`` gives (rise in nats per token, factor of perplexity)."""
    before, after, tokens = [2.0, 3.0], [3.0, 3.2], [10, 90]
    rise, factor = _two_numbers(ask(answer, before, after, tokens))
    refuse(
        rise,
        (0.6, "Is every document as heavy as any other in your mean? Weigh it with its tokens: 90 of 100 are calm."),
        (-0.28, "The sign: it forgot, so the loss went up. Take after minus before."),
        (28, "That is the sum over all tokens: divide it by their number."),
        (14, "You divided by the number of documents. It is nats per token: divide by the number of tokens."),
        (1.2, "Those are the nats added up over documents. Weigh each with its tokens, and divide by all of them."),
        (math.exp(0.28), "The first number is the rise in nats, the second the factor: not the reverse."),
    )
    require_close(rise, 0.28, "(10 · 1.0 + 90 · 0.2) / 100.")
    refuse(
        factor,
        (math.exp(3.18) - math.exp(2.9), "That is the difference of two perplexities: how many *times* is it larger?"),
        (math.exp(-0.28), "That is before divided by after: turn it round."),
        (3.18 / 2.9, "You divided the losses. Perplexity is e to the loss, so first exp, then divide."),
        (math.exp(3.18), "That is the perplexity afterwards. By which factor is it larger than before?"),
        (2**0.28, "The loss is in nats, with e as its base, not in bits."),
        (0.28, "That is the rise once more. The second number is e to the rise."),
        ((math.e + math.exp(0.2)) / 2, "Take the mean before you take exp: one perplexity for the corpus."),
        ((10 * math.e + 90 * math.exp(0.2)) / 100, "Take the mean before you take exp: one perplexity for the corpus."),
        (math.exp(0.6), "Its exponent is the unweighted mean: use the rise that you returned first."),
    )
    require_close(factor, math.exp(0.28), "Perplexity is e to the loss, so its factor is e to the rise.")
    rise, factor = _two_numbers(ask(answer, [1.5, 4.0, 2.0], [1.5, 4.0, 2.0], [7, 1, 30]))
    require_close(rise, 0, "Nothing has changed here: the rise is 0.")
    require_close(factor, 1, "Nothing has changed here: the factor is 1.")
    rise, factor = _two_numbers(ask(answer, [3.0], [2.5], [50]))
    require_close(rise, -0.5, "A model may also get better: the rise is then below 0. Leave its sign.")
    require_close(
        factor, math.exp(-0.5), "Where the rise is below 0 the factor is below 1: e to the rise, with its sign."
    )
    passed("0.28 nats, a factor of 1.32: the long document weighs nine times as much as the short one.")


def _two_numbers(value: Any) -> tuple[Any, Any]:
    two = isinstance(value, (tuple, list)) and len(value) == 2
    require(two, "Return two numbers: the rise in nats per token, and the factor of the perplexity.")
    return value[0], value[1]


@check("2.3")
def with_replay(answer: Callable[[list, list, float], Any]) -> None:
    """Check of exercise 2.3: ``answer(new, old, share)`` gives all of ``new`` and so much of ``old``, in one list."""
    new, old = [f"new {n}" for n in range(12)], [f"old {n}" for n in range(30)]
    mixed = _texts(ask(answer, new, old, 0.25))
    counts = Counter(text.split()[0] for text in mixed)
    require(counts["old"] > 0, "There is no old text in your mix.")
    require(counts["new"] > 0, "There is no new text in your mix.")
    require(counts["new"] >= 12, f"All 12 new texts should be in the mix; yours has {counts['new']}.")
    refuse(
        counts["old"],
        (3, "3 of 12 + 3 are a fifth. The share is of the *mix*, not of the new texts: share / (1 - share) · new."),
        (7, "That is a share of the old texts. The share is of the mix: how much of what is trained on is old?"),
        (8, "That is a share of the old texts. The share is of the mix: how much of what is trained on is old?"),
        (9, "Then 9 of 21 texts are old. Is 1 - share where share should be?"),
        (36, "Then three quarters are old: is 1 - share where share should be?"),
        (30, "Those are all the old texts. Only a quarter of the mix should be old."),
    )
    require(counts["old"] == 4, f"4 of 12 + 4 texts are a quarter; yours has {counts['old']} old ones.")
    require(len(set(mixed)) == 16, "A text stands in your mix twice, and there were enough different ones.")
    require(sorted(_texts(ask(answer, new, old, 0.0))) == sorted(new), "A share of 0 means no old text at all.")
    require(len(_texts(ask(answer, new[:3], old, 0.5))) == 6, "With a share of 0.5 there are as many old as new.")
    rounded = len(_texts(ask(answer, new[:10], old, 0.3))) - 10
    require(rounded == 4, f"0.3 / 0.7 · 10 is 4.29, so 4 old texts (round); yours has {rounded}.")
    rounded = len(_texts(ask(answer, new[:9], old, 0.3))) - 9
    require(rounded == 4, f"0.3 / 0.7 · 9 is 3.86, so 4 old texts (round, not cut off); yours has {rounded}.")
    front = {f"old {n}" for n in range(4)}
    require(front <= set(mixed), "Take the old texts from the front of their list: old 0, old 1, and so on.")
    few = Counter(_texts(ask(answer, new, old[:2], 0.25)))
    repeated = "With only 2 old texts 4 places have to be filled: begin again from the front, 2 of each."
    require(few["old 0"] == few["old 1"] == 2, repeated)
    passed("4 old texts beside 12 new ones: a quarter of the mix, and a third more compute than the new texts alone.")


def _texts(value: Any) -> list[str]:
    require(isinstance(value, (list, tuple)), "Return one list of texts.")
    pair = len(value) == 2 and all(isinstance(part, (list, tuple)) for part in value)
    require(not pair, "Those are two lists: return one, new and old together.")
    require(all(isinstance(text, str) for text in value), "Your list holds something that is no text. Is a list in it?")
    require(isinstance(value, list), "Return a list, which can be shuffled later; yours is a tuple.")
    return list(value)


CHAT = [
    {"role": "user", "content": "When do you open?"},
    {"role": "assistant", "content": "At nine."},
    {"role": "user", "content": "And on Sunday?"},
]


@check("2.4")
def render(answer: Callable[..., Any]) -> None:
    """Check of exercise 2.4: ``answer(messages, add_generation_prompt)`` gives the chat as one text with markers."""
    first, second = "<|end|><|user|>When do you open?", "<|assistant|>At nine.<|end|>"
    whole = first + second
    found = _text(ask(answer, CHAT[:2], False))
    _refuse_texts(
        found,
        (whole.removeprefix("<|end|>"), "The <|end|> at the very beginning is missing: every document began with one."),
        (whole.removesuffix("<|end|>"), "The answer lacks its <|end|>: a model trained on that never learns to stop."),
        (whole + "<|assistant|>", "You ask for another answer although add_generation_prompt is False."),
        (
            first + "<|end|>" + second,
            "You closed the user's turn too. Here <|end|> belongs to what the model writes: only its own turns end so.",
        ),
        (whole.replace("<|", " <|").strip(), "There are blanks between marker and text that the template has not."),
        (whole.replace("|>", "|> ").strip(), "There are blanks between marker and text that the template has not."),
        ("\n".join([first, second]), "You put a line break between the turns; the template has none."),
        ("<|end|>When do you open?At nine.<|end|>", "Who speaks? The markers <|user|> and <|assistant|> are missing."),
    )
    require("{" not in found, "There are braces in your text: fill in the role and the content.")
    require(found == whole, f"Expected {whole!r}; yours is {found!r}.")
    asked = _text(ask(answer, CHAT[:1], True))
    require(
        asked != first,
        "With add_generation_prompt=True the text ends in <|assistant|>: otherwise the model goes on as the customer.",
    )
    require(
        asked != first + "<|assistant|><|end|>", "You closed the answer before it was written: leave its <|end|> out."
    )
    require(asked == first + "<|assistant|>", f"Expected {first + '<|assistant|>'!r}; yours is {asked!r}.")
    longer, expected = _text(ask(answer, CHAT, True)), f"{whole}<|user|>And on Sunday?<|assistant|>"
    twice = "There is an <|end|> before every turn. It opens the conversation once and closes each answer."
    require("<|end|><|end|>" not in longer, twice)
    require(longer == expected, f"With three turns: expected {expected!r}; yours is {longer!r}.")
    twice_asked = [CHAT[0], CHAT[2], CHAT[1]]
    found, expected = _text(ask(answer, twice_asked)), f"{first}<|user|>And on Sunday?{second}"
    by_place = (
        "A customer may write twice before the answer comes: take each turn's role from its message, not its place."
    )
    require(found == expected, f"{by_place} Expected {expected!r}; yours is {found!r}.")
    require(_text(ask(answer, [])) == "<|end|>", "Without any message the text is its opening <|end|> alone.")
    passed("the same letters that apply_chat_template writes; a call ends in <|assistant|>, a training row in <|end|>.")


def _text(value: Any) -> str:
    require(isinstance(value, str), f"Return one text; yours is a {type(value).__name__}. Join the parts with ''.join.")
    return value


def _refuse_texts(found: str, *known: tuple[str, str]) -> None:
    for wrong, sentence in known:
        require(found != wrong, sentence)
