"""The graphics-card record as far as a CPU allows: faked capabilities, counted operations, a toy run of everything."""

import json
import math
import re
from datetime import date

import pytest
import record_script
import torch
from peft import get_peft_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaForCausalLM

from finetune_course import gpu_bench
from finetune_course.gpu_bench import NO_ROOM, SETTINGS, TINY, WAYS, NotHere, StepClock
from finetune_course.hardware import Hardware, choose_precision
from finetune_course.paths import course_root

RATES = {"float32": 50.0, "float16": 100.0, "bfloat16": 100.0}
SLOW_BF16 = {"float32": 100.0, "bfloat16": 90.0}
COMMAND = "python benchmarks/record_gpu.py"


def machine(device, capability=None, rates=RATES):
    """A machine as hardware.py would describe it, of a faked capability."""
    dtype, precision, _ = choose_precision(device, rates, capability, "standard")
    return Hardware(device, "faked", dtype, precision, 16.0, 8, "standard", 4, False, rates)


T4, A100, OLD_CPU = machine("cuda", (7, 5)), machine("cuda", (8, 0)), machine("cpu", rates=SLOW_BF16)


@pytest.fixture(scope="module")
def script():
    return record_script.script("record_gpu")


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(
    ("hw", "bf16", "fp16"), [(T4, False, True), (A100, True, False), (OLD_CPU, False, False)], ids=["T4", "A100", "CPU"]
)
def test_the_number_format_is_the_cards(hw, bf16, fp16, settings):
    own = gpu_bench.arguments(settings, hw, "LoRA", 4, 1024)
    assert (own["bf16"], own["fp16"]) == (bf16, fp16)


def test_the_courses_settings_are_what_stock_lacks(monkeypatch):
    monkeypatch.setattr(gpu_bench, "find_spec", lambda name: object())
    stock, course = (gpu_bench.arguments(name, A100, "LoRA", 4, 1024) for name in SETTINGS[:2])
    added = {name: value for name, value in course.items() if name not in stock}
    assert set(added) == {
        "activation_checkpointing", "packing", "packing_strategy", "optim", "use_liger_kernel", "torch_compile"
    }  # fmt: skip
    assert added["packing"] and added["torch_compile"] and added["use_liger_kernel"]
    assert {name: course[name] for name in stock} == stock
    assert not gpu_bench.arguments(SETTINGS[2], A100, "LoRA", 4, 1024)["torch_compile"]
    monkeypatch.setattr(gpu_bench, "find_spec", lambda name: None)
    assert not gpu_bench.arguments("course", A100, "LoRA", 4, 1024)["use_liger_kernel"]
    assert not gpu_bench.arguments("course", OLD_CPU, "LoRA", 4, 1024)["torch_compile"]


def test_weights_in_16_bits_are_trained_in_bfloat16_alone():
    own = gpu_bench.arguments("course", A100, "full, 16 bits", 4, 1024)
    assert (own["bf16"], own["fp16"]) == (False, False)
    with pytest.raises(NotHere, match="needs bfloat16"):
        gpu_bench.arguments("course", T4, "full, 16 bits", 4, 1024)
    with pytest.raises(ValueError, match="no settings 'fast': choose one of stock"):
        gpu_bench.arguments("fast", A100, "LoRA", 4, 1024)


def test_what_loss_scaling_is_for_is_in_float32():
    """A gradient in 16 bits is refused by torch's scaler; adapters that TRL put into bfloat16 are put back."""
    layer = torch.nn.Linear(2, 2).bfloat16()
    layer.bias.requires_grad_(False)
    gpu_bench.keep_in_float32(layer)
    assert layer.weight.dtype == torch.float32 and layer.bias.dtype == torch.bfloat16


def test_qlora_says_what_it_lacks(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_bench, "find_spec", lambda name: None)
    for hw, words in ((OLD_CPU, "needs an NVIDIA card"), (A100, "bitsandbytes, which is not installed")):
        with pytest.raises(NotHere, match=words):
            gpu_bench.load(tmp_path, "QLoRA", hw)
    found = gpu_bench.measured(tmp_path, TINY, None, OLD_CPU, "QLoRA", "course", 2, 16)
    expected = {"way": "QLoRA", "settings": "course", "batch": 2, "length": 16, "failed": "QLoRA needs an NVIDIA card."}
    assert found == expected


def test_a_case_without_room_is_told_and_ends_the_growth(monkeypatch, tmp_path):
    def load(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(gpu_bench, "load", load)
    asked = []

    def case(batch):
        asked.append(batch)
        if batch < 4:
            return {"batch": batch}
        return gpu_bench.measured(tmp_path, TINY, None, A100, "LoRA", "stock", batch, 16)

    found = gpu_bench.largest_batch(case, (1, 2, 4, 8))
    assert asked == [1, 2, 4] and found[-1]["failed"] == NO_ROOM and found[-1]["batch"] == 4


def test_speed_by_hand():
    clock = StepClock()
    clock.ends, clock.tokens = [10.0, 11.0, 11.5, 12.0], [100, 200, 300, 400]
    found = gpu_bench.speed(clock, 2)
    assert found == {"steps": 2, "tokens a step": 100, "seconds a step": 0.5, "tokens a second": 200}
    for warm in (0, 4):
        with pytest.raises(ValueError, match="none is left to measure"):
            gpu_bench.speed(clock, warm)


@pytest.mark.parametrize("way", ["full", "LoRA"])
def test_operations_are_those_that_torch_counts(way):
    """Of a forward and backward pass with attention written out; the lowest block's needless gradient is forgiven."""
    rows, length = 2, 24
    model = LlamaForCausalLM._from_config(TINY.config(), attn_implementation="eager")
    if way == "LoRA":
        model = get_peft_model(model, gpu_bench.lora_everywhere())
    ids = torch.randint(TINY.vocabulary, (rows, length))
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, labels=ids).loss.backward()
    counted = counter.get_total_flops() / (rows * length)
    ours = gpu_bench.flops_a_token(TINY, way, length, causal=False)
    assert counted <= ours * 1.01 and counted >= ours * (0.99 if way == "full" else 0.93)
    assert gpu_bench.flops_a_token(TINY, way, length) < ours
    assert gpu_bench.flops_a_token(TINY, "QLoRA", length) == gpu_bench.flops_a_token(TINY, "LoRA", length)


def test_shapes_by_name():
    assert gpu_bench.shape_named("tiny") == TINY and gpu_bench.shape_named("Llama-3.1-8B").blocks == 32
    with pytest.raises(ValueError, match="no shape 'Llama-9': choose tiny or"):
        gpu_bench.shape_named("Llama-9")


def test_without_a_card_there_is_nothing_to_record(script, monkeypatch, tmp_path):
    monkeypatch.setattr(script, "inspect_hardware", lambda _: OLD_CPU)
    with pytest.raises(SystemExit, match="nothing to record"):
        script.main(["--output", str(tmp_path / "gpu.json")])
    with pytest.raises(SystemExit, match="A trial is no record"):
        script.main(["--tiny"])
    assert list(tmp_path.iterdir()) == []


def test_another_cards_results_are_not_kept(script, tmp_path):
    settings = {"device": "A", "versions": {"torch": "1"}, "tiny": False}
    path = tmp_path / "gpu.json"
    assert script.kept(path, settings) == {}
    path.write_text(json.dumps({"settings": settings, "parts": {"shapes": {"x": {}}}}))
    assert script.kept(path, settings) == {"shapes": {"x": {}}}
    for other in ({"device": "B"}, {"versions": {"torch": "2"}}, {"tiny": True}):
        assert script.kept(path, settings | other) == {}


def loss_apart(record: dict) -> float:
    """How much higher the course's validation loss is than stock's, in nats a token: faster must not mean worse."""
    engine = record["parts"]["engine"]
    return (
        max(engine[name]["validation loss"] for name in engine if name != "stock") - engine["stock"]["validation loss"]
    )


def test_a_faster_engine_with_a_worse_loss_is_seen():
    def of(stock, course):
        return {"parts": {"engine": {"stock": {"validation loss": stock}, "course": {"validation loss": course}}}}

    assert loss_apart(of(0.10, 0.11)) == pytest.approx(0.01) and loss_apart(of(0.10, 0.30)) == pytest.approx(0.2)


def test_what_was_recorded_on_a_card_learned_as_stock_did():
    path = course_root() / "benchmarks" / "results" / "gpu.json"
    if not path.is_file():
        pytest.skip("nothing was recorded on a graphics card yet")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert {"device", "date", "command", "versions"} <= set(record["settings"]) and not record["settings"]["tiny"]
    assert loss_apart(record) < 0.05


def test_the_record_holds_json_numbers(script):
    assert script.finite({"a": [math.inf, 1.2345678], "b": "x", "c": (1, math.nan)}) == {
        "a": [None, 1.2346], "b": "x", "c": [1, None]
    }  # fmt: skip


@pytest.mark.slow
def test_everything_runs_on_a_toy_and_invents_no_peak(script, tmp_path):
    path = tmp_path / "trial.json"
    script.main(["--tiny", "--output", str(path)])
    record = json.loads(path.read_text())
    assert set(record["parts"]) == set(script.PARTS) and record["settings"]["tiny"]
    cases = [case for part in script.PARTS[:3] for case in record["parts"][part].values()]
    cases += [case for grown in record["parts"]["sweep"].values() for case in grown]
    figures = [case for case in cases if "failed" not in case]
    assert {case["way"] for case in figures} >= {"LoRA", "full"}
    assert all(case["tokens a second"] > 0 for case in figures)
    if not torch.cuda.is_available():
        assert all(case["peak_gb"] is None for case in figures)
        assert {case["way"] for case in cases if "failed" in case} >= {"QLoRA"}
    assert set(record["parts"]["weights"]) == set(WAYS) and "exact" in record["parts"]["weights"]["LoRA"]
    before = path.read_text()
    script.main(["--tiny", "--output", str(path), "--parts", "engine"])  # what stands there is not run again
    assert json.loads(path.read_text())["parts"] == json.loads(before)["parts"]


def test_a_record_that_is_there_is_of_a_card(script):
    """Where no card was at hand there is no file; nothing else may stand in for it."""
    if not script.RESULT.is_file():
        return
    record = json.loads(script.RESULT.read_text(encoding="utf-8"))
    settings = record["settings"]
    assert settings["tiny"] is False and settings["capability"] and settings["memory_gb"] > 1
    assert settings["command"] == COMMAND and date(2026, 1, 1) < date.fromisoformat(settings["date"])
    assert re.fullmatch(r"[\w .-]+", settings["device"]) and set(settings["versions"]) == set(script.LIBRARIES)
    assert set(record["parts"]) == set(script.PARTS)


def test_notebook_08_shows_what_the_record_says(script):
    """Its saved output names the card that was recorded, or says that there was none; before it is built, nothing."""
    path = course_root() / "solutions" / "08_ship.ipynb"
    if not path.is_file():
        return
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    shown = json.dumps([cell.get("outputs") for cell in cells], ensure_ascii=False)
    if not script.RESULT.is_file():
        assert "No graphics card was at hand" in shown
        return
    record = json.loads(script.RESULT.read_text(encoding="utf-8"))
    assert record["settings"]["device"] in shown and record["settings"]["date"] in shown
