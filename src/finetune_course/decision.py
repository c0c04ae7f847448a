"""The decision helper: a few answers in, advice out, each with its rule and what was measured about it.

The rules are data/decision_rules.json, to be read and argued with. Nothing is weighed: every rule whose conditions are
met speaks, and what one of them advises against is struck out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from jsonschema import Draft202012Validator

from .paths import data_path
from .records import DataError, Problem
from .scoreboard import NOT_MEASURED

FILE = "decision_rules.json"
Situation = Mapping[str, Any]
"""Question name → answer: one of the question's options, or a whole number."""


class SituationError(ValueError):
    """One sentence: which answer does not fit its question. Shown without a traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython's hook for exceptions that explain themselves
        return [str(self)]


@dataclass(frozen=True)
class Advice:
    """A lever, the rules that speak for it and those that strike it out (each a rule of the file)."""

    lever: str
    rules: tuple[dict[str, Any], ...]
    against: tuple[dict[str, Any], ...]

    @property
    def advised(self) -> bool:
        return bool(self.rules) and not self.against


@lru_cache(maxsize=4)
def load_rules(path: Path | None = None) -> dict[str, Any]:
    """The file of rules: questions, levers, rules. Raises DataError, which lists everything wrong in it at once."""
    path = path or data_path(FILE)
    schema = json.loads(data_path("decision_rules.schema.json").read_text(encoding="utf-8"))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError([Problem(path.name, 0, "", "no such file; expected the rules")]) from None
    except json.JSONDecodeError as error:
        raise DataError([Problem(path.name, error.lineno, "", f"expected JSON; {error.msg}")]) from None
    faults = [
        (".".join(map(str, fault.absolute_path)), fault.message[:200])
        for fault in Draft202012Validator(schema).iter_errors(content)
    ] or _contradictions(content)
    if faults:
        raise DataError([Problem(path.name, 0, field, expected) for field, expected in faults])
    return content


def advise(situation: Situation, rules: Mapping[str, Any] | None = None) -> list[Advice]:
    """What the rules say of every lever that at least one of them names, in the file's order of levers.

    Raises SituationError where an answer is missing, is not known, or does not fit its question.
    """
    rules = rules or load_rules()
    checked = _checked(situation, rules["questions"])
    speaking = [rule for rule in rules["rules"] if all(_met(condition, checked) for condition in rule["when"])]
    named = []
    for lever in rules["levers"]:
        pro = tuple(rule for rule in speaking if lever in rule.get("advise", ()))
        con = tuple(rule for rule in speaking if lever in rule.get("against", ()))
        if pro or con:
            named.append(Advice(lever, pro, con))
    return named


def advised(situation: Situation, rules: Mapping[str, Any] | None = None) -> list[str]:
    """The levers that are advised and not struck out, in the file's order."""
    return [each.lever for each in advise(situation, rules) if each.advised]


def evidence(rule: Mapping[str, Any], board: pd.DataFrame) -> list[str]:
    """One line for each claim that a rule rests on: its id, verdict and words, and whether that bears the rule out.

    ``board`` is the scoreboard (index id; columns verdict, measured, notebook). A rule without a claim says so.
    """
    lines = []
    for claim, needed in rule["rests_on"].items():
        verdict, measured, notebook = board.loc[claim, ["verdict", "measured", "notebook"]]
        if verdict == NOT_MEASURED:
            lines.append(f"{claim}: {NOT_MEASURED}")
            continue
        bears = {"not decided": "open", "holds in part": "bears it out in part", needed: "bears it out"}
        lines.append(f"{claim} {verdict} ({notebook}: {measured}): {bears.get(verdict, 'speaks against it')}")
    return lines or ["a matter of construction, not of measurement"]


def advice_table(situation: Situation, board: pd.DataFrame, rules: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """One row for every rule that speaks: lever, advice (yes, or struck out), rule, because, evidence."""
    rows = []
    for each in advise(situation, rules):
        for rule in (*each.rules, *each.against):
            word = "against" if rule in each.against else "yes" if each.advised else "struck out"
            rows.append((each.lever, word, rule["id"], rule["because"], "; ".join(evidence(rule, board))))
    return pd.DataFrame(rows, columns=["lever", "advice", "rule", "because", "what was measured"])


def _met(condition: Mapping[str, Any], situation: Situation) -> bool:
    value = situation[condition["of"]]
    return (
        ("is" not in condition or value in condition["is"])
        and ("at_least" not in condition or value >= condition["at_least"])
        and ("below" not in condition or value < condition["below"])
    )


def _checked(situation: Situation, questions: list[dict[str, Any]]) -> dict[str, Any]:
    names = [question["name"] for question in questions]
    unknown = sorted(set(situation) - set(names))
    if unknown:
        raise SituationError(f"There is no question '{unknown[0]}'; the helper asks for {', '.join(names)}.")
    for question in questions:
        name = question["name"]
        if name not in situation:
            raise SituationError(f"The answer to '{name}' is missing: {question['ask']}")
        value = situation[name]
        if "options" in question:
            if value not in question["options"]:
                raise SituationError(f"'{name}' is {value!r}: choose one of {', '.join(question['options'])}.")
        elif isinstance(value, bool) or not isinstance(value, int) or not question["low"] <= value <= question["high"]:
            raise SituationError(
                f"'{name}' is {value!r}: give a whole number from {question['low']:,} to {question['high']:,}."
            )
    return dict(situation)


def _contradictions(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(place, what was expected) for unknown names, ids that stand twice, conditions of the wrong kind."""
    faults, seen = [], set()
    questions = {question["name"]: question for question in content["questions"]}
    for rule in content["rules"]:
        place = f"rules.{rule['id']}"
        if rule["id"] in seen:
            faults.append((place, "this id stands twice; expected an id of its own"))
        seen.add(rule["id"])
        for lever in (*rule.get("advise", ()), *rule.get("against", ())):
            if lever not in content["levers"]:
                faults.append((place, f"there is no lever '{lever}'"))
        for condition in rule["when"]:
            question = questions.get(condition["of"])
            if question is None:
                faults.append((place, f"there is no question '{condition['of']}'"))
            elif ("options" in question) != ("is" in condition):
                kind = "options" if "options" in question else "a number"
                faults.append((place, f"'{condition['of']}' is asked with {kind}"))
            elif "is" in condition and not set(condition["is"]) <= set(question["options"]):
                faults.append((place, f"'{condition['of']}' has no such option"))
    return faults
