"""The chat file for managed services: written whole, checked line by line, refused with every fault named."""

import json

import pytest

from finetune_course import managed_export
from finetune_course.managed_export import chat_row, check_chat_file, write_chat_file
from finetune_course.records import DataError
from finetune_course.training import prompt_completion
from finetune_course.triage import load_split

ROWS = [prompt_completion(record) for record in load_split("validation")[:12]]


def words(messages):
    return sum(len(message["content"].split()) for message in messages)


def saved(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def turns(*roles):
    return {"messages": [{"role": role, "content": f"says {role}"} for role in roles]}


def test_written_and_checked(tmp_path):
    path = tmp_path / "train.jsonl"
    assert write_chat_file(path, ROWS) == 12
    found = check_chat_file(path, "OpenAI", words)
    assert found.examples == 12 and found.bytes == path.stat().st_size
    sizes = [words(chat_row(row)["messages"]) for row in ROWS]
    assert (found.tokens, found.longest) == (sum(sizes), max(sizes))
    assert [path.name for path in tmp_path.iterdir()] == ["train.jsonl"]


def test_text_arrives_unchanged(tmp_path):
    path = tmp_path / "train.jsonl"
    odd = {"prompt": [{"role": "user", "content": 'Zoë said "hi"\n— twice\u2028'}], "completion": []}
    write_chat_file(path, [odd])
    assert json.loads(path.read_text(encoding="utf-8").rstrip("\n"))["messages"] == odd["prompt"]


def test_nothing_is_written_for_no_rows(tmp_path):
    with pytest.raises(ValueError, match="no rows"):
        write_chat_file(tmp_path / "train.jsonl", [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (turns("user", "assistant", "user"), "the assistant's answer last"),
        (turns("system"), "is too short"),
        (turns("system", "assistant"), "user and assistant in turn"),
        (turns("user", "system", "assistant"), "the system message first"),
        (turns("user", "user", "assistant"), "user and assistant in turn"),
        ({"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": "x"}]}, "content"),
        ({"messages": [{"role": "robot", "content": "x"}, {"role": "assistant", "content": "x"}]}, "role"),
        ({"prompt": "x", "completion": "y"}, "messages"),
    ],
)
def test_a_faulty_line_is_named(tmp_path, line, expected):
    path = saved(tmp_path / "train.jsonl", [*map(chat_row, ROWS), line])
    with pytest.raises(DataError) as caught:
        check_chat_file(path, "Fireworks", words)
    assert "line 13" in str(caught.value)
    if expected != "is too short":
        assert expected in str(caught.value)


def test_the_documented_limits_are_kept(tmp_path, monkeypatch):
    few = saved(tmp_path / "few.jsonl", [chat_row(row) for row in ROWS[:9]])
    with pytest.raises(DataError, match="OpenAI takes at least 10 examples; the file has 9"):
        check_chat_file(few, "OpenAI", words)
    assert check_chat_file(few, "Fireworks", words).examples == 9
    two = saved(tmp_path / "two.jsonl", [chat_row(row) for row in ROWS[:2]])
    with pytest.raises(DataError, match="Fireworks takes at least 3"):
        check_chat_file(two, "Fireworks", words)
    assert check_chat_file(two, "Together", words).examples == 2
    enough = saved(tmp_path / "enough.jsonl", [chat_row(row) for row in ROWS])
    with pytest.raises(DataError, match="at most 65,536 tokens; these are 70,000"):
        check_chat_file(enough, "OpenAI", lambda messages: 70_000)
    limits = managed_export.upload_limits()
    limits.loc["OpenAI", ["max_megabytes", "max_examples"]] = [0.0001, 11]
    monkeypatch.setattr(managed_export, "upload_limits", lambda: limits)
    with pytest.raises(DataError) as caught:
        check_chat_file(enough, "OpenAI", words)
    assert "at most 11 examples" in str(caught.value) and "files of at most 0.0001 MB" in str(caught.value)


def test_an_unknown_service(tmp_path):
    with pytest.raises(ValueError, match="no limits of 'Nobody'; the table has OpenAI"):
        check_chat_file(saved(tmp_path / "x.jsonl", [turns("user", "assistant")]), "Nobody", words)
