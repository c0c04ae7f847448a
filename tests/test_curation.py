"""The messy export and what notebook 04 does with it: builder, key, personal data, label noise, recorded grids."""

import importlib
import json
import random
import re
import sys
from collections import Counter

import numpy as np
import pytest

from finetune_course import curation_grid
from finetune_course.adapters import data_hash
from finetune_course.curation import Curation, export_key, export_lines, pipeline_score
from finetune_course.label_noise import KINDS, MISREAD, as_found, noisy, spoil
from finetune_course.linear_triage import LinearTriage
from finetune_course.paths import course_root, data_path
from finetune_course.personal_data import find_spans, found_table, is_card_number, marked_messages, mask
from finetune_course.token_colours import mask_html, mask_text
from finetune_course.triage import FIELDS, allowed_values, load_split, parse_label

FICTIONAL = re.compile(r"(?:0491570(?:006|110|15[6-9]|313|737)|0[2378](?:5550|7010)\d{4})")
TEST_CARDS = {"4242424242424242", "5555555555554444", "4111111111111111", "378282246310005", "4000056655665556"}


@pytest.fixture(scope="module")
def train():
    return load_split("train")


@pytest.fixture(scope="module")
def recorder():
    """benchmarks/record_curation_grid.py as a module."""
    folder = str(course_root() / "benchmarks")
    sys.path.insert(0, folder)
    try:
        yield importlib.import_module("record_curation_grid")
    finally:
        sys.path.remove(folder)


# The export


def test_the_export_is_what_the_builder_makes(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(data_path()))
    monkeypatch.setattr(sys, "argv", ["build_raw_messages.py", "--check"])
    code = importlib.import_module("build_raw_messages").main()
    assert (code, *capsys.readouterr()) == (0, "The raw export is current.\n", "")


def test_the_key_has_one_entry_for_each_line_and_every_fault_is_there():
    key = export_key()
    assert list(key) == [number for number, _ in export_lines()]
    faults = Counter(fault for entry in key.values() for fault in entry["faults"])
    assert len(faults) == 13 and min(faults.values()) >= 8
    assert sum(not entry["faults"] for entry in key.values()) >= 300


def test_planted_faults_are_real():
    """Broken lines do not parse, wrong labels are valid and differ from the right ones, empty messages are empty."""
    lines, key = dict(export_lines()), export_key()

    def rows(fault):
        return [(number, lines[number], entry) for number, entry in key.items() if fault in entry["faults"]]

    for _, raw, _ in rows("broken line"):
        with pytest.raises(ValueError):
            json.loads(raw)
    for _, raw, _ in rows("wrong encoding"):
        with pytest.raises(UnicodeDecodeError):
            raw.decode("utf-8")
    for _, raw, entry in rows("wrong label"):
        label = json.loads(raw)["label"]
        assert label != entry["right"]
        assert parse_label(json.dumps(label)) and parse_label(json.dumps(entry["right"]))
    for _, raw, _ in rows("empty message"):
        assert len(json.loads(raw)["message"].strip()) <= len("(no text)")
    tested = {row["message"] for row in load_split("test_handwritten")}
    assert sum(json.loads(raw)["message"] in tested for _, raw, _ in rows("copied from the test set")) >= 10


def invented(text):
    """What in the text could belong to somebody."""
    found = [
        mail
        for mail in re.findall(r"[\w.+-]+@[\w.-]+", text)
        if not re.search(r"@(\w+\.)?example\.\w+$", mail.rstrip(".").lower())
    ]
    for run in re.findall(r"\+?\(?\d(?:[ ()-]{0,2}\d){8,}", text):
        digits = re.sub(r"\D", "", run)
        if is_card_number(digits):
            found += [run] if digits not in TEST_CARDS else []
        elif re.match(r"(?:61|0)[23478]", digits) and len(digits) in (10, 11):
            found += [run] if not FICTIONAL.fullmatch(re.sub("^61", "0", digits)) else []
    return found


def test_all_personal_data_is_invented():
    texts = [raw.decode("cp1252", errors="replace") for _, raw in export_lines()]
    texts += [text for text, _ in marked_messages()]
    assert {text: found for text in texts if (found := invented(text))} == {}


@pytest.mark.parametrize("text", ["ring 0412 345 678", "jo@post.org", "4000 0000 0000 0002", "(02) 9374 4000"])
def test_real_personal_data_would_be_found(text):
    assert invented(text)


# Personal data


def test_marks_become_spans():
    messages = marked_messages()
    assert len(messages) >= 50
    kinds = Counter(kind for _, spans in messages for kind, _, _ in spans)
    assert set(kinds) == {"phone", "email", "card", "name", "address", "other"} and kinds["name"] >= 10
    assert not any("[" in text for text, _ in messages)
    text, ((kind, start, end),) = messages[0]
    assert (kind, text[start:end]) == ("phone", "0491 570 156")


def test_a_span_covered_in_part_is_not_found():
    patterns = {"phone": r"0491 \d+", "card": r"\d[\d ]{11,}\d"}
    table = found_table(patterns, [("ring 0491 570 156", [("phone", 5, 17)]), ("see 0491 1", [])])
    assert list(table.columns) == ["labelled", "found", "in part", "missed", "masks", "too much"]
    assert table.loc["phone"].tolist() == table.loc["all"].tolist() == [1, 0, 1, 0, 2, 1]
    assert find_spans("1234 5678 9012 3456", patterns) == []


def test_spans_are_counted_each_for_itself():
    """One message: a span found under another kind's mask, one missed, and a mask that hides a word more."""
    text = "Bo, 0491 570 156, now a@example.org or"
    spans = [("name", 0, 2), ("phone", 4, 16), ("email", 22, 35)]
    table = found_table({"digits": r"\d[\d ]+\d", "email": r"\S+@\S+ or"}, [(text, spans)])
    assert table.loc["name"].tolist() == [1, 0, 0, 1, 0, 0]
    assert table.loc["phone"].tolist() == [1, 1, 0, 0, 0, 0]
    assert table.loc["email"].tolist() == [1, 1, 0, 0, 1, 1]
    assert table.loc["digits"].tolist() == [0, 0, 0, 0, 1, 0]
    assert table.loc["all"].tolist() == [3, 2, 0, 1, 2, 1]


def test_the_key_says_where_personal_data_was_planted():
    lines, key = dict(export_lines()), export_key()
    planted = {line: entry["spans"] for line, entry in key.items() if "spans" in entry}
    assert list(planted) == [line for line, entry in key.items() if "personal data" in entry["faults"]]
    for line, spans in planted.items():
        message = json.loads(lines[line])["message"]
        parts = {kind: message[start:end] for kind, start, end in spans}
        assert len(parts) == len(spans) >= 1 and set(parts) <= {"name", "email", "phone", "card", "address"}
        for kind, part in parts.items():
            assert ("@" in part) == (kind == "email") and part.istitle() == (kind == "name")
            assert is_card_number(part) == (kind == "card") and bool(re.search(r"Lane|Rise|Box", part)) == (
                kind == "address"
            )


def test_masking_replaces_spans_from_the_end():
    assert mask("a 12 b 345", [("x", 2, 4), ("y", 7, 10)]) == "a <x> b <y>"


# Label noise


def test_spoilt_labels_are_valid_and_wrong(train):
    rng = random.Random(1)
    for row in train[:200]:
        careless = spoil(row["label"], "careless", rng)
        assert sum(careless[field] != row["label"][field] for field in FIELDS) == 2
        assert all(careless[field] in allowed_values(field) for field in FIELDS if field != "order_id")
        misread = spoil(row["label"], "misread", rng)
        assert spoil(row["label"], "misread", random.Random(9)) == misread, "misread mistakes are always the same"
    for field, changes in MISREAD.items():
        assert set(changes) | set(changes.values()) <= set(allowed_values(field))


@pytest.mark.parametrize("kind", KINDS)
def test_noise_has_the_share_that_was_asked_for(train, kind):
    rows = train[:300]
    few, many = noisy(rows, 0.1, kind), noisy(rows, 0.3, kind)
    changed = [
        {row for row, (a, b) in enumerate(zip(rows, some, strict=True)) if a["label"] != b["label"]}
        for some in (few, many)
    ]
    assert [len(some) for some in changed] == [30, 90] and changed[0] < changed[1]
    assert [row["message"] for row in many] == [row["message"] for row in rows]
    assert noisy(rows, 0.0, kind) == rows


def test_bad_noise_is_refused(train):
    with pytest.raises(ValueError, match="no kind of label noise"):
        spoil(train[0]["label"], "random", random.Random(0))
    with pytest.raises(ValueError, match="from 0 to 1"):
        noisy(train[:5], 1.5, "careless")
    easy = [row for row in train if spoil(row["label"], "misread", random.Random(0)) == row["label"]][:5]
    with pytest.raises(ValueError, match="can be spoiled"):
        noisy(easy, 1, "misread")


def test_the_arms_differ_in_care_and_amount_alone(train):
    right = {row["id"]: row["label"] for row in train}
    found, cleaned, curated = (curation_grid.rows_of(arm, train, 0) for arm in ("as found", "cleaned", "curated"))
    assert (len(found), len(curated)) == (curation_grid.LARGE, curation_grid.SMALL)
    assert len(found) == 5 * len(curated)
    assert {row["id"] for row in found} == {row["id"] for row in cleaned} > {row["id"] for row in curated}
    assert len(cleaned) == len({row["id"] for row in cleaned}) == round(0.85 * len(found))
    assert all(row["label"] == right[row["id"]] for row in (*cleaned, *curated))
    wrong = sum(row["label"] != right[row["id"]] for row in found) / len(found)
    assert 0.35 < wrong < 0.45
    assert found == curation_grid.rows_of("as found", train, 0) != curation_grid.rows_of("as found", train, 1)
    assert all(row["label"] == right[row["id"]] for row in train), "the training rows themselves were changed"
    with pytest.raises(ValueError, match="different ones"):
        as_found(train[:10], 20)


# The books


def test_the_books_of_a_pipeline():
    work = Curation([{"line": 1, "message": "a"}, {"line": 2, "message": "bb"}, {"line": 3, "message": "ccc"}])
    work.drop("short", lambda row: "one letter" if len(row["message"]) < 2 else None)
    work.mend("capitals", lambda row: {**row, "message": row["message"].upper()} if row["line"] == 2 else None)
    work.drop_lines("leak", {3: "in the test set"})
    assert work.rows == [{"line": 2, "message": "BB"}]
    report = work.report()
    assert report[["rows in", "dropped", "mended"]].to_numpy().tolist() == [[3, 1, 0], [2, 0, 1], [2, 1, 0]]
    assert report["commonest reason"].tolist() == ["one letter", "capitals", "in the test set"]
    key = {1: {"faults": ["x"]}, 2: {"faults": []}, 3: {"faults": ["x", "y"]}, 4: {"faults": []}}
    table = pipeline_score(key, work.log)
    assert table.loc["x"].tolist() == [2, 2, 0, 0]
    assert table.loc["y"].tolist() == [1, 1, 0, 0]
    assert table.loc["(good)"].tolist() == [2, 0, 1, 1]
    with pytest.raises(ValueError, match="has run already"):
        work.drop_lines("leak", {})


def test_a_fault_counts_as_mended_by_its_own_rule_only():
    work = Curation([{"line": 1, "message": "a"}, {"line": 2, "message": "b"}])
    work.mend("personal data", lambda row: {**row, "message": "<name>"})
    table = pipeline_score({1: {"faults": ["personal data"]}, 2: {"faults": ["wrong label"]}}, work.log)
    assert table.loc["personal data"].tolist() == [1, 0, 1, 0]
    assert table.loc["wrong label"].tolist() == [1, 0, 0, 1]


def test_the_mask_in_html_and_in_text():
    pieces, learned = ["<|im_start|>", "hi\n", '{"a"', ":1}"], [False, False, True, True]
    page, text = mask_html(pieces, learned), mask_text(pieces, learned)
    assert text == '<|im_start|>hi\n⟦{"a":1}⟧'
    assert page.count("<mark ") == 2 and page.count("<span ") == 2
    assert "&lt;|im_start|&gt;" in page and "aria-label=" in page and page.count("<br>") == 1
    for style in re.findall(r'<(?:mark|span) style="([^"]*)"', page):
        assert "background:" in style and ";color:" in style  # both set: readable in light and in dark themes
    with pytest.raises(ValueError, match="one label"):
        mask_html(pieces, [True])


def test_the_linear_classifier_learns_and_fills_every_field(train):
    model = LinearTriage(pieces=False).fit(train[:400])
    answers = model.answers(train[:40])
    assert all(parse_label(answer) for answer in answers)
    assert np.mean([parse_label(answer) == row["label"] for answer, row in zip(answers, train, strict=False)]) > 0.8
    with pytest.raises(ValueError, match="no records"):
        LinearTriage().fit([])


# The recorded grids


def recorded(name):
    grid = curation_grid.load_grid(name)
    if grid is None:
        pytest.fail(f"Record it with 'python benchmarks/record_curation_grid.py {name}'.", pytrace=False)
    return grid


@pytest.mark.parametrize("name", ["linear", "lora"])
def test_the_grids_are_of_this_data_and_complete(name, recorder):
    grid = recorded(name)
    for split, digest in grid["settings"]["data_sha256"].items():
        assert digest == data_hash(split), f"The data changed since: {grid['settings']['command']}"
    sizes = {split: len(load_split(split)) for split in recorder.SETS}
    for run in grid["runs"]:
        for split, size in sizes.items():
            assert len(run[split]) == size and set(run[split]) <= {"0", "1"}
    if name == "linear":
        points = {(run["size"], run["kind"], run["share"], run["seed"]) for run in grid["runs"]}
        per_size = (1 + len(KINDS) * (len(recorder.SHARES) - 1)) * len(recorder.SEEDS)
        assert len(points) == len(grid["runs"]) == len(recorder.SIZES) * per_size
    else:
        settings = grid["settings"]
        assert (settings["usual"], settings["variants"]) == (curation_grid.USUAL, curation_grid.VARIANTS)
        runs = {(run["name"], run["seed"]) for run in grid["runs"]}
        wanted = [*curation_grid.ARMS, settings["best_variant"]]
        assert {(name, seed) for name in wanted for seed in recorder.SEEDS} <= runs
        tried = {
            name: run for run in grid["runs"] if run["seed"] == 0 and (name := run["name"]) in curation_grid.VARIANTS
        }
        best = max(run["validation_handwritten"].count("1") for run in tried.values())
        assert tried[settings["best_variant"]]["validation_handwritten"].count("1") == best


def test_a_point_of_the_linear_grid_again(recorder, train):
    stored = recorded("linear")["runs"]
    wanted = next(
        run for run in stored if (run["size"], run["kind"], run["share"], run["seed"]) == (160, "misread", 0.4, 1)
    )
    again = recorder.linear_point(train, 160, "misread", 0.4, 1)
    assert again["rows"] == wanted["rows"]
    for split in recorder.SETS:  # another processor may round a tie the other way
        assert sum(a != b for a, b in zip(again[split], wanted[split], strict=True)) <= 2


@pytest.mark.parametrize("arm", curation_grid.ARMS)
def test_the_lora_grid_s_rows_again(train, arm):
    for run in recorded("lora")["runs"]:
        if run["arm"] == arm:
            assert curation_grid.rows_hash(curation_grid.rows_of(arm, train, run["seed"])) == run["rows_sha256"]


@pytest.mark.slow
def test_the_first_steps_of_a_lora_run_again(recorder, train):
    """Three steps of the curated run: the same losses, to what number formats and processors leave."""
    wanted = next(run for run in recorded("lora")["runs"] if (run["name"], run["seed"]) == ("curated", 0))
    grid = recorder.Lora({"curated 0": curation_grid.rows_of("curated", train, 0)}, {})
    settings = curation_grid.settings_of("curated")
    stage, whole = grid.stage, grid.stage.train

    def three_steps(rate, name, only):
        return first_steps(stage, rate, name, only, 3)

    stage.train = three_steps
    losses = curation_grid.train_category(stage, "curated 0", 0, **settings)
    stage.train = whole
    assert losses == pytest.approx(wanted["first_losses"], rel=0.03)


def first_steps(stage, rate, name, only, count):
    """The first ``count`` steps of a run of ``len(only)`` steps: the learning rate rises as in the whole run."""
    import torch
    from torch.nn.functional import cross_entropy

    from finetune_course.lora_layer import trained
    from finetune_course.short_runs import _ramp

    adam = torch.optim.AdamW(trained(stage.model), lr=rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, _ramp(len(only)))
    losses = []
    for place in only[:count]:
        scores, right, _ = stage.logits(*stage.sets[name][place])
        loss = cross_entropy(scores, right)
        loss.backward()
        adam.step()
        schedule.step()
        adam.zero_grad()
        losses.append(loss.item())
    return losses
