"""A recorded grid goes on where it stopped, and begins anew when what decides its runs has changed."""

import json

import pytest

from finetune_course.grid_record import GridRecord, load_record, outcome_bits, outcomes
from finetune_course.triage import FIELDS, label_text, load_split


def test_a_run_is_made_once(tmp_path, capsys):
    path, made = tmp_path / "grid.json", []

    def make():
        made.append(1)
        return {"value": len(made)}

    record = GridRecord(path, "python make.py", steps=(1, 2))
    assert record.once(make, size=10, seed=0)["value"] == 1
    assert record.once(make, size=10, seed=1)["value"] == 2
    again = GridRecord(path, "python make.py --again", steps=(1, 2))
    assert again.once(make, size=10, seed=0)["value"] == 1 and len(made) == 2
    assert "'size': 10" in capsys.readouterr().out
    stored = load_record("grid", tmp_path)
    assert [run["seed"] for run in stored["runs"]] == [0, 1]
    assert {"cpu_seconds", "value", "size"} <= stored["runs"][0].keys()
    assert stored["settings"]["steps"] == [1, 2] and stored["settings"]["versions"]["torch"]


def test_two_processes_add_to_one_file(tmp_path, capsys):
    path = tmp_path / "grid.json"
    one, other = GridRecord(path, "a", steps=3), GridRecord(path, "b", steps=3)
    one.once(lambda: {"value": 1}, seed=0)
    other.once(lambda: {"value": (2, 3)}, seed=1)
    one.once(lambda: {"value": 3}, seed=2)
    assert [run["value"] for run in load_record("grid", tmp_path)["runs"]] == [1, [2, 3], 3]
    assert other.once(None, seed=2)["value"] == 3, "what another process has made is not made again"
    other.refresh()
    assert other.runs == load_record("grid", tmp_path)["runs"] == one.runs


def test_other_settings_begin_anew(tmp_path, capsys):
    path = tmp_path / "grid.json"
    GridRecord(path, "a", steps=3).once(lambda: {}, seed=0)
    assert GridRecord(path, "b", steps=3).runs and not GridRecord(path, "a", steps=4).runs
    assert json.loads(path.read_text())["runs"], "nothing is written before a run is done"


def test_there_may_be_no_record_yet(tmp_path):
    assert load_record("grid", tmp_path) is None


def test_another_folder_can_be_named(tmp_path, monkeypatch):
    (tmp_path / "grid.json").write_text('{"runs": []}')
    monkeypatch.setenv("FINETUNE_COURSE_RESULTS", str(tmp_path))
    assert load_record("grid") == {"runs": []}


def test_outcomes_are_averaged_over_seeds_and_over_fields():
    rows = load_split("validation")[:2]
    wrong = label_text(rows[1]["label"] | {"mood": "happy" if rows[1]["label"]["mood"] != "happy" else "upset"})
    runs = [
        {"test": outcome_bits([label_text(row["label"]) for row in rows], rows)},
        {"test": outcome_bits([label_text(rows[0]["label"]), wrong], rows)},
    ]
    assert outcomes(runs).tolist() == [1.0, 0.5]
    assert outcomes(runs[1:], "fields").tolist() == pytest.approx([1.0, 0.8])
    assert outcomes(runs, "mood").tolist() == [1.0, 0.5]
    with pytest.raises(ValueError, match="no run to average"):
        outcomes([])


def test_outcomes_are_one_sign_a_message():
    rows = load_split("validation")[:3]
    answers = [label_text(rows[0]["label"]), "no", label_text(rows[2]["label"] | {"mood": "happy", "urgency": "low"})]
    bits = outcome_bits(answers, rows)
    assert list(bits) == ["valid", "exact", *FIELDS]
    assert bits["valid"] == "101" and bits["category"] == "101" and bits["exact"][:2] == "10"
