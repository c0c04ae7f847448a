"""The checks of notebook 08: right answers however written pass, misconceptions are named, and the package agrees."""

import bisect
import json
import math
from decimal import Decimal

import exercise_bank
import numpy as np
import pytest

from finetune_course import checks_08
from finetune_course.costs import break_even
from finetune_course.managed_export import chat_row
from finetune_course.release_gate import decide
from finetune_course.training import prompt_completion, triage_settings
from finetune_course.triage import label_text, load_split

CHECKS = [checks_08.gate, checks_08.percentile, checks_08.calls_to_break_even, checks_08.chat_line]


# 8.2


def by_rank(seconds, share):
    return sorted(seconds)[math.ceil(round(share * len(seconds), 9)) - 1]


def by_counting(seconds, share):
    for wait in sorted(seconds):
        if sum(other <= wait for other in seconds) / len(seconds) >= share:
            return wait


def by_decimals(seconds, share):
    ordered = sorted(seconds)
    needed = Decimal(str(share)) * len(ordered)
    return ordered[bisect.bisect_left(range(1, len(ordered) + 1), needed)]


def sorts_in_place(seconds, share):
    seconds.sort()
    return by_rank(seconds, share)


PERCENTILE_WRONG = [
    (lambda s, p: s[math.ceil(p * len(s)) - 1], "Sort the latencies first"),
    (lambda s, p: s[min(int(p * len(s)), len(s) - 1)], "Sort the latencies first"),
    (lambda s, p: sorted(s)[min(int(p * len(s)), len(s) - 1)], "Did your index count from 1"),
    (lambda s, p: sum(s) / len(s), "That is the mean"),
    (lambda s, p: p * max(s), "how many calls"),
    (lambda s, p: sorted(s, reverse=True)[math.ceil(p * len(s)) - 1], "from the slow end"),
    (lambda s, p: np.percentile(s, 100 * p), "interpolated between two calls"),
    (lambda s, p: sorted(s)[int(p * len(s)) - 2], "One too low"),
    (lambda s, p: sorted(s)[max(0, int(p * len(s)) - 1)], "Round the count up"),
    (lambda s, p: sorted(s)[math.ceil(p * len(s)) - 1], "round before you round up"),
    (lambda s, p: max(s), "the 9th is enough"),
    (lambda s, p: p * len(s), "The 9th of the 10"),
    (lambda s, p: f"{by_rank(s, p)} s", "one number"),
    (sorts_in_place, "the list that it was given"),
]


# 8.1


def gate_by_worst_case(low, high, margin):
    if not low <= -margin:
        return "ship"
    return "worse" if high < 0 else "unsure"


def gate_by_table(low, high, margin):
    return {(True, True): "ship", (True, False): "ship", (False, True): "worse", (False, False): "unsure"}[
        (low + margin > 0, high < 0)
    ]


def gate_by(ships, is_worse=lambda low, high, margin: high < 0):
    """An answer with a rule of its own for shipping, and one for what is called worse."""

    def answer(low, high, margin):
        if ships(low, high, margin):
            return "ship"
        return "worse" if is_worse(low, high, margin) else "unsure"

    return answer


def worse_is_asked_first(low, high, margin):
    if high < 0:
        return "worse"
    return "ship" if low > -margin else "unsure"


GATE_WRONG = [
    (gate_by(lambda low, high, margin: low > 0), "No reason to refuse"),
    (gate_by(lambda low, high, margin: low > margin), "No reason to refuse"),
    (gate_by(lambda low, high, margin: not low < 0 < high), "No reason to refuse"),
    (gate_by(lambda low, high, margin: low < 0), "the sign the wrong way round"),
    (gate_by(lambda low, high, margin: low < margin), "the sign the wrong way round"),
    (gate_by(lambda low, high, margin: high > -margin), "look at the lower end"),
    (gate_by(lambda low, high, margin: (low + high) / 2 > -margin), "look at the lower end"),
    (gate_by(lambda low, high, margin: low > -margin and low <= 0), "need not reach the margin"),
    (worse_is_asked_first, "Ask about the lower end first"),
    (gate_by(lambda low, high, margin: low >= -margin), "above -margin"),
    (gate_by(lambda low, high, margin: low > -0.05), "Use the margin that is given"),
    (gate_by(lambda low, high, margin: low > -margin, lambda low, high, margin: high < -margin), "worse for certain"),
    (gate_by(lambda low, high, margin: low > -margin, lambda low, high, margin: high <= 0), "is not below 0"),
    (lambda low, high, margin: low > -margin, "Return one of the words"),
    (lambda low, high, margin: gate_by_worst_case(low, high, margin).title(), "spelt like that"),
    (lambda low, high, margin: "ship" if low > -margin else None, exercise_bank.NOTHING_RETURNED),
]


# 8.3


def even_by_one_call(once, tuned, prompted):
    saved = (prompted - tuned) / 1000
    return once / saved if saved > 0 else math.inf


def even_by_guard(once, tuned, prompted):
    if tuned >= prompted:
        return float("inf")
    return 1000 * once / (prompted - tuned)


EVEN_WRONG = [
    (lambda o, t, p: o / (p - t) if p > t else math.inf, "thousands of calls"),
    (lambda o, t, p: 1000 * o / p, "price of prompting alone"),
    (lambda o, t, p: o / p, "price of prompting alone"),
    (lambda o, t, p: 1000 * o / t, "price of tuned calls"),
    (lambda o, t, p: 1000 * o / (p + t), "added the two prices"),
    (lambda o, t, p: o / (p - t) / 1000, "instead of multiplying"),
    (lambda o, t, p: 1000 * o / (t - p), "The sign"),
    (lambda o, t, p: o * (p - t) * 1000, "multiplied by the saving"),
    (lambda o, t, p: 1000 * o / (p - t) if p != t else math.inf, "negative number of calls"),
    (lambda o, t, p: 1000 * o / abs(p - t) if p != t else math.inf, "never the cheaper way"),
    (lambda o, t, p: 1000 * o / (p - t) if p > t else -1, "negative number of calls"),
    (lambda o, t, p: 1000 * o / (p - t) if p >= t else math.inf, "ZeroDivisionError"),
    (lambda o, t, p: 1000 * o / (p - t) if p > t else 0 if p == t else math.inf, "600 dollars never come back"),
    (lambda o, t, p: math.ceil(1000 * o / (p - t)) if p > t else math.inf, "without rounding"),
    (lambda o, t, p: 1000 * o / (p - t) if p > t else "never", "return math.inf"),
    (lambda o, t, p: "a million", "one number"),
]


# 8.4


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def line_of(system, message, said, **options):
    turns = [("system", system), ("user", message), ("assistant", said)]
    return json.dumps({"messages": [{"role": role, "content": text} for role, text in turns]}, **options)


def line_by_prompt_completion(system, message, record):
    row = {
        "prompt": [{"role": "system", "content": system}, {"role": "user", "content": message}],
        "completion": [{"role": "assistant", "content": compact(record)}],
    }
    return json.dumps(chat_row(row), ensure_ascii=False)


def by_hand(system, message, record):
    return f'{{"messages": [{{"role": "system", "content": "{system}"}}, {{"role": "user", "content": "{message}"}}]}}'


def rows(*turns, **more):
    return json.dumps({"messages": [{"role": role, "content": text} for role, text in turns], **more})


LINE_WRONG = [
    (lambda s, m, r: {"messages": []}, "You returned a dictionary"),
    (lambda s, m, r: line_of(s, m, compact(r)).encode(), "Return the line as text"),
    (lambda s, m, r: line_of(s, m, compact(r), indent=2), "leave `indent` away"),
    (lambda s, m, r: line_of(s, m, compact(r)) + "\n", "whoever writes the file adds it"),
    (lambda s, m, r: str({"messages": [{"role": "user", "content": m}]}), "Python's spelling"),
    (by_hand, "line break in it"),
    (lambda s, m, r: by_hand(s, m.replace("\n", " "), r), "is no JSON"),
    (lambda s, m, r: json.dumps({"prompt": m, "completion": compact(r)}), "TRL's form"),
    (lambda s, m, r: json.dumps([{"role": "system", "content": s}]), "an object with the key"),
    (lambda s, m, r: rows(("user", m), ("assistant", compact(r))), "The system message is missing"),
    (lambda s, m, r: rows(("system", s), ("user", m)), "must be the assistant's"),
    (lambda s, m, r: rows(("user", m), ("system", s), ("assistant", compact(r))), "Expected the roles"),
    (lambda s, m, r: rows(("system", s), ("user", m), ("assistant", compact(r)), id=1), "one key"),
    (lambda s, m, r: line_of(s, m, r), "The record went in as an object"),
    (lambda s, m, r: line_of(s, m, str(r)), "Python's spelling"),
    (lambda s, m, r: line_of(s, m, json.dumps(compact(r))), "turned into JSON text twice"),
    (lambda s, m, r: line_of(s, m, json.dumps(r)), "without spaces"),
    (lambda s, m, r: line_of(s, m, "delivery"), "assistant's text is no JSON"),
    (lambda s, m, r: line_of(s, m.encode("ascii", "ignore").decode(), compact(r)), "should arrive unchanged"),
    (lambda s, m, r: line_of(s, m, compact({k: v for k, v in r.items() if v})), "all its fields and values"),
    (lambda s, m, r: line_of("Triage.", m, compact(r)), "not a fixed one"),
]

RIGHT = [
    (checks_08.percentile, by_rank),
    (checks_08.percentile, by_counting),
    (checks_08.percentile, by_decimals),
    (checks_08.gate, gate_by_worst_case),
    (checks_08.gate, gate_by_table),
    (checks_08.gate, gate_by(lambda low, high, margin: np.float64(low) > -np.float64(margin))),
    (checks_08.calls_to_break_even, even_by_one_call),
    (checks_08.calls_to_break_even, even_by_guard),
    (checks_08.chat_line, lambda s, m, r: line_of(s, m, compact(r))),
    (checks_08.chat_line, lambda s, m, r: line_of(s, m, compact(r), ensure_ascii=False)),
    (checks_08.chat_line, line_by_prompt_completion),
]

WRONG = [
    (check, answer, words)
    for check, cases in zip(CHECKS, (GATE_WRONG, PERCENTILE_WRONG, EVEN_WRONG, LINE_WRONG), strict=True)
    for answer, words in cases
]

test_right_answers, test_wrong_answers, test_stubs = exercise_bank.tests(CHECKS, RIGHT, WRONG)


def test_the_percentile_is_numpys_inverted_distribution():
    waits = np.random.default_rng(8).gamma(2.0, size=41).tolist()
    for share in (0.1, 0.5, 0.9, 0.95, 1.0):
        assert by_rank(waits, share) == np.quantile(waits, share, method="inverted_cdf")


def test_the_rule_is_the_packages_gate():
    rng = np.random.default_rng(8)
    said = set()
    for drop in (0.0, 0.06, 0.3):
        shipped = rng.random(100) < 0.9
        decision = decide(shipped & (rng.random(100) >= drop), shipped)
        word = gate_by_worst_case(decision.difference.low, decision.difference.high, decision.margin)
        assert decision.ship == (word == "ship") and ("it is worse" in decision.reason) == (word == "worse")
        said.add(word)
    assert {"ship", "worse"} <= said


def test_break_even_is_the_packages():
    assert even_by_guard(600, 0.1, 0.7) == pytest.approx(break_even(600, 0.1 / 1000, 0.7 / 1000))


def test_a_line_of_the_course_is_such_a_line():
    record = load_split("validation")[0]
    line = line_of(triage_settings()["system_prompt"], record["message"], label_text(record["label"]))
    assert json.loads(line) == chat_row(prompt_completion(record))
