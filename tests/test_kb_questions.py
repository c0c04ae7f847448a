"""The questions about the knowledge base: shares, gold in its pages, wording; their independence and how answers are
scored stand in test_kb_independence.py and test_kb_scoring.py."""

import json
import re
from collections import Counter
from functools import cache
from itertools import chain

import pytest
from test_knowledge_base import sentences, stands_in, without_title
from test_triage_data import personal_data

from finetune_course import kb_questions, leakage
from finetune_course.kb_questions import KINDS, SPLITS, Gold, KbQuestion, is_right, load_kb_questions
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


# The card


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
