"""The record of notebook 02's settings: of this data and this model, chosen on validation, and true to its script."""

import json

import pytest
import record_script

COMMAND = "python benchmarks/record_small_finetune.py"


@pytest.fixture(scope="module")
def script():
    return record_script.script("record_small_finetune")


@pytest.fixture(scope="module")
def record(script):
    if not script.RESULT.is_file():
        pytest.fail(f"There is no record of notebook 02's settings: run '{COMMAND}'.", pytrace=False)
    return json.loads(script.RESULT.read_text(encoding="utf-8"))


def test_the_record_is_of_this_data_and_model(record, script):
    for name, run in record["runs"].items():
        assert run["data"] == script.identity(run["settings"]), f"The data of '{name}' changed since: run '{COMMAND}'."
    assert record["command"] == COMMAND


def test_every_run_is_of_the_settings_in_the_file(record, script):
    """Each run's settings are the file's, but for what its name says was tried."""
    settings = script.load_settings()
    for name, run in record["runs"].items():
        changed = [part for part, used in run["settings"].items() if used != settings[part]]
        assert all(part in name for part in changed), f"'{name}' has other {changed}: run '{COMMAND}'."


@pytest.mark.parametrize("part", ["scratch", "continued"])
def test_the_learning_rate_is_the_best_of_those_tried_on_validation(record, script, part):
    tried = {
        run["settings"][part]["learning_rate"]: run["curve"][-1][1]
        for name, run in record["runs"].items()
        if name.startswith(f"validation, {part}, learning rate")
    }
    assert len(tried) >= 3
    assert min(tried, key=tried.get) == script.load_settings()[part]["learning_rate"]


def test_the_learning_rate_of_the_answers_is_the_best_of_those_tried_on_validation(record, script):
    """By right answers, which ask for the form as well."""
    tried = {
        run["settings"]["answers"]["learning_rate"]: run["after, right"][0]
        for name, run in record["runs"].items()
        if name.startswith("validation, answers, learning rate")
    }
    assert len(tried) >= 3
    assert max(tried, key=tried.get) == script.load_settings()["answers"]["learning_rate"]


def test_several_seeds_were_run_on_the_test_texts(record, script):
    for kind in ("compute", "replay 0", f"replay {script.load_settings()['replay']}", "answers"):
        assert {f"test, {kind}, seed {seed}" for seed in script.SEEDS} <= set(record["runs"])


@pytest.mark.slow
def test_a_run_comes_out_again(record, script):
    """The first seed's continued run, once more: the loss on the shop's test texts is what the record says."""
    name = "test, replay 0, seed 0"
    again = script.forgotten(script.Bench(), record["runs"][name]["settings"], 0, "test")
    for measure in ("rise on general text", "loss on shop text"):
        assert again[measure].mean == pytest.approx(record["runs"][name][measure][0], abs=0.03)
