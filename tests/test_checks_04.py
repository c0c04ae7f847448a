"""The checks of notebook 04: right answers however written pass, and misconceptions are named."""

import re

import exercise_bank

from finetune_course import checks_04
from finetune_course.personal_data import is_card_number

CHECKS = [checks_04.chat_labels, checks_04.similarity, checks_04.is_card]
OFF = -100


def labels_by_comprehension(turns):
    ids = [token for _, part in turns for token in part]
    return ids, [token if role == "assistant" else OFF for role, part in turns for token in part]


def labels_by_counting(turns):
    ids, labels = (), ()
    for role, part in turns:
        ids = (*ids, *part)
        labels = (*labels, *(part if role == "assistant" else (OFF,) * len(part)))
    return [list(ids), list(labels)]


def labels_from(make):
    """An answer whose ids are right and whose labels come from ``make(role, ids, place, last)`` turn by turn."""

    def answer(turns):
        last = max((place for place, (role, _) in enumerate(turns) if role == "assistant"), default=0)
        labels = [label for place, (role, ids) in enumerate(turns) for label in make(role, ids, place, last)]
        return [token for _, ids in turns for token in ids], labels

    return answer


def off(ids):
    return [OFF] * len(ids)


def in_place(turns):
    ids, labels = turns[0][1], off(turns[0][1])
    for role, part in turns[1:]:
        ids += part
        labels += part if role == "assistant" else off(part)
    return ids, labels


def appended(turns):
    ids, labels = [], []
    for role, part in turns:
        ids.append(part)
        labels.append(part if role == "assistant" else off(part))
    return ids, labels


def ends_masked(role, ids, place, last):
    return [*ids[:-1], OFF] if role == "assistant" else off(ids)


def reversed_lists(turns):
    return labels_by_comprehension(turns)[::-1]


def labels_alone(turns):
    return labels_by_comprehension(turns)[1]


def shifted(turns):
    ids, labels = labels_by_comprehension(turns)
    return ids, (labels[1:] + [OFF] if labels else [])


def inputs_masked(turns):
    labels = labels_by_comprehension(turns)[1]
    return labels, labels


LABELS_WRONG = [
    (in_place, "changed the list"),
    (lambda turns: tuple((token for token in part) for part in labels_by_comprehension(turns)), "A generator is none"),
    (labels_from(lambda role, ids, place, last: off(ids) if place % 2 == 0 else ids), "wrong way round"),
    (labels_from(lambda role, ids, place, last: ids), "Nothing is masked"),
    (labels_from(lambda role, ids, place, last: off(ids)), "Everything is masked"),
    (labels_from(lambda role, ids, place, last: ids if place == last else off(ids)), "Only the last answer"),
    (labels_from(lambda role, ids, place, last: off(ids) if role == "user" else ids), "The system's turn"),
    (labels_from(lambda role, ids, place, last: ids if role == "user" else off(ids)), "wrong way round"),
    (labels_from(lambda role, ids, place, last: ids if place >= 2 else off(ids)), "From the first answer on"),
    (labels_from(lambda role, ids, place, last: ids if role == "assistant" else [0] * len(ids)), "0 is a token"),
    (labels_from(lambda role, ids, place, last: ids if role == "assistant" else [OFF]), "Every token needs a label"),
    (labels_from(ends_masked), "never stops"),
    (reversed_lists, "not the reverse"),
    (labels_alone, "Return two lists"),
    (appended, "no token id"),
    (shifted, "shifted the labels by hand"),
    (inputs_masked, "-100 stands among the ids"),
]


def shingles(text, n):
    words = text.lower().split()
    return [tuple(words[at : at + n]) for at in range(max(len(words) - n + 1, 1))]


def similarity_by_counting(a, b, n=3):
    left, right = set(shingles(a, n)), set(shingles(b, n))
    shared = sum(shingle in right for shingle in left)
    return shared / (len(left) + len(right) - shared)


def similarity_by_strings(a, b, n=3):
    def cut(text):
        words = re.split(r"\s+", text.casefold().strip())
        return {" ".join(words[at : at + n]) for at in range(len(words)) if at == 0 or at + n <= len(words)}

    return len(cut(a).intersection(cut(b))) / len(cut(a).union(cut(b)))


def divided_by(bottom):
    def answer(a, b, n=3):
        left, right = set(shingles(a, n)), set(shingles(b, n))
        return len(left & right) / bottom(left, right)

    return answer


def with_capitals(a, b, n=3):
    def cut(text):
        words = text.split()
        return {tuple(words[at : at + n]) for at in range(max(len(words) - n + 1, 1))}

    return len(cut(a) & cut(b)) / len(cut(a) | cut(b))


def as_lists(a, b, n=3):
    left, right = shingles(a, n), shingles(b, n)
    shared = len(set(left) & set(right))
    return shared / (len(left) + len(right) - shared)


def none_for_short(a, b, n=3):
    def cut(text):
        words = text.lower().split()
        return {tuple(words[at : at + n]) for at in range(len(words) - n + 1)}

    return len(cut(a) & cut(b)) / (len(cut(a) | cut(b)) or 1)


def sorted_words(a, b, n=3):
    left, right = ({tuple(sorted(s)) for s in shingles(text, n)} for text in (a, b))
    return len(left & right) / len(left | right)


SIMILARITY_WRONG = [
    (
        lambda a, b, n=3: similarity_by_counting(" ".join(a.replace(" ", "_")), " ".join(b.replace(" ", "_")), n),
        "runs of letters",
    ),
    (lambda a, b, n=3: 2 / 9, "Capitals"),
    (
        lambda a, b, n=3: similarity_by_counting(*(" ".join(re.findall(r"\w+", text)) for text in (a, b)), n),
        "that hangs on",
    ),
    (divided_by(lambda left, right: min(len(left), len(right))), "smaller text's"),
    (divided_by(lambda left, right: max(len(left), len(right))), "larger text's"),
    (divided_by(lambda left, right: len(left) + len(right)), "counted twice"),
    (divided_by(lambda left, right: (len(left) + len(right)) / 2), "Dice"),
    (divided_by(lambda left, right: 1), "number of shared shingles"),
    (divided_by(lambda left, right: len(left | right) / 100), "percentage"),
    (lambda a, b, n=3: 1 - similarity_by_counting(a, b, n), "distance"),
    (lambda a, b, n=2: similarity_by_counting(a, b, n), "two words"),
    (lambda a, b, n=3: similarity_by_counting(a, b, 1), "single words"),
    (lambda a, b, n=3: similarity_by_counting(a, b, 3), "Did you count repeated shingles"),
    (with_capitals, "Capitals made a difference"),
    (as_lists, "sets"),
    (none_for_short, "fewer than n words"),
    (sorted_words, "order of the words"),
]


def digits_of(text):
    return [int(letter) for letter in text if letter.isdigit()]


def card_by_table(text):
    digits, double = digits_of(text)[::-1], [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]
    return len(digits) in range(13, 20) and (sum(digits[::2]) + sum(double[d] for d in digits[1::2])) % 10 == 0


def luhn(text, first=1, reverse=True, nine=True, lengths=(13, 19), bottom=10):
    digits = digits_of(text)
    digits = digits[::-1] if reverse else digits
    values = [d * 2 if place % 2 == first else d for place, d in enumerate(digits)]
    values = [value - 9 if nine and value > 9 else value for value in values]
    return lengths[0] <= len(digits) <= lengths[1] and sum(values) % bottom == 0


def nine_less(text):
    values = [d * 2 if place % 2 else d for place, d in enumerate(digits_of(text)[::-1])]
    return 13 <= len(values) <= 19 and sum(v - 9 if v >= 9 else v for v in values) % 10 == 0


CARD_WRONG = [
    (nine_less, "stays 9"),
    (lambda text: luhn(text, first=0, reverse=False), "counted from the left"),
    (lambda text: luhn(text, nine=False), "subtract 9"),
    (lambda text: luhn(text, lengths=(1, 99)), "13 to 19"),
    (lambda text: luhn(text, lengths=(16, 16)), "counted from the left"),
    (lambda text: luhn(text, lengths=(14, 18)), "ends included"),
    (lambda text: 13 <= len(digits_of(text)) <= 19, "last digit was changed"),
    (lambda text: sum(digits_of(text)) % 10 == 0 and len(digits_of(text)) > 12, "refused"),
    (lambda text: luhn(text) if text.replace(" ", "").isdigit() else False, "hyphens"),
    (lambda text: int(luhn(text)), "True or False"),
    (lambda text: luhn(text) and int(text.replace(" ", "").replace("-", "")) > 0, "stopped with ValueError"),
]

RIGHT = [
    (checks_04.chat_labels, labels_by_comprehension),
    (checks_04.chat_labels, labels_by_counting),
    (checks_04.similarity, similarity_by_counting),
    (checks_04.similarity, similarity_by_strings),
    (checks_04.is_card, card_by_table),
    (checks_04.is_card, luhn),
    (checks_04.is_card, is_card_number),
]
WRONG = [
    (check, answer, words)
    for check, cases in zip(CHECKS, (LABELS_WRONG, SIMILARITY_WRONG, CARD_WRONG), strict=True)
    for answer, words in cases
]


test_right_answers, test_wrong_answers, test_stubs = exercise_bank.tests(CHECKS, RIGHT, WRONG)
