"""The recording scripts of notebook 07 from end to end, with a tiny random model in place of the real one."""

import copy

import pytest
import torch
from record_script import script
from test_few_rows import SHORT
from test_lower_half import pytestmark  # noqa: F401  (the same library warning is let through)
from tiny_training import tiny_model, tiny_tokenizer

from finetune_course import completion_trainer, few_rows
from finetune_course.curation_grid import rows_hash
from finetune_course.data_rounds import error_kinds, mend
from finetune_course.few_rows import rows_for
from finetune_course.grid_record import load_record
from finetune_course.training import triage_settings
from finetune_course.triage import FIELDS


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def tiny(monkeypatch, model_folder):
    """A function that loads a script with the tiny model and the adapter in the second of its two layers."""
    settings = copy.deepcopy(triage_settings())
    settings["lora"]["layers_to_transform"] = [1]

    def load(name):
        module = script(name)
        for place in (module, few_rows, completion_trainer):
            for attribute, value in (("triage_settings", lambda: settings), ("weights", lambda: str(model_folder))):
                if hasattr(place, attribute):
                    monkeypatch.setattr(place, attribute, value)
        return module

    monkeypatch.setattr("finetune_course.hardware._device", lambda: "cpu")
    monkeypatch.setattr("finetune_course.hardware.measure_rates", lambda device: {"float32": 2.0, "bfloat16": 1.0})
    return load


@pytest.mark.slow
def test_all_four_parts_one_after_the_other(tiny, monkeypatch, tmp_path):
    module = tiny("record_learning_curve")
    monkeypatch.setattr(module, "load_split", lambda name: SHORT)
    plan = module.TINY

    def bench():
        return module.Bench(plan, tmp_path)

    with pytest.raises(SystemExit, match="choose"):
        bench().curve([4], [0])
    bench().choose()
    with pytest.raises(SystemExit, match="run 'curve' first"):
        bench().rounds([0])
    bench().curve(sorted(plan.seeds), [0, 1])
    bench().rounds([0, 1])
    bench().full([0])

    curve = load_record("learning_curve", tmp_path)["runs"]
    points = {(run["size"], run["seed"]): run for run in curve if run["part"] == "curve"}
    assert set(points) == {(4, 0), (6, 0), (6, 1), (10, 0)}
    for (size, seed), run in points.items():
        assert run["rows"] == rows_hash(rows_for(SHORT, size, seed)) and run["rate"] == 1e-3
        assert list(run["test"]) == ["valid", "exact", *FIELDS] and len(run["test"]["exact"]) == plan.messages
        assert ("own_rows" in run) == (seed == 0)
        assert ("general" in run) == ("validation_answers" in run) == (size == plan.start)

    first = rows_for(SHORT, plan.start, 0)
    pool = [row for row in SHORT if row["id"] not in {each["id"] for each in first}]
    wanted = mend(error_kinds(points[6, 0]["validation_answers"], SHORT[: plan.messages]), pool, plan.added, 0)
    rounds = load_record("rounds", tmp_path)["runs"]
    assert [(run["round"], run["seed"]) for run in rounds] == [(2, 0), (3, 0), (2, 1), (3, 1)]
    assert rounds[0]["added"] == [row["id"] for row in wanted]
    assert rounds[0]["rows"] == rows_hash(first + wanted)

    full = load_record("full_fine_tuning", tmp_path)["runs"]
    assert [run["part"] for run in full] == ["choose", "choose", "test"]
    assert full[-1]["rows"] == rows_hash(first) and len(full[-1]["general"]["text_loss"]) == plan.messages

    again = bench()
    monkeypatch.setattr(again.few, "lora", None)  # nothing may be trained a second time
    again.choose()
    again.curve(sorted(plan.seeds), [0, 1])
    again.rounds([0, 1])
    assert load_record("learning_curve", tmp_path)["runs"] == curve


@pytest.mark.slow
def test_conversations_of_every_arm(tiny):
    module = tiny("record_voice_turns")
    chats = {arm: module.prefix_of(arm) for arm in module.ARMS}
    assert [len(chat) for chat in chats.values()] == [1, 1 + 2 * module.EXAMPLES, 1]
    assert len(chats["trained"][0]["content"]) < 40 < len(chats["persona"][0]["content"])
    torch.manual_seed(0)
    for arm in ("persona with examples", "trained"):
        replies = module.talk(arm, 0, tiny=True)["replies"]
        assert [len(talk) for talk in replies] == [2, 2]


def test_a_setting_of_the_small_model():
    module = script("record_small_triage")
    run = module.point(**module.TINY[0], seed=0, messages=2)
    assert len(run["first_losses"]) == 1 and len(run["test"]["valid"]) == len(run["validation"]["exact"]) == 2
    assert len(module.model_hash()) == 64
