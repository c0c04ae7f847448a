"""The exercise checks of notebook 08: percentiles of waiting, the release gate, break-even, a line for a service."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from .checking import WrongAnswer, ask, check, passed, refuse, require, require_close

_LAST = "The last message must be the assistant's, with the record as its text: it is what the service learns from."
_SYSTEM = "The system message is missing: what the model is told when it is asked must stand in its training rows too."
_OBJECT = (
    "The record went in as an object. A message's content is text: turn the record into JSON text first, and that text "
    "becomes a string of the line."
)
_PYTHON = "That is Python's spelling (single quotes, None), not JSON: use json.dumps, not str."


@check("8.1")
def gate(answer: Callable[[float, float, float], Any]) -> None:
    """Check of exercise 8.1: ``answer(low, high, margin)`` is "ship", "worse" or "unsure"."""
    unsure = (
        "The difference might be a loss of 12 points. Too few messages to know is no reason to ship: look at the lower "
        "end, not at the middle or the upper end."
    )
    agreed = (
        "A little worse for certain, but by less than the margin agreed on before anybody looked: it ships. Ask about "
        "the lower end first."
    )
    zero = "No reason to refuse: zero may be inside, as a loss of 5 points is ruled out, and that is the question."
    cases = (
        ((-0.02, 0.06, 0.05), "ship", zero),
        ((-0.30, -0.10, 0.05), "worse", "It loses 10 points at the very best. Is the sign the wrong way round?"),
        ((-0.12, 0.09, 0.05), "unsure", unsure),
        ((0.01, 0.08, 0.05), "ship", "Better for certain, and refused? The gain need not reach the margin of loss."),
        ((-0.04, -0.01, 0.05), "ship", agreed),
        ((-0.05, 0.01, 0.05), "unsure", "A loss of just 5 points is still possible: ruled out means above -margin."),
        (
            (-0.02, 0.06, 0.01),
            "unsure",
            "With a margin of 1 point a loss of 2 is too much. Use the margin that is given.",
        ),
        ((-0.08, 0.01, 0.10), "ship", "With a margin of 10 points a loss of 8 will do. Use the margin that is given."),
        (
            (-0.07, -0.01, 0.05),
            "worse",
            "The whole interval is below 0: it is worse for certain, if perhaps not by much.",
        ),
        ((-0.07, 0.0, 0.05), "unsure", "An upper end of just 0 is not below 0: it may be as good as the shipped one."),
    )
    for inputs, right, sentence in cases:
        found = ask(answer, *inputs)
        shown = "Return one of the words 'ship', 'worse' and 'unsure'"
        require(isinstance(found, str), f"{shown}; your code returned {found!r}.")
        require(found in ("ship", "worse", "unsure"), f"{shown}, spelt like that; your code returned {found!r}.")
        require(found == right, f"low {inputs[0]:g}, high {inputs[1]:g}, margin {inputs[2]:g}: {sentence}")
    passed("The lower end decides whether it ships; the upper end only says whether to fix it or to ask more messages.")


@check("8.2")
def percentile(answer: Callable[[list, float], Any]) -> None:
    """Check of exercise 8.2: ``answer(seconds, share)`` is the smallest latency that ``share`` of the calls kept to."""
    waits = [0.9, 0.2, 4.0, 0.3, 1.0, 0.4, 0.8, 0.6, 0.7, 0.5]
    found = ask(answer, waits, 0.9)
    refuse(
        found,
        (0.5, "You took the 9th of the list as it came. Sort the latencies first."),
        (0.7, "You took the 9th of the list as it came. Sort the latencies first."),
        (4.0, "With 10 calls, 9 of them make up a share of 0.9: the 9th is enough. Did your index count from 1?"),
        (0.94, "That is the mean. One slow call pulls it up, and nobody ever waited that long."),
        (3.6, "That is 0.9 of the longest wait. A percentile is about how many calls, not about how many seconds."),
        (0.3, "You counted from the slow end: 0.9 of the calls were faster, not slower."),
        (0.2, "You counted from the slow end: 0.9 of the calls were faster, not slower."),
        (1.3, "You interpolated between two calls. Return a latency that a call really had."),
        (0.9, "One too low: 0.9 s was enough for 8 of 10 calls. The 9th in order has index 8."),
    )
    require_close(found, 1.0, "The 9th of the 10 sorted latencies is asked for.")
    half = ask(answer, [3.0, 1.0, 2.0], 0.5)
    refuse(
        half,
        (1.0, "1 s is enough for one of three calls, and half of three is more than one. Round the count up."),
        (3.0, "2 s is enough for two of three calls, more than half already. Round up once, not twice."),
    )
    require_close(half, 2.0, "Of three calls, the second in order is the first that at least half kept to.")
    refuse(
        ask(answer, [5.0, 7.0], 1.0),
        (5.0, "With a share of 1 every call counts, the slowest among them."),
    )
    require_close(ask(answer, [5.0, 7.0], 1.0), 7.0, "With a share of 1 it is the longest wait.")
    require_close(ask(answer, [2.5], 0.95), 2.5, "One call is its own percentile.")
    hundred = [float(wait) for wait in range(1, 101)]
    rounding = "0.07 × 100 is 7.000000000000001 in a computer: round before you round up, or count calls in a loop."
    require_close(ask(answer, hundred, 0.07), 7.0, rounding)
    _unchanged(answer, waits)
    passed("9 of 10 callers waited 1 s or less; the mean of 0.94 s hides that one waited 4.")


def _unchanged(answer: Callable[[list, float], Any], waits: list[float]) -> None:
    ours = list(waits)
    ask(lambda: answer(ours, 0.9))
    require(ours == waits, "Your code sorted the list that it was given: `sorted(seconds)` makes a new one.")


@check("8.3")
def calls_to_break_even(answer: Callable[[float, float, float], Any]) -> None:
    """Check of exercise 8.3: ``answer(once, tuned, prompted)`` is the number of calls from which tuning is cheaper.

    ``once`` is in dollars; the two prices are dollars for 1,000 calls.
    """
    found = ask(answer, 600.0, 0.10, 0.70)
    alone = "You divided by the price of prompting alone. A tuned call costs something too: divide by what one saves."
    times = "You multiplied by the saving. Divide: how often does the saving fit into 600 dollars?"
    refuse(
        found,
        (1_000, "Those are thousands of calls: the two prices are for 1,000 calls, so multiply by 1,000."),
        (600 / 0.7, alone),
        (600 / 0.7 * 1000, alone),
        (600 / 0.1 * 1000, "You divided by the price of tuned calls. What pays the bill back is the difference."),
        (600 / 0.8 * 1000, "You added the two prices. What pays the bill back is their difference."),
        (1, "You divided by 1,000 instead of multiplying: 0.60 dollars are saved per 1,000 calls."),
        (-1_000_000, "The sign: prompted minus tuned is what a call saves."),
        (600 * 0.6, times),
        (600 * 0.6 * 1000, times),
    )
    require_close(found, 1_000_000, "600 dollars, and 0.60 dollars saved with every 1,000 calls.", 1.0)
    dearer = ask(answer, 600.0, 0.70, 0.10)
    never = "Where a tuned call is dearer, tuning is never the cheaper way: return math.inf."
    require(not (isinstance(dearer, (int, float)) and dearer < 0), f"{never} A negative number of calls means nothing.")
    require(_number(dearer, never) == math.inf, never)
    same = ask(answer, 600.0, 0.30, 0.30)
    nothing = "At the same price a call saves nothing, and 600 dollars never come back: inf."
    require(_number(same, never) == math.inf, nothing)
    require_close(ask(answer, 0.0, 0.10, 0.70), 0, "Nothing was paid beforehand: tuning is cheaper from the start, 0.")
    half = ask(answer, 1.0, 0.0, 3.0)
    require_close(half, 1000 / 3, "Return the exact number, without rounding: 333.33 here.", 1e-6)
    passed("A million calls: at 10,000 a day that is a hundred days, and at 100 a day it is 27 years.")


def _number(value: Any, sentence: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise WrongAnswer(sentence) from None


@check("8.4")
def chat_line(answer: Callable[[str, str, dict], Any]) -> None:
    """Check of exercise 8.4: ``answer(system, message, record)`` is one line of a chat training file, as text."""
    system, message = "Triage.", 'Where is "WW-10001"?\nI am in Hobart — thanks, Zoë'
    record = {"category": "delivery", "product": None}
    line = ask(answer, system, message, record)
    require(not isinstance(line, dict), "You returned a dictionary. A line of the file is text: use json.dumps.")
    require(isinstance(line, str), f"Return the line as text; your code returned a {type(line).__name__}.")
    require("\n" not in line.strip("\n"), "The line has a line break in it: leave `indent` away, one row is one line.")
    require(not line.endswith("\n"), "Leave the line break at the end away: whoever writes the file adds it.")
    try:
        row = json.loads(line)
    except ValueError:
        quoted = line.lstrip().startswith(("{'", "[{'"))
        raise WrongAnswer(_PYTHON if quoted else "The line is no JSON: use json.dumps on a dictionary.") from None
    require(isinstance(row, dict), "The line should be an object with the key `messages`.")
    require(set(row) != {"prompt", "completion"}, "That is TRL's form. A service wants `messages`.")
    require(set(row) == {"messages"}, "The line is an object with one key, `messages`, and nothing else.")
    messages = row["messages"]
    require(isinstance(messages, list) and messages, "`messages` is a list of messages.")
    two_keys = all(isinstance(message, dict) and set(message) == {"role", "content"} for message in messages)
    require(two_keys, "Every message has exactly two keys, `role` and `content`.")
    roles = [m["role"] for m in messages]
    require(roles != ["user", "assistant"], _SYSTEM)
    require("assistant" in roles, _LAST)
    require(roles == ["system", "user", "assistant"], f"Expected the roles system, user, assistant, not {roles}.")
    told, asked, said = (m["content"] for m in messages)
    require(told == system, "The system message should hold the system prompt, unchanged.")
    require(asked == message, "The customer's message should arrive unchanged: quotes, line break, dash and all.")
    require(not isinstance(said, dict), _OBJECT)
    require(isinstance(said, str), "The assistant's content is text.")
    require(not said.startswith("{'"), f"The assistant's text: {_PYTHON}")
    try:
        came = json.loads(said)
    except ValueError:
        raise WrongAnswer("The assistant's text is no JSON: use json.dumps on the record.") from None
    require(not isinstance(came, str), "The record was turned into JSON text twice: once is enough for the content.")
    require(came == record, "The assistant's text should be the record, all its fields and values (null for None).")
    wanted = '{"category":"delivery","product":null}'
    require(said == wanted, "Write the record as the course does, without spaces: separators=(',', ':').")
    other = [
        turn["content"] for turn in json.loads(ask(answer, "Sort it.", "Hello", {"category": "store"}))["messages"]
    ]
    require(other[0] == "Sort it.", "Use the system prompt that is given, not a fixed one.")
    require(other[1:] == ["Hello", '{"category":"store"}'], "Use the message and the record that are given.")
    passed("One line, three messages, and JSON inside JSON: this file can go to any of three services.")
