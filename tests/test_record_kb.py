"""The recording scripts of notebook 10 from end to end, with a tiny random model in place of the real one."""

import contextlib
import copy
import dataclasses
import json
from dataclasses import replace

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from record_script import script
from test_lower_half import pytestmark  # noqa: F401  (the same library warning is let through)
from tiny_training import tiny_model, tiny_tokenizer

from finetune_course import lora_runs, qa_arms, reader
from finetune_course.generation import Answers
from finetune_course.grid_record import load_record
from finetune_course.hardware import Hardware
from finetune_course.kb_questions import SPLITS, load_kb_questions, load_terms
from finetune_course.knowledge_base import VERSIONS, load_pages
from finetune_course.levers import Nearest, asked_otherwise, other_formats, voice_prompts
from finetune_course.lora_runs import adapter_about, save_adapter, train_lora, with_adapter
from finetune_course.qa_arms import ARMS, arm, ask, ask_both, prefix, scored, token_counter
from finetune_course.reader import as_row, load_fact_rows, load_reader_rows, prompt_completion
from finetune_course.retrieval_chunks import by_sentences
from finetune_course.retrieved import NAME, Retrieved, dump, load_retrieved
from finetune_course.training import triage_settings

CPU = {"bf16": False, "fp16": False, "use_cpu": True}
HW = Hardware("cpu", "test", torch.float32, CPU, 8.0, 1, "standard", 4, False, {}, [])


@pytest.fixture(scope="module")
def retrieved():
    """For every question the first two pieces of its gold pages, or of the first page."""
    pieces = {version: by_sentences(load_pages(version), 1) for version in VERSIONS}
    found = {version: {} for version in VERSIONS}
    for question in [question for split in SPLITS for question in load_kb_questions(split)] + load_terms():
        for version in VERSIONS:
            pages = question.gold[version].pages or ("delivery",)
            names = [piece.id for piece in pieces[version] if piece.page in pages]
            found[version][question.id] = names[:2]
    rows = {version: {piece.id: as_row(piece) for piece in pieces[version]} for version in VERSIONS}
    return Retrieved({"pages_sha256": "x"}, found, {"set up": 1.0, "update": 0.1, "a search": 0.01}, rows)


@pytest.fixture
def tiny(monkeypatch, tmp_path, retrieved):
    """A function that loads a script with the tiny model and the adapter in the second of its two layers."""
    tiny_model().save_pretrained(tmp_path / "model")
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    settings = copy.deepcopy(triage_settings())
    settings["lora"]["layers_to_transform"] = [1]
    monkeypatch.setattr(lora_runs, "weights", lambda: str(tmp_path / "model"))
    monkeypatch.setattr(lora_runs, "triage_settings", lambda: settings)

    def load(name):
        module = script(name)
        for attribute, value in {
            "inspect_hardware": lambda profile: HW,
            "load_retrieved": lambda: retrieved,
            "triage_settings": lambda: settings,
        }.items():
            if hasattr(module, attribute):
                monkeypatch.setattr(module, attribute, value)
        return module

    return load


def rows(count=6):
    return sorted((prompt_completion(row) for row in load_fact_rows()), key=lambda row: len(str(row)))[:count]


def lora_weights(model):
    return torch.cat([value.detach().flatten() for name, value in model.named_parameters() if ".lora_" in name])


@pytest.mark.slow
def test_a_run_repeats_itself_and_is_kept_and_loaded_as_it_was(tiny, tmp_path):
    module = tiny("record_facts")
    model, tokenizer = lora_runs.base_model(HW)
    settings = {"seed": 3, "epochs": 1, "learning_rate": 0.01, "batch": 2, "max_length": 2000}
    first = train_lora(model, tokenizer, rows(), HW, **settings)
    again = train_lora(lora_runs.base_model(HW)[0], tokenizer, rows(), HW, **settings)
    assert first.steps == 3 and first.tokens > 0
    assert torch.equal(lora_weights(first.model), lora_weights(again.model))
    save_adapter(first.model, tmp_path / "kept", {"seed": 3})
    assert adapter_about(tmp_path / "kept") == {"seed": 3}
    config = json.loads((tmp_path / "kept" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == lora_runs.BASE and str(tmp_path) not in json.dumps(config)
    loaded = with_adapter(lora_runs.base_model(HW)[0], tmp_path / "kept", trainable=True)
    torch.testing.assert_close(lora_weights(loaded), lora_weights(first.model), atol=1e-2, rtol=1e-2)
    before = lora_weights(loaded).clone()
    further = train_lora(loaded, tokenizer, rows(), HW, **settings)
    assert not torch.equal(before, lora_weights(further.model)), "an adapter that is there is trained further"
    assert len([name for name, _ in further.model.named_parameters() if ".lora_A" in name]) == 7
    assert module.changed_rows([], [], 1, 0) == []
    seen = []

    def stop(done, so_far):
        seen.append((done, so_far.steps, so_far.cost()["tokens"]))
        return done == 2

    long = settings | {"epochs": 4}
    ended = train_lora(lora_runs.base_model(HW)[0], tokenizer, rows(), HW, **long, after_epoch=stop)
    assert [each[:2] for each in seen] == [(1, 3), (2, 6)] and ended.steps == 6 and not ended.model.training
    assert seen[1][2] == 2 * seen[0][2] == ended.tokens == 2 * first.tokens


@pytest.mark.slow
def test_in_bfloat16_a_run_without_pefts_cast_is_the_same_to_the_last_bit(tiny, monkeypatch):
    tiny("record_facts")
    fast = dataclasses.replace(HW, dtype=torch.bfloat16, precision=CPU | {"bf16": True})
    settings = {"seed": 3, "epochs": 1, "learning_rate": 0.01, "batch": 2, "max_length": 2000}
    cast = []

    def watched(layer, x, dtype):
        cast.append(x.dtype != dtype and layer.cast_input_dtype_enabled)
        return stock(layer, x, dtype)

    stock = BaseTunerLayer._cast_input_dtype
    monkeypatch.setattr(BaseTunerLayer, "_cast_input_dtype", watched)
    model, tokenizer = lora_runs.base_model(fast)
    without = train_lora(model, tokenizer, rows(), fast, **settings)
    assert cast and not any(cast)
    assert all(layer.cast_input_dtype_enabled for layer in without.model.modules() if isinstance(layer, BaseTunerLayer))
    monkeypatch.setattr(lora_runs, "disable_input_dtype_casting", lambda model, active: contextlib.nullcontext())
    with_it = train_lora(lora_runs.base_model(fast)[0], tokenizer, rows(), fast, **settings)
    assert any(cast) and torch.equal(lora_weights(without.model), lora_weights(with_it.model))


class PulledOut(Exception):
    """Somebody pulled the plug."""


@pytest.mark.slow
def test_an_interrupted_run_goes_on_from_its_last_pass_and_ends_as_an_uninterrupted_one(tiny, tmp_path):
    tiny("record_facts")
    _, tokenizer = lora_runs.base_model(HW)
    settings = {"seed": 3, "epochs": 3, "learning_rate": 0.01, "batch": 2, "max_length": 2000}
    whole = train_lora(lora_runs.base_model(HW)[0], tokenizer, rows(), HW, **settings)
    seen = []

    def pull(done, so_far):
        seen.append(done)
        if done == 2:
            raise PulledOut
        return False

    own = settings | {"checkpoints": tmp_path / "running"}
    with pytest.raises(PulledOut):
        train_lora(lora_runs.base_model(HW)[0], tokenizer, rows(), HW, **own, after_epoch=pull)
    before = json.loads((tmp_path / "running" / "seconds.json").read_text())
    goes_on = train_lora(
        lora_runs.base_model(HW)[0], tokenizer, rows(), HW, **own, after_epoch=lambda done, run: seen.append(done)
    )
    assert seen == [1, 2, 2, 3] and goes_on.steps == whole.steps == 9 and goes_on.tokens == whole.tokens
    assert torch.equal(lora_weights(goes_on.model), lora_weights(whole.model))
    assert 0 < before[0] < goes_on.seconds and 0 < before[1] < goes_on.cpu_seconds


def test_rows_that_do_not_fit_and_missing_adapters_are_refused_in_one_sentence(tiny, tmp_path):
    tiny("record_facts")
    model, tokenizer = lora_runs.base_model(HW)
    settings = {"seed": 0, "epochs": 1, "learning_rate": 0.01, "batch": 2}
    with pytest.raises(ValueError, match="max_length is 20: raise it"):
        train_lora(model, tokenizer, rows(), HW, max_length=20, **settings)
    with pytest.raises(ValueError, match="no rows to train on"):
        train_lora(model, tokenizer, [], HW, max_length=20, **settings)
    with pytest.raises(FileNotFoundError, match="no adapter in the folder 'nothing'"):
        with_adapter(model, tmp_path / "nothing")


@pytest.mark.slow
def test_the_reader_is_chosen_and_scored_once(tiny, tmp_path, monkeypatch):
    module = tiny("record_reader")

    def bench():
        return module.Bench(tmp_path, True, tmp_path / "adapters")

    with pytest.raises(SystemExit, match="'choose' first"):
        bench().score([0])
    bench().choose()
    bench().raw()
    bench().score([0, 1])
    bench().name_terms([0, 1])
    bench().several()
    stored, tried = load_record("kb_reader", tmp_path), 2
    parts = [(run["part"], run.get("arm"), run.get("seed")) for run in stored["runs"]]
    assert parts == [("choose", None, None)] * tried + [
        ("test", "RAG, short rules", None), ("test", "RAG, long rules", None),
        ("test", module.READER, 0), ("test", module.READER, 1),
        ("terms", module.READER, 0), ("terms", module.READER, 1),
    ]  # fmt: skip
    for run in stored["runs"][:tried]:
        assert set(run["by_pieces"]) == {"1", "2", "3"} and run["validation"] == run["by_pieces"][str(run["pieces"])]
    several = load_record("kb_reader_several", tmp_path)
    assert several["settings"]["data_sha256"] != stored["settings"]["data_sha256"] and len(several["runs"]) == 2
    for run in several["runs"]:
        assert set(run["by_pieces"]) == {"0", "1"} and len(run["by_pieces"]["0"]["answers"]) == 3
    assert {len(run["v1"]["answers"]) for run in stored["runs"][-2:]} == {3}
    for run in stored["runs"][tried:-2]:
        assert all(len(run[version]["answers"]) == 3 and run[version]["prompt_tokens"] > 0 for version in VERSIONS)
    trials, first = stored["runs"][:tried], stored["runs"][tried + 2]
    assert [run["steps"] for run in trials] == [1, 2], "one run of two passes, looked at after each"
    assert first["train_seconds"] == trials[first["epochs"] - 1]["train_seconds"], "the chosen run is not repeated"
    assert stored["runs"][tried + 3]["epochs"] == first["epochs"] == bench().chosen()
    assert len(stored["settings"]["data_sha256"]) == 64 and stored["settings"]["versions"]["torch"]
    monkeypatch.setattr(lora_runs, "train_lora", None)  # nothing may be trained a second time
    bench().choose()
    bench().raw()
    bench().score([0, 1])
    bench().name_terms([0, 1])
    bench().several()
    assert load_record("kb_reader", tmp_path) == stored and load_record("kb_reader_several", tmp_path) == several
    (tmp_path / "kb_reader.json").unlink()
    bench().choose()  # from the adapters that are kept
    assert [run["validation"]["answers"] for run in load_record("kb_reader", tmp_path)["runs"]] == [
        run["validation"]["answers"] for run in trials
    ]
    changed = bench()
    changed.own = changed.own | {"learning_rate": 0.5}
    with pytest.raises(TypeError):  # an adapter of another training is not taken for this one's
        changed.trial(1)


@pytest.mark.slow
def test_the_facts_are_learned_and_brought_up_to_date_in_both_ways(tiny, tmp_path):
    module = tiny("record_facts")
    bench = module.Bench(tmp_path, True, tmp_path / "adapters")
    bench.choose()
    bench.score([0])
    bench.name_terms([0])
    bench.update([0, 1], list(module.WAYS))
    runs, tried = load_record("kb_facts", tmp_path)["runs"], 2
    assert [(run["arm"], run["seed"], len(run["v1"]["answers"])) for run in runs if run["part"] == "terms"] == [
        (module.ARM, 0, 3), (module.WITH_PAGES, 0, 3),
    ]  # fmt: skip
    assert [(run["part"], run.get("way")) for run in runs] == [("choose", None)] * tried + [
        ("test", None), ("terms", None), ("terms", None), ("update", "anew"), ("update", "anew"), ("update", "short"),
    ]  # fmt: skip
    assert module.kb_settings()["facts"]["update"]["seeds"] == [0] and runs[-1]["seed"] == 0
    assert len(bench.states) > 6, "the rows of both versions were known to all runs of this process"
    assert len(runs[tried]["test"]["answers"]) == 3 == len(runs[tried]["pages"]["v2"]["answers"])
    assert runs[-1]["rows"] < runs[-2]["rows"] == len(load_fact_rows("v2"))


@pytest.mark.parametrize("name", ["record_reader", "record_facts"])
def test_a_tiny_run_is_not_written_among_the_results(tiny, name, monkeypatch, capsys):
    module = tiny(name)
    monkeypatch.setattr("sys.argv", [f"{name}.py", "choose", "--tiny"])
    with pytest.raises(SystemExit):
        module.main()
    assert "--tiny gives no results worth keeping" in capsys.readouterr().err


def test_changed_rows_are_those_of_the_new_version_with_as_many_old_ones():
    module = script("record_facts")
    old, new = load_fact_rows("v1"), load_fact_rows("v2")
    chosen = module.changed_rows(old, new, 1, 0)
    known = {(row["question"], row["answer"]) for row in old}
    fresh = [row for row in chosen if (row["question"], row["answer"]) not in known]
    assert len(chosen) == 2 * len(fresh) and len(fresh) > 2 * 100
    assert module.changed_rows(old, new, 1, 0) == chosen != module.changed_rows(old, new, 1, 1)
    assert module.changed_rows(old, old, 1, 0) == []


# Arms


def test_arms_are_asked_and_scored(retrieved):
    model, tokenizer = tiny_model().eval(), tiny_tokenizer()
    questions = load_kb_questions("validation")[:2]
    count = token_counter(tokenizer)
    for way in ARMS:
        assert arm(way.name) is way
        if way.name in ("zero-shot", "LoRA reader + RAG"):
            run = ask(way, model, tokenizer, questions, retrieved, "v2", room=10_000, batch_size=2)
            table = scored(run, way, questions, retrieved, "v2", count, 10_000)
            assert list(table["id"]) == [each.id for each in questions] and run["seconds"] >= 0
            assert set(table) >= {"right", "declined", "cites", "traced", "formatted"}
    with pytest.raises(ValueError, match="reads pages: give it the record"):
        ask(arm("RAG, short rules"), model, tokenizer, questions, None, room=10_000)
    with pytest.raises(ValueError, match="no arm 'RAG'"):
        arm("RAG")


def test_of_pieces_read_one_by_one_the_surest_answer_is_kept(retrieved, monkeypatch):
    tokenizer, way = tiny_tokenizer(), replace(arm("LoRA reader + RAG"), one_by_one=2)
    questions, asked = load_kb_questions("validation")[:3], []
    pieces = [retrieved.pieces(each, "v1", len, 10_000) for each in questions]
    assert all(len(each) == 2 for each in pieces)
    doubts = [[0.8, 0.1], [0.9, 0.7], [0.2, 0.2]]  # of the first and second piece; the first of equals is kept

    def answers(model, tokenizer, chat, messages, **options):
        asked.append((messages, options["watch"]))
        flat = [doubt for each in doubts for doubt in each]
        texts = ["Not in the documents." if doubt > 0.5 else f"It is {doubt}." for doubt in flat]
        return Answers(texts, [10] * len(texts), [2] * len(texts), 1.0, flat)

    prompts = qa_arms.messages(way, tokenizer, questions, retrieved, "v1", 10_000)
    monkeypatch.setattr(qa_arms, "answer_all", answers)
    run = ask(way, None, tokenizer, questions, retrieved, "v1", room=10_000)
    assert asked == [([message for each in prompts for message in each], reader.NOT_THERE)]
    for shown, each in zip(prompts, pieces, strict=True):
        assert [message.count("\n[") for message in shown] == [1, 1]
        assert all(piece["searched"] in message for message, piece in zip(shown, each, strict=True))
    assert run == {
        "answers": ["It is 0.1.", "Not in the documents.", "It is 0.2."], "prompt_tokens": 60, "new_tokens": 12,
        "seconds": 1.0, "doubts": [0.1, 0.7, 0.2],
    }  # fmt: skip
    # Only the pieces that may be read count for the program's own citation, and one that reads no page has none.
    assert qa_arms.pieces_for(replace(way, one_by_one=1), questions[0], retrieved, "v1", len, 10_000) == pieces[0][:1]
    assert qa_arms.pieces_for(arm("zero-shot"), questions[0], retrieved, "v1", len, 10_000) == []
    # Where not even one piece fits, the question is asked without.
    assert qa_arms.messages(way, tokenizer, questions[:1], retrieved, "v1", 0)[0] == [
        reader.documents_prompt(questions[0].question, [])
    ]


@pytest.mark.parametrize(("name", "prompts"), [("RAG, short rules", 1), ("LoRA reader + RAG", 2)])
def test_a_prompt_that_is_the_same_in_both_versions_is_asked_once(retrieved, monkeypatch, name, prompts):
    """``prompts``: how many a question has; the fixture's search finds two pieces."""
    model, tokenizer, way = tiny_model().eval(), tiny_tokenizer(), arm(name)

    def changes(question):
        old, new = (retrieved.pieces(question, version, len, 10_000) for version in VERSIONS)
        return old != new

    short = sorted(load_kb_questions("validation"), key=lambda question: len(question.question))
    same, other = [each for each in short if not changes(each)], next(each for each in short if changes(each))
    questions = [same[0], other, same[1]]
    alone = {
        version: ask(way, model, tokenizer, questions, retrieved, version, room=10_000, batch_size=1)
        for version in VERSIONS
    }
    asked, answer_all = [], qa_arms.answer_all
    monkeypatch.setattr(qa_arms, "answer_all", lambda *a, **k: asked.append(len(a[3])) or answer_all(*a, **k))
    both = ask_both(way, model, tokenizer, questions, retrieved, room=10_000, batch_size=1)
    assert asked == [3 * prompts, prompts] and list(both) == list(VERSIONS)
    assert all(len(run.get("doubts", [])) == (3 if way.one_by_one else 0) for run in both.values())
    for version in VERSIONS:
        assert {k: v for k, v in both[version].items() if k != "seconds"} == {
            k: v for k, v in alone[version].items() if k != "seconds"
        }
    assert both["v2"]["seconds"] > 0
    del asked[:]
    same = ask_both(way, model, tokenizer, questions[:1], retrieved, room=10_000, batch_size=1)
    assert asked == [prompts] and same["v1"] == same["v2"]


def test_scores_are_those_of_the_answers(retrieved):
    question = next(q for q in load_kb_questions("validation") if q.kind == "answerable")
    gold, way, count = question.gold["v1"], arm("LoRA reader + RAG"), len
    answers = {
        f"It is {gold.answer}. [{gold.pages[0]}]": (True, True, True),
        f"It is {gold.answer}. [no-such-page]": (True, False, False),
        f"[{gold.pages[0]}] It is {gold.answer}.": (True, True, True),
        f"[no-such-page] {gold.answer}": (True, False, False),
        f"[{gold.pages[0]} {gold.answer}": (True, False, False),
        f"{gold.answer}": (True, False, False),
        "Not in the documents.": (False, False, True),
    }
    for text, wanted in answers.items():
        row = scored({"answers": [text]}, way, [question], retrieved, "v1", count, 10_000).iloc[0]
        assert tuple(row[["right", "cites", "formatted"]]) == wanted, text


@pytest.mark.slow
def test_example_turns_come_from_training_rows():
    for name in ("few-shot", "RAG, few-shot"):
        chat = prefix(arm(name))
        assert [turn["role"] for turn in chat] == ["system", *["user", "assistant"] * 4]
    answers = {row["answer"] for row in load_reader_rows()}
    assert {turn["content"] for turn in prefix(arm("RAG, few-shot"))[2::2]} <= answers
    assert any(turn["content"] == "Not in the documents." for turn in prefix(arm("RAG, few-shot")))
    assert len(prefix(arm("zero-shot"))) == 1


# The record of the search


def test_the_record_of_the_search_is_read_and_checked(tmp_path):
    with pytest.raises(FileNotFoundError, match="record_retrieved.py"):
        load_retrieved(tmp_path)
    question = load_kb_questions("test")[0]
    found = {version: {question.id: ["delivery#1", "delivery#2", "delivery#3"]} for version in VERSIONS}
    record = {"settings": {"cut": "1 sentence"}, "runs": [dump(found, {"set up": 1.2345})]}
    (tmp_path / f"{NAME}.json").write_text(json.dumps(record))
    kept = load_retrieved(tmp_path)
    assert kept.seconds == {"set up": 1.23}
    pieces = kept.pieces(question, "v1", lambda text: 50, 120)
    assert [piece["id"] for piece in pieces] == ["delivery#1", "delivery#2"]
    assert pieces[0]["searched"].startswith("Delivery. ")
    found["v2"][question.id] = ["lay-by#1"]  # withdrawn in version 2
    (tmp_path / f"{NAME}.json").write_text(json.dumps({"settings": {}, "runs": [dump(found, {})]}))
    with pytest.raises(ValueError, match="names 'lay-by#1', which v2 lacks"):
        load_retrieved(tmp_path)


# The untrained arms and the other two tasks


@pytest.mark.slow
def test_every_part_of_the_comparison_is_recorded(tiny, tmp_path, monkeypatch):
    module = tiny("record_comparison")
    model, tokenizer = lora_runs.base_model(HW)
    limits = {"seed": 0, "epochs": 1, "learning_rate": 0.01, "batch": 2, "max_length": 2000}
    save_adapter(train_lora(model, tokenizer, rows(), HW, **limits).model, tmp_path / "adapter", {})
    monkeypatch.setattr(module, "shipped_adapter", lambda task: tmp_path / "adapter")
    monkeypatch.setattr(module, "TIMED", 1)

    def bench():
        return module.Bench(tmp_path, True)

    for part in module.PARTS:
        getattr(bench(), f"part_{part}")([0, 1])
    runs = load_record("kb_comparison", tmp_path)["runs"]
    found = {(run["part"], run["arm"]) for run in runs}
    assert {name for part, name in found if part == "terms"} == {way.name for way in ARMS if not way.adapter}
    assert [(run["seed"], "steps" in run) for run in runs if run["part"] == "triage" and run["arm"] == "LoRA"] == [
        (0, False), (1, True),
    ], "the first seed is the adapter that is shipped"  # fmt: skip
    assert {name for part, name in found if part == "latency"} == {way.name for way in ARMS}
    assert {name for part, name in found if part == "questions"} == {
        "zero-shot", "few-shot", "RAG, few-shot", "RAG, one by one",
    }  # fmt: skip
    for run in runs:
        if run["part"] == "triage":
            assert len(run["plain"]["exact"]) == 2 == len(run["otherwise"]["valid"]) and run["plain"]["prompt_tokens"]
        if run["part"] == "voice":
            assert len(run["answers"]) == 2 and ("train_seconds" in run) == (run["arm"] == "LoRA")
        if run["part"] == "questions":
            assert ("v2" in run) == run["arm"].startswith("RAG")
    stored = load_record("kb_comparison", tmp_path)
    monkeypatch.setattr(module, "ask", None)
    monkeypatch.setattr(module, "answer_all", None)
    for part in module.PARTS:
        getattr(bench(), f"part_{part}")([0, 1])
    assert load_record("kb_comparison", tmp_path) == stored


def test_retrieved_examples_are_the_nearest_and_the_requests_are_many():
    nearest = Nearest(["the tent leaks in the rain", "where is my order", "a refund for my boots"])
    assert nearest("my tent leaks", 1) == [0] and nearest("order, where?", 2)[0] == 1
    train = [{"neutral": f"text {n}", "voice": f"voice {n}"} for n in range(6)]
    chat, users = voice_prompts("retrieved examples", ["text 3"], train)
    assert len(chat) == 1 and users[0].endswith("Text: text 3\nAnswer:") and users[0].count("Answer:") == 5
    chat, users = voice_prompts("few-shot", ["new"], train)
    assert len(chat) == 9 and users == ["new"]
    with pytest.raises(ValueError, match="no lever 'magic'"):
        voice_prompts("magic", ["new"], train)
    requests = other_formats()
    assert len(requests) == 20 == len(set(requests)) and all(requests)
    assert asked_otherwise(["a"] * 21)[20] == asked_otherwise(["a"])[0] == f"a {requests[0]}"
