"""The training parts: the trainer's loss against TRL's own, the settings file, memory, the loss curve, stored runs.

The models are random and tiny (tests/tiny_training.py); test_training_traps.py does it with the real tokenizer.
"""

import hashlib
import inspect
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import warnings
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import tiny_training
import torch
from peft import LoraConfig
from tiny_training import tiny_lora, tiny_model, tiny_rows, tiny_tokenizer, tiny_trainer
from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer

from finetune_course import adapters, keynumbers, live_loss, training
from finetune_course.completion_trainer import CompletionTrainer
from finetune_course.training import prompt_completion, quiet_libraries, tensor_memory

# TRL and PEFT use the older name of a switch; quiet_libraries silences it for learners, and is tested below.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")

IGNORED = -100


# The trainer


def batch_of(trainer, count=5):
    """Rows of very different lengths as one padded batch from the trainer's own collator."""
    rows = [trainer.train_dataset[3 * place] for place in range(count)]
    return trainer.data_collator([{key: row[key] for key in ("input_ids", "labels")} for row in rows])


def loss_and_gradients(trainer, batch, items):
    trainer.model.train().zero_grad()
    loss = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=items)
    loss.backward()
    learned = {name: weight for name, weight in trainer.model.named_parameters() if weight.requires_grad}
    return float(loss.detach()), {name: weight.grad.clone() for name, weight in learned.items()}


def different_from_zero(model):
    """LoRA's B matrices start at zero, where A has no gradient: nothing would be compared."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)


@pytest.mark.parametrize("adapter", [True, False], ids=["LoRA", "full"])
@pytest.mark.parametrize("items", [None, torch.tensor(1000)], ids=["mean", "accumulated"])
def test_loss_and_gradients_are_those_of_trl(tmp_path, adapter, items):
    results = []
    for kind in (SFTTrainer, CompletionTrainer):
        trainer = tiny_trainer(tmp_path, kind, lora=tiny_lora() if adapter else None)
        different_from_zero(trainer.model)
        batch = batch_of(trainer)
        assert batch["attention_mask"].eq(0).any(dim=1).sum() >= 3, "too few rows are padded"
        results.append(loss_and_gradients(trainer, batch, items))
    (stock, expected), (ours, found) = results
    assert ours == pytest.approx(stock, abs=1e-5, rel=1e-5)
    assert expected.keys() == found.keys() and len(found) >= 14
    for name, gradient in expected.items():
        assert gradient.abs().max() > 0, f"{name} has no gradient"
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.slow
def test_a_short_run_has_the_losses_of_trl(tmp_path, accumulation):
    """Through Trainer's own loop: there the number of learned tokens in an accumulated batch comes from."""

    def losses(kind):
        changes = {"gradient_accumulation_steps": accumulation, "per_device_train_batch_size": 2, "max_steps": 3}
        trainer = tiny_trainer(tmp_path, kind, lora=tiny_lora(), **changes)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        end = {name: weight.detach() for name, weight in trainer.model.named_parameters() if weight.requires_grad}
        return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry], end

    (stock, expected), (ours, found) = losses(SFTTrainer), losses(CompletionTrainer)
    assert len(ours) == 3 and ours == pytest.approx(stock, abs=1e-5)
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, atol=1e-4, rtol=1e-3, msg=name)


def test_padding_changes_nothing_without_an_attention_mask(tmp_path):
    """A batch's loss is that of its rows one by one, and the padding's own value does not matter."""
    trainer = tiny_trainer(tmp_path)
    batch = batch_of(trainer)
    together, gradients = loss_and_gradients(trainer, batch, None)
    learned = batch["labels"].ne(IGNORED).sum()
    one_by_one = 0.0
    for ids, labels, seen in zip(batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True):
        alone = {"input_ids": ids[seen.bool()][None], "labels": labels[seen.bool()][None]}
        one_by_one += loss_and_gradients(trainer, alone, learned)[0]
    assert together == pytest.approx(one_by_one, abs=1e-5)
    other = {"input_ids": batch["input_ids"].masked_fill(batch["attention_mask"].eq(0), 7), "labels": batch["labels"]}
    same, same_gradients = loss_and_gradients(trainer, other, None)
    assert same == pytest.approx(together, abs=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(same_gradients[name], gradient, atol=1e-6, rtol=1e-4, msg=name)


def test_only_learned_positions_reach_the_head(tmp_path):
    trainer = tiny_trainer(tmp_path)
    batch = batch_of(trainer)
    _, outputs = trainer.compute_loss(trainer.model, dict(batch), return_outputs=True)
    wanted = batch["labels"][:, 1:].ne(IGNORED).any(dim=0).sum()
    assert outputs.logits.shape[:2] == (len(batch["labels"]), wanted)
    assert wanted < batch["labels"].shape[1] - 1


@pytest.mark.slow
def test_the_end_token_is_learned(tmp_path):
    """A tiny model that saw one answer a hundred times writes it and stops: it has learned where the answer ends."""
    rows = tiny_rows(1) * 4
    changes = {"max_steps": 100, "learning_rate": 0.02, "warmup_steps": 0, "logging_steps": 50}
    trainer = tiny_trainer(tmp_path, rows=rows, **changes)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    tokenizer = tiny_tokenizer()
    prompt = tokenizer.apply_chat_template(rows[0]["prompt"], add_generation_prompt=True, return_tensors="pt")[
        "input_ids"
    ]
    with torch.inference_mode():
        written = trainer.model.eval().generate(prompt, max_new_tokens=200, do_sample=False, pad_token_id=0)
    answer = written[0, prompt.shape[1] :].tolist()
    assert answer[-1] == tokenizer.eos_token_id, tokenizer.decode(answer)
    assert tokenizer.decode(answer, skip_special_tokens=True) == rows[0]["completion"][0]["content"]


def test_the_trainer_changes_one_method():
    """Notebook 06 says so above the source."""
    own = [name for name, value in vars(CompletionTrainer).items() if inspect.isfunction(value)]
    assert own == ["compute_loss"] and CompletionTrainer.__base__ is SFTTrainer
    assert list(inspect.signature(CompletionTrainer.compute_loss).parameters) == list(
        inspect.signature(SFTTrainer.compute_loss).parameters
    )


# The settings file


def test_every_setting_is_a_field_of_the_installed_libraries():
    settings = training.triage_settings()
    assert set(settings) == {"system_prompt", "lora", "loraplus_lr_ratio", "trainer", "live", "recorded"}
    assert set(settings["lora"]) <= {field.name for field in fields(LoraConfig) if field.init}
    assert set(settings["trainer"]) <= {field.name for field in fields(SFTConfig) if field.init}
    assert set(settings["live"]) == {"standard", "small"}


def test_the_settings_arrive_as_they_are_written(tmp_path):
    """A number in quotes or 1e-3 without a point is text in YAML; a libraries' field would take it without a word."""
    settings = training.triage_settings()
    quiet_libraries()
    made = SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, **settings["trainer"])
    for name, value in settings["trainer"].items():
        expected = [] if name == "report_to" else value
        assert getattr(made, name) == expected, name
    assert isinstance(made.learning_rate, float) and isinstance(made.warmup_steps, float)
    lora = LoraConfig(**settings["lora"])
    assert lora.target_modules == set(settings["lora"]["target_modules"])
    assert lora.layers_to_transform == settings["lora"]["layers_to_transform"]


def test_the_only_warnings_of_the_settings_are_those_that_are_silenced(tmp_path):
    trainer = training.triage_settings()["trainer"]
    for precision in ({"bf16": False, "fp16": False}, {"bf16": True, "fp16": False}):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            quiet_libraries()
            SFTConfig(output_dir=str(tmp_path), use_cpu=True, gradient_checkpointing=False, **precision, **trainer)
        assert [str(warning.message) for warning in seen] == []


def test_an_unknown_warning_is_still_shown():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        quiet_libraries()
        warnings.warn("something else", UserWarning, stacklevel=1)
    assert len(seen) == 1


def test_a_row_has_the_short_prompt_and_the_label_as_completion():
    row = tiny_rows(1)[0]
    assert [message["role"] for message in row["prompt"]] == ["system", "user"]
    assert row["prompt"][0]["content"] == training.triage_settings()["system_prompt"]
    assert [message["role"] for message in row["completion"]] == ["assistant"]
    assert set(json.loads(row["completion"][0]["content"])) == set(prompt_and_label()["label"])
    assert prompt_completion(prompt_and_label()) == row


def prompt_and_label():
    from finetune_course.triage import load_split

    return {"message": "Where is it", "label": load_split("validation")[0]["label"]}


# Memory


def one_step(model, wrap=lambda optimizer: optimizer):
    learned = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learned)
    model(input_ids=torch.arange(6)[None]).logits.sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return wrap(optimizer), learned


# By hand: one embedding of 258 x 16, shared with the head; in each of two layers the projections of queries, keys,
# values and outputs, three of the MLP and two norms; one norm at the end.
EMBEDDING = 258 * 16
LAYER = 16 * 16 + 2 * 16 * 8 + 16 * 16 + 3 * 16 * 32 + 2 * 16
PARAMETERS = EMBEDDING + 2 * LAYER + 16
TENSORS = 1 + 2 * (7 + 2) + 1
# LoRA in one layer: r times inputs and outputs together, for each of the seven projections
LORA = 16 * ((16 + 16) + 2 * (16 + 8) + (16 + 16) + 3 * (16 + 32))


def test_memory_of_a_full_fine_tune_is_the_hand_count():
    model = tiny_model()
    optimizer, _ = one_step(model)
    found = tensor_memory(model, optimizer)
    weights = 4 * PARAMETERS
    moments = 2 * weights + 4 * TENSORS  # and a step counter of four bytes for each tensor
    assert found == pytest.approx(
        {
            "weights": weights / 1e6,
            "gradients": weights / 1e6,
            "optimiser": moments / 1e6,
            "total": (2 * weights + moments) / 1e6,
        }
    )


@pytest.mark.parametrize("wrap", [lambda o: o, lambda o: SimpleNamespace(optimizer=o)], ids=["torch", "wrapped"])
def test_lora_saves_gradients_and_moments_and_not_weights(wrap):
    from peft import get_peft_model

    model = get_peft_model(tiny_model(), tiny_lora())
    optimizer, learned = one_step(model, wrap)
    assert sum(weight.numel() for weight in learned) == LORA and len(learned) == 14
    found = tensor_memory(model, optimizer)
    assert found["weights"] == pytest.approx(4 * (PARAMETERS + LORA) / 1e6)
    assert found["gradients"] == pytest.approx(4 * LORA / 1e6)
    assert found["optimiser"] == pytest.approx((8 * LORA + 4 * 14) / 1e6)


def test_memory_follows_the_number_format():
    model = tiny_model().to(torch.bfloat16)
    optimizer, _ = one_step(model)
    found = tensor_memory(model, optimizer)
    assert found["weights"] == found["gradients"] == pytest.approx(2 * PARAMETERS / 1e6)


@pytest.mark.slow
def test_memory_of_a_trainer_s_own_optimiser(tmp_path):
    """As notebook 06 asks: after train(), with the optimizer that Trainer made and Accelerate wrapped."""
    trainer = tiny_trainer(tmp_path, lora=tiny_lora(), max_steps=1)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    found = tensor_memory(trainer.model, trainer.optimizer)
    assert found["optimiser"] == pytest.approx((8 * LORA + 4 * 14) / 1e6)


def test_activations_are_those_above_the_lowest_adapter(tmp_path):
    """Nothing below the lowest adapter is kept; a longer batch keeps more; no weight counts as an activation."""
    below, above = (tiny_trainer(tmp_path, lora=tiny_lora(layers_to_transform=layers)) for layers in ([0, 1], [1]))
    everything, upper = training.activation_memory(below, 4), training.activation_memory(above, 4)
    assert 0 < upper < 0.75 * everything
    assert training.activation_memory(above, 4) == upper, "the same batch gave another figure"
    assert training.activation_memory(above, 8) > 1.5 * upper
    assert all(weight.grad is None for weight in above.model.parameters())


def test_activations_of_one_product_are_its_input_counted_once():
    """Two products of the same input keep it once; their weights are not activations."""

    class TwoHeads(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = (torch.nn.Linear(8, 4, bias=False) for _ in range(2))

    model = TwoHeads()

    def compute_loss(model, batch):
        return model.left(batch).sum() + model.right(batch).sum()

    fake = SimpleNamespace(
        model=model,
        train_dataset=[torch.ones(8), torch.ones(8), torch.ones(8)],
        data_collator=torch.stack,
        _prepare_inputs=lambda batch: batch,
        compute_loss=compute_loss,
    )
    assert training.activation_memory(fake, 3) == pytest.approx(3 * 8 * 4 / 1e6)


# Switches that a notebook may run twice


def test_quieting_twice_adds_nothing(monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    with warnings.catch_warnings():
        quiet_libraries()
        once = list(warnings.filters)
        quiet_libraries()
        assert sorted(map(str, warnings.filters)) == sorted(map(str, once))
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true", "a learner's own choice was overwritten"


# The loss curve


class FakeDisplay:
    """Stands in for IPython's display: keeps what is shown and every update; data as such must come with metadata."""

    def __init__(self):
        self.shown, self.updates = [], []

    def __call__(self, content, display_id=False, **named):
        assert display_id is True
        self.shown.append(self.checked(content, **named))
        place = len(self.shown) - 1
        return SimpleNamespace(update=lambda new, **named: self.updates.append((place, self.checked(new, **named))))

    @staticmethod
    def checked(content, raw=False, metadata=None):
        assert raw == isinstance(content, dict) == bool(metadata)
        return content


@pytest.fixture
def screen(monkeypatch):
    fake = FakeDisplay()
    monkeypatch.setattr(live_loss, "display", fake)
    monkeypatch.delenv("COURSE_HEADLESS", raising=False)
    return fake


def run_steps(curve, steps, first=0, total=None, every=1):
    """What Trainer calls, for steps ``first`` + 1 to ``first`` + ``steps``, and the summary at the end."""
    state = SimpleNamespace(global_step=first, max_steps=total or first + steps)
    curve.on_train_begin(None, state, None)
    for step in range(first + 1, first + steps + 1):
        state.global_step = step
        if step % every == 0:
            curve.on_log(None, state, None, logs={"loss": 1 / step, "grad_norm": 1.0})
    curve.on_log(None, state, None, logs={"train_runtime": 3.0, "train_loss": 0.1})
    return state


def test_headless_draws_nothing_and_keeps_the_numbers(screen, monkeypatch):
    monkeypatch.setenv("COURSE_HEADLESS", "1")
    curve = live_loss.LiveLoss(refresh=0)
    curve.on_train_end(None, run_steps(curve, 3), None)
    assert screen.shown == screen.updates == []
    assert curve.steps == [1, 2, 3] and curve.losses == pytest.approx([1, 1 / 2, 1 / 3])
    assert len(curve.seconds) == 3 and sorted(curve.seconds) == curve.seconds


def test_the_display_is_made_once_updated_and_cleared(screen):
    curve = live_loss.LiveLoss(refresh=0)
    state = run_steps(curve, 4)
    assert len(screen.shown) == 2 and len(screen.updates) == 2 * 3
    assert "step 1 of 4, loss 1.000" in screen.shown[0].data and "<progress" in screen.shown[0].data
    assert "step 4 of 4, loss 0.250, about 0 s left" in screen.updates[-2][1].data
    # A picture and not a Figure, which is one line of text where no inline backend was loaded.
    pictures = [screen.shown[1], *(content for place, content in screen.updates if place == 1)]
    assert len({picture["image/png"] for picture in pictures}) == 4
    assert all(picture["image/png"].startswith(b"\x89PNG") for picture in pictures)
    curve.on_train_end(None, state, None)
    last = dict(screen.updates)
    assert {place: content.data for place, content in last.items()} == {0: "", 1: ""}


def test_a_second_run_gets_a_display_of_its_own(screen):
    """train() called again in another cell must not write into the first cell's output."""
    curve = live_loss.LiveLoss(refresh=0)
    curve.on_train_end(None, run_steps(curve, 2), None)
    curve.on_train_end(None, run_steps(curve, 2), None)
    assert len(screen.shown) == 4


def test_the_display_waits_between_drawings(screen):
    curve = live_loss.LiveLoss(refresh=3600)
    run_steps(curve, 5)
    assert len(screen.shown) == 2 and screen.updates == []


@pytest.mark.parametrize(("first", "every"), [(0, 1), (0, 10), (900, 10)], ids=["plain", "every tenth", "resumed"])
def test_the_time_left_counts_steps_made_here(screen, monkeypatch, first, every):
    """One second a step: with 20 of 100 made here, 80 s are left, however often a loss is logged."""
    clock = SimpleNamespace(now=1000.0)

    def now():
        return clock.now

    monkeypatch.setattr(live_loss, "time", SimpleNamespace(perf_counter=now))
    curve = live_loss.LiveLoss(refresh=0)
    state = SimpleNamespace(global_step=first, max_steps=first + 100)
    curve.on_train_begin(None, state, None)
    for _ in range(20):
        clock.now += 1
        state.global_step += 1
        if state.global_step % every == 0:
            curve.on_log(None, state, None, logs={"loss": 1.0})
    words = [screen.shown[0], *(content for place, content in screen.updates if place == 0)][-1].data
    assert "about 80 s left" in words


@pytest.mark.parametrize("steps", [0, 1, 30])
def test_the_figure_names_its_axes_and_units(steps):
    curve = live_loss.LiveLoss()
    curve.steps, curve.losses = list(range(1, steps + 1)), [2 / (step + 1) for step in range(steps)]
    (axes,) = curve.figure().axes
    assert axes.get_xlabel() == "optimiser step" and axes.get_ylabel() == "loss (nats per learned token)"
    assert axes.get_yscale() == "log" and axes.get_title(loc="left") == "Training loss"
    plain, mean = axes.lines
    assert list(plain.get_ydata()) == curve.losses and len(mean.get_ydata()) == steps
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one batch", "mean of the last 8"]
    if steps:
        assert mean.get_ydata()[-1] == pytest.approx(sum(curve.losses[-8:]) / len(curve.losses[-8:]))


@pytest.mark.slow
def test_a_real_trainer_calls_it(tmp_path, screen):
    curve = live_loss.LiveLoss(refresh=0)
    trainer = tiny_trainer(tmp_path, max_steps=3)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(curve)
    trainer.train()
    assert curve.steps == [1, 2, 3] and all(loss > 0 for loss in curve.losses)
    assert len(screen.shown) == 2 and dict(screen.updates)[1].data == ""


# Stored adapters, records and key numbers


@pytest.fixture
def course(monkeypatch, tmp_path):
    """An empty course folder with an empty cache."""
    root = tmp_path / "course"
    (root / "data").mkdir(parents=True)
    for module in ("adapters", "paths"):
        monkeypatch.setattr(f"finetune_course.{module}.course_root", lambda: root)
    monkeypatch.setenv("FINETUNE_COURSE_CACHE", str(tmp_path / "cache"))
    return root


def test_own_adapters_are_kept_in_the_cache_folder(course, tmp_path):
    folder = adapters.own_adapter_folder("triage")
    assert folder == tmp_path / "cache" / "adapters" / "triage" and folder.is_dir()
    (folder / "kept").touch()
    assert (adapters.own_adapter_folder("triage") / "kept").exists()


def one_sentence(error):
    text = str(error.value)
    return (
        text if re.fullmatch(r"[A-Z][^\n]*\.", text) and not re.search(r"\.\s", text) else f"not one sentence: {text}"
    )


@pytest.mark.parametrize("there", [[], ["adapter_config.json"]], ids=["no folder", "no weights"])
def test_a_missing_adapter_is_one_sentence(course, there):
    for name in there:
        (course / "data/adapters/triage").mkdir(parents=True)
        (course / "data/adapters/triage" / name).touch()
    with pytest.raises(FileNotFoundError) as error:
        adapters.shipped_adapter("triage")
    assert "data/adapters/triage holds no weights" in one_sentence(error)
    assert "benchmarks/record_triage_lora.py" in str(error.value) and str(course) not in str(error.value)


def test_an_adapter_that_is_there_is_found(course):
    folder = course / "data/adapters/triage"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").touch()
    assert adapters.shipped_adapter("triage") == folder


def test_a_missing_record_is_one_sentence_with_its_command(course):
    with pytest.raises(FileNotFoundError) as error:
        adapters.recorded_runs("triage")
    assert "benchmarks/results/triage_lora.json" in one_sentence(error)
    assert "python benchmarks/record_triage_lora.py" in str(error.value) and str(course) not in str(error.value)


def test_recorded_runs_as_a_table(course):
    scores = {"test, hand-written": {"valid": [1.0, 0.981, 1.0], "exact": [0.865, 0.815, 0.91]}}
    runs = [{"seed": seed, "train_seconds": 600 + 63 * seed, "scores": scores} for seed in (0, 2)]
    (course / "benchmarks/results").mkdir(parents=True)
    (course / "benchmarks/results/triage_lora.json").write_text(json.dumps({"settings": {"date": "d"}, "runs": runs}))
    recorded = adapters.recorded_runs("triage")
    assert recorded.settings == {"date": "d"} and recorded.runs == runs
    table = recorded.table
    assert table.index.name == "seed" and list(table.index) == [0, 2]
    assert list(table.columns) == ["minutes", "test, hand-written: valid", "test, hand-written: exact"]
    assert list(table["minutes"]) == [10.0, 12.1]
    assert list(table.loc[2])[1:] == ["100% [98, 100]", "86% [82, 91]"]


def test_the_data_s_hash_is_that_of_the_file(course):
    (course / "data/triage").mkdir()
    (course / "data/triage/train.jsonl").write_bytes(b"one line\r\n")
    assert adapters.data_hash("train") == hashlib.sha256(b"one line\r\n").hexdigest()


def test_saved_key_numbers_of_a_notebook(course):
    number = {"name": "exact match, LoRA", "value": 0.9, "unit": "", "low": 0.85, "high": 0.94}
    plain = {"output_type": "stream", "name": "stdout", "text": "nothing"}
    marked = nbformat.v4.new_output("display_data", {keynumbers.MIME: number, "text/plain": "x"})
    other = nbformat.v4.new_output("display_data", {keynumbers.MIME: number | {"name": "s", "low": None, "high": None}})
    cells = [
        nbformat.v4.new_markdown_cell("text"),
        nbformat.v4.new_code_cell("one", outputs=[nbformat.from_dict(plain), marked]),
        nbformat.v4.new_code_cell("none"),
        nbformat.v4.new_code_cell("two", outputs=[other]),
    ]
    (course / "solutions").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), course / "solutions/03_tiny.ipynb")
    first, second = keynumbers.saved("03_tiny")
    assert str(first) == "exact match, LoRA: 0.9 (0.85 to 0.94)" and first.high == 0.94
    assert (second.name, second.low) == ("s", None)


def test_a_missing_notebook_is_one_sentence(course):
    with pytest.raises(FileNotFoundError) as error:
        keynumbers.saved("03_tiny")
    assert "solutions/03_tiny.ipynb" in one_sentence(error) and str(course) not in str(error.value)


# Checkpoint, kill, resume


def losses_in(lines):
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    return {entry["step"]: entry["loss"] for entry in entries}


@pytest.mark.slow
def test_a_killed_run_resumes_as_if_nothing_had_happened(tmp_path):
    """Real processes, a real SIGKILL, LoRA+ and dropout: optimizer, schedule, data order and random state all count."""
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}

    def start(folder, *arguments):
        command = [sys.executable, tiny_training.__file__, str(tmp_path / folder), *arguments]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, text=True, env=environment, **pipes)

    def finish(process):
        output, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors[-2000:]
        return losses_in(output.splitlines())

    # Both at once: most of a process's time is the import of the libraries
    whole, killed = start("whole"), start("killed", "--stay-after", "3")
    try:
        before = losses_in(itertools.islice((line for line in killed.stdout if line.startswith("{")), 3))
        killed.kill()  # it stays inside step 4; on POSIX this is SIGKILL
        killed.communicate(timeout=60)
        uninterrupted = finish(whole)
    finally:
        for process in (whole, killed):
            process.kill()
    if os.name == "posix":
        assert killed.returncode == -signal.SIGKILL
    assert sorted(path.name for path in (tmp_path / "killed").glob("checkpoint-*")) == ["checkpoint-2"]
    assert sorted(uninterrupted) == list(range(1, 9)) and sorted(before) == [1, 2, 3]
    assert len(set(uninterrupted.values())) == 8, "all losses are the same: nothing is shown"

    resumed = finish(start("killed", "--resume", str(tmp_path / "killed" / "checkpoint-2")))
    assert sorted(resumed) == list(range(3, 9))
    for step, loss in (before | resumed).items():
        assert loss == pytest.approx(uninterrupted[step], abs=1e-6), f"step {step}"
    ends = [Path(tmp_path, folder, "checkpoint-8", "adapter_model.safetensors") for folder in ("whole", "killed")]
    from safetensors.torch import load_file

    first, second = map(load_file, ends)
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, atol=1e-6, rtol=1e-5, msg=name)
