"""The record of the merge: of the shipped adapter, of all test messages, and one part of it comes out again (slow)."""

import json
import re
from datetime import date

import pytest
import record_script

from finetune_course.paths import course_root
from finetune_course.triage import load_split

COMMAND = "python benchmarks/record_merge.py"


@pytest.fixture(scope="module")
def script():
    return record_script.script("record_merge")


@pytest.fixture(scope="module")
def record(script):
    if not script.RESULT.is_file():
        pytest.fail(f"There is no record of the merge: run '{COMMAND}'.", pytrace=False)
    return json.loads(script.RESULT.read_text(encoding="utf-8"))


def test_the_record_is_of_the_shipped_adapter(record, script):
    assert record["settings"]["adapter_sha256"] == script.adapter_hash(), f"The adapter changed since: run '{COMMAND}'."


def test_the_record_says_how_it_was_made(record):
    settings = record["settings"]
    assert settings["command"] == COMMAND and date(2026, 1, 1) < date.fromisoformat(settings["date"])
    assert re.fullmatch(r"\w+, \d+ cores, (cpu|cuda|mps)", settings["machine"]) and settings["threads"] >= 1
    pins = (course_root() / "requirements.txt").read_text(encoding="utf-8").splitlines()
    for name, number in settings["versions"].items():
        assert f"{name}=={number.partition('+')[0]}" in {line.partition(";")[0].strip() for line in pins}


def test_every_test_message_was_asked_in_both_formats(record, script):
    assert [run["format"] for run in record["runs"]] == list(script.FORMATS)
    for run in record["runs"]:
        assert list(run["sets"]) == list(script.SETS)
        for name, found in run["sets"].items():
            known = [row["id"] for row in load_split(script.SETS[name])]
            assert found["messages"] == len(known)
            assert found["another answer"] == [id for id in known if id in found["another answer"]]


@pytest.mark.slow
def test_a_part_of_the_record_comes_out_again(record, script):
    """float32: messages recorded with the same answer (those recorded with another one are asked too)."""
    run = record["runs"][0]
    rows = load_split("test_handwritten")
    other = set(run["sets"]["test, hand-written"]["another answer"])
    asked = [row for row in rows if row["id"] in other][:4] + [row for row in rows if row["id"] not in other][:12]
    beside, merged = script.answers("float32", [row["message"] for row in asked], 16)
    changed = {row["id"] for row, first, second in zip(asked, beside, merged, strict=True) if first != second}
    # Another processor rounds otherwise: a message whose two best tokens lie that close may fall on the other side.
    assert len(changed ^ (other & {row["id"] for row in asked})) <= 1
