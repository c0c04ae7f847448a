"""The brand-voice data: schema, sizes, every pair keeps the style guide, nothing leaks, no personal data."""

import itertools
import json
import re
from collections import Counter

import pytest
from test_triage_data import personal_data

from finetune_course import leakage, voice
from finetune_course.paths import data_path
from finetune_course.records import DataError
from finetune_course.voice_facts import check_facts
from finetune_course.voice_rules import check_rules, images, parts

OPENING_OF = {
    "product": "G'day,", "policy": "G'day,", "hours": "G'day,", "order": "Righto,", "account": "Righto,",
    "apology": "Fair call,", "advice": "Here's the go:", "care": "Here's the go:",
}  # fmt: skip


@pytest.fixture(scope="module")
def splits():
    return {name: voice.load_split(name) for name in voice.SPLITS}


@pytest.fixture(scope="module")
def labels():
    return [*voice.load_labels("development"), *voice.load_labels("held_out")]


@pytest.fixture(scope="module")
def texts(splits, labels):
    """What must not leak, by file. Of the voice's texts the body: openings and the sign-off's form are shared."""
    files = {}
    for name, rows in splits.items():
        files[name] = [row["neutral"] for row in rows] + [parts(row["voice"])[1] for row in rows]
        files[name] += [row["customer"] for row in rows if "customer" in row]
    files["conversations"] = [turn for row in voice.load_conversations() for turn in row["turns"]]
    files["labels"] = sorted({row["neutral"] for row in labels if row["neutral"] and row["source"] == "written"})
    files["labels"] += [parts(row["text"])[1] for row in labels if row["source"] == "written"]
    return files


def told(pairs, left, right):
    return [f"{pair.similarity:.2f} [{pair.shared}] {left[pair.left]!r} ~ {right[pair.right]!r}" for pair in pairs]


def test_sizes(splits, labels):
    assert len(splits["train"]) >= 450
    assert len(splits["validation"]) >= 60
    assert len(splits["test_handwritten"]) >= 80
    assert len(voice.load_conversations()) >= 20
    halves = Counter(row["half"] for row in labels if row["source"] == "written")
    assert sum(halves.values()) >= 150 and abs(halves["development"] - halves["held_out"]) <= 10


def test_ids_are_unique_over_all_files(splits, labels):
    ids = [row["id"] for rows in (*splits.values(), labels, voice.load_conversations()) for row in rows]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", voice.SPLITS)
def test_every_topic_is_there_and_has_its_opening(splits, name):
    topics = Counter(row["topic"] for row in splits[name])
    assert set(topics) == set(OPENING_OF) and min(topics.values()) >= 0.07 * len(splits[name])
    wrong = [row["id"] for row in splits[name] if parts(row["voice"])[0] != OPENING_OF[row["topic"]]]
    assert wrong == []


def test_the_first_hundred_training_pairs_hold_every_topic(splits):
    """Notebook 07 learns from the first 25, 50, 100 … pairs."""
    assert set(Counter(row["topic"] for row in splits["train"][:25])) == set(OPENING_OF)


@pytest.mark.parametrize("name", voice.SPLITS)
def test_every_pair_keeps_the_rules_and_the_facts(splits, name):
    for row in splits[name]:
        broken = [f"{rule.rule}: {rule.found}" for rule in check_rules(row["voice"]) if not rule.kept]
        assert broken == [], f"{row['id']}: {row['voice']}"
        facts = check_facts(row["neutral"], row["voice"])
        assert facts.kept, f"{row['id']}: missing {facts.missing}, new {facts.invented}: {row['voice']}"


@pytest.mark.parametrize("name", voice.SPLITS)
def test_neutral_texts_are_neutral(splits, name):
    """None has an opening or a sign-off; a comparison that only looks like a picture is rare ("the coldest night")."""
    kept = [{rule.rule for rule in check_rules(row["neutral"]) if rule.kept} for row in splits[name]]
    assert not any(rules & {"opening", "sign_off"} for rules in kept)
    assert sum("image" in rules for rules in kept) <= 0.01 * len(kept)


def test_customers_questions_are_in_training_only(splits):
    assert all("customer" in row for row in splits["train"])
    assert not any("customer" in row for name in ("validation", "test_handwritten") for row in splits[name])


def test_pictures_and_sign_offs_vary(splits):
    """Every pair has its own text: no picture or place is used for more than a few of the pairs."""
    rows = splits["train"]
    pictures = Counter(images(parts(row["voice"])[1])[0].lower() for row in rows)
    sign_offs = Counter(parts(row["voice"])[2] for row in rows)
    assert len(pictures) >= 150 and pictures.most_common(1)[0][1] <= 0.04 * len(rows)
    assert len(sign_offs) >= 120 and sign_offs.most_common(1)[0][1] <= 0.05 * len(rows)


def test_no_sentence_frame_in_the_training_pairs(splits):
    """No two pairs are near-duplicates, and hardly any sentence of four words or more stands in two of them."""
    rows = splits["train"]
    for texts in ([row["neutral"] for row in rows], [parts(row["voice"])[1] for row in rows]):
        assert told(leakage.near_duplicates(texts), texts, texts) == []
        pieces = [{tuple(leakage.masked(piece)) for piece in re.split(r"[.!?;:]+\s", text)} for text in texts]
        counts = Counter(piece for text in pieces for piece in text if len(piece) >= 4)
        assert [(piece, count) for piece, count in counts.items() if count > 2] == []
        assert sum(count > 1 for count in counts.values()) <= 8


@pytest.mark.slow
def test_no_duplicate_and_no_near_duplicate_between_files(texts):
    files = [name for name, some in texts.items() for _ in some]
    every = [text for some in texts.values() for text in some]
    for found in (leakage.exact_duplicates(every), leakage.near_duplicates(every)):
        assert told([pair for pair in found if files[pair.left] != files[pair.right]], every, every) == []


def test_no_long_word_run_is_shared_between_files(texts):
    for left, right in itertools.combinations(texts, 2):
        assert told(leakage.shared_runs(texts[left], texts[right]), texts[left], texts[right]) == []


@pytest.mark.slow
def test_no_text_is_shared_with_the_triage_messages(texts):
    from finetune_course import triage

    messages = [row["message"] for name in triage.SPLITS for row in triage.load_split(name)]
    every = [text for some in texts.values() for text in some]
    assert told(leakage.near_duplicates(every, messages), every, messages) == []


def test_label_halves_share_no_neutral_text_and_hold_every_label_and_kind(labels):
    halves = {
        half: [row for row in labels if row["half"] == half and row["source"] == "written"]
        for half in ("development", "held_out")
    }
    neutrals = [{row["neutral"] for row in rows if row["neutral"]} for rows in halves.values()]
    assert not neutrals[0] & neutrals[1]
    for rows in halves.values():
        assert min(Counter(row["label"] for row in rows).values()) >= 20
        assert {row["kind"] for row in rows} == {row["kind"] for row in labels if row["source"] == "written"}
        assert {row["facts_kept"] for row in rows} == {True, False, None}


def test_facts_are_judged_only_against_a_neutral_text(labels):
    assert all((row["facts_kept"] is None) == (row["neutral"] is None) for row in labels)


def test_no_personal_data(texts, labels):
    every = [text for rows in texts.values() for text in rows] + [row["text"] for row in labels]
    assert {text: found for text in every if (found := personal_data(text))} == {}


def test_every_bad_line_is_reported_at_once(tmp_path, monkeypatch):
    good = voice.load_split("validation")[0]
    lines = [good, {**good, "id": "voice-val-901", "topic": "weather"}, {"id": "voice-val-902", "topic": "care"}, good]
    path = tmp_path / "voice" / "validation.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join(map(json.dumps, lines)) + "\nnot JSON\n", encoding="utf-8")
    (path.parent / "schema.json").write_bytes(data_path("voice", "schema.json").read_bytes())
    monkeypatch.setattr(voice, "data_path", lambda *names: tmp_path.joinpath(*names))
    with pytest.raises(DataError) as caught:
        voice.load_split("validation")
    assert [problem.line for problem in caught.value.problems] == [2, 3, 3, 4, 5]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: voice.load_split("test"), "no split 'test'"),
        (lambda: voice.load_labels("test"), "development or held_out"),
        (lambda: voice.persona("sing"), "rewrite, chat"),
        (lambda: voice.trained_prompt("sing"), "rewrite, chat"),
        (lambda: voice.prompt_completion(voice.load_split("validation")[0], "chat"), "no 'customer'"),
    ],
)
def test_wrong_names_are_told_in_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_personas_hold_every_rule_in_words():
    for task in voice.TASKS:
        for words in (
            "G'day",
            "Righto",
            "Fair call",
            "Here's the go",
            "14 words",
            '"your"',
            "contractions",
            "bush or sea",
        ):
            assert words in voice.persona(task)
        for words in ("exclamation", "emojis", "business words", "slang", "See you"):
            assert words in voice.persona(task)
        assert len(voice.trained_prompt(task).split()) <= 5


def test_a_training_row_is_prompt_and_completion():
    row = voice.load_split("train")[0]
    for task, field in (("rewrite", "neutral"), ("chat", "customer")):
        made = voice.prompt_completion(row, task)
        assert [message["role"] for message in made["prompt"]] == ["system", "user"]
        assert made["prompt"][1]["content"] == row[field]
        assert made["completion"] == [{"role": "assistant", "content": row["voice"]}]


def test_the_cards_numbers_are_the_datas(splits, labels):
    card = data_path("voice", "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)\.jsonl` \| (\d+) \|", card, flags=re.MULTILINE))
    assert {name: int(count) for name, count in rows.items()} == {
        **{name: len(pairs) for name, pairs in splits.items()},
        "conversations": len(voice.load_conversations()),
        "scorer_labels": len(labels),
        "reply_labels": len(voice.load_reply_labels()),
    }
