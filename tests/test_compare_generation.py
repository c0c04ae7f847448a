"""Generation for evaluation: the three ways agree on a tiny model, and the record adds up."""

import json

import pytest
import record_script
from tiny_training import tiny_model, tiny_tokenizer

from finetune_course.paths import course_root

MESSAGES = ["My tent leaks.", "When do you open on Friday, and may I bring a dog?", "Hello", "Is it blue?", "Why?"]


@pytest.fixture(scope="module")
def script():
    return record_script.script("compare_generation")


@pytest.fixture(scope="module")
def found(script):
    tokenizer = tiny_tokenizer()
    tokenizer.padding_side = "left"  # answers are written on the right
    return script.compare(tiny_model().eval(), tokenizer, "Triage.", MESSAGES, 2)


def test_all_ways_answer_every_message_and_alike(script, found):
    assert found["messages"] == len(MESSAGES)
    assert found["same answers as one by one"] == {name: len(MESSAGES) for name in script.WAYS}


def test_ratios_are_to_the_courses_way(script, found):
    assert found["times answer_all"][script.COURSE] == 1
    assert all(seconds >= 0 for seconds in found["cpu_seconds"].values())


def test_the_record_is_of_the_command_and_adds_up(script):
    record = json.loads((course_root() / "benchmarks" / "results" / "compare_generation.json").read_text("utf-8"))
    assert record["settings"]["command"] == "python benchmarks/compare_generation.py"
    assert set(record["runs"]) == {"page of rules", "one word"}
    for run in record["runs"].values():
        course = run["cpu_seconds"][script.COURSE]
        for name in script.WAYS:
            assert run["times answer_all"][name] == pytest.approx(run["cpu_seconds"][name] / course, abs=0.06)
