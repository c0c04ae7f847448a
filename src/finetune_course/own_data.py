"""The capstone's data: a learner's own file of texts and right answers, checked line by line, and split fairly.

A CSV file with a header, or JSON Lines, in UTF-8: a column ``text`` (what goes in) and ``answer`` (what should come
out), and, if wanted, ``id``. What is wrong is reported for all lines at once, in plain words.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from .leakage import near_duplicates
from .records import DataError, Problem, load_records

COLUMNS = ("text", "answer")
FEWEST, MOST, LONGEST = 30, 5000, 1500
"""Rows that are needed to hold any out, rows that are taken, and characters of a text or an answer."""

PARTS = ("train", "validation", "test")
_SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "text": {"type": "string", "minLength": 1, "maxLength": LONGEST},
        "answer": {"type": "string", "minLength": 1, "maxLength": LONGEST},
    },
    "required": list(COLUMNS),
    "additionalProperties": False,
}

Row = dict[str, str]


class OwnData(NamedTuple):
    """The rows of each part, and what one should know about the split."""

    train: list[Row]
    validation: list[Row]
    test: list[Row]
    notes: list[str]

    @property
    def labels(self) -> list[str]:
        """The answers, where they are few enough to be labels (at most a fifth of the rows); otherwise none."""
        rows = [*self.train, *self.validation, *self.test]
        found = sorted({row["answer"] for row in rows})
        return found if len(found) <= len(rows) / 5 else []


def load_own(path: str | Path) -> list[Row]:
    """The rows of a learner's file (id, text, answer), checked; ids are made where there are none.

    Raises DataError, which lists every bad line: a file that is missing, empty or not UTF-8, a column that is missing,
    an empty or overlong field, a line with too many or too few fields, a text that stands twice, too few or too many
    rows, or answers that are all the same.
    """
    path = Path(path)
    kind = path.suffix.casefold()
    if kind not in (".csv", ".jsonl"):
        raise DataError([Problem(path.name, 0, "", "expected a file that ends in .csv or .jsonl")])
    rows, lines = _from_csv(path) if kind == ".csv" else (load_records(path, _SCHEMA), None)
    lines = lines or list(range(1, len(rows) + 1))
    problems = _problems(path.name, rows, lines)
    if problems:
        raise DataError(problems)
    return [{"id": f"row-{number:04d}", **row} for number, row in enumerate(rows, 1)]


def split_own(rows: list[Row]) -> OwnData:
    """About three fifths to train on, a fifth to choose with, a fifth to report on; the same on every machine.

    Texts that are near-duplicates stay together in one part (``leakage.near_duplicates``), so that the test is not
    known beforehand. Where a row goes hangs on its text alone: a row that is added moves no other.
    """
    leader = list(range(len(rows)))

    def root(place: int) -> int:
        while leader[place] != place:
            place = leader[place]
        return place

    pairs = near_duplicates([row["text"] for row in rows])
    for pair in pairs:
        first, second = sorted((root(pair.left), root(pair.right)))
        leader[second] = first
    groups = defaultdict(list)
    for place, row in enumerate(rows):
        groups[root(place)].append(row)
    parts = defaultdict(list)
    for members in groups.values():
        key = min(hashlib.sha256(member["text"].encode()).hexdigest() for member in members)
        draw = int(key, 16) % 5
        parts["test" if draw == 0 else "validation" if draw == 1 else "train"] += members
    notes = []
    if pairs:
        notes.append(f"{len(pairs)} pairs of texts are nearly the same; each pair stays in one part.")
    if len(parts["test"]) < 50:
        notes.append(f"{len(parts['test'])} test rows: intervals will be wide.")
    for name in PARTS:
        if len(parts[name]) < 4:
            told = f"only {len(parts[name])} rows are left for {name}: the texts are too much alike; add different ones"
            raise DataError([Problem("your file", 0, "", told)])
    return OwnData(parts["train"], parts["validation"], parts["test"], notes)


def is_right(answer: str, wanted: str) -> bool:
    """Whether an answer is the wanted one: the same words, without regard to case, outer marks and white space."""
    return _plain(answer) == _plain(wanted)


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().strip(".!\"'“”`").casefold()


def _from_csv(path: Path) -> tuple[list[Row], list[int]]:
    """Rows and the line that each ends on."""
    rows, lines, problems = [], [], []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip().casefold() for name in next(reader, [])]
            missing = [name for name in COLUMNS if name not in header]
            unknown = [name for name in header if name not in (*COLUMNS, "id")]
            if missing or unknown or len(set(header)) < len(header):
                found = ", ".join(header) or "nothing"
                told = f"expected a header with the columns text and answer (and id, if you like); found {found[:80]}"
                raise DataError([Problem(path.name, 1, "", told)])
            for fields in reader:
                if not fields:
                    continue
                if len(fields) != len(header):
                    told = (
                        f"expected {len(header)} fields, found {len(fields)}; put a text with commas in quotation marks"
                    )
                    problems.append(Problem(path.name, reader.line_num, "", told))
                    continue
                rows.append(dict(zip(header, (field.strip() for field in fields), strict=True)))
                lines.append(reader.line_num)
    except FileNotFoundError:
        raise DataError([Problem(path.name, 0, "", "no such file; check the name and the folder")]) from None
    except UnicodeDecodeError:
        raise DataError([Problem(path.name, 0, "", "expected UTF-8 text; save the file as UTF-8")]) from None
    except OSError as error:
        raise DataError([Problem(path.name, 0, "", f"could not be read: {error.strerror}")]) from error
    except csv.Error as error:
        problems.append(Problem(path.name, reader.line_num, "", f"expected comma-separated values; {error}"))
    seen: dict[str, int] = {}
    for row, line in zip(rows, lines, strict=True):
        for name in header:
            if not row[name]:
                problems.append(Problem(path.name, line, name, "expected some text; it is empty"))
            elif len(row[name]) > LONGEST:
                told = f"expected at most {LONGEST:,} characters; found {len(row[name]):,}"
                problems.append(Problem(path.name, line, name, told))
        if "id" in row and row["id"] in seen:
            told = f"expected a value of its own; it stands in line {seen[row['id']]} too"
            problems.append(Problem(path.name, line, "id", told))
        seen.setdefault(row.get("id", ""), line)
    if problems:
        raise DataError(sorted(problems, key=lambda problem: problem.line))
    return rows, lines


def _problems(file: str, rows: list[Row], lines: list[int]) -> list[Problem]:
    """What is wrong with the rows together."""
    problems, first = [], {}
    for row, line in zip(rows, lines, strict=True):
        key = _plain(row["text"])
        if key not in first:
            first[key] = line, row["answer"]
            continue
        at, answer = first[key]
        same = "the same answer" if is_right(answer, row["answer"]) else "another answer"
        problems.append(Problem(file, line, "text", f"this text stands in line {at} too, with {same}; keep one"))
    if len(rows) < FEWEST:
        problems.append(Problem(file, 0, "", f"expected at least {FEWEST} rows, to hold some out; found {len(rows)}"))
    if len(rows) > MOST:
        problems.append(Problem(file, 0, "", f"expected at most {MOST:,} rows for a live run; found {len(rows):,}"))
    if rows and len({_plain(row["answer"]) for row in rows}) == 1:
        problems.append(Problem(file, 0, "answer", "all answers are the same; there is nothing to learn"))
    return problems
