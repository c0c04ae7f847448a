"""What is handed in, in every broken form: each file ends in a grade or one line, and the innocent ones are graded."""

from __future__ import annotations

import io
import json
import os
import zipfile

import nbformat
import pytest
import tiny_grading as tiny

from finetune_course.grading.limits import Limits
from finetune_course.grading.submissions import MOST_MEMBERS, Unreadable, read_cells, read_submissions
from finetune_course.grading.transplant import belongs_to, pristine, transplant
from finetune_course.notebook_build.source import grading, read_source

RIGHT = {"ex-91-1": tiny.SHARE, "ex-91-2": tiny.LONGEST, "ex-91-3": tiny.TALLY}
NOTEBOOK = pristine("91_grading", read_source(tiny.SOURCE))


def cell(edition, grade_id):
    return next(cell for cell in edition.cells if grading(cell).get("grade_id") == grade_id)


def place(edition, grade_id):
    return edition.cells.index(cell(edition, grade_id))


def edited(edition):
    cell(edition, "ex-91-1-test").source = "print('passed')"
    edition.cells[1].source = "share_check = longest_check = tally_check = print"


def deleted(edition):
    del edition.cells[place(edition, "ex-91-1")]


def duplicated(edition):
    at = place(edition, "ex-91-1")
    edition.cells.insert(at + 1, nbformat.from_dict(edition.cells[at]))


def duplicated_placeholder(edition):
    stub = cell(tiny.notebook(share=None), "ex-91-1")
    edition.cells.insert(place(edition, "ex-91-1") + 1, stub)


def duplicated_test(edition):
    edition.cells.append(nbformat.from_dict(cell(edition, "ex-91-1-test")))


def reordered(edition):
    edition.cells.reverse()


def split(edition):
    at = place(edition, "ex-91-1")
    lines = edition.cells[at].source.split("\n")
    second = nbformat.from_dict(edition.cells[at])
    edition.cells[at].source, second.source = "\n".join(lines[:2]), "\n".join(lines[2:])
    edition.cells.insert(at + 1, second)


def without_metadata(edition):
    """As Colab saves it: no nbgrader metadata, the id inside the metadata."""
    for one in edition.cells:
        one.metadata = nbformat.from_dict({"id": one.pop("id")})
    edition.nbformat_minor = 0


def without_any_id(edition):
    for number, one in enumerate(edition.cells):
        one.metadata, one.id = nbformat.from_dict({}), f"new-{number}"


def as_text_cell(edition):
    cell(edition, "ex-91-1").cell_type = "markdown"


def windows_lines(edition):
    for one in edition.cells:
        one.source = one.source.replace("\n", "\r\n")


def lines_as_numbers(edition):
    edition.cells[0].source = [1, None, "text"]
    edition.cells[1].metadata.nbgrader = "broken"


CHANGES = {
    edited: (RIGHT, "was changed; the original was used"),
    deleted: (RIGHT | {"ex-91-1": None}, ""),
    duplicated: (RIGHT, "stands in 2 cells"),
    duplicated_placeholder: (RIGHT, "stands in 2 cells"),
    duplicated_test: (RIGHT, ""),
    reordered: (RIGHT, ""),
    split: (RIGHT, "stands in 2 cells"),
    without_metadata: (RIGHT, ""),
    without_any_id: (RIGHT, "was found by the name it defines"),
    as_text_cell: (RIGHT | {"ex-91-1": None}, ""),
    windows_lines: (RIGHT, ""),
    lines_as_numbers: (RIGHT, ""),
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_the_answers_are_found_whatever_was_done_to_the_cells(change, tmp_path):
    edition = tiny.notebook()
    change(edition)
    (tmp_path / "x.ipynb").write_text(json.dumps(edition), encoding="utf-8")
    (submission,) = read_submissions(tmp_path, tiny.LIMITS)
    assert submission.reason == "" and belongs_to(submission, [NOTEBOOK]) is NOTEBOOK
    taken = transplant(submission, NOTEBOOK)
    answers, note = CHANGES[change]
    assert {key: value and value.strip() for key, value in taken.answers.items()} == {
        key: value and value.strip() for key, value in answers.items()
    }
    assert note in " ".join(taken.notes)


def version_3():
    edition = nbformat.convert(tiny.notebook(), 3)
    return json.dumps(edition).encode()


READABLE = {
    "as-it-is": tiny.text(tiny.notebook()),
    "byte-order-mark-and-windows-lines": b"\xef\xbb\xbf" + tiny.text(tiny.notebook()).replace(b"\n", b"\r\n"),
    "utf-16": tiny.text(tiny.notebook()).decode().encode("utf-16"),
    "nbformat-3": version_3(),
}


@pytest.mark.parametrize("name", READABLE)
def test_every_form_of_file_gives_the_same_answers(name, tmp_path):
    (tmp_path / "x.ipynb").write_bytes(READABLE[name])
    (submission,) = read_submissions(tmp_path, tiny.LIMITS)
    answers = transplant(submission, NOTEBOOK).answers
    assert submission.reason == ""
    assert {key: value.strip() for key, value in answers.items()} == {k: v.strip() for k, v in RIGHT.items()}


BROKEN = {
    "empty": (b"", "It is empty."),
    "blank": (b" \n", "It is empty."),
    "a-picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not a notebook"),
    "cut-off": (tiny.text(tiny.notebook())[:400], "not a notebook"),
    "a-list": (b"[1, 2]", "no cells"),
    "no-cells": (b'{"nbformat": 4, "cells": []}', "no cells"),
    "cells-of-nothing": (b'{"nbformat": 4, "cells": 7}', "no cells"),
    "deep": (b'{"nbformat": 4, "cells": ' + b"[" * 200_000, "not a notebook"),
    "old-and-broken": (b'{"nbformat": 3, "worksheets": 5}', "old format"),
    "too-many-cells": (json.dumps({"nbformat": 4, "cells": [{}] * 6000}).encode(), "more than 5000 cells"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_notebook_gets_one_sentence(name):
    data, words = BROKEN[name]
    with pytest.raises(Unreadable, match=words) as caught:
        read_cells(data)
    assert "\n" not in str(caught.value)


def archive(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)


def test_a_folder_of_broken_files_and_one_innocent(tmp_path):
    handed_in, good = tmp_path / "submissions", tiny.text(tiny.notebook())
    handed_in.mkdir()
    (tmp_path / "secret.ipynb").write_bytes(good)
    (handed_in / "innocent.ipynb").write_bytes(good)
    (handed_in / "big.ipynb").write_bytes(b" " * 50_000_000)
    (handed_in / "essay.docx").write_bytes(b"text")
    (handed_in / "link.ipynb").symlink_to(tmp_path / "secret.ipynb")
    (handed_in / "linked-folder").symlink_to(tmp_path)
    os.mkfifo(handed_in / "pipe.ipynb")
    (handed_in / "inner").mkdir()
    (handed_in / "inner" / "link.ipynb").symlink_to(tmp_path / "secret.ipynb")
    (handed_in / "nothing").mkdir()
    (handed_in / "nothing" / ".ipynb_checkpoints").mkdir()
    (handed_in / "nothing" / ".ipynb_checkpoints" / "x.ipynb").write_bytes(good)
    (handed_in / "tree" / "ps1").mkdir(parents=True)
    (handed_in / "tree" / "ps1" / "91_grading.ipynb").write_bytes(good)
    (handed_in / "tree" / "ps1" / "timestamp.txt").write_text("2026-01-01")
    (handed_in / "=cmd|x.ipynb").write_bytes(b"")
    (handed_in / os.fsdecode(b"\xff\n.ipynb")).write_bytes(b"")
    archive(handed_in / "slip.zip", {"../../evil.ipynb": good})
    archive(handed_in / "root.zip", {"/evil.ipynb": good})
    archive(handed_in / "windows.zip", {"..\\evil.ipynb": good})
    archive(handed_in / "good.zip", {"work/91_grading.ipynb": good, "__MACOSX/._91_grading.ipynb": b"x"})
    archive(handed_in / "bomb.zip", {"x.ipynb": b" " * 5_000_000})
    archive(handed_in / "many.zip", {f"{number}.txt": b"" for number in range(MOST_MEMBERS + 1)})
    (handed_in / "torn.zip").write_bytes((handed_in / "good.zip").read_bytes()[:-30])
    found = {submission.file: submission for submission in read_submissions(handed_in, tiny.LIMITS)}
    reasons = {
        "big.ipynb": "It is too big (50 MB; at most 1 MB)",
        "essay.docx": "It is not a notebook",
        "link.ipynb": "It is a symbolic link",
        "linked-folder": "It is a symbolic link",
        "pipe.ipynb": "It is not an ordinary file",
        "inner/link.ipynb": "It is a symbolic link",
        "nothing/": "The folder holds no notebook",
        "=cmd|x.ipynb": "It is empty",
        "??.ipynb": "It is empty",
        "slip.zip": "a name that leads outside",
        "root.zip": "a name that leads outside",
        "windows.zip": "a name that leads outside",
        "bomb.zip/x.ipynb": "It is too big (5 MB",
        "many.zip": "more than 500 files",
        "torn.zip": "not an archive that can be read",
    }
    for name, words in reasons.items():
        assert words in found.pop(name).reason
    cells = len(tiny.notebook().cells)
    assert sorted(found) == ["good.zip/work/91_grading.ipynb", "innocent.ipynb", "tree/ps1/91_grading.ipynb"]
    assert all(submission.reason == "" and len(submission.cells) == cells for submission in found.values())
    assert [submission.student for submission in found.values()] == ["good", "innocent", "tree"]
    assert not (tmp_path / "evil.ipynb").exists()


@pytest.mark.slow
def test_every_broken_form_is_graded_beside_the_others_and_costs_what_is_missing_and_no_more(tmp_path):
    """All of them handed in at once and taken through the command to the table, as a class is."""
    handed_in, good = tmp_path / "submissions", tiny.text(tiny.notebook())
    handed_in.mkdir()
    expected = {"innocent.ipynb": tiny.FULL, "good.zip/x.ipynb": tiny.FULL}
    (handed_in / "innocent.ipynb").write_bytes(good)
    archive(handed_in / "good.zip", {"x.ipynb": good})
    archive(handed_in / "slip.zip", {"../x.ipynb": good})
    (handed_in / "big.ipynb").write_bytes(b" " * 50_000_000)
    (handed_in / "link.ipynb").symlink_to(handed_in / "innocent.ipynb")
    for change, (answers, _) in CHANGES.items():
        edition = tiny.notebook()
        change(edition)
        (handed_in / f"{change.__name__}.ipynb").write_text(json.dumps(edition), encoding="utf-8")
        expected[f"{change.__name__}.ipynb"] = tiny.FULL - (tiny.SHARE_POINTS if answers["ex-91-1"] is None else 0)
    for name, data in READABLE.items():
        (handed_in / f"{name}.ipynb").write_bytes(data)
        expected[f"{name}.ipynb"] = tiny.FULL
    for name, (data, _) in BROKEN.items():
        (handed_in / f"{name}.ipynb").write_bytes(data)
    code, printed = tiny.grade(tiny.course(tmp_path / "course"), handed_in, tmp_path / "out", "--jobs", "2")
    assert code == 0, printed
    rows = tiny.rows(tmp_path / "out")
    assert {name: float(row["points"]) for name, row in rows.items() if row["points"] != ""} == expected
    refused = {name: row["reason"] for name, row in rows.items() if row["points"] == ""}
    assert set(refused) == {"slip.zip", "big.ipynb", "link.ipynb", *(f"{name}.ipynb" for name in BROKEN)}
    assert all(reason and "\n" not in reason for reason in refused.values())
    assert len(list((tmp_path / "out" / "feedback").iterdir())) == len(rows)


def test_the_default_limit_takes_a_notebook_with_pictures_and_refuses_50_mb():
    assert 10_000_000 < Limits().notebook < 50_000_000


def test_no_folder_or_an_empty_one_is_told_in_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder 'x'"):
        read_submissions(tmp_path / "x", tiny.LIMITS)
    with pytest.raises(FileNotFoundError, match="holds no submission"):
        read_submissions(tmp_path, tiny.LIMITS)


def test_another_notebook_belongs_to_none():
    edition = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1")])
    (submission,) = [read for read in [read_cells(tiny.text(edition))]]
    from finetune_course.grading.submissions import Submission

    assert belongs_to(Submission("x", "x", cells=submission), [NOTEBOOK]) is None


def test_a_member_with_a_wrong_checksum_is_not_read(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("x.ipynb", b"a" * 100)
    (tmp_path / "x.zip").write_bytes(buffer.getvalue().replace(b"a" * 100, b"b" * 100))
    (submission,) = read_submissions(tmp_path, tiny.LIMITS)
    assert submission.reason == "It cannot be unpacked."
