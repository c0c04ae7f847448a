"""The replies that two readers labelled: drawn as the card says, each the recorded one, and the card's numbers true."""

import re
from collections import Counter

import numpy as np
import pytest
from record_script import script

from finetune_course import voice
from finetune_course.grid_record import load_record
from finetune_course.paths import data_path
from finetune_course.voice_scorer import kappa, score_table


@pytest.fixture(scope="module")
def rows():
    return voice.load_reply_labels()


@pytest.fixture(scope="module")
def sample():
    return script("sample_replies")


def test_the_sample_is_the_script_s_and_each_text_the_recorded_reply(rows, sample):
    drawn = sample.drawn()
    kept = [{name: row[name] for name in drawn[0] if name != "customer"} for row in rows]
    assert kept == [{name: row[name] for name in row if name != "customer"} for row in drawn]
    places = {talk["id"]: place for place, talk in enumerate(voice.load_conversations())}
    runs = {(run["arm"], run["seed"]): run["replies"] for run in load_record("voice_turns")["runs"]}
    for row in rows:
        replies = runs[row["arm"], row["seed"]]
        assert replies[places[row["conversation"]]][row["turn"] - 1] == row["text"]


def test_as_many_from_each_half_of_the_conversation(rows, sample):
    drawn = Counter((row["arm"], row["turn"] > 4) for row in rows)
    assert drawn == {(arm, late): count for arm, count in sample.EACH.items() for late in (False, True)}
    assert len({row["id"] for row in rows}) == len(rows) == 80


def test_the_cards_numbers_are_the_labels(rows):
    """Kappa and shares of the card; the scorer's within 0.02, which another version of scikit-learn may move."""
    text = data_path("voice", "README.md").read_text(encoding="utf-8")
    card = text.partition("<!-- replies")[2].partition("## ")[0]
    found = re.findall(r"^\| ([\w ]+?) \| ([\w, ]+?) \| (\d+) \| ([\d.]+) .*? \| ([\d.]+) ", card, re.MULTILINE)
    assert len(found) == 4
    judges = {
        "second reader": [row["second_label"] for row in rows],
        "scorer": list(score_table([row["text"] for row in rows])["label"]),
        "first reader": [row["label"] for row in rows],
    }
    ranks = {name: np.array([voice.LABELS.index(label) for label in given]) for name, given in judges.items()}
    for who, question, texts, equal, value in found:
        first, second = (ranks[part if part in ranks else f"{part} reader"] for part in who.split(" and "))
        if "rest" in question:
            first, second = first == 2, second == 2
        assert int(texts) == len(rows)
        assert float(equal) == pytest.approx((first == second).mean(), abs=0.02)
        weights = None if "rest" in question else "linear"
        assert float(value) == pytest.approx(kappa(first, second, weights).mean, abs=0.02)
    praised = [row for row, label in zip(rows, judges["scorer"], strict=True) if label == "in"]
    assert f"called {len(praised)} replies `in`; the readers called none of these so" in card
    assert not any("in" in (row["label"], row["second_label"]) for row in praised)


def test_a_file_with_another_text_or_no_label_is_refused(sample, tmp_path):
    rows = sample.drawn()
    path = tmp_path / "reader.jsonl"
    sample.write(path, [{"id": row["id"], "text": row["text"], "label": None} for row in rows])
    with pytest.raises(SystemExit, match=r"reader\.jsonl, voice-reply-001: not this record's reply, or no label"):
        sample.labels(path, rows)
    sample.write(path, [{"id": row["id"], "text": "Other.", "label": "in"} for row in rows])
    with pytest.raises(SystemExit, match="not this record's reply"):
        sample.labels(path, rows)
