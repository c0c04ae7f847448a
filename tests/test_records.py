"""Loading a data file: every bad line at once, in plain words, and nothing but DataError whatever the file holds."""

import json
import os
import random
import tracemalloc

import pytest

from finetune_course import records, triage
from finetune_course.records import DataError, load_records

LABEL = {"category": "delivery", "product": "tent", "urgency": "high", "order_id": "WW-40718", "mood": "upset"}


def row(number=1, **changes):
    record = {"id": f"train-made-{number:04d}", "message": f"Where is my tent, no. {number}?", "label": dict(LABEL)}
    for name, value in changes.items():
        (record["label"] if name in LABEL else record)[name] = value
    return record


def line(number=1, **changes):
    return json.dumps(row(number, **changes), ensure_ascii=False)


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "train.jsonl"
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return write


def load(path):
    return load_records(path, triage.record_schema())


def problems_of(path):
    with pytest.raises(DataError) as caught:
        load(path)
    return caught.value.problems


def only_problem(path):
    (problem,) = problems_of(path)
    return problem


def test_good_lines_come_back_in_order_and_blank_lines_are_passed_over(write):
    rows = [row(3), row(1, order_id=None, product=None), row(2, message="Grüße, où est ma tente? 🏕")]
    text = "\n" + "\n  \n".join(json.dumps(record, ensure_ascii=False) for record in rows)
    assert load(write(text)) == rows
    assert load(write(text.replace("\n", "\r\n") + "\r\n")) == rows


def test_a_byte_order_mark_is_accepted(write):
    assert load(write(b"\xef\xbb\xbf" + line().encode())) == [row()]


# What is wrong with the second of three lines, the field named, and words of the sentence.
BAD_LINES = [
    ("broken JSON", '{"id": "train-made-0002", "message": ', "", ["expected one JSON object", "at column "]),
    ("cut off in a string", line(2)[:60], "", ["expected one JSON object", "Unterminated string", "at column"]),
    ("single quotes", "{'id': 'train-made-0002'}", "", ["expected one JSON object", "double quotes at column 2"]),
    ("two objects", line(2) + " " + line(4), "", ["expected one JSON object", "Extra data at column"]),
    ("a list", "[1, 2]", "", ["expected a JSON object, found a list"]),
    ("a number", "7", "", ["expected a JSON object, found a number"]),
    ("null", "null", "", ["expected a JSON object, found null"]),
    ("wrong encoding", line(2, message="où?").encode("latin-1"), "", ["expected UTF-8", "byte 40", "save the file as"]),
    ("zero bytes", line(2).encode("utf-16-le")[:-1], "", ["expected UTF-8", "UTF-16"]),
    ("half a character", line(2).replace("Where", "\\ud83d"), "", ["expected text", "half a character"]),
    ("NaN", line(2).replace('"WW-40718"', "NaN"), "", ["expected one JSON object", "NaN is not a number in JSON"]),
    ("infinity", line(2).replace('"WW-40718"', "-Infinity"), "", ["-Infinity is not a number in JSON"]),
    ("a number too large", line(2).replace('"WW-40718"', "1e999"), "", ["the number 1e999 is too large"]),
    ("a number too long", line(2).replace('"WW-40718"', "9" * 5000), "", ["the number 999", "… is too large"]),
    ("a field twice", line(2).replace('"mood"', '"category"'), "", ['the field "category" stands twice']),
    ("a field four times", '{"id":1,"id":2,"id":3,"id":4}', "", ['the field "id" stands 4 times']),
    ("deep nesting", "[" * 40_000 + "]" * 40_000, "", ["expected one JSON object", "nested too deeply"]),
    ("deep nesting in a field", line(2).replace('"WW-40718"', "[" * 40_000 + "]" * 40_000), "", ["nested too deeply"]),
    ("line too long", line(2, message="x" * 100_000), "", ["at most 100,000 bytes", "longer"]),
    (
        "unknown category",
        line(2, category="refund"),
        "label.category",
        ["expected one of delivery, return,", '"refund"'],
    ),
    ("wrong case", line(2, mood="Upset"), "label.mood", ["expected one of upset, neutral, happy", '"Upset"']),
    ("unknown product", line(2, product="canoe"), "label.product", ["one of tent, swag,", "null", 'found "canoe"']),
    ("order id's form", line(2, order_id="40718"), "label.order_id", ["WW-[0-9]{5}", "or null", 'found "40718"']),
    ("a number for text", line(2, order_id=40718), "label.order_id", ["expected text", "or null", "found 40718"]),
    ("null for text", line(2, message=None), "message", ["expected text of 1 to 2000 characters", "found null"]),
    ("an object for text", line(2, message={"text": "hi"}), "message", ["expected text", "found an object"]),
    ("text for an object", line(2, label="delivery"), "label", ["expected an object", 'found "delivery"']),
    ("empty message", line(2, message=""), "message", ["expected text of 1 to 2000 characters", 'found ""']),
    ("message too long", line(2, message="ab" * 1001), "message", ["1 to 2000 characters", 'found "abab', "…"]),
    ("the id's form", line(2, id="two"), "id", ["expected text of the form", 'found "two"']),
    ("id twice", line(1), "id", ['"train-made-0001" stands in line 1 too']),
]


@pytest.mark.parametrize(
    ("bad", "field", "words"), [case[1:] for case in BAD_LINES], ids=[case[0] for case in BAD_LINES]
)
def test_a_bad_line_is_named_with_its_field_and_what_was_expected(write, bad, field, words):
    bad = bad if isinstance(bad, bytes) else bad.encode("utf-8")
    problem = only_problem(write(line(1).encode() + b"\n" + bad + b"\n" + line(3).encode()))
    assert (problem.file, problem.line, problem.field) == ("train.jsonl", 2, field)
    for part in words:
        assert part in problem.expected
    place = "train.jsonl, line 2" + (f", field '{field}'" if field else "")
    assert str(problem) == f"{place}: {problem.expected}"
    assert len(str(problem)) < 500 and str(problem).isprintable()


@pytest.mark.parametrize("field", ["id", "message", "label"])
def test_a_missing_field_is_named(write, field):
    record = row()
    del record[field]
    problem = only_problem(write(json.dumps(record)))
    assert (problem.line, problem.field, problem.expected) == (1, field, "expected this field; it is missing")


@pytest.mark.parametrize("field", LABEL)
def test_a_missing_field_of_the_label_is_named(write, field):
    record = row()
    del record["label"][field]
    problem = only_problem(write(json.dumps(record)))
    assert (problem.line, problem.field, problem.expected) == (
        1,
        f"label.{field}",
        "expected this field; it is missing",
    )


def test_extra_fields_are_named_and_what_is_allowed_is_said(write):
    record = row()
    record["label"] |= {"colour": "red", "size": 9}
    problem = only_problem(write(json.dumps(record)))
    assert problem.field == "label.colour"
    assert "not expected (nor are size)" in problem.expected
    assert "expected only category, product, urgency, order_id, mood" in problem.expected


def test_a_field_name_cannot_break_or_flood_the_message(write):
    record = row() | {"a\nb\x1b[31m": 1, "z" * 5000: 2} | {f"y{number}": 0 for number in range(50)}
    problem = only_problem(write(json.dumps(record)))
    assert "\n" not in str(problem) and "\x1b" not in str(problem) and len(str(problem)) < 300


def test_every_bad_line_of_a_file_is_reported_at_once(write):
    latin = line(6, message="où?").encode("latin-1")
    lines = [
        line(1),  # good
        line(2)[:-3],
        line(3, urgency="urgent", mood=5),
        "",
        line(1),
        latin,
        line(7).replace(', "mood": "upset"', "") + " " * 200_000,
        line(8).replace('"message"', '"text"'),
        line(9),  # good
        "[]",
    ]
    content = b"\n".join(text if isinstance(text, bytes) else text.encode() for text in lines)
    with pytest.raises(DataError) as caught:
        load(write(content))
    found = [(problem.line, problem.field) for problem in caught.value.problems]
    expected = [
        (2, ""),
        (3, "label.mood"),
        (3, "label.urgency"),
        (5, "id"),
        (6, ""),
        (7, ""),
        (8, "message"),
        (8, "text"),
    ]
    assert sorted(found) == sorted([*expected, (10, "")])
    assert [place for place, _ in found] == sorted(place for place, _ in found)
    text = str(caught.value).splitlines()
    assert len(text) == 9 and all(part.startswith("train.jsonl, line ") for part in text)


def test_a_long_list_is_cut_in_the_text_but_whole_in_the_problems(write):
    with pytest.raises(DataError) as caught:
        load(write("oops\n" * 100))
    assert len(caught.value.problems) == 100
    assert str(caught.value).splitlines()[-1] == "… and 60 more."
    assert len(str(caught.value).splitlines()) == 41


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_said_to_be_empty(write, content):
    problem = only_problem(write(content))
    assert (problem.line, problem.field) == (0, "")
    assert str(problem) == "train.jsonl: the file is empty; expected one JSON object a line"


def test_no_such_file(tmp_path):
    assert str(only_problem(tmp_path / "none.jsonl")) == "none.jsonl: no such file; check the name and the folder"
    assert "no such file" in str(only_problem(tmp_path / "no" / "folder.jsonl"))


def test_a_folder(tmp_path):
    (tmp_path / "folder.jsonl").mkdir()
    assert str(only_problem(tmp_path / "folder.jsonl")) == "folder.jsonl: this is a folder; expected a JSON Lines file"


def test_a_folder_as_windows_reports_it(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    assert "this is a folder" in str(only_problem(tmp_path))


def test_a_file_that_may_not_be_read(write, monkeypatch):
    path = write(line())

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    assert str(only_problem(path)) == "train.jsonl: could not be read: Permission denied"


def test_a_name_that_no_file_can_have(tmp_path):
    with pytest.raises(DataError):
        load(tmp_path / "zero\0byte.jsonl")
    assert "could not be read: " in only_problem(tmp_path / ("x" * 5000)).expected


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert "no ordinary file" in str(only_problem(tmp_path / "pipe.jsonl"))


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["no line break", "line break"])
def test_a_line_of_10_mb_is_refused_in_little_memory(write, end):
    path = write(b'{"id": "' + b"x" * 10_000_000 + b'"}' + end + line(2)[:-1].encode() * bool(end))
    tracemalloc.start()
    try:
        found = problems_of(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found[0].line == 1 and "at most 100,000 bytes" in found[0].expected
    assert [problem.line for problem in found[1:]] == ([2] if end else [])  # the next line keeps its number
    assert peak < 2_000_000


def test_other_schemas_and_keys(tmp_path):
    """The loader is not tied to the triage data: another schema, another unique field, or none."""
    path = tmp_path / "pages.jsonl"
    path.write_text('{"page": "a", "n": 1}\n{"page": "a", "n": true}\n{"it\'s": 1}\n', encoding="utf-8")
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
    with pytest.raises(DataError) as caught:
        load_records(path, schema, unique="page")
    told = [str(problem) for problem in caught.value.problems]
    assert told == [
        "pages.jsonl, line 2, field 'n': expected a whole number; found true",
        "pages.jsonl, line 2, field 'page': expected a value of its own; \"a\" stands in line 1 too",
        "pages.jsonl, line 3, field 'n': expected this field; it is missing",
    ]
    path.write_text('{"n": 1}\n{"n": 1}\n{"n": 0}', encoding="utf-8")
    with pytest.raises(DataError, match="line 3, field 'n': 0 is less than the minimum of 1"):
        load_records(path, schema, unique="")
    path.write_text('{"n": 1}\n', encoding="utf-8")
    with pytest.raises(DataError, match="field 'it's': expected this field; it is missing"):
        load_records(path, {"required": ["it's"]})
    with pytest.raises(DataError, match="field 'n': this field is not expected; expected only no fields"):
        load_records(path, {"additionalProperties": False})


def _mutations(seed):
    """Random bytes, and good lines with bytes changed, dropped, doubled or cut: 60 files a seed."""
    rng = random.Random(seed)
    good = "\n".join(line(number) for number in range(3)).encode()
    alphabet = b'{}[]",:\\ \n\r\t\0\xff\xc3\xef\xbb\xbf019eE.-+truefalsnNaI\xf0\x9f\xed\xa0\x80/u'
    for _ in range(15):
        yield rng.randbytes(rng.randrange(200))
        yield bytes(rng.choice(alphabet) for _ in range(rng.randrange(200)))
    for _ in range(30):
        content = bytearray(good)
        for _ in range(rng.randrange(1, 8)):
            at = rng.randrange(len(content))
            kind = rng.randrange(4)
            if kind == 0:
                content[at] = rng.choice(alphabet)
            elif kind == 1:
                del content[at : at + rng.randrange(1, 20)]
            elif kind == 2:
                content[at:at] = content[at : at + rng.randrange(1, 60)]
            else:
                content[at:at] = bytes(rng.choice(alphabet) for _ in range(rng.randrange(1, 10)))
            content = content or bytearray(b" ")
        yield bytes(content)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_bytes_nothing_but_dataerror(write, seed):
    """A file either loads, valid in every line, or gives problems that print; no other exception."""
    refused = 0
    for content in _mutations(seed):
        path = write(content)
        try:
            loaded = load(path)
        except DataError as error:
            refused += 1
            assert error.problems
            assert len({(problem.line, problem.field) for problem in error.problems}) >= 1
            for problem in error.problems:
                assert problem.line <= content.count(b"\n") + 1
                assert str(problem).isprintable(), repr(str(problem))
                str(problem).encode("utf-8")
        else:
            assert all(record["id"] for record in loaded)
            json.dumps(loaded, ensure_ascii=False).encode("utf-8")
    assert refused > 40


@pytest.mark.parametrize("depth", [5, 100, 3000, 20_000])
@pytest.mark.parametrize(("opened", "closed"), ["[]", ('{"a":', "}")])
def test_no_depth_of_nesting_escapes(write, depth, opened, closed):
    nested = opened * depth + "1" + closed * depth
    for content in (line(1).replace('"WW-40718"', nested), line(1)[:-1] + f', "more": {nested}' + "}", nested):
        assert problems_of(write(content))[0].line == 1


def test_near_pythons_limit_a_line_parses_but_cannot_be_checked(write):
    told = set()
    for depth in range(800, 1000):
        problem = only_problem(write(line(1).replace('"WW-40718"', "[" * depth + "]" * depth)))
        told.add(problem.expected)
    assert "expected one JSON object; it is nested too deeply" in told


def test_a_line_of_many_repeated_fields_does_not_take_long(write):
    content = "{" + ",".join(['"a":1', *(f'"{number}":1' for number in range(9000)), '"a":2']) + "}"
    assert 'the field "a" stands twice' in only_problem(write(content)).expected


def test_a_notebook_shows_the_list_and_no_traceback(write, capsys):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    path = write(f"{line(1)[:-1]}\n{line(2, mood='cross')}\n")
    shell.user_ns.update(load=load, path=path)
    result = shell.run_cell("load(path)")
    shown = capsys.readouterr()
    assert isinstance(result.error_in_exec, DataError)
    text = shown.out + shown.err
    assert "train.jsonl, line 1: expected one JSON object" in text
    assert "train.jsonl, line 2, field 'label.mood': expected one of upset, neutral, happy" in text
    assert "Traceback" not in text and "records.py" not in text and "raise " not in text


def test_the_triage_loader_names_the_splits():
    with pytest.raises(ValueError, match="no split 'dev': choose one of train, validation"):
        triage.load_split("dev")


def test_the_data_error_is_a_value_error_and_records_say_max_line():
    assert issubclass(DataError, ValueError)
    assert records.MAX_LINE_BYTES == 100_000


def test_a_field_of_one_of_several_types_is_told_in_words(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"kept": 3}\n{"kept": null}\n')
    schema = {"type": "object", "properties": {"kept": {"type": ["string", "null"]}}}
    with pytest.raises(records.DataError) as caught:
        records.load_records(path, schema, unique="")
    assert [problem.expected for problem in caught.value.problems] == ["expected text or null; found 3"]
