"""Reading a JSON Lines file so that every bad line is reported at once, in plain words."""

from __future__ import annotations

import ast
import json
import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

MAX_LINE_BYTES = 100_000
_SHOWN = 40
_FOLDER = "this is a folder; expected a JSON Lines file"
_TOO_DEEP = "expected one JSON object; it is nested too deeply"


@dataclass(frozen=True)
class Problem:
    """What is wrong at one place: file name, line (from 1; 0: the file as a whole), field, and what was expected."""

    file: str
    line: int
    field: str
    expected: str

    def __str__(self) -> str:
        place = (
            self.file + (f", line {self.line}" if self.line else "") + (f", field '{self.field}'" if self.field else "")
        )
        return f"{place}: {self.expected}"


class DataError(ValueError):
    """Every problem found in a data file. ``problems`` holds them all; the text shows the first 40."""

    def __init__(self, problems: list[Problem]):
        self.problems = problems
        lines = [str(problem) for problem in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            lines.append(f"… and {len(problems) - _SHOWN} more.")
        super().__init__("\n".join(lines))

    def _render_traceback_(self) -> list[str]:  # IPython's hook: the list of problems is the message
        return ["DataError:", *str(self).splitlines()]


def load_records(path: str | Path, schema: dict[str, Any], unique: str = "id") -> list[dict[str, Any]]:
    """Read a JSON Lines file (UTF-8, a leading byte-order mark allowed) and check each line against a JSON Schema.

    Args:
        path: the file.
        schema: a JSON Schema (draft 2020-12) for one line.
        unique: the field whose value may occur once; an empty string switches this check off.

    Returns:
        The records in the file's order. Blank lines are passed over.

    Raises:
        DataError: lists every bad line (file, line, field, what was expected). Nothing is returned in part.
    """
    path = Path(path)
    validator = Draft202012Validator(schema)
    records, problems, first_seen = [], [], {}
    for number, outcome in _parsed_lines(path):
        if isinstance(outcome, str):
            problems.append(Problem(path.name, number, "", outcome))
            continue
        try:
            faults = [_explain(path.name, number, error) for error in validator.iter_errors(outcome)]
        except RecursionError:  # parsed, but too deep for the messages about it
            faults = [Problem(path.name, number, "", _TOO_DEEP)]
        key = outcome.get(unique) if unique and isinstance(outcome, dict) else None
        if isinstance(key, str):
            if key in first_seen:
                expected = f"expected a value of its own; {_shown(key)} stands in line {first_seen[key]} too"
                faults.append(Problem(path.name, number, unique, expected))
            first_seen.setdefault(key, number)
        problems += faults
        records.append(outcome)
    if not problems and not records:
        problems.append(Problem(path.name, 0, "", "the file is empty; expected one JSON object a line"))
    if problems:
        raise DataError(problems)
    return records


def _parsed_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line number, object), or (line number, what was expected) as a string for a line that holds no object."""
    try:
        ordinary = os.path.isfile(path) or os.path.isdir(path) or not os.path.exists(path)
        if not ordinary:  # a pipe or a device may never end
            yield 0, "this is no ordinary file; expected a JSON Lines file"
            return
        with path.open("rb") as file:
            number = 0
            # A bounded readline keeps a file without line breaks from filling the memory.
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > MAX_LINE_BYTES:
                    while raw and not raw.endswith(b"\n"):
                        raw = file.readline(MAX_LINE_BYTES + 1)
                    yield number, f"expected at most {MAX_LINE_BYTES:,} bytes on a line; this one is longer"
                    continue
                if number == 1:
                    raw = raw.removeprefix(b"\xef\xbb\xbf")
                if raw.strip():
                    yield number, _parse(raw)
    except FileNotFoundError:
        yield 0, "no such file; check the name and the folder"
    except OSError as error:
        # Windows answers PermissionError for a folder.
        yield 0, _FOLDER if os.path.isdir(path) else f"could not be read: {error.strerror}"
    except ValueError:  # a zero byte in the name
        yield 0, "no file can have this name; check it"


def _parse(raw: bytes) -> Any:
    try:
        text = raw.rstrip(b"\r\n").decode("utf-8")
    except UnicodeDecodeError as error:
        return f"expected UTF-8 text; byte {error.start + 1} of the line is not (save the file as UTF-8)"
    if "\0" in text:
        return "expected UTF-8 text; there are zero bytes in it, as in UTF-16 (save the file as UTF-8)"
    try:
        value = json.loads(
            text,
            object_pairs_hook=_no_repeated_key,
            parse_constant=_refuse_number,
            parse_float=_finite,
            parse_int=_whole,
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        return f"expected one JSON object; {error.msg.removesuffix(' at')} at column {error.colno}"
    except UnicodeEncodeError:
        return "expected text; a \\u escape in it is half a character (\\ud800 to \\udfff come in pairs)"
    except RecursionError:
        return _TOO_DEEP
    except ValueError as error:
        return f"expected one JSON object; {error}"
    if not isinstance(value, dict):
        return f"expected a JSON object, found {_name_of(value)}"
    return value


def _no_repeated_key(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        name, times = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the field {_shown(name)} stands {'twice' if times == 2 else f'{times} times'}")
    return fields


def _refuse_number(written: str) -> None:
    raise ValueError(f"{written} is not a number in JSON")


def _finite(written: str) -> float:
    number = float(written)
    if not math.isfinite(number):
        raise ValueError(f"the number {_shorter(written)} is too large")
    return number


def _whole(written: str) -> int:
    if len(written) > 1000:  # Python itself refuses more than 4,300 digits
        raise ValueError(f"the number {_shorter(written)} is too large")
    return int(written)


def _explain(file: str, line: int, error: ValidationError) -> Problem:
    field = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "required":
        missing = ast.literal_eval(error.message.removesuffix(" is a required property"))
        return Problem(file, line, ".".join(filter(None, [field, missing])), "expected this field; it is missing")
    if error.validator == "additionalProperties":
        extra = sorted(_shorter(name) for name in set(error.instance) - set(error.schema.get("properties", ())))
        return Problem(file, line, ".".join(filter(None, [field, extra[0]])), _only_these(extra, error.schema))
    if error.validator == "anyOf":
        options = " or ".join(_wanted(option) for option in error.schema["anyOf"])
        return Problem(file, line, field, f"expected {options}; found {_shown(error.instance)}")
    if error.validator in ("type", "enum", "pattern", "minLength", "maxLength"):
        return Problem(file, line, field, f"expected {_wanted(error.schema)}; found {_shown(error.instance)}")
    return Problem(file, line, field, (best_match([error]) or error).message)


def _only_these(extra: list[str], schema: dict[str, Any]) -> str:
    more = extra[1:6] + (["…"] if len(extra) > 6 else [])
    others = f" (nor are {', '.join(more)})" if more else ""
    return f"this field is not expected{others}; expected only {', '.join(schema.get('properties', ())) or 'no fields'}"


def _wanted(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join("null" if value is None else str(value) for value in schema["enum"])
    kind = {"string": "text", "null": "null", "object": "an object", "integer": "a whole number", "number": "a number"}
    types = schema.get("type", "")
    several = types if isinstance(types, list) else [types]
    words = " or ".join(kind.get(each, f"a value of type {each}") for each in several)
    if "pattern" in schema:
        words += f" of the form {schema['pattern'].strip('^$')}"
    if "minLength" in schema or "maxLength" in schema:
        words += f" of {schema.get('minLength', 0)} to {schema.get('maxLength', 'any number of')} characters"
    return words


def _name_of(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, (list, dict)):
        return _name_of(value)
    return _shorter(json.dumps(value, ensure_ascii=False))


def _shorter(text: str) -> str:
    """The text on one line of at most 60 characters, without characters that a terminal would obey."""
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return text if len(text) <= 60 else text[:57] + "…"
