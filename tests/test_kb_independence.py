"""The knowledge base's questions and pages are independent of the pages that the tuned reader trains on."""

import json
from itertools import chain

from test_kb_questions import ALL, READER_FILES, TEXTS

from finetune_course import leakage


def reader_rows():
    lines = chain.from_iterable(path.read_text(encoding="utf-8").splitlines() for path in READER_FILES)
    return [json.loads(line) for line in lines if line.strip()]


def test_no_question_is_the_readers():
    rows = reader_rows()
    asked = [text for row in rows for text in [*(item["q"] for item in row["questions"]), *row["unanswerable"]]]
    assert len(rows) == 240 and len(asked) == 2400
    texts = [question.question for question in ALL]
    pairs = leakage.exact_duplicates(texts, asked) + leakage.near_duplicates(texts, asked)
    assert [(ALL[pair.left].id, pair.similarity) for pair in pairs] == []


def test_no_page_shares_eight_words_with_the_readers():
    """Eight words with the numbers as they are. Letters stand for digits here, since the measure takes numbers out."""
    letters = str.maketrans("0123456789", "abcdefghij")
    theirs = [row["text"].translate(letters) for row in reader_rows()]
    pages = list(TEXTS)
    pairs = leakage.shared_runs([text.translate(letters) for text in pages], theirs, words=8)
    assert [(TEXTS[pages[pair.left]].id, pair.shared) for pair in pairs] == []


def test_with_numbers_taken_out_pages_share_only_hours_and_prices():
    """Such as "is open from <n> am to <n> pm": runs of eight that hold two numbers or more."""
    pages = list(TEXTS)
    pairs = leakage.shared_runs(pages, [row["text"] for row in reader_rows()], words=8)
    assert [(TEXTS[pages[pair.left]].id, pair.shared) for pair in pairs if pair.shared.count("<n>") < 2] == []
