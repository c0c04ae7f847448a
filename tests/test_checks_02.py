"""The checks of notebook 02: right answers however written pass, misconceptions are named, and the facts are real."""

import itertools
import math

import exercise_bank
import numpy as np

from finetune_course import checks_02
from finetune_course.shop_questions import CHAT_TEMPLATE

CHECKS = [checks_02.times_cheaper, checks_02.forgetting, checks_02.with_replay, checks_02.render]


def times_by_next(scratch, continued):
    tokens, target = scratch[-1]
    reached = next((spent for spent, loss in continued if loss <= target), None)
    if reached is None:
        return None
    return math.inf if reached == 0 else tokens / reached


def times_by_loop(scratch, continued):
    target = scratch[-1][1]
    for spent, loss in continued:
        if loss <= target:
            if not spent:
                return float("inf")
            return scratch[-1][0] / spent


def reached_at(scratch, continued):
    return next(place for place, (_, loss) in enumerate(continued) if loss <= scratch[-1][1])


def times_without_infinity(scratch, continued):
    for spent, loss in continued:
        if loss <= scratch[-1][1]:
            return scratch[-1][0] / spent


def to_the_lowest(scratch, continued):
    target = min(loss for _, loss in scratch)
    reached = [spent for spent, loss in continued if loss <= target]
    return None if not reached else math.inf if not reached[0] else scratch[-1][0] / reached[0]


def from_the_lowest(scratch, continued):
    tokens, target = min(scratch, key=lambda point: point[1])
    reached = [spent for spent, loss in continued if loss <= target]
    return None if not reached else math.inf if not reached[0] else tokens / reached[0]


def from_the_last_crossing(scratch, continued):
    """Right while the loss only falls: the first point after the last one above the target."""
    above = [place for place, (_, loss) in enumerate(continued) if loss > scratch[-1][1]]
    rest = continued[above[-1] + 1 :] if above else continued
    return None if not rest else math.inf if not rest[0][0] else scratch[-1][0] / rest[0][0]


TIMES_WRONG = [
    (from_the_last_crossing, "Take the first measured point"),
    (lambda s, c: 1 / times_by_next(s, c), "other way round"),
    (lambda s, c: s[-1][0] / c[-1][0], "first such point"),
    (lambda s, c: s[-1][0] / next(t for t, loss in c if loss < s[-1][1]), "first such point"),
    (lambda s, c: s[-1][1] / c[-1][1], "Those are losses"),
    (lambda s, c: c[-1][1] / s[-1][1], "Those are losses"),
    (lambda s, c: len(s) / len(c), "not at the same tokens"),
    (lambda s, c: (len(s) - 1) / reached_at(s, c), "places in the lists"),
    (lambda s, c: s[-1][0] - c[reached_at(s, c)][0], "divide instead"),
    (lambda s, c: s[-2][0] / c[reached_at(s, c)][0], "at the end of its list"),
    (lambda s, c: None, "at 160 tokens it is there"),
    (lambda s, c: s[-1][0] / c[reached_at(s, c)][0], "return None"),
    (lambda s, c: times_by_next(s, c) or 0, "return None"),
    (times_without_infinity, "divided by 0"),
    (lambda s, c: times_without_infinity(s, [p for p in c if p[0]]), "return math.inf"),
    (to_the_lowest, "not its lowest"),
    (from_the_lowest, "not its lowest"),
    (lambda s, c: "5 times", "one number"),
]


def forgetting_by_numpy(before, after, tokens):
    rise = float(np.average(np.subtract(after, before), weights=tokens))
    return rise, math.exp(rise)


def forgetting_by_totals(before, after, tokens):
    def mean(losses):
        return sum(loss * count for loss, count in zip(losses, tokens, strict=True)) / sum(tokens)

    return [mean(after) - mean(before), math.exp(mean(after)) / math.exp(mean(before))]


def rises(make):
    """An answer with the right factor, whose rise comes from ``make(differences, tokens)``."""

    def answer(before, after, tokens):
        return make(np.subtract(after, before), np.array(tokens)), forgetting_by_numpy(before, after, tokens)[1]

    return answer


def factors(make):
    """An answer with the right rise, whose factor comes from ``make(loss before, loss after)``."""

    def answer(before, after, tokens):
        one, other = (float(np.average(losses, weights=tokens)) for losses in (before, after))
        return other - one, make(one, other)

    return answer


FORGETTING_WRONG = [
    (lambda b, a, t: (rise := forgetting_by_numpy(b, a, t)[0], math.exp(abs(rise))), "the factor is below 1"),
    (lambda b, a, t: (0.28, 1.3231298), "Nothing has changed here"),
    (rises(lambda d, t: d.mean()), "as heavy as any other"),
    (rises(lambda d, t: -(d * t).sum() / t.sum()), "The sign"),
    (rises(lambda d, t: (d * t).sum()), "sum over all tokens"),
    (rises(lambda d, t: (d * t).sum() / len(d)), "number of documents"),
    (rises(lambda d, t: d.sum()), "added up over documents"),
    (rises(lambda d, t: abs((d * t).sum()) / t.sum()), "may also get better"),
    (lambda b, a, t: forgetting_by_numpy(b, a, t)[::-1], "not the reverse"),
    (factors(lambda one, other: math.exp(other) - math.exp(one)), "difference of two perplexities"),
    (factors(lambda one, other: math.exp(one - other)), "turn it round"),
    (factors(lambda one, other: other / one), "divided the losses"),
    (factors(lambda one, other: math.exp(other)), "perplexity afterwards"),
    (factors(lambda one, other: 2 ** (other - one)), "not in bits"),
    (factors(lambda one, other: other - one), "the rise once more"),
    (
        lambda b, a, t: (forgetting_by_numpy(b, a, t)[0], float(np.exp(np.subtract(a, b)).mean())),
        "mean before you take exp",
    ),
    (
        lambda b, a, t: (forgetting_by_numpy(b, a, t)[0], math.exp(float(np.subtract(a, b).mean()))),
        "unweighted mean",
    ),
    (lambda b, a, t: forgetting_by_numpy(b, a, t)[0], "Return two numbers"),
]


def replay_by_cycle(new, old, share):
    count = round(share / (1 - share) * len(new))
    return new + list(itertools.islice(itertools.cycle(old), count))


def replay_by_place(new, old, share):
    total = len(new) / (1 - share)
    return [old[place % len(old)] for place in range(round(total - len(new)))] + new


def into_the_new(new, old, share):
    new.extend(itertools.islice(itertools.cycle(old), round(share / (1 - share) * len(new))))
    return new


REPLAY_WRONG = [
    (into_the_new, "changed the list"),
    (lambda n, o, s: tuple(replay_by_cycle(n, o, s)), "yours is a tuple"),
    (lambda n, o, s: (text for text in replay_by_cycle(n, o, s)), "Return one list"),
    (lambda n, o, s: replay_by_cycle(n, o, 0.25), "A share of 0 means"),
    (lambda n, o, s: n + [o[k % len(o)] for k in range(int(s / (1 - s) * len(n)))], "not cut off"),
    (lambda n, o, s: n + [o[-1 - k % len(o)] for k in range(round(s / (1 - s) * len(n)))], "from the front"),
    (lambda n, o, s: n + o[: round(s * len(n))], "The share is of the *mix*"),
    (lambda n, o, s: n + o[: int(s * len(o))], "a share of the old texts"),
    (lambda n, o, s: n + o[: round(s * len(o))], "a share of the old texts"),
    (lambda n, o, s: n + o[: round((1 - s) * len(n))], "1 - share where share should be"),
    (lambda n, o, s: replay_by_cycle(n, o, 1 - s), "three quarters are old"),
    (lambda n, o, s: n + o, "all the old texts"),
    (lambda n, o, s: n, "no old text"),
    (lambda n, o, s: o[:4], "no new text"),
    (lambda n, o, s: n[: round((1 - s) * len(n))] + o[: round(s * len(n))], "All 12 new texts"),
    (lambda n, o, s: n + o[: round(s / (1 - s) * len(n))], "begin again from the front"),
    (lambda n, o, s: n + o[: max(1, round(s / (1 - s) * len(n)))], "no old text at all"),
    (lambda n, o, s: n + [o[0]] * round(s / (1 - s) * len(n)), "stands in your mix twice"),
    (lambda n, o, s: n + o[: math.ceil(s / (1 - s) * len(n))], "4.29"),
    (lambda n, o, s: (n, o[:4]), "two lists"),
    (lambda n, o, s: n + [o[:4]], "no text"),
]


def render_by_loop(messages, add_generation_prompt=False):
    text = "<|end|>"
    for message in messages:
        text += f"<|{message['role']}|>{message['content']}"
        if message["role"] == "assistant":
            text += "<|end|>"
    return text + "<|assistant|>" if add_generation_prompt else text


def render_by_jinja(messages, add_generation_prompt=False):
    from jinja2 import Template

    return Template(CHAT_TEMPLATE).render(messages=messages, add_generation_prompt=add_generation_prompt)


def rendered(change):
    """An answer whose text is the right one, changed by ``change(text, add_generation_prompt)``."""
    return lambda messages, more=False: change(render_by_loop(messages, more), more)


def every_turn_closed(messages, more=False):
    text = "<|end|>" + "".join(f"<|{m['role']}|>{m['content']}<|end|>" for m in messages)
    return text + "<|assistant|>" * more


def end_before_every_turn(messages, more=False):
    text = "".join(("<|end|>" if m["role"] == "user" else "") + f"<|{m['role']}|>{m['content']}" for m in messages)
    text = text.replace("At nine.", "At nine.<|end|>")
    return text + "<|assistant|>" * more


def role_by_place(messages, more=False):
    turns = [{**message, "role": ("user", "assistant")[place % 2]} for place, message in enumerate(messages)]
    return render_by_loop(turns, more)


def render_from_the_first(messages, more=False):
    return render_by_loop([messages[0]], False) + render_by_loop(messages[1:], more).removeprefix("<|end|>")


RENDER_WRONG = [
    (role_by_place, "not its place"),
    (render_from_the_first, "stopped with IndexError"),
    (lambda messages, more=False: print(render_by_loop(messages, more)), "returned None"),
    (rendered(lambda text, more: text.removeprefix("<|end|>")), "at the very beginning"),
    (rendered(lambda text, more: text.removesuffix("<|end|>")), "never learns to stop"),
    (lambda messages, more=False: render_by_loop(messages, True), "although add_generation_prompt is False"),
    (every_turn_closed, "closed the user's turn too"),
    (rendered(lambda text, more: text.replace("|>", "|> ").strip()), "blanks between"),
    (rendered(lambda text, more: text.replace("<|assistant", "\n<|assistant")), "line break"),
    (lambda messages, more=False: "<|end|>" + "".join(m["content"] for m in messages) + "<|end|>", "Who speaks"),
    (lambda messages, more=False: "<|end|><|{role}|>{content}", "braces"),
    (lambda messages, more=False: render_by_loop(messages), "goes on as the customer"),
    (rendered(lambda text, more: text + "<|end|>" * more), "before it was written"),
    (end_before_every_turn, "before every turn"),
    (rendered(lambda text, more: text.split("|>")), "Return one text"),
    (rendered(lambda text, more: text.upper()), "Expected"),
]

RIGHT = [
    (checks_02.times_cheaper, times_by_next),
    (checks_02.times_cheaper, times_by_loop),
    (checks_02.forgetting, forgetting_by_numpy),
    (checks_02.forgetting, forgetting_by_totals),
    (checks_02.with_replay, replay_by_cycle),
    (checks_02.with_replay, replay_by_place),
    (checks_02.render, render_by_loop),
    (checks_02.render, render_by_jinja),
]

WRONG = [
    (check, answer, words)
    for check, cases in zip(CHECKS, (TIMES_WRONG, FORGETTING_WRONG, REPLAY_WRONG, RENDER_WRONG), strict=True)
    for answer, words in cases
]


test_right_answers, test_wrong_answers, test_stubs = exercise_bank.tests(CHECKS, RIGHT, WRONG)


def test_the_template_of_the_exercise_is_the_one_that_the_model_gets():
    """The hand-written text and transformers' own rendering of the course's template, letter by letter."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))
    tokenizer.chat_template = CHAT_TEMPLATE
    for more in (False, True):
        theirs = tokenizer.apply_chat_template(checks_02.CHAT, tokenize=False, add_generation_prompt=more)
        assert theirs == render_by_loop(checks_02.CHAT, more)
