"""The checks of notebook 03: right answers in different forms pass, typical wrong ones get their own sentence."""

import exercise_bank
import numpy as np
from sklearn.metrics import f1_score

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


MACRO_F1_WRONG = [
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


def chat_all_users(rules, examples, message):
    return [
        {**turn, "role": turn["role"].replace("assistant", "user")} for turn in chat_extend(rules, examples, message)
    ]


FEW_SHOT_CHAT_WRONG = [
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


def unseeded(a, b, draws=2000, seed=0):
    return paired_indices(a, b, draws, None)


PAIRED_INTERVAL_WRONG = [
    (lambda a, b, draws, seed: paired_indices(a, b, draws, seed, same=False), "one set of messages"),
    (lambda a, b, draws, seed: paired_indices(b, a, draws, seed), "a minus b"),
    (lambda a, b, draws, seed: paired_indices(a, b, draws, seed, level=0.5), "too narrow"),
    (lambda a, b, draws, seed: paired_indices(a, b, draws, seed)[::-1], "lower end must come first"),
    (lambda a, b, draws, seed: 0.1, "two numbers"),
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
