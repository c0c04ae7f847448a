"""The capstone: a learner's file is checked line by line and split fairly; table and report say what they show."""

import re
from datetime import date

import pytest
from bs4 import BeautifulSoup

from finetune_course import capstone
from finetune_course.capstone import BASELINES, LEVERS, Project, baselines, best, comparison, errors, prompts, report
from finetune_course.leakage import near_duplicates
from finetune_course.own_data import FEWEST, LONGEST, MOST, OwnData, is_right, load_own, split_own
from finetune_course.paths import course_root, data_path
from finetune_course.records import DataError

EXAMPLE = load_own(data_path("capstone", "example.csv"))


def csv_file(folder, *lines, name="own.csv", header="text,answer"):
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def good(count=FEWEST):
    return [
        f"message number {'abcdefghij'[n % 10] * (1 + n // 10)} about {n},{'left' if n % 2 else 'right'}"
        for n in range(count)
    ]


def told(path):
    with pytest.raises(DataError) as caught:
        load_own(path)
    return [str(problem) for problem in caught.value.problems]


# The file


def test_the_example_is_a_good_file():
    assert len(EXAMPLE) == 60 and EXAMPLE[0].keys() == {"id", "text", "answer"}
    assert sorted({row["answer"] for row in EXAMPLE}) == ["parks", "permits", "roads", "waste"]
    assert OwnData(EXAMPLE, [], [], []).labels == ["parks", "permits", "roads", "waste"]


def test_csv_and_json_lines_give_the_same_rows(tmp_path):
    lines = good()
    first = load_own(csv_file(tmp_path, *lines))
    rows = [line.rsplit(",", 1) for line in lines]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(f'{{"text": "{text}", "answer": "{answer}"}}\n' for text, answer in rows))
    assert load_own(path) == first and first[0]["id"] == "row-0001"


def test_a_spreadsheet_s_file_is_taken(tmp_path):
    """A byte-order mark, Windows line ends, capitals in the header, quotation marks and line breaks in a field."""
    path = tmp_path / "own.csv"
    body = "\r\n".join(
        ["ID,Text,Answer", 'a,"one, two\nthree",left', *(f"{n},{line}" for n, line in enumerate(good()))]
    )
    path.write_bytes(b"\xef\xbb\xbf" + body.encode())
    rows = load_own(path)
    assert rows[0] == {"id": "a", "text": "one, two\nthree", "answer": "left"} and len(rows) == FEWEST + 1


def test_every_bad_line_is_told_at_once(tmp_path):
    path = csv_file(
        tmp_path,
        *good(),
        ",left",
        "a text,",
        "one,two,three",
        f"{'x' * (LONGEST + 1)},left",
        good()[0],
        "MESSAGE  number a about 0.,left",
    )
    problems = told(path)
    assert problems[:4] == [
        "own.csv, line 32, field 'text': expected some text; it is empty",
        "own.csv, line 33, field 'answer': expected some text; it is empty",
        "own.csv, line 34: expected 2 fields, found 3; put a text with commas in quotation marks",
        f"own.csv, line 35, field 'text': expected at most {LONGEST:,} characters; found {LONGEST + 1:,}",
    ]
    path = csv_file(tmp_path, *good(), good()[0], "MESSAGE  number a about 0.,left")
    assert told(path) == [
        "own.csv, line 32, field 'text': this text stands in line 2 too, with the same answer; keep one",
        "own.csv, line 33, field 'text': this text stands in line 2 too, with another answer; keep one",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "found nothing"),
        (b"question,answer\na,b\n", "found question, answer"),
        (b"text,answer,mood\na,b,c\n", "expected a header with the columns text and answer"),
        ("text,answer\nä,b\n".encode("latin-1"), "save the file as UTF-8"),
        (b"text,answer\na,b\n", f"expected at least {FEWEST} rows, to hold some out; found 1"),
        (b'text,answer\n"a,b\n', "expected comma-separated values"),
    ],
)
def test_files_that_cannot_be_taken(tmp_path, content, words):
    (tmp_path / "own.csv").write_bytes(content)
    assert any(words in problem for problem in told(tmp_path / "own.csv"))


def test_sizes_names_and_answers_that_are_all_the_same(tmp_path):
    assert "found 5,001" in told(csv_file(tmp_path, *(f"text {n},{n % 3}" for n in range(MOST + 1))))[-1]
    assert told(csv_file(tmp_path, *(line.split(",")[0] + ",same" for line in good()))) == [
        "own.csv, field 'answer': all answers are the same; there is nothing to learn"
    ]
    assert told(tmp_path / "none.csv") == ["none.csv: no such file; check the name and the folder"]
    assert told(tmp_path / "own.xlsx") == ["own.xlsx: expected a file that ends in .csv or .jsonl"]
    assert "field 'id'" in told(csv_file(tmp_path, "a,t,u", "a,v,w", header="id,text,answer"))[0]
    (tmp_path / "own.jsonl").write_text('{"text": "a"}\n[]\n')
    assert [problem.split(":")[0] for problem in told(tmp_path / "own.jsonl")] == [
        "own.jsonl, line 1, field 'answer'",
        "own.jsonl, line 2",
    ]


# The split


def test_near_copies_stay_together_and_added_rows_move_no_other():
    data = split_own(EXAMPLE)
    assert sorted(row["id"] for part in data[:3] for row in part) == [row["id"] for row in EXAMPLE]
    assert split_own(EXAMPLE) == data and split_own(EXAMPLE[::-1]).notes == data.notes
    part = {
        row["text"]: name for name, rows in zip(("train", "validation", "test"), data[:3], strict=True) for row in rows
    }
    more = [*EXAMPLE, {"id": "new", "text": "Something wholly different about the weather", "answer": "parks"}]
    again = split_own(more)
    assert all(
        part.get(row["text"], "new") in (name, "new")
        for name, rows in zip(("train", "validation", "test"), again[:3], strict=True)
        for row in rows
    )
    copies = [
        {"id": f"c{n}", "text": row["text"] + " Thanks.", "answer": row["answer"]} for n, row in enumerate(EXAMPLE)
    ]
    both = split_own(EXAMPLE + copies)
    seen = [row["text"] for row in both.train + both.validation]
    assert not near_duplicates(seen, [row["text"] for row in both.test])
    assert "nearly the same" in both.notes[0] and "test rows" in data.notes[-1]


def test_texts_that_are_all_alike_cannot_be_split():
    rows = [{"id": str(n), "text": f"please send me the blue form number {n} today", "answer": "x"} for n in range(40)]
    with pytest.raises(DataError, match="too much alike"):
        split_own(rows)


@pytest.mark.parametrize(
    ("answer", "right"),
    [("Parks.", True), (" parks\n", True), ('"parks"', True), ("park", False), ("parks and roads", False), ("", False)],
)
def test_answers_are_compared_as_words(answer, right):
    assert is_right(answer, "parks") is right


# The pipeline


@pytest.fixture
def project():
    made = Project("Requests", "Name the team: parks, roads, waste or permits.", split_own(EXAMPLE))
    baselines(made)
    return made


def test_baselines_need_no_language_model(project):
    wanted = [row["answer"] for row in project.data.test]
    most = max(
        sorted({row["answer"] for row in project.data.train}), key=[row["answer"] for row in project.data.train].count
    )
    assert len(set(project.answers[BASELINES[0]])) == 1
    counts = [row["answer"] for row in project.data.train]
    assert counts.count(project.answers[BASELINES[0]][0]) == counts.count(most)
    assert len(project.answers[BASELINES[1]]) == len(wanted)
    assert set(project.answers[BASELINES[1]]) <= {row["answer"] for row in project.data.train}


def test_prompts_show_training_rows_only(project):
    texts = {row["text"] for row in project.data.test}
    for lever in LEVERS:
        chat, users = prompts(project, lever, project.data.test)
        assert chat[0]["content"] == project.instruction and len(users) == len(project.data.test)
        assert not any(turn["content"] in texts for turn in chat[1:])
        assert all(row["text"] in user for row, user in zip(project.data.test, users, strict=True))
        assert len(chat) == (9 if lever == "with examples" else 1)
    _, users = prompts(project, "with retrieved examples", project.data.test)
    assert all(user.count("Answer:") == 5 and user.endswith("Answer:") for user in users)
    with pytest.raises(ValueError, match="no lever 'magic'"):
        prompts(project, "magic", [])
    rows = capstone.training_rows(project)
    assert (
        len(rows) == len(project.data.train) and rows[0]["completion"][0]["content"] == project.data.train[0]["answer"]
    )


def test_the_table_compares_on_the_same_rows(project):
    wanted = [row["answer"] for row in project.data.test]
    project.put("instruction", ["roads"] * len(wanted), seconds=3)
    project.put("LoRA", wanted, seconds=1.5)
    table = comparison(project)
    assert table.loc["LoRA", "right"].startswith("100% [") and table.loc["LoRA", "seconds"] == "1.5"
    assert table.loc["LoRA", "points above the instruction"].startswith("+")
    assert table.loc["instruction", "points above the instruction"] == "–"
    assert best(project) == "LoRA" and errors(project, "LoRA").empty
    assert list(errors(project, "instruction")["came"].unique()) == ["roads"]
    with pytest.raises(ValueError, match="give one per row"):
        project.put("LoRA", wanted[1:])
    with pytest.raises(ValueError, match="No lever has answered"):
        comparison(Project("x", "y", project.data))


def test_a_tie_goes_to_what_needs_no_training(project):
    project.put("LoRA", project.answers[BASELINES[1]])
    project.put("instruction", project.answers[BASELINES[1]])
    if project.right(BASELINES[1]).mean() >= project.right(BASELINES[0]).mean():
        assert best(project) in BASELINES


# The report


def test_the_report_stands_alone_and_holds_the_table(project, tmp_path):
    wanted = [row["answer"] for row in project.data.test]
    project.title = "Requests <script>alert(1)</script> & more"
    project.put("instruction", ["roads"] * len(wanted))
    path = report(
        project,
        tmp_path / "report.html",
        advice=[("retrieval", "Facts <b>change</b>.")],
        limits="Few rows.",
        today=lambda: date(2026, 1, 2),
    )
    text = path.read_text(encoding="utf-8")
    page = BeautifulSoup(text, "html.parser")
    assert not page.find_all(["script", "link", "img", "iframe"]) and "http" not in text
    assert page.title.text == project.title and "2026-01-02" in text and "Few rows." in text
    table = comparison(project)
    cells = [cell.text for cell in page.find("table").find_all("td")]
    assert cells == [cell for row in table.to_numpy().tolist() for cell in row]
    assert page.find("tr", class_="best").th.text == best(project)
    assert "<b>change</b>" not in text and str(course_root()) not in text
    assert not re.search(r"\{[{%]", text)


def test_a_folder_that_cannot_be_written_is_told_and_nothing_is_left(project, tmp_path):
    with pytest.raises(OSError, match="could not be written: .*Choose another folder"):
        report(project, tmp_path / "none" / "report.html")
    assert not list(tmp_path.iterdir())
