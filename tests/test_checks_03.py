"""The checks of notebook 03: right answers in different forms pass, typical wrong ones get their own sentence."""

import itertools

import exercise_bank
import numpy as np
from sklearn.metrics import f1_score, precision_recall_fscore_support

from finetune_course import checks_03


def exact_match_loop(predicted, truth):
    right = 0
    for guess, label in zip(predicted, truth, strict=True):
        if guess is not None and all(guess.get(field) == label[field] for field in label):
            right += 1
    return right / len(truth)


def exact_match_numpy(predicted, truth):
    return np.mean([guess == label for guess, label in zip(predicted, truth, strict=True)])


def exact_match_valid_only(predicted, truth):
    pairs = [(guess, label) for guess, label in zip(predicted, truth, strict=True) if guess is not None]
    return sum(guess == label for guess, label in pairs) / max(1, len(pairs))


def field_accuracy(predicted, truth):
    fields = [guess is not None and guess.get(f) == t[f] for guess, t in zip(predicted, truth, strict=True) for f in t]
    return sum(fields) / len(fields)


EXACT_MATCH_WRONG = [
    (exact_match_valid_only, "an unparsable answer is a wrong one"),
    (field_accuracy, "one wrong field and it is wrong"),
    (lambda predicted, truth: 100 * exact_match_loop(predicted, truth), "That is a percentage"),
    (lambda predicted, truth: sum(a == b for a, b in zip(predicted, truth, strict=True)), "divide it by"),
    (lambda predicted, truth: np.mean([str(a) == str(b) for a, b in zip(predicted, truth)]), "compare dictionar"),  # noqa: B905
    (
        lambda predicted, truth: np.mean(
            [set(a.values() if a else "") == set(b.values()) for a, b in zip(predicted, truth, strict=True)]
        ),
        "field by field",
    ),  # noqa: B905
    (lambda predicted, truth: 0.5, "order of the fields"),
    (lambda predicted, truth: True, "one number"),
    (lambda predicted, truth: predicted[1]["category"], "stopped with TypeError"),
]


def counts(predicted, truth, name):
    right = sum(p == t == name for p, t in zip(predicted, truth, strict=True))
    return right, predicted.count(name), truth.count(name)


def macro_by_hand(predicted, truth):
    scores = []
    for name in sorted(set(truth)):
        right, given, there = counts(predicted, truth, name)
        scores.append(2 * right / (given + there))
    return sum(scores) / len(scores)


def macro_precision_recall(predicted, truth):
    scores = []
    for name in set(truth):
        right, given, there = counts(predicted, truth, name)
        precision, recall = (right / given if given else 0), right / there
        scores.append(2 * precision * recall / (precision + recall) if right else 0)
    return np.mean(scores)


def macro_sklearn(predicted, truth, average="macro"):
    guesses = ["(none)" if guess is None else guess for guess in predicted]
    return f1_score(truth, guesses, labels=sorted(set(truth)), average=average, zero_division=0)


def macro_without_none(predicted, truth):
    kept = [(p, t) for p, t in zip(predicted, truth, strict=True) if p is not None]
    return macro_by_hand([p for p, _ in kept], [t for _, t in kept])


def macro_with_none_class(predicted, truth):
    return f1_score(truth, ["(none)" if guess is None else guess for guess in predicted], average="macro")


def precision_and_recall_first(predicted, truth):
    guesses = ["(none)" if guess is None else guess for guess in predicted]
    precision, recall, *_ = precision_recall_fscore_support(
        truth, guesses, labels=sorted(set(truth)), average="macro", zero_division=0
    )
    return 2 * precision * recall / (precision + recall)


def part_of(place):
    """Macro average of the precisions (0) or the recalls (1)."""

    def answer(predicted, truth):
        parts = []
        for name in set(truth):
            right, given, there = counts(predicted, truth, name)
            parts.append((right / given if given else 0, right / there)[place])
        return np.mean(parts)

    return answer


MACRO_F1_WRONG = [
    (precision_and_recall_first, "one F1 for each class, then average"),
    (part_of(0), "average of the precisions"),
    (part_of(1), "average of the recalls"),
    (lambda predicted, truth: macro_sklearn(predicted, truth, "micro"), "That is the accuracy"),
    (lambda predicted, truth: macro_sklearn(predicted, truth, None), "one number"),
    (lambda predicted, truth: 4 / 9, "miss their class"),
    (lambda predicted, truth: f1_score(truth, predicted, average="macro"), "stopped with"),
    (lambda predicted, truth: np.mean(np.array(predicted) == np.array(truth)), "That is the accuracy"),
    (lambda predicted, truth: macro_sklearn(predicted, truth, "weighted"), "same weight"),
    (macro_without_none, "leave the unparsable answers out"),
    (macro_with_none_class, "None become a class"),
    (lambda p, t: macro_by_hand(p, t) if "normal" in t else 1 / 0, "ZeroDivisionError"),
]


def chat_extend(rules, examples, message):
    chat = [{"role": "system", "content": rules}]
    for text, record in examples:
        chat += [{"role": "user", "content": text}, {"role": "assistant", "content": record}]
    return chat + [{"role": "user", "content": message}]


def chat_comprehension(rules, examples, message):
    turns = [turn for pair in examples for turn in zip(("user", "assistant"), pair, strict=True)]
    parts = [("system", rules), *turns, ("user", message)]
    return [dict(role=role, content=content) for role, content in parts]


def chat_chained(rules, examples, message):
    roles = itertools.cycle(("user", "assistant"))
    texts = [*itertools.chain.from_iterable(examples), message]
    return [{"content": rules, "role": "system"}, *({"content": text, "role": next(roles)} for text in texts)]


def chat_remembering(rules, examples, message, chat=[]):  # noqa: B006
    """The list of the default value is made once: the second question stands below the first."""
    chat += chat_extend(rules, examples, message)[bool(chat) :]
    return list(chat)


def chat_all_users(rules, examples, message):
    return [
        {**turn, "role": turn["role"].replace("assistant", "user")} for turn in chat_extend(rules, examples, message)
    ]


FEW_SHOT_CHAT_WRONG = [
    (chat_remembering, "With no examples"),
    (lambda r, e, m: chat_extend("Sort the messages.", e, m), "that were given"),
    (lambda r, e, m: e.append((m, "")) or chat_extend(r, e[:-1], m), "changed the list"),
    (lambda r, e, m: (turn for turn in chat_extend(r, e, m)), "returned a generator"),
    (chat_all_users, "give them the role `assistant`"),
    (lambda r, e, m: chat_extend(r, e, m)[1:], "The rules come first"),
    (lambda r, e, m: chat_extend(r, e, m)[:-1], "the new question"),
    (lambda r, e, m: [{"role": "system", "content": r}] + chat_extend(r, e, m), "several system messages"),
    (lambda r, e, m: chat_extend(r, e[::-1], m), "in the order given"),
    (lambda r, e, m: chat_extend(r, e, "Message: " + m), "nothing else"),
    (lambda r, e, m: str(chat_extend(r, e, m)), "returned a str"),
    (lambda r, e, m: [(t["role"], t["content"]) for t in chat_extend(r, e, m)], "two keys"),
]


def paired_indices(a, b, draws=2000, seed=0, level=0.95, same=True):
    generator, a, b = np.random.default_rng(seed), np.array(a), np.array(b)
    rows = generator.integers(len(a), size=(draws, len(a)))
    others = rows if same else generator.integers(len(a), size=(draws, len(a)))
    means = a[rows].mean(axis=1) - b[others].mean(axis=1)
    return np.quantile(means, (1 - level) / 2), np.quantile(means, (1 + level) / 2)


def paired_loop(a, b, draws=2000, seed=0):
    generator, means = np.random.default_rng(seed), []
    difference = [x - y for x, y in zip(a, b, strict=True)]
    for _ in range(draws):
        means.append(np.mean(generator.choice(difference, size=len(difference))))
    return list(np.percentile(means, [2.5, 97.5]))


def scaled_widths(level=0.95, size=1.0):
    def answer(a, b, draws=2000, seed=0):
        difference, generator = np.subtract(a, b), np.random.default_rng(seed)
        means = generator.choice(difference, size=(draws, int(size * len(a)))).mean(axis=1)
        return tuple(np.quantile(means, [(1 - level) / 2, (1 + level) / 2]))

    return answer


def from_a_formula(a, b, draws=2000, seed=0):
    difference = np.subtract(a, b)
    half = 1.96 * difference.std(ddof=1) / len(a) ** 0.5
    return difference.mean() - half, difference.mean() + half


def from_the_spread_of_the_means(a, b, draws=2000, seed=0):
    means = np.random.default_rng(seed).choice(np.subtract(a, b), size=(draws, len(a))).mean(axis=1)
    return means.mean() - 1.96 * means.std(), means.mean() + 1.96 * means.std()


def without_replacement(a, b, draws=2000, seed=0):
    generator, difference = np.random.default_rng(seed), np.subtract(a, b)
    means = [generator.permutation(difference).sum() / len(a) for _ in range(min(draws, 50))]
    return np.percentile(means, [2.5, 97.5])


def unseeded(a, b, draws=2000, seed=0):
    return paired_indices(a, b, draws, None)


PAIRED_INTERVAL_WRONG = [
    (lambda a, b, draws, seed: paired_indices(a, b, draws, seed, same=False), "one set of messages"),
    (lambda a, b, draws, seed: paired_indices(b, a, draws, seed), "a minus b"),
    (lambda a, b, draws, seed: paired_indices(a, b, draws, seed, level=0.5), "too narrow"),
    (lambda a, b, draws, seed: paired_indices(a, b, draws, seed)[::-1], "lower end must come first"),
    (lambda a, b, draws, seed: 0.1, "two numbers"),
    (scaled_widths(0.99), "somewhat too wide"),
    (scaled_widths(size=0.5), "somewhat too wide"),
    (scaled_widths(0.9), "too narrow"),
    (scaled_widths(size=10), "too narrow"),
    (from_a_formula, "below 0"),
    (from_the_spread_of_the_means, "below 0"),
    (without_replacement, "with replacement"),
    (lambda a, b, draws, seed: paired_indices(a, b, draws), "Twelve seeds"),
    (lambda a, b, draws, seed: paired_indices(a, b, 2000, seed), "as often as `draws` says"),
    (lambda a, b, rounds=2000, seed=0: paired_indices(a, b, rounds, seed), "unexpected keyword argument 'draws'"),
    (unseeded, "The same seed gave another interval"),
]

CHECKS = [checks_03.exact_match, checks_03.macro_f1, checks_03.few_shot_chat, checks_03.paired_interval]

RIGHT = [
    (checks_03.exact_match, exact_match_loop),
    (checks_03.exact_match, exact_match_numpy),
    (checks_03.macro_f1, macro_by_hand),
    (checks_03.macro_f1, macro_precision_recall),
    (checks_03.macro_f1, macro_sklearn),
    (checks_03.few_shot_chat, chat_extend),
    (checks_03.few_shot_chat, chat_comprehension),
    (checks_03.few_shot_chat, chat_chained),
    (checks_03.paired_interval, paired_indices),
    (checks_03.paired_interval, paired_loop),
]

WRONG = [
    (check, answer, words)
    for check, cases in zip(
        CHECKS, (EXACT_MATCH_WRONG, MACRO_F1_WRONG, FEW_SHOT_CHAT_WRONG, PAIRED_INTERVAL_WRONG), strict=True
    )
    for answer, words in cases
]

test_right_answers, test_wrong_answers, test_stubs = exercise_bank.tests(CHECKS, RIGHT, WRONG)
