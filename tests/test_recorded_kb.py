"""The records of notebook 10: of this data and these settings, complete, chosen on validation, and their adapters."""

import json
import math

import pytest
from record_script import script
from test_recorded_results import absolute_paths, within
from transformers import AutoTokenizer

from finetune_course.adapters import shipped_adapter
from finetune_course.comparison_table import (
    BOTH,
    SEARCH,
    citations,
    cited_of_answered,
    difference,
    first_pieces,
    gather,
    gives,
    share_interval,
)
from finetune_course.comparison_verdicts import FACTS
from finetune_course.curation_grid import from_bits
from finetune_course.evaluate import paired_difference
from finetune_course.grid_record import load_record
from finetune_course.kb_bench import kb_settings
from finetune_course.kb_questions import is_right, load_kb_questions, load_terms
from finetune_course.levers import LEVERS
from finetune_course.qa_arms import ARMS, ONE_BY_ONE, arm, ask, token_counter
from finetune_course.reader import load_fact_rows, training_hash
from finetune_course.retrieved import load_retrieved
from finetune_course.training import triage_settings
from finetune_course.voice import load_split
from finetune_course.voice_scorer import score_table
from finetune_course.weights import weights

READER, SEEDS = "LoRA reader + RAG", kb_settings()["seeds"]
QUESTIONS = 24  # asked again: the first ones of the test


def record(name):
    found = load_record(name)
    if found is None:
        pytest.fail(f"There is no record benchmarks/results/{name}.json.", pytrace=False)
    return found


def part(found, name):
    return [run for run in found["runs"] if run["part"] == name]


def right(answers, questions, version="v1"):
    return sum(is_right(text, question, version) for text, question in zip(answers, questions, strict=True))


@pytest.mark.parametrize("name", ["kb_reader", "kb_facts", "kb_comparison"])
def test_records_are_full_runs_on_today_s_search_without_paths_of_a_machine(name):
    found = record(name)
    assert not found["settings"]["tiny"] and not absolute_paths(found)
    assert found["settings"]["search"] == load_retrieved().settings["pages_sha256"]
    assert found["settings"]["room"] == kb_settings()["room"]


def test_the_reader_s_record_is_of_this_data_and_these_settings():
    found = record("kb_reader")
    assert found["settings"]["data_sha256"] == training_hash(script("record_reader").ROWS)
    assert found["settings"]["settings"] == kb_settings()["reader"]
    tested = {(run["arm"], run.get("seed")) for run in part(found, "test")}
    assert tested == {(name, None) for name in script("record_reader").RAW} | {(READER, seed) for seed in SEEDS}


def test_the_reader_s_passes_and_pieces_are_those_that_validation_chose():
    found, validation = record("kb_reader"), load_kb_questions("validation")
    trials = part(found, "choose")
    assert [run["epochs"] for run in trials] == kb_settings()["reader"]["epochs"]
    for run in trials:
        scores = {number: right(run["by_pieces"][str(number)]["answers"], validation) for number in (1, 2, 3)}
        assert (
            run["pieces"] == max(scores, key=scores.get) and run["validation"] == run["by_pieces"][str(run["pieces"])]
        )
    best = max(trials, key=lambda run: right(run["validation"]["answers"], validation))
    assert {run["epochs"] for run in part(found, "test") if run["arm"] == READER} == {best["epochs"]}
    assert {way.one_by_one for way in ARMS} == {0, best["pieces"]} and best["pieces"] == ONE_BY_ONE
    several = record("kb_reader_several")
    assert several["settings"]["data_sha256"] == training_hash("reader_train")
    assert {tuple(run["by_pieces"]) for run in part(several, "several")} == {("0", "1")}


def test_the_reader_s_doubts_are_those_of_its_answers():
    """A first token with more than half of the probability is the one that is written."""
    trained = [run for run in part(record("kb_reader"), "test") if run["arm"] == READER]
    for run in (run[version] for run in trained for version in ("v1", "v2")):
        assert len(run["doubts"]) == len(run["answers"]) == len(load_kb_questions("test"))
        assert all(0 <= doubt <= 1 for doubt in run["doubts"]) and len(set(run["doubts"])) > 20
        sure = [text for text, doubt in zip(run["answers"], run["doubts"], strict=True) if doubt > 0.51]
        assert sure and all(text.startswith("Not") for text in sure)


def test_the_facts_record_is_complete_and_its_passes_are_validation_s():
    found, validation = record("kb_facts"), load_kb_questions("validation")
    own = kb_settings()["facts"]
    assert found["settings"]["settings"] == own
    assert found["settings"]["data_sha256"] == {v: training_hash(f"facts_train_{v}") for v in ("v1", "v2")}
    trials = part(found, "choose")
    assert sorted(run["epochs"] for run in trials) == own["epochs"]
    best = max(
        sorted(trials, key=lambda run: run["epochs"]), key=lambda run: right(run["validation"]["answers"], validation)
    )
    assert {run["seed"]: run["epochs"] for run in part(found, "test")} == dict.fromkeys(SEEDS, best["epochs"])
    updates = {(run["way"], run["seed"]): run for run in part(found, "update")}
    assert {seed for way, seed in updates if way == "short"} == set(own["update"]["seeds"])
    assert {seed for way, seed in updates if way == "anew"} == set(SEEDS)
    assert updates["anew", 0]["epochs"] == best["epochs"] and updates["anew", 0]["rows"] == len(load_fact_rows("v2"))


def test_the_comparison_s_record_is_complete():
    found, module = record("kb_comparison"), script("record_comparison")
    arms = {name: {run["arm"] for run in part(found, name)} for name in module.PARTS}
    everybody = {way.name for way in ARMS}
    asked_elsewhere = {way.name for way in ARMS if way.adapter} | set(script("record_reader").RAW)
    assert arms["questions"] == everybody - asked_elsewhere and arms["latency"] == everybody
    assert arms["triage"] == arms["voice"] == set(LEVERS)
    for name in ("triage", "voice"):
        assert sorted(run["seed"] for run in part(found, name) if run["arm"] == "LoRA") == list(SEEDS)
    recorded = triage_settings()["recorded"]
    steps = recorded["num_train_epochs"] * math.ceil(recorded["examples"] / recorded["per_device_train_batch_size"])
    assert {run.get("steps") for run in part(found, "triage") if run.get("seed")} == {steps}
    assert {run["threads"] for run in part(found, "latency")} == {2}, "notebook 10 says so"
    assert found["settings"]["voice_sha256"] == module.voice_hash()
    assert found["settings"]["pieces"] == f"the surest of {ONE_BY_ONE}"


def test_every_arm_was_asked_the_shop_s_terms_with_every_seed():
    asked = {}
    for name in ("kb_comparison", "kb_facts", "kb_reader"):
        for run in part(record(name), "terms"):
            assert len(run["v1"]["answers"]) == len(load_terms())
            asked.setdefault(run["arm"], []).append(run.get("seed"))
    assert {name: sorted(seeds, key=str) for name, seeds in asked.items()} == {
        way.name: list(SEEDS) if way.adapter else [None] for way in ARMS
    }


# What notebook 10 says in words


@pytest.fixture(scope="module")
def found():
    count = token_counter(AutoTokenizer.from_pretrained(weights()))
    kept = (record(name) for name in ("kb_reader", "kb_facts", "kb_comparison"))
    return gather(load_kb_questions("test"), load_retrieved(), count, *kept, room=kb_settings()["room"])


@pytest.mark.slow
def test_the_search_alone_is_ahead_as_notebook_10_says(found):
    def gain(a, b, which="answerable", state="before"):
        return difference(found, (a, state), (b, "before"), which)

    assert gain(SEARCH, FACTS).low > 0 > gain(READER, SEARCH).high
    behind_a_search = [way.name for way in ARMS if way.pages]
    assert all(gain(name, SEARCH).low <= 0 for name in behind_a_search)
    assert gain(READER, SEARCH, "all").low <= 0 <= gain(READER, SEARCH, "all").high
    assert all(gain(READER, way.name).low > 0 for way in ARMS if way.pages and way.adapter is None)
    by_seed = [table.loc[table["answerable"], "right"].mean() for table in found[READER, "before"].tables]
    assert max(by_seed) - min(by_seed) > -gain(READER, SEARCH).mean
    plain = (found[name, "before"].of_kind("right", "answerable") for name in (READER, SEARCH))
    assert paired_difference(*plain).high < 0


@pytest.mark.slow
def test_for_a_form_or_a_voice_training_is_far_ahead_of_every_prompt():
    found, exact, voiced = record("kb_comparison"), {}, {}
    for run in part(found, "triage"):
        exact.setdefault(run["arm"], []).append(from_bits([run["plain"]["exact"]]).mean())
    neutral = [pair["neutral"] for pair in load_split("test_handwritten")]
    for run in part(found, "voice"):
        voiced.setdefault(run["arm"], []).append((score_table(run["answers"], neutral)["label"] == "in").mean())
    for scores in (exact, voiced):
        assert min(scores.pop("LoRA")) - max(max(each) for each in scores.values()) > 0.4


@pytest.mark.slow
def test_lines_that_were_not_reached_and_what_became_of_old_facts_are_as_notebook_10_says(found):
    reader, facts, test = found[READER, "before"], found[FACTS, "before"], load_kb_questions("test")
    assert share_interval(cited_of_answered(reader)).high < 0.9
    assert share_interval(reader.per_question("declined", "unanswerable")).high < 0.8
    assert all(citations(reader, seed).mean() > 0.9 for seed in range(len(SEEDS)))
    fresh = ((READER, "updated"), (FACTS, "not updated")), ((READER, "updated"), ("RAG, short rules", "updated"))
    assert all(difference(found, a, b, "changed in v2").low > 0 for a, b in fresh)
    stale = found[FACTS, "not updated"].per_question("right", "changed in v2").mean()
    assert stale < 0.1 < facts.per_question("right", "changed in v2").mean() / 3
    known = gives(facts, test, "v1").any(axis=0)
    with_pages = {
        (state, version): gives(found[BOTH, state], test, version)[:, known].mean()
        for state in ("before", "updated")
        for version in ("v1", "v2")
    }
    assert with_pages["updated", "v2"] < 0.1 and abs(with_pages["updated", "v1"] - with_pages["before", "v1"]) < 0.1
    assert (
        load_retrieved().seconds["update"] < 2
        and min(run["train_cpu_seconds"] for run in part(record("kb_facts"), "update")) > 120
    )


def test_validation_showed_what_notebook_10_says_it_did():
    validation = load_kb_questions("validation")
    (chosen,) = part(record("kb_reader"), "choose")
    first = first_pieces(validation, load_retrieved(), "v1")["answers"]
    assert right(chosen["validation"]["answers"], validation) > right(first, validation)
    facts = {
        run["epochs"]: right(run["validation"]["answers"], validation) for run in part(record("kb_facts"), "choose")
    }
    assert 0.4 < facts[6] / facts[8] < 0.6


# The shipped adapters


@pytest.mark.parametrize(("task", "name"), [("reader", "kb_reader"), ("facts", "kb_facts")])
def test_a_shipped_adapter_is_that_of_the_first_seed_and_small(task, name):
    folder = shipped_adapter(task)
    card = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (first,) = (run for run in part(record(name), "test") if run.get("seed") == 0)
    for key in ("epochs", "train_seconds", "steps", "tokens", "learning_rate"):
        assert card["run"][key] == first[key], key
    assert card["settings"]["data_sha256"] == record(name)["settings"]["data_sha256"]
    assert not absolute_paths(card) and sum(path.stat().st_size for path in folder.iterdir()) < 6_000_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "name", "way"), [("reader", "kb_reader", READER), ("facts", "kb_facts", "LoRA on facts")]
)
def test_a_shipped_adapter_still_scores_what_was_recorded(task, name, way):
    from finetune_course.hardware import inspect_hardware
    from finetune_course.lora_runs import base_model, with_adapter

    hw, test = inspect_hardware(), load_kb_questions("test")
    (first,) = (run for run in part(record(name), "test") if run.get("seed") == 0)
    recorded = (first["v1"] if task == "reader" else first["test"])["answers"]
    model, tokenizer = base_model(hw)
    again = ask(
        arm(way), with_adapter(model, shipped_adapter(task)), tokenizer, test[:QUESTIONS], load_retrieved(),
        room=kb_settings()["room"], batch_size=hw.eval_batch,
    )  # fmt: skip
    now, share = right(again["answers"], test[:QUESTIONS]), right(recorded, test) / len(test)
    assert within(now, share, QUESTIONS, len(test)), f"{now} of {QUESTIONS} right, recorded: {share:.1%} of {len(test)}"
