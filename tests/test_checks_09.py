"""The checks of notebook 09: right answers in different forms pass, typical wrong ones get their own sentence."""

from collections import defaultdict

import exercise_bank
import numpy as np

from finetune_course import checks_09


def cosine_numpy(question, rows, k):
    cosines = rows @ question / (np.linalg.norm(rows, axis=1) * np.linalg.norm(question))
    return np.argsort(-cosines)[:k]


def cosine_loop(question, rows, k):
    def cosine(row):
        return sum(a * b for a, b in zip(row, question, strict=True)) / sum(a * a for a in row) ** 0.5

    return sorted(range(len(rows)), key=lambda place: cosine(rows[place]), reverse=True)[:k]


def by(measure):
    return lambda question, rows, k: list(np.argsort(measure(question, rows), kind="stable")[:k])


def cosines(question, rows):
    return rows @ question / np.linalg.norm(rows, axis=1)


COSINE_WRONG = [
    (by(lambda question, rows: -(rows @ question)), "A long vector then wins"),
    (by(cosines), "turned round"),
    (by(lambda question, rows: np.linalg.norm(rows - question, axis=1)), "straight-line"),
    (by(lambda question, rows: -abs(cosines(question, rows))), "opposite way"),
    (lambda question, rows, k: np.sort(cosines(question, rows))[::-1][:k], "rows' numbers"),
    (lambda question, rows, k: cosine_numpy(question, rows, 4), "returned 4 rows"),
    (lambda question, rows, k: int(cosine_numpy(question, rows, k)[0]), "a list"),
    (by(lambda question, rows: -(rows @ question) / np.linalg.norm(rows)), "A long vector then wins"),
    (lambda question, rows, k: cosine_numpy(question, rows, k) + 1, "Did you count rows from 1?"),
]


def metrics_loop(ranked, gold, k):
    recalls, ranks = [], []
    for pages, right in zip(ranked, gold, strict=True):
        recalls.append(len(set(pages[:k]) & set(right)) / len(right))
        places = [place for place, page in enumerate(pages, start=1) if page in right]
        ranks.append(1 / places[0] if places else 0)
    return sum(recalls) / len(recalls), sum(ranks) / len(ranks)


def metrics_short(ranked, gold, k):
    pairs = list(zip(ranked, gold, strict=True))
    recall = np.mean([np.mean([page in pages[:k] for page in right]) for pages, right in pairs])
    first = [min((pages.index(page) + 1 for page in right if page in pages), default=np.inf) for pages, right in pairs]
    return [recall, np.mean(1 / np.array(first))]


def metrics_with(recall=None, rank=None, mean=np.mean):
    """The right pair with one part done in another way; ``rank`` gets the 1-based places of the right pages."""

    def answer(ranked, gold, k):
        pairs = list(zip(ranked, gold, strict=True))
        places = [[at for at, page in enumerate(pages, 1) if page in right] for pages, right in pairs]
        recalls = [
            (recall or (lambda pages, right, k: len(set(pages[:k]) & set(right)) / len(right)))(pages, right, k)
            for pages, right in pairs
        ]
        ranks = [(rank or (lambda at, k: 1 / at[0] if at else 0))(at, k) for at in places]
        return mean(recalls), mean([each for each in ranks if each is not None])

    return answer


def metrics_first_right_page(ranked, gold, k):
    return metrics_loop(ranked, [right[:1] for right in gold], k)


def metrics_first_question(ranked, gold, k):
    return metrics_loop(ranked, [gold[0]] * len(gold), k)


def metrics_of_the_found(ranked, gold, k):
    pairs = [(pages, right) for pages, right in zip(ranked, gold, strict=True) if set(pages) & set(right)]
    return metrics_loop(*zip(*pairs, strict=True), k)


METRICS_WRONG = [
    (lambda ranked, gold, k: metrics_loop(ranked, gold, max(k, 2) if k != 3 else 2), "With k=3"),
    (metrics_with(recall=lambda pages, right, k: bool(set(pages[:k]) & set(right))), "any"),
    (metrics_with(recall=lambda pages, right, k: len(set(pages[:k]) & set(right)) / k), "precision"),
    (metrics_with(rank=lambda at, k: 1 / at[0] if at else None), "left the question out"),
    (metrics_with(rank=lambda at, k: 1 / (at[0] + 1) if at else 0), "counts 1"),
    (metrics_with(rank=lambda at, k: 1 / at[0] if at and at[0] <= k else 0), "whole list"),
    (metrics_with(rank=lambda at, k: sum(1 / each for each in at) / len(at) if at else 0), "the *first* one counts"),
    (metrics_with(mean=sum), "take the mean"),
    (lambda ranked, gold, k: [100 * part for part in metrics_loop(ranked, gold, k)], "percentage"),
    (lambda ranked, gold, k: metrics_loop(ranked, gold, k)[0], "two numbers"),
    (lambda ranked, gold, k: metrics_loop(ranked, gold, k)[::-1], "Is the order recall first, reciprocal rank second?"),
    (metrics_with(rank=lambda at, k: 1 / (at[0] - 1) if at else 0), "divided by zero. Did you count the ranks from 0?"),
    (metrics_with(rank=lambda at, k: 1 / (at[0] - 1) if at and at[0] > 1 else 0), "Did you count the ranks from 0?"),
    (metrics_with(rank=lambda at, k: 1 / max(at[0] - 1, 1) if at else 0), "Did you count the ranks from 0?"),
    (metrics_with(rank=lambda at, k: 1 / (at[0] - 1) if at and at[0] > 1 else np.inf), "Did you count the ranks"),
    (metrics_first_right_page, "one right page only, such as `gold[0]`"),
    (metrics_first_question, "one right page only, such as `gold[0]`"),
    (lambda *inputs: (metrics_loop(*inputs)[0], metrics_first_right_page(*inputs)[1]), "one right page only"),
    (lambda *inputs: (metrics_first_right_page(*inputs)[0], metrics_loop(*inputs)[1]), "one right page only"),
    (metrics_of_the_found, "leave the question out"),
]


def fuse_dict(rankings, k=60):
    sums = defaultdict(float)
    for ranking in rankings:
        for rank, name in enumerate(ranking, start=1):
            sums[name] += 1 / (k + rank)
    return sorted(sums, key=sums.get, reverse=True)


def fuse_lists(rankings, k=60):
    names = list(dict.fromkeys(name for ranking in rankings for name in ranking))
    score = {name: sum(1 / (k + 1 + each.index(name)) for each in rankings if name in each) for name in names}
    return sorted(names, key=lambda name: -score[name])


def fuse_with(rankings, k=60, start=1, join=sum):
    parts = defaultdict(list)
    for ranking in rankings:
        for rank, name in enumerate(ranking, start=start):
            parts[name].append(1 / (k + rank))
    return sorted(parts, key=lambda name: -join(parts[name]))


FUSE_WRONG = [
    (lambda rankings, k=60: [name for name in fuse_dict(rankings, k) if all(name in r for r in rankings)], "one list"),
    (lambda rankings, k=60: fuse_with(rankings, k, join=max), "best rank alone"),
    (lambda rankings, k=60: fuse_with(rankings, k, join=lambda parts: sum(parts) / len(parts)), "the mean over"),
    (lambda rankings, k=60: fuse_dict(rankings, k)[::-1], "turned round"),
    (lambda rankings, k=60: fuse_dict(rankings, 0), "Is k in your sum"),
    (lambda rankings, k=60: fuse_dict(rankings, 60), "Use the k that is given"),
    (lambda rankings, k=60: [name for ranking in rankings for name in ranking], "once"),
    (lambda rankings, k=60: {name: 1.0 for name in fuse_dict(rankings, k)}, "dictionary of sums"),
    (lambda rankings, k=60: [(name, 1.0) for name in fuse_dict(rankings, k)], "the ids alone"),
    (lambda rankings, k=60: fuse_with(rankings, k, start=0), "count from 1"),
]


def budget_loop(pieces, count, budget, reserved):
    kept, used = [], reserved
    for piece in pieces:
        used += count(piece)
        if used > budget:
            break
        kept.append(piece)
    return kept


def budget_sums(pieces, count, budget, reserved):
    sums = np.cumsum([count(piece) for piece in pieces]) if pieces else []
    return [piece for piece, total in zip(pieces, sums, strict=True) if total <= budget - reserved]


def budget_skipping(pieces, count, budget, reserved):
    kept, free = [], budget - reserved
    for piece in pieces:
        if count(piece) <= free:
            kept.append(piece)
            free -= count(piece)
    return kept


def budget_cutting(pieces, count, budget, reserved):
    kept = budget_loop(pieces, count, budget, reserved)
    rest = pieces[len(kept)].split() if len(kept) < len(pieces) else []
    free = budget - reserved - sum(map(count, kept))
    while rest and count(" ".join(rest)) > free:
        rest.pop()
    return [*kept, " ".join(rest)] if rest else kept


def budget_strict(pieces, count, budget, reserved):
    return budget_loop(pieces, count, budget - 1, reserved)


def budget_no_sum(pieces, count, budget, reserved):
    return [piece for piece in pieces if count(piece) <= budget - reserved]


def budget_too_late(pieces, count, budget, reserved):
    kept, used = [], 0
    for piece in pieces:
        kept.append(piece)
        used += count(piece)
        if used > budget - reserved:
            break
    return kept


def characters(answer):
    return lambda pieces, count, budget, reserved: answer(pieces, len, budget, reserved)


BUDGET_WRONG = [
    (lambda *inputs: tuple(budget_loop(*inputs)), "returned a tuple"),
    (lambda *inputs: print(budget_loop(*inputs)), "returned None"),
    (lambda pieces, count, budget, reserved: budget_loop(pieces, count, budget, 0), "Is `reserved` subtracted"),
    (lambda p, count, b, r: budget_loop(p, lambda text: len(text.split()), b, r), "Did you count words"),
    (budget_skipping, "went on with worse ones"),
    (budget_cutting, "cut in the middle"),
    (budget_strict, "fits exactly, fits"),
    (lambda *inputs: " ".join(budget_loop(*inputs)), "joining them"),
    (lambda pieces, count, budget, reserved: budget_loop(pieces[::-1], count, budget, reserved), "11 fit"),
    (lambda pieces, count, budget, reserved: budget_loop(pieces, count, budget, reserved) or pieces[:1], "not even"),
    (characters(budget_loop), "Did you count characters?"),
    (characters(budget_skipping), "Did you count characters?"),
    (budget_no_sum, "Is each piece added to the running sum, and asked *before* it is taken?"),
    (budget_too_late, "Is each piece added to the running sum, and asked *before* it is taken?"),
]

CHECKS = [checks_09.cosine_search, checks_09.recall_and_mrr, checks_09.fuse, checks_09.within_budget]
RIGHT = [
    (checks_09.cosine_search, cosine_numpy),
    (checks_09.cosine_search, cosine_loop),
    (checks_09.recall_and_mrr, metrics_loop),
    (checks_09.recall_and_mrr, metrics_short),
    (checks_09.fuse, fuse_dict),
    (checks_09.fuse, fuse_lists),
    (checks_09.within_budget, budget_loop),
    (checks_09.within_budget, budget_sums),
]
WRONG = [
    (check, answer, words)
    for check, cases in zip(CHECKS, (COSINE_WRONG, METRICS_WRONG, FUSE_WRONG, BUDGET_WRONG), strict=True)
    for answer, words in cases
]

test_right_answers, test_wrong_answers, test_stubs = exercise_bank.tests(CHECKS, RIGHT, WRONG)
