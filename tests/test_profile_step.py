"""Where a step's time goes: operations are put into the right kind, a tiny run adds up, and the record is as told."""

import json
import re
from datetime import date

import pytest
import record_script
import torch
from tiny_training import tiny_lora, tiny_model, tiny_tokenizer, tiny_trainer
from trl import SFTTrainer

from finetune_course.completion_trainer import CompletionTrainer
from finetune_course.hardware import Hardware, choose_precision
from finetune_course.paths import course_root
from finetune_course.stock_example import stock_trainer, with_instructions
from finetune_course.triage import instructions, load_split

COMMAND = "python benchmarks/profile_step.py"


@pytest.fixture(scope="module")
def script():
    return record_script.script("profile_step")


@pytest.mark.parametrize(
    ("name", "shapes", "kind"),
    [
        ("aten::mm", [[366, 576], [576, 1536]], "BLOCKS"),
        ("aten::addmm", [[576], [366, 576], [576, 576]], "BLOCKS"),
        ("aten::mm", [[144, 576], [576, 49152]], "HEAD"),
        ("aten::mm", [[880, 576], [576, 32768]], "HEAD"),  # TRL's loss takes the vocabulary in two pieces
        ("aten::sub_", [[880, 16384], [880, 1]], "HEAD"),
        ("aten::_log_softmax", [[144, 49152], [], []], "HEAD"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", [[4, 9, 90, 64]], "ATTENTION"),
        ("Optimizer.step#AdamW.step", [], "OPTIMISER"),
        ("aten::_fused_adamw_", [[], []], "OPTIMISER"),
        ("aten::_foreach_norm", [[]], "OPTIMISER"),
        ("aten::mul", [[366, 576], []], "OTHER"),
        ("MmBackward0", [], "OTHER"),
    ],
)
def test_operations_are_told_apart(script, name, shapes, kind):
    assert script.kind_of(name, shapes, script.head_sizes(49152)) == getattr(script, kind)


def test_a_small_vocabulary_is_one_piece(script):
    assert script.head_sizes(258) == {258} and script.head_sizes(49152) == {49152, 32768, 16384}


@pytest.mark.slow
@pytest.mark.parametrize("trainer", [SFTTrainer, CompletionTrainer])
def test_a_tiny_run_adds_up(script, tmp_path, trainer):
    """258 tokens in the vocabulary, 16 numbers a token: real steps, of which some are timed and some profiled."""
    run = tiny_trainer(tmp_path, trainer, lora=tiny_lora(), max_steps=5)
    found = script.profiled(run, 2, gflops=50.0)
    seconds, shares = found["seconds a row"], found["shares"]
    assert found["rows"] == 2 * found["batch"] and len(found["losses"]) == 5 == run.state.global_step
    assert 0 < seconds["forward"] and 0 < seconds["backward"]
    assert seconds["forward"] + seconds["backward"] <= seconds["whole step"] + 2e-4  # rounded to 0.1 ms each
    assert list(shares) == list(script.KINDS) and sum(shares.values()) == pytest.approx(1, abs=1e-3)
    assert all(shares[kind] > 0 for kind in (script.HEAD, script.BLOCKS, script.ATTENTION, script.OTHER))
    assert found["gflop a token"] >= 0 and 0 < found["share of matrix-multiply rate"] < 1


@pytest.mark.parametrize("rates", [{"float32": 1.0, "bfloat16": 3.0}, {"float32": 3.0, "bfloat16": 1.0}])
def test_trls_example_has_its_own_settings_and_the_machines_number_format(tmp_path, rates):
    dtype, precision, _ = choose_precision("cpu", rates, None, "standard")
    hw = Hardware("cpu", "faked", dtype, precision, 16.0, 2, "standard", 4, False, rates)
    records = load_split("validation")[:2]
    trainer = stock_trainer(tiny_model(), tiny_tokenizer(), records, hw, output_dir=str(tmp_path), max_steps=1)
    own = trainer.args
    assert (own.per_device_train_batch_size, own.gradient_accumulation_steps, own.learning_rate) == (2, 8, 2e-4)
    assert own.use_cpu and own.bf16 is (dtype is torch.bfloat16) and own.max_steps == 1
    assert own.activation_checkpointing and type(trainer) is SFTTrainer
    assert trainer.model.peft_config["default"].r == 32
    row = with_instructions(records[0])
    assert row["prompt"][0]["content"] == instructions() and row["prompt"][1]["content"] == records[0]["message"]


@pytest.fixture(scope="module")
def record(script):
    if not script.RESULT.is_file():
        pytest.fail(f"There is no record of the step: run '{COMMAND}'.", pytrace=False)
    return json.loads(script.RESULT.read_text(encoding="utf-8"))


def test_the_record_says_how_it_was_made(record, script):
    settings = record["settings"]
    assert settings["command"] == COMMAND and date(2026, 1, 1) < date.fromisoformat(settings["date"])
    assert re.fullmatch(r"\w+, \d+ cores, cpu", settings["machine"]) and settings["threads"] >= 1
    assert settings["number format"] in ("float32", "bfloat16") and settings["steps"] >= 3
    pins = (course_root() / "requirements.txt").read_text(encoding="utf-8").splitlines()
    for name, number in settings["versions"].items():
        assert f"{name}=={number.partition('+')[0]}" in {line.partition(";")[0].strip() for line in pins}
    assert list(record["runs"]) == list(script.RUNS)


def test_the_record_compares_the_same_rows_at_the_same_loss(record, script):
    """Where only the trainer differs, so must the time alone: the losses of each step are the same."""
    stock, course = record["runs"][script.STOCK], record["runs"][script.COURSE]
    for name in ("rows", "batch", "tokens a row"):
        assert stock[name] == course[name]
    assert len(course["losses"]) == 1 + 2 * record["settings"]["steps"]
    apart = torch.tensor(stock["losses"]) - torch.tensor(course["losses"])
    assert apart.abs().max() < (0.005 if record["settings"]["number format"] == "float32" else 0.05)


def test_the_record_adds_up(record, script):
    for run in record["runs"].values():
        assert list(run["shares"]) == list(script.KINDS) and sum(run["shares"].values()) == pytest.approx(1, abs=1e-3)
        seconds = run["seconds a row"]
        assert seconds["forward"] + seconds["backward"] < seconds["whole step"]
        assert 0 < run["share of matrix-multiply rate"] < 1
    whole = {name: run["seconds a row"]["whole step"] for name, run in record["runs"].items()}
    assert whole[script.COURSE] < whole[script.STOCK] < whole[script.EXAMPLE]


def test_notebook_08_shows_the_record(record):
    """Each second and each share of its table stands in the saved output; before the notebook is built, nothing."""
    path = course_root() / "solutions" / "08_ship.ipynb"
    if not path.is_file():
        return
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    (shown,) = (cell for cell in cells if "profile_step.json" in "".join(cell["source"]))
    page = json.dumps(shown["outputs"], ensure_ascii=False)
    for run in record["runs"].values():
        assert f"{run['seconds a row']['whole step']:.2f}" in page
        assert all(f"{share:.0%}" in page for share in run["shares"].values())
