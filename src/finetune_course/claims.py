"""The claims ledger, data/claims.csv: what people say about fine-tuning, each as something that can be measured."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from .paths import data_path
from .records import DataError, Problem

COLUMNS = ("id", "claim", "notebooks", "group", "first", "question", "number", "unit", "low", "high")


@dataclass(frozen=True)
class Number:
    """A number that a notebook will measure: what is asked, its unit, and the ends of its slider."""

    question: str
    unit: str
    low: float
    high: float


@dataclass(frozen=True)
class Claim:
    """One claim.

    ``question`` says what must be measured for the claim to hold; the learner's prediction is how sure they are that
    it will be. ``notebooks`` are the numbers of those that measure it. A few claims also ask for a ``number``.
    """

    id: str
    text: str
    notebooks: tuple[str, ...]
    group: str
    first: bool
    question: str
    number: Number | None


def load_claims(path: str | Path | None = None) -> list[Claim]:
    """The ledger in its order. Columns beyond ``COLUMNS`` (such as verdicts) are left alone.

    Raises:
        DataError: lists every bad line of the file (UTF-8 CSV) at once.
    """
    path = Path(path) if path is not None else data_path("claims.csv")
    rows = _rows(path)
    claims, problems, seen = [], [], set()
    for line, row in rows:
        faults = _faults(row)
        if row["id"] in seen:
            faults.append(("id", f"'{row['id']}' stands twice; expected an id of its own"))
        seen.add(row["id"])
        problems += [Problem(path.name, line, column, expected) for column, expected in faults]
        if not faults:
            claims.append(_claim(row))
    if problems:
        raise DataError(problems)
    return claims


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Each row with the number of the line it ends on."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise DataError([Problem(path.name, 1, "", f"expected a column '{missing[0]}'; it is missing")])
            rows = [(reader.line_num, {name: row[name] or "" for name in COLUMNS}) for row in reader]
    except FileNotFoundError:
        raise DataError([Problem(path.name, 0, "", "no such file; expected the claims ledger")]) from None
    except OSError as error:
        raise DataError([Problem(path.name, 0, "", f"could not be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise DataError([Problem(path.name, 0, "", "expected UTF-8 text; save the file as UTF-8")]) from error
    except csv.Error as error:
        raise DataError(
            [Problem(path.name, reader.line_num, "", f"expected comma-separated values; {error}")]
        ) from error
    if not rows:
        raise DataError([Problem(path.name, 0, "", "the ledger is empty; expected one claim a line")])
    return rows


def _faults(row: dict[str, str]) -> list[tuple[str, str]]:
    """(column, what was expected) for everything wrong in one row."""
    faults = []
    if not re.fullmatch(r"C\d\d", row["id"]):
        faults.append(("id", f"expected C and two digits; found '{row['id']}'"))
    for column in ("claim", "group", "question"):
        if not row[column].strip():
            faults.append((column, "expected some text; it is empty"))
    if not re.fullmatch(r"\d\d( \d\d)*", row["notebooks"]):
        faults.append(("notebooks", f"expected two-digit numbers with spaces between; found '{row['notebooks']}'"))
    if row["first"] not in ("yes", "no"):
        faults.append(("first", f"expected yes or no; found '{row['first']}'"))
    given = [column for column in ("number", "unit", "low", "high") if row[column].strip()]
    if given and len(given) < 4:
        faults.append((given[0], "expected number, unit, low and high together, or none of them"))
    elif given:
        try:
            ordered = float(row["low"]) < float(row["high"])
        except ValueError:
            ordered = False
        if not ordered:
            faults.append(("low", f"expected two numbers, the smaller first; found '{row['low']}' and '{row['high']}'"))
    return faults


def _claim(row: dict[str, str]) -> Claim:
    number = None
    if row["number"]:
        number = Number(row["number"], row["unit"], float(row["low"]), float(row["high"]))
    return Claim(
        id=row["id"],
        text=row["claim"],
        notebooks=tuple(row["notebooks"].split()),
        group=row["group"],
        first=row["first"] == "yes",
        question=row["question"],
        number=number,
    )
