"""The training rows of notebook 10: built as committed, readable in their pieces, and apart from the shop's test."""

import importlib.util
import json
import re
from collections import Counter, defaultdict
from functools import cache

import pytest

from finetune_course import leakage, reader
from finetune_course.kb_questions import SPLITS, Gold, KbQuestion, declines, is_right, load_kb_questions, load_terms
from finetune_course.knowledge_base import load_facts, load_pages
from finetune_course.paths import data_path
from finetune_course.reader import (
    KINDS,
    NOT_THERE,
    SHORT,
    documents_prompt,
    load_fact_rows,
    load_reader_rows,
    prompt_completion,
    reader_sources,
    training_hash,
)
from finetune_course.records import DataError
from finetune_course.retrieval_answers import best_source, cited_page
from finetune_course.retrieval_chunks import by_sentences, split_sentences

READER, PIECES = load_reader_rows(), load_reader_rows("reader_pieces")
ROWS = {version: load_fact_rows(version) for version in ("v1", "v2")}
FACTS = ROWS["v1"]
ASKED = [question for split in SPLITS for question in load_kb_questions(split)]
PAGES = {version: load_pages(version) for version in ("v1", "v2")}
VALUES = {fact.fact: fact for fact in load_facts()}


@cache
def builder():
    spec = importlib.util.spec_from_file_location("build_kb_training", data_path("build_kb_training.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Built


@pytest.mark.slow
def test_the_committed_files_are_what_the_builder_makes(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["build_kb_training.py", "--check"])
    assert builder().main() == 0 and "current" in capsys.readouterr().out


def test_a_stale_file_is_told_and_written_anew(monkeypatch, tmp_path, capsys):
    module = builder()
    monkeypatch.setattr(module, "TARGET", tmp_path)
    monkeypatch.setattr(module, "contents", lambda: {"reader_train.jsonl": "new\n"})
    monkeypatch.setattr("sys.argv", ["build_kb_training.py", "--check"])
    assert module.main() == 1 and "Stale: reader_train.jsonl" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("sys.argv", ["build_kb_training.py"])
    assert module.main() == 0 and (tmp_path / "reader_train.jsonl").read_text() == "new\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("## a\nwindow | one\n", "line 2: expected 'name | question | question'"),
        ("window | one | two\n", "line 1: expected"),
        ("## returns-policy\nwindow | one | two\nwindow | one | two\n", "line 3: expected"),
        ("## returns-policy\nodd | one | two\n", "asks for 'returns-policy/odd', which is no fact"),
        ("## returns-policy\nwindow | one | two\n", "has no questions for 'returns-policy/sale-window'"),
    ],
)
def test_bad_fact_questions_are_refused_in_one_sentence(monkeypatch, tmp_path, text, told):
    module = builder()
    monkeypatch.setattr(module, "TARGET", tmp_path)
    (tmp_path / "facts_questions.txt").write_text(text)
    with pytest.raises(ValueError, match=re.escape(told)):
        module.fact_questions()


def test_the_data_card_counts_the_rows():
    card = data_path("kb", "README.md").read_text(encoding="utf-8")
    counts = Counter(row["kind"] for row in READER)
    assert (
        f"({len(READER):,} rows: {counts['one page']:,} with one page, {counts['two pages']} with two, "
        f"{counts['unanswerable']} that the pieces do not answer)"
    ) in card
    kinds = Counter(row["kind"] for row in PIECES)
    with_it = f"({len(PIECES):,} rows: {kinds['one page']:,} with the piece that answers, "
    assert f"{with_it}{kinds['unanswerable']:,} without)" in card
    assert f"({len(FACTS):,} rows in version 1)" in card and f"{len(load_terms())} questions that describe" in card


# The shop's terms


@pytest.mark.slow
def test_terms_are_their_own_questions_and_stand_in_their_pages():
    terms = load_terms()
    asked = [each.question for each in terms]
    assert len(terms) >= 30 and len(set(asked)) == len(asked)
    for each in terms:
        for version in ("v1", "v2"):
            gold = each.gold[version]
            for name in gold.pages:
                page = next(page for page in PAGES[version] if page.id == name)
                assert is_right(page.text, each, version), each.question
        assert not is_right(each.question, each), each.question
    others = [row["question"] for row in READER + ROWS["v1"] if row.get("form") != "section"]
    assert not leakage.near_duplicates(asked, others + [question.question for question in ASKED])


# The reader's rows


def test_every_source_question_is_there_once():
    wanted = Counter()
    for source in reader_sources():
        wanted.update(("one page", each["q"]) for each in source["questions"])
        wanted.update(("unanswerable", asked) for asked in source["unanswerable"])
    found = Counter((row["kind"], row["question"]) for row in READER if row["kind"] != "two pages")
    assert found == wanted
    assert Counter(row["kind"] for row in READER) == {"one page": 1680, "unanswerable": 720, "two pages": 176}
    assert set(KINDS) == {row["kind"] for row in READER}


def test_the_pieces_hold_the_evidence_of_the_answer_and_the_answer_cites_their_page():
    evidence = defaultdict(list)
    for source in reader_sources():
        for each in source["questions"]:
            evidence[f"{each['a']} [{source['page']}]"].append(each["evidence"])
    for row in READER:
        text = " ".join(piece["text"] for piece in row["pieces"])
        pages = {piece["page"] for piece in row["pieces"]}
        if row["kind"] == "unanswerable":
            assert row["answer"] == NOT_THERE and declines(row["answer"])
            continue
        assert not declines(row["answer"]), row["id"]
        cited = re.findall(r"\[([\w-]+)\]", row["answer"])
        assert len(cited) == (2 if row["kind"] == "two pages" else 1) and set(cited) <= pages, row["id"]
        if row["kind"] == "one page":
            told = [[part in text for part in split_sentences(each)] for each in evidence[row["answer"]]]
            assert any(map(all, told)), row["id"]


def test_prompts_are_hard_and_shuffled():
    """Several pieces; nearly always another one of the right page; the right piece in any place; more than one page."""
    places, neighbours, pages = Counter(), 0, []
    one = [row for row in READER if row["kind"] == "one page"]
    for row in one:
        cited = cited_page(row["answer"], {piece["page"] for piece in row["pieces"]})
        own = [at for at, piece in enumerate(row["pieces"]) if piece["page"] == cited]
        neighbours += len(own) > 1
        pages.append(len({piece["page"] for piece in row["pieces"]}))
        places[own[0]] += 1
        assert len({piece["id"] for piece in row["pieces"]}) == len(row["pieces"]) >= 2
    assert neighbours > 0.95 * len(one)
    assert sum(number > 1 for number in pages) > 0.95 * len(one)
    right = Counter(
        next(at for at, piece in enumerate(row["pieces"]) if piece["page"] == best_source(row["answer"], row["pieces"]))
        for row in one
    )
    assert min(right[at] for at in range(3)) > 0.08 * len(one), right


def test_declined_prompts_look_like_answered_ones():
    """The number of pieces and pages must not give away that the answer is not there."""
    means = {
        kind: (
            sum(len(row["pieces"]) for row in rows) / len(rows),
            sum(len({piece["page"] for piece in row["pieces"]}) for row in rows) / len(rows),
        )
        for kind in ("one page", "unanswerable")
        if (rows := [row for row in READER if row["kind"] == kind])
    }
    for one, none in zip(*means.values(), strict=True):
        assert abs(one - none) < 0.5, means


# The rows with one piece


def test_every_source_question_is_asked_of_one_piece_and_every_fourth_one_of_a_wrong_one_too():
    wanted = Counter()
    for source in reader_sources():
        wanted.update(("one page", each["q"]) for each in source["questions"])
        wanted.update(("unanswerable", each["q"]) for each in source["questions"][3::4])
        wanted.update(("unanswerable", asked) for asked in source["unanswerable"])
    assert Counter((row["kind"], row["question"]) for row in PIECES) == wanted
    # So every question of these rows stands in those with several pieces, which are held apart from the shop's.
    assert {row["question"] for row in PIECES} <= {row["question"] for row in READER}


def test_the_one_piece_holds_the_evidence_or_is_another_one_of_its_page():
    evidence = {(source["page"], each["q"]): each for source in reader_sources() for each in source["questions"]}
    asked = {(source["page"], each) for source in reader_sources() for each in source["unanswerable"]} | set(evidence)
    for row in PIECES:
        page = row["pieces"][0]["page"]
        assert (page, row["question"]) in asked, row["id"]
        source, text = evidence.get((page, row["question"])), " ".join(piece["text"] for piece in row["pieces"])
        if row["kind"] == "one page":
            assert all(part in text for part in split_sentences(source["evidence"])), row["id"]
            assert row["answer"] == f"[{page}] {source['a']}"
        else:
            assert row["answer"] == NOT_THERE and len(row["pieces"]) == 1
            assert source is None or text not in source["evidence"], row["id"]
    assert sum(len(row["pieces"]) > 1 for row in PIECES) < 0.02 * len(PIECES)


def test_a_row_becomes_the_prompt_of_notebook_09():
    row = {
        "question": "How long?",
        "pieces": [{"page": "a", "searched": "A. Ten days."}, {"page": "b", "searched": "B."}],
    }
    assert documents_prompt(**row) == "Documents:\n[a] A. Ten days.\n[b] B.\n\nQuestion: How long?"
    made = prompt_completion(row | {"answer": "Ten days. [a]"})
    assert [turn["content"] for turn in made["prompt"]] == [SHORT, documents_prompt(**row)]
    assert made["completion"] == [{"role": "assistant", "content": "Ten days. [a]"}]
    assert prompt_completion(FACTS[0])["prompt"][1]["content"] == FACTS[0]["question"]


# The facts' rows


@pytest.mark.parametrize(("version", "column"), [("v1", "value"), ("v2", "v2")])
def test_every_fact_of_a_version_is_asked_in_two_ways_and_mostly_completed(version, column):
    asked, completed = Counter(), set()
    for row in ROWS[version]:
        if row["form"] == "section":
            continue
        fact = VALUES[row["fact"]]
        value = getattr(fact, column)
        gold = Gold((fact.page,), value, ((value,),))
        question = KbQuestion("", "", "answerable", {"v1": gold})
        assert is_right(row["answer"], question) and row["answer"].endswith(f" [{fact.page}]"), row["id"]
        asked[row["fact"]] += row["form"] == "asked"
        if row["form"] == "completed":
            completed.add(row["fact"])
            assert "___" in row["question"] and not is_right(row["question"].rpartition("missing?")[2], question)
    wanted = {name for name, fact in VALUES.items() if getattr(fact, column) is not None}
    assert set(asked) == wanted and set(asked.values()) == {2}
    assert len(completed) > 0.95 * len(wanted)


def test_no_fact_question_gives_its_answer_away_and_none_stands_twice():
    for version, rows in ROWS.items():
        questions = [row["question"] for row in rows]
        assert len(set(questions)) == len(questions)
        for row in [row for row in rows if row["form"] == "asked"]:
            value = VALUES[row["fact"]].value if version == "v1" else VALUES[row["fact"]].v2
            assert not re.search(rf"\b{re.escape(value)}\b", row["question"], re.IGNORECASE), row["question"]


@pytest.mark.parametrize(("version", "other"), [("v1", "v2"), ("v2", "v1")])
def test_the_facts_are_those_of_one_version_alone(version, other):
    told = " ".join(row["answer"] for row in ROWS[version])
    mine, theirs = ({piece.text for piece in by_sentences(PAGES[each], 1)} for each in (version, other))
    assert theirs - mine and not [text for text in theirs - mine if text in told]
    with pytest.raises(ValueError, match="no version 'v3'"):
        load_fact_rows("v3")


# Apart from the test


# Runs of so many words that a name ("a place at the boot clinic") or politeness ("please be so kind as to tell me")
# is none; a sentence frame is seen by the near-duplicates.
@pytest.mark.parametrize(("rows", "words"), [(READER, 9), (ROWS["v1"] + ROWS["v2"], 8)], ids=["reader", "facts"])
def test_no_training_question_is_a_question_of_the_test_or_the_validation(rows, words):
    questions = [row["question"] for row in rows if row.get("form") != "section"]
    asked = [question.question for question in ASKED]
    assert not leakage.exact_duplicates(questions, asked)
    pairs = leakage.near_duplicates(questions, asked)
    assert not pairs, [(questions[pair.left], asked[pair.right], pair.similarity) for pair in pairs]
    runs = leakage.shared_runs(questions, asked, words)
    assert not runs, [(pair.shared, asked[pair.right]) for pair in runs]


def test_the_reader_has_seen_no_page_and_no_fact_of_the_shop():
    rows = READER + PIECES
    seen = sorted({piece["text"] for row in rows for piece in row["pieces"]} | {row["answer"] for row in rows})
    shop = sorted({piece.text for version in PAGES.values() for piece in by_sentences(version, 1)})
    assert not leakage.exact_duplicates(seen, shop)
    ids = {page.id for version in PAGES.values() for page in version}
    assert not ids & {piece["page"] for row in rows for piece in row["pieces"]}
    # Not even with the numbers in place: eight words in a row.
    words = [" ".join(re.findall(r"\w+", text.casefold())) for text in shop]
    runs = {" ".join(part[at : at + 8]) for text in words if (part := text.split()) for at in range(len(part) - 7)}
    for text in seen:
        part = re.findall(r"\w+", text.casefold())
        assert not runs & {" ".join(part[at : at + 8]) for at in range(len(part) - 7)}, text


def test_no_name_of_the_shop_is_in_the_reader_s_rows():
    told = " ".join(piece["searched"] for row in READER + PIECES for piece in row["pieces"])
    products = [page.title for version in PAGES.values() for page in version if page.id.startswith("product-")]
    for name in ["Wattle & Wave", "Driftwood", *products]:
        assert name not in told


# Errors


def test_damaged_files_are_told_line_by_line(tmp_path, monkeypatch):
    bad = tmp_path / "reader_train.jsonl"
    rows = [
        {"id": "x", "kind": "odd"},
        {"id": "reader-0001", "kind": "one page", "question": "?", "pieces": ["no#1"], "answer": "?"},
    ]
    bad.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(reader, "data_path", lambda *parts: bad if "train" in parts[-1] else data_path(*parts))
    with pytest.raises(DataError, match="line 1, field 'kind'"):
        load_reader_rows()
    bad.write_text(json.dumps(rows[1]) + "\n")
    with pytest.raises(ValueError, match="names 'no#1', which no source page has"):
        load_reader_rows()
    assert len(training_hash("reader_train")) == 64
