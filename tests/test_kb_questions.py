"""The questions about the knowledge base: shares, gold in its pages, independence, and how answers are scored."""

import json
import re
from collections import Counter
from functools import cache
from itertools import chain

import pytest
from test_knowledge_base import sentences, stands_in, without_title
from test_triage_data import personal_data

from finetune_course import kb_questions, leakage
from finetune_course.kb_questions import KINDS, SPLITS, Gold, KbQuestion, declines, is_right, load_kb_questions
from finetune_course.knowledge_base import load_facts, load_pages
from finetune_course.paths import data_path
from finetune_course.records import DataError

VERSIONS = ("v1", "v2")
QUESTIONS = {split: load_kb_questions(split) for split in SPLITS}
ALL = [question for split in SPLITS for question in QUESTIONS[split]]
PAGES = {version: {page.id: page for page in load_pages(version)} for version in VERSIONS}
FACTS = load_facts()
TEXTS = {page.text: page for pages in PAGES.values() for page in pages.values()}
SHOP = json.loads(data_path("corpus", "sources", "shop_facts.json").read_text(encoding="utf-8"))
READER_FILES = sorted(data_path("kb", "reader_sources").glob("*.jsonl"))
DECLINED = "Not in the documents."
NAMED = ("product", "person", "store")

SIZES = {"test": 140, "validation": 50}
SHARES = {"answerable": 0.35, "other words": 0.22, "two pages": 0.08, "changed in v2": 0.18, "unanswerable": 0.17}
STOP_WORDS = set(
    """a about after again all am an and any are as at be been before by can could day days did do does every for from
    get give had has have he her here him his hour hours how i if in is it its just long many may me month months much
    must my no not of off on one only or other our out over she so still than that the their them then there they this
    time to two until up us want was way we week weeks what when where which who whom will with would year years you
    your""".split()
)


def names():
    """Names of products, stores, people and makers: a question may use them as the page does."""
    titles = {kind: [page.title for page in TEXTS.values() if page.id.startswith(f"{kind}-")] for kind in NAMED}
    towns = [re.sub("^The | store$", "", title) for title in titles["store"]]
    makers = [product["maker"] for product in SHOP["products"]]
    first = [title.split()[0] for title in titles["product"]]
    return sorted(
        {*titles["product"], *first, *titles["person"], *towns, *makers, "Callum", "Barnaby", "Driftwood Club"}
    )


NAMES = names()


def ids(questions):
    return [question.id for question in questions]


def parts(question, version):
    """Pairs of a gold page and the value that is looked for in it."""
    gold = question.gold[version]
    values = [gold.answer] if len(gold.accept) == 1 else [forms[0] for forms in gold.accept]
    return list(zip(gold.pages, values, strict=True)) if gold.pages else []


@cache
def words(text):
    """Content words in lower case, names and plural s taken off."""
    text = re.sub("|".join(rf"\b{re.escape(name)}s?\b" for name in sorted(NAMES, key=len, reverse=True)), " ", text)
    found = re.findall(r"[a-z]+", text.casefold().replace("'", ""))
    return {word.removesuffix("s") for word in found if len(word) > 2 and word not in STOP_WORDS}


# Sizes, kinds, form


@pytest.mark.parametrize("split", SPLITS)
def test_sizes_and_kinds(split):
    questions = QUESTIONS[split]
    assert len(questions) == SIZES[split]
    counts = Counter(question.kind for question in questions)
    assert set(counts) == set(KINDS) == set(SHARES)
    assert {kind: counts[kind] / len(questions) for kind in KINDS} == pytest.approx(SHARES, abs=0.012)
    assert ids(questions) == [f"kb-{split}-{number:03d}" for number in range(1, len(questions) + 1)]


@pytest.mark.parametrize("version", VERSIONS)
def test_gold_has_its_form(version):
    for question in ALL:
        gold = question.gold[version]
        assert (gold.answer is None) == (not gold.pages) == (not gold.accept), question.id
        assert len(gold.pages) == len(set(gold.pages)) == len(gold.accept), question.id
        for form in chain.from_iterable(gold.accept):
            assert form == form.casefold() == form.strip(), (question.id, form)
            assert re.search(r"\$\d|\d[:%°a-z]|\w \S|[a-z]{4}", form), (
                f"{question.id}: {form} would be found by accident"
            )


def test_accepted_forms_are_few_and_different():
    for gold in (question.gold[version] for question in ALL for version in VERSIONS):
        for forms in gold.accept:
            assert 1 <= len(forms) <= 4 and len(set(forms)) == len(forms), gold


def test_kinds_mean_what_they_say():
    for question in ALL:
        one, two = question.gold["v1"], question.gold["v2"]
        assert (question.kind == "unanswerable") == (one.answer is None), question.id
        assert (question.kind == "two pages") == (len(one.pages) == 2), question.id
        if question.kind in ("answerable", "other words"):
            assert one == two, question.id
        if question.kind == "changed in v2":
            assert one.answer != two.answer and two.pages in (one.pages, ()), question.id


@pytest.mark.parametrize(("split", "least"), [("test", (8, 6)), ("validation", (3, 2))])
def test_new_and_withdrawn_pages_are_asked_for(split, least):
    """A third of what version 1 does not answer is answered by a new page; some changed answers are withdrawn ones."""
    gold = [question.gold for question in QUESTIONS[split]]
    born = [both for both in gold if both["v1"].answer is None and both["v2"].answer]
    gone = [both for both in gold if both["v1"].answer and both["v2"].answer is None]
    assert (len(born), len(gone)) == least
    assert all(set(both["v2"].pages) <= set(PAGES["v2"]) - set(PAGES["v1"]) for both in born)
    assert all(set(both["v1"].pages) <= set(PAGES["v1"]) - set(PAGES["v2"]) for both in gone)


# Gold pages and values


@pytest.mark.parametrize("version", VERSIONS)
def test_values_stand_in_their_gold_pages(version):
    for question in ALL:
        for page, value in parts(question, version):
            assert page in PAGES[version], question.id
            assert stands_in(value.casefold(), without_title(PAGES[version][page]).casefold()), question.id
        gold = question.gold[version]
        assert is_right(gold.answer or DECLINED, question, version), question.id


@pytest.mark.parametrize("version", VERSIONS)
def test_no_accepted_form_is_a_neighbours_value(version):
    """No other marked fact of the gold page is taken for the answer."""
    column = "value" if version == "v1" else "v2"
    for question in ALL:
        gold = question.gold[version]
        for page, forms in zip(gold.pages, gold.accept, strict=True):
            alone = KbQuestion("", "", "", {version: Gold((page,), "", (forms,))})
            values = [getattr(fact, column) for fact in FACTS if fact.page == page and getattr(fact, column)]
            assert sum(is_right(value, alone, version) for value in values) <= 1, (question.id, page)


def test_old_and_new_values_are_told_apart():
    changed = [q for q in ALL if q.gold["v1"] != q.gold["v2"] and all(q.gold[version].answer for version in VERSIONS)]
    assert len(changed) >= 26
    for question in changed:
        assert not is_right(question.gold["v1"].answer, question, "v2"), question.id
        assert not is_right(question.gold["v2"].answer, question, "v1"), question.id


@pytest.mark.parametrize("version", VERSIONS)
def test_no_other_page_answers(version):
    """No sentence of another page holds the value and shares more of the question's words than the gold page does.

    A program can check no more than this; that no other page answers was read for each question.
    """
    suspects = []
    for question in ALL:
        gold = question.gold[version]
        if len(gold.pages) != 1:
            continue
        asked = words(question.question)
        for page in PAGES[version].values():
            about = words(page.title)
            for sentence in sentences(without_title(page)):
                shared = asked & (words(sentence) | about)
                if page.id != gold.pages[0] and len(shared) >= 2 and is_right(sentence, question, version):
                    if len(shared) >= best_overlap(question, version):
                        suspects.append((question.id, page.id, sentence, sorted(shared)))
    assert suspects == []


def best_overlap(question, version):
    """Most words that the question shares with a sentence of its gold page that holds the value."""
    page = PAGES[version][question.gold[version].pages[0]]
    holding = [text for text in sentences(without_title(page)) if is_right(text, question, version)]
    return max(len(words(question.question) & (words(text) | words(page.title))) for text in holding)


def test_other_words_are_other_words():
    """These questions share at most one content word with the sentence that holds the value."""
    shared = {}
    for question in ALL:
        if question.kind == "other words":
            page = PAGES["v1"][question.gold["v1"].pages[0]]
            holding = [sentence for sentence in sentences(without_title(page)) if is_right(sentence, question)]
            shared[question.id] = min((words(question.question) & words(sentence) for sentence in holding), key=len)
    assert {key: found for key, found in shared.items() if len(found) > 1} == {}


# Each fact once, spread over the pages


def asked_facts(questions, version):
    """The facts asked for: the marked one where the value is one, else page and value."""
    column = "value" if version == "v1" else "v2"
    found = []
    for question in questions:
        for page, value in parts(question, version):
            marked = [
                fact.fact
                for fact in FACTS
                if fact.page == page
                and getattr(fact, column)
                and stands_in(getattr(fact, column).casefold(), value.casefold())
            ]
            found.append(marked[0] if len(marked) == 1 else f"{page}/{value.casefold()}")
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_each_fact_is_asked_once(version):
    """Over both files, so validation and test share none."""
    counts = Counter(asked_facts(ALL, version))
    assert {fact: count for fact, count in counts.items() if count > 1} == {}


def test_the_questions_are_spread_over_the_pages():
    gold = {version: {page for q in ALL for page in q.gold[version].pages} for version in VERSIONS}
    assert gold["v1"] == set(PAGES["v1"])
    assert set(PAGES["v2"]) - set(PAGES["v1"]) <= gold["v2"]
    assert max(Counter(page for q in ALL for page in q.gold["v1"].pages).values()) <= 6


# Wording


def test_no_question_twice():
    texts = [question.question for question in ALL]
    assert leakage.exact_duplicates(texts) == []
    assert leakage.near_duplicates(texts) == []


def test_no_question_shares_five_words_with_a_page():
    texts = list(TEXTS)
    pairs = leakage.shared_runs([question.question for question in ALL], texts, words=5, wordings=NAMES)
    assert [(ALL[pair.left].id, TEXTS[texts[pair.right]].id, pair.shared) for pair in pairs] == []


def test_no_personal_data():
    assert {question.id: found for question in ALL if (found := personal_data(question.question))} == {}


# Independence from the tuned reader's training pages


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


def test_the_cards_numbers_are_the_datas():
    card = data_path("kb", "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([\w ]+) \| (\d+ and \d+) \|", card, re.M))
    for kind in KINDS:
        assert rows.pop(kind) == " and ".join(str(sum(q.kind == kind for q in QUESTIONS[split])) for split in SPLITS)
    assert rows == {"all questions": " and ".join(str(len(QUESTIONS[split])) for split in SPLITS)}
    line = r"^\| `reader_sources/(\w)\.jsonl` \| (\d+) pages \| (\d+) questions \| (\d+) unanswerable \|$"
    found = {name: tuple(map(int, counts)) for name, *counts in re.findall(line, card, re.M)}
    assert set(found) == {path.stem for path in READER_FILES}
    for path in READER_FILES:
        lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines() if text.strip()]
        counts = len(lines), sum(len(row["questions"]) for row in lines), sum(len(row["unanswerable"]) for row in lines)
        assert found[path.stem] == counts


# Scoring


def question_of(*forms):
    gold = Gold(("page",) * len(forms), "value", forms)
    return KbQuestion("kb-test-001", "How much?", "answerable", {"v1": gold, "v2": gold})


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("60 days", "You have 60 days."),
        ("60 days", "There is a 60-day limit [returns-policy]."),
        ("three years", "A **three-year** warranty"),
        ("$45", "It costs $45."),
        ("$45", "$45.00 a day"),
        ("1,200 dollars", "1200 dollars"),
        ("8.30 pm", "until 8:30pm"),
        ("4 pm", "At 4 p.m."),
        ("20 per cent", "You save 20%."),
        ("20 per cent", "20 percent off"),
        ("thursday", "He is away on Thursdays."),
        ("14 people", "Groups of no more than 14\npeople"),
    ],
)
def test_right_answers_are_seen(form, answer):
    assert is_right(answer, question_of((form,)))


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("5 days", "45 days"),
        ("five days", "forty-five days"),
        ("5 days", "2.5 days"),
        ("$45", "$450"),
        ("$45", "$45.50"),
        ("45 dollars", "1,045 dollars"),
        ("8 pm", "8.30 pm"),
        ("5 days", "5 hours, then some days"),
        ("three years", "three years, I think. That is not stated in the documents."),
        ("60 days", ""),
    ],
)
def test_wrong_answers_are_seen(form, answer):
    assert not is_right(answer, question_of((form,)))


def test_two_pages_need_both_values():
    question = question_of(("41 dollars", "$41"), ("15 per cent", "15%"))
    assert is_right("It is $41, and you get 15% off.", question)
    assert not is_right("It is 41 dollars.", question)
    assert not is_right("You get 15 per cent off.", question)


def test_without_an_answer_right_is_to_decline():
    nothing = Gold((), None, ())
    question = KbQuestion("kb-test-001", "How much?", "unanswerable", {"v1": nothing, "v2": nothing})
    assert is_right(DECLINED, question) and not is_right("45 dollars", question) and not is_right("", question)


@pytest.mark.parametrize(
    "answer",
    [
        "Not in the documents.",
        "not in the documents",
        "That is not stated in the documents.",
        "The document does not say.",
        "The pages don't mention a weight.",
        "This isn't mentioned.",
        "I don't know.",
        "I’m sorry, I cannot find that.",
        "There is no information about this.",
    ],
)
def test_ways_to_decline(answer):
    assert declines(answer)


@pytest.mark.parametrize(
    "answer", ["45 dollars", "No, it is not included.", "You cannot return it.", "", "Barnaby does not know the price."]
)
def test_what_declines_nothing(answer):
    assert not declines(answer)


# Errors


def test_unknown_names_are_told_in_one_sentence():
    with pytest.raises(ValueError, match=r"no split 'train'.*choose one of test, validation\.$"):
        load_kb_questions("train")
    with pytest.raises(ValueError, match=r"no version 'v3'.*choose one of v1, v2\.$"):
        is_right("45 dollars", ALL[0], "v3")


def test_a_missing_and_a_bad_file(tmp_path, monkeypatch):
    path = tmp_path / "questions_test.jsonl"
    monkeypatch.setattr(kb_questions, "data_path", lambda *_: path)
    with pytest.raises(FileNotFoundError, match=r"^data/kb/questions_test\.jsonl is missing"):
        load_kb_questions("test")
    path.write_text(json.dumps({"id": "kb-test-001", "question": "?", "kind": "odd"}) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1, field 'kind'"):
        load_kb_questions("test")
