"""The decision helper: hand-written cases, the evidence beside an advice, errors in one sentence, the widget."""

import itertools
import json

import pandas as pd
import pytest

from finetune_course.claims import load_claims
from finetune_course.decision import SituationError, advice_table, advise, advised, evidence, load_rules
from finetune_course.decision_widget import DecisionHelper, advice_html
from finetune_course.records import DataError
from finetune_course.scoreboard import NOT_MEASURED, load_scoreboard

PROMPT, GRAMMAR, SEARCH, RAG, TASK, READER, FACTS, MORE = load_rules()["levers"]
USUAL = {
    "task": "a record or a label", "facts_change": "no facts needed", "must_cite": "no", "examples": 0,
    "calls_a_day": 100, "strict_format": "no", "prompt": "not good enough",
}  # fmt: skip
SORT = "a record or a label"
ANSWERS = {"task": "answers from facts", "facts_change": "every season"}

CASES = [
    ("nothing tried yet", {"prompt": "not tried"}, [PROMPT]),
    ("nothing tried, thousands of examples: still the test first", {"prompt": "not tried", "examples": 5000}, [PROMPT]),
    ("a small shop's triage, prompt is enough", {"prompt": "good enough", "strict_format": "yes"}, [PROMPT, GRAMMAR]),
    ("prompt is enough, labels at hand, few calls", {"prompt": "good enough", "examples": 2000}, [PROMPT]),
    (
        "prompt is enough, but a flood of calls",
        {"prompt": "good enough", "examples": 2000, "calls_a_day": 50_000},
        [PROMPT, TASK],
    ),
    ("a flood of calls and nothing to train on", {"prompt": "good enough", "calls_a_day": 50_000}, [PROMPT]),
    ("this course's triage", {"examples": 8743, "calls_a_day": 2000, "strict_format": "yes"}, [GRAMMAR, TASK]),
    ("triage with 300 labels", {"examples": 300}, [TASK, MORE]),
    ("triage with 100 labels, on the edge", {"examples": 100}, [TASK, MORE]),
    ("triage with 99 labels, below the edge", {"examples": 99}, [MORE]),
    ("triage with 499 and with 500 labels: 499", {"examples": 499}, [TASK, MORE]),
    ("triage with 499 and with 500 labels: 500", {"examples": 500}, [TASK]),
    ("triage with 20 labels", {"examples": 20}, [MORE]),
    ("a brand voice with 466 pairs", {"task": "a style", "examples": 466}, [TASK, MORE]),
    ("a brand voice with 2,000 pairs", {"task": "a style", "examples": 2000}, [TASK]),
    ("a brand voice with ten pairs", {"task": "a style", "examples": 10}, [MORE]),
    ("questions about prices that change", ANSWERS | {"prompt": "not tried"}, [PROMPT, SEARCH, RAG]),
    (
        "the same, the raw model reads badly, rows to train on",
        ANSWERS | {"examples": 2500, "must_cite": "yes"},
        [SEARCH, RAG, READER],
    ),
    ("the same with nothing to train on", ANSWERS, [SEARCH, RAG]),
    ("the same, reads well enough", ANSWERS | {"prompt": "good enough", "examples": 2500}, [PROMPT, RAG]),
    ("facts of physics that stay", {"task": "answers from facts", "facts_change": "hardly ever"}, [SEARCH, RAG]),
    (
        "an archive that must be cited",
        {"task": "answers from facts", "facts_change": "hardly ever", "must_cite": "yes"},
        [SEARCH, RAG],
    ),
    (
        "weekly stock as records",
        {"facts_change": "every week", "strict_format": "yes", "examples": 900},
        [GRAMMAR, RAG, TASK, READER],
    ),
    ("a poem machine", {"task": "free text"}, [PROMPT]),
    ("free text that must be cited", {"task": "free text", "must_cite": "yes"}, [PROMPT, RAG]),
    ("free text with many examples is still too wide", {"task": "free text", "examples": 9000}, [PROMPT]),
    (
        "strict answers from weekly facts, not tried",
        ANSWERS | {"facts_change": "every week", "strict_format": "yes", "prompt": "not tried"},
        [PROMPT, GRAMMAR, RAG],
    ),
]


@pytest.mark.parametrize(("told", "changes", "levers"), CASES, ids=[case[0] for case in CASES])
def test_a_case(told, changes, levers):
    assert advised(USUAL | changes) == levers


def test_there_are_20_cases_and_more_and_every_rule_speaks_in_one():
    assert len(CASES) >= 20
    spoke = {
        rule["id"]
        for _, changes, _ in CASES
        for each in advise(USUAL | changes)
        for rule in (*each.rules, *each.against)
    }
    assert spoke == {rule["id"] for rule in load_rules()["rules"]}


def test_facts_are_never_advised_into_the_weights_and_every_situation_gets_an_answer():
    questions = load_rules()["questions"]
    values = [question.get("options") or [0, 99, 100, 499, 500, 10_000] for question in questions]
    silent = []
    for answers in itertools.product(*values):
        situation = dict(zip([question["name"] for question in questions], answers, strict=True))
        levers = advised(situation)
        assert FACTS not in levers
        if situation["examples"] < 100:
            assert TASK not in levers and READER not in levers
        if situation["must_cite"] == "yes":
            assert RAG in levers
        if situation["prompt"] == "not tried":
            assert levers[0] == PROMPT and TASK not in levers
        if not levers:
            silent.append(situation)
    assert all(each["task"] == "answers from facts" and each["facts_change"] == "no facts needed" for each in silent)


# Evidence


def board(**verdicts):
    rows = {claim.id: ("", NOT_MEASURED, "", "") for claim in load_claims()}
    rows |= {name: ("", verdict, "12% [10, 14]", "10") for name, verdict in verdicts.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["claim", "verdict", "measured", "notebook"])


def test_every_rule_rests_on_claims_of_the_ledger_and_says_what_was_measured():
    known = {claim.id for claim in load_claims()}
    rules = {rule["id"]: rule for rule in load_rules()["rules"]}
    assert all(set(rule["rests_on"]) <= known for rule in rules.values())
    lines = evidence(rules["facts-change"], board(C09="holds", C35="fails here", C36="not decided"))
    assert lines == [
        "C09 holds (10: 12% [10, 14]): bears it out",
        "C35 fails here (10: 12% [10, 14]): speaks against it",
        "C36 not decided (10: 12% [10, 14]): open",
        f"C26: {NOT_MEASURED}",
    ]
    part = evidence(rules["facts-stay"], board(C09="holds in part"))
    assert [line.rpartition(": ")[2] for line in part] == ["bears it out in part"]
    assert evidence(rules["format-grammar"], board()) == ["a matter of construction, not of measurement"]
    # A rule may need that a claim failed: LoRA is worth it where prompting does not come near.
    assert evidence(rules["many-examples"], board(C10="fails here"))[-1].endswith("bears it out")


def test_the_table_shows_rules_that_speak_for_and_against():
    table = advice_table(USUAL | ANSWERS | {"prompt": "good enough", "examples": 2500}, board(C09="holds"))
    assert set(table["advice"]) == {"yes", "against"}
    assert table.set_index("rule").loc["facts-change", "what was measured"].tolist()[0].startswith("C09 holds")
    assert list(table["lever"].unique()) == [PROMPT, RAG, TASK, READER, FACTS, MORE]
    assert set(table.loc[table["lever"] == FACTS, "advice"]) == {"against"}


def test_with_the_committed_scoreboard_every_rule_has_its_lines():
    committed = load_scoreboard()
    for rule in load_rules()["rules"]:
        assert len(evidence(rule, committed)) == max(1, len(rule["rests_on"]))


# Errors


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"task": "cooking"}, "'task' is 'cooking': choose one of answers from facts"),
        ({"examples": -1}, "'examples' is -1: give a whole number from 0 to 1,000,000."),
        ({"examples": True}, "'examples' is True: give a whole number"),
        ({"examples": 2.5}, "'examples' is 2.5: give a whole number"),
        ({"colour": "blue"}, "There is no question 'colour'; the helper asks for task, "),
    ],
)
def test_an_answer_that_does_not_fit_is_told(changes, told):
    with pytest.raises(SituationError) as caught:
        advise(USUAL | changes)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_answer_is_told():
    with pytest.raises(SituationError, match="'prompt' is missing: Did a prompt do it"):
        advise({name: value for name, value in USUAL.items() if name != "prompt"})


def changed(**rule):
    content = json.loads(json.dumps(load_rules()))
    content["rules"][0] |= rule
    return content


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (changed(advise=["magic"]), "there is no lever 'magic'"),
        (changed(when=[{"of": "colour", "is": ["blue"]}]), "there is no question 'colour'"),
        (changed(when=[{"of": "examples", "is": ["many"]}]), "'examples' is asked with a number"),
        (changed(when=[{"of": "task", "at_least": 3}]), "'task' is asked with options"),
        (changed(when=[{"of": "task", "is": ["cooking"]}]), "'task' has no such option"),
        (changed(id="citation"), "this id stands twice"),
        (changed(rests_on={"C09": "perhaps"}), "'perhaps' is not one of"),
        (changed(because=""), "rules.0.because"),
    ],
)
def test_damaged_rules_are_told(content, told, tmp_path):
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=told):
        load_rules(path)


def test_a_missing_and_an_unreadable_file(tmp_path):
    with pytest.raises(DataError, match="no such file; expected the rules"):
        load_rules(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(DataError, match="bad.json, line 1: expected JSON"):
        load_rules(tmp_path / "bad.json")


# Widget


def test_the_widget_answers_to_every_change():
    helper = DecisionHelper(board(C24="holds"), USUAL)
    assert helper.situation == USUAL and f"→ {RAG}" not in helper.result.value
    helper.controls["must_cite"].value = "yes"
    assert f"→ {RAG}" in helper.result.value and "C24 holds" in helper.result.value
    helper.controls["task"].value = "answers from facts"
    helper.controls["must_cite"].value = "no"
    assert "→" not in helper.result.value and f"not {READER}" in helper.result.value


def test_the_widget_escapes_what_it_shows():
    shown = advice_html(USUAL | {"must_cite": "yes"}, board(C24="holds").replace("12% [10, 14]", "<b>x</b>"))
    assert "<b>x</b>" not in shown and "&lt;b&gt;x&lt;/b&gt;" in shown
