"""Where the time of a training step goes on a CPU: TRL's example, TRL's trainer with the course's settings, the course.

    python benchmarks/profile_step.py            # two minutes on two free cores; OMP_NUM_THREADS sets the threads

Each trains the 135M model for a few real steps (``trainer.train``). The first is for warming up. The next ones are
timed by the process's CPU time, forward pass, backward pass and the rest apart (other programs on the machine hardly
disturb that; with several threads it is the time of all of them together). The last ones run under torch's profiler,
whose operations are put into five kinds. Of a kind the *share* is kept, since the profiler slows everything down.

TRL's example is profiled with one batch of 2 a step where it would gather 8, so its optimiser counts for more than it
should; that is under a hundredth of the step. Shares of the machine's rate come from torch's FLOP counter and from the
matrix-product rate, by CPU time as well, measured just before. The result goes to benchmarks/results/profile_step.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback, set_seed
from trl import SFTTrainer
from trl.trainer import utils as trl_utils

from finetune_course.allocator import keep_freed_memory
from finetune_course.completion_trainer import triage_trainer
from finetune_course.hardware import inspect_hardware, measure_rates
from finetune_course.paths import course_root
from finetune_course.stock_example import stock_trainer
from finetune_course.training import quiet_libraries
from finetune_course.triage import load_split
from finetune_course.weights import weights

RESULT = course_root() / "benchmarks" / "results" / "profile_step.json"
LIBRARIES = ("torch", "transformers", "peft", "trl")
HEAD, BLOCKS, ATTENTION, OPTIMISER, OTHER = KINDS = (
    "vocabulary head and loss", "matrix products in the blocks", "attention", "optimiser and clipping", "all else",
)  # fmt: skip
EXAMPLE, STOCK, COURSE = RUNS = "TRL's example", "TRL's trainer, course's settings", "course"
ROWS = 80  # group_by_length makes groups of 20 rows of these, so that 5 batches of 4 show each length once


def head_sizes(vocabulary: int) -> set[int]:
    """The vocabulary's size, and those of the pieces in which TRL's loss works through it."""
    piece = trl_utils._CHUNKED_LOGPROB_CHUNK_SIZE
    return {vocabulary, *(size for size in (min(piece, vocabulary), vocabulary % piece) if size)}


def kind_of(name: str, shapes: Iterable[Iterable[int]], sizes: set[int]) -> str:
    """The kind of an operation, from its name and its inputs' shapes; what has one of ``sizes`` belongs to the head."""
    if any(not sizes.isdisjoint(shape) for shape in shapes if isinstance(shape, (list, tuple))):
        return HEAD
    operation = name.removeprefix("aten::")
    if "optimizer.step" in name.lower() or operation.startswith("_foreach") or "adam" in name.lower():
        return OPTIMISER
    if "scaled_dot_product" in operation:
        return ATTENTION
    return BLOCKS if operation in ("mm", "addmm", "bmm", "baddbmm", "linear", "mkldnn_linear") else OTHER


class Steps(TrainerCallback):
    """Times some steps of a real run by CPU time, then profiles as many; ``warm`` steps come first."""

    def __init__(self, trainer: SFTTrainer, steps: int, warm: int = 1):
        self.first, self.last = warm, warm + steps
        self.seconds, self.shares, self.losses = defaultdict(float), {}, []
        self.profiler: profile | None = None
        self.timing = self.stepping = False
        trainer.compute_loss = self._timed(trainer.compute_loss, "forward")
        trainer.accelerator.backward = self._timed(trainer.accelerator.backward, "backward")
        self.sizes = head_sizes(trainer.model.config.vocab_size)
        trainer.add_callback(self)

    def _timed(self, call, name: str):
        def timed(*inputs, **named):
            start = time.process_time()
            found = call(*inputs, **named)
            if self.timing:
                self.seconds[name] += time.process_time() - start
            return found

        return timed

    def on_step_begin(self, args, state, control, **kwargs):
        self.timing = self.first <= state.global_step < self.last
        if state.global_step == self.last:
            self.profiler = profile(activities=[ProfilerActivity.CPU], record_shapes=True)
            self.profiler.__enter__()
        self.start = time.process_time()

    def on_step_end(self, args, state, control, **kwargs):
        if self.timing:
            self.seconds["whole step"] += time.process_time() - self.start

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and "loss" in logs:
            self.losses.append(round(float(logs["loss"]), 4))

    def on_train_end(self, args, state, control, **kwargs):
        self.profiler.__exit__(None, None, None)
        found = defaultdict(float)
        for entry in self.profiler.key_averages(group_by_input_shape=True):
            found[kind_of(entry.key, entry.input_shapes, self.sizes)] += entry.self_cpu_time_total
        self.shares = {kind: round(found[kind] / sum(found.values()), 4) for kind in KINDS}


def operations(trainer: SFTTrainer) -> tuple[float, int]:
    """Floating-point operations of a batch and its tokens; what is done again to save memory is not counted."""
    batch = next(iter(trainer.get_train_dataloader()))
    with FlopCounterMode(display=False) as counter:
        trainer.compute_loss(trainer.model, batch).backward()
    trainer.model.zero_grad()
    return counter.get_total_flops(), batch["input_ids"].numel()


def profiled(trainer: SFTTrainer, steps: int, gflops: float) -> dict[str, Any]:
    """Seconds a row (CPU time), shares by kind, and the share of the matrix-product rate, of one trainer."""
    trainer.remove_callback(PrinterCallback)
    flops, tokens = operations(trainer)
    watch = Steps(trainer, steps)
    trainer.train()
    batch = trainer.args.per_device_train_batch_size
    rows = steps * batch
    seconds = {name: watch.seconds[name] / rows for name in ("forward", "backward", "whole step")}
    lengths = [len(ids) for ids in trainer.train_dataset["input_ids"]]
    row = sum(lengths) / len(lengths)
    return {
        "rows": rows,
        "batch": batch,
        "tokens a row": round(row, 1),
        "seconds a row": {name: round(value, 4) for name, value in seconds.items()},
        "shares": watch.shares,
        "gflop a token": round(flops / tokens / 1e9, 3),
        "share of matrix-multiply rate": round(flops / tokens * row / 1e9 / gflops / seconds["whole step"], 3),
        "losses": watch.losses,
    }


def main(options: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5, help="steps that are timed, and as many that are profiled")
    parser.add_argument("--output", type=Path, default=RESULT)
    asked = parser.parse_args(options)
    quiet_libraries()
    keep_freed_memory()
    hw = inspect_hardware("standard")
    if hw.device != "cpu":
        raise SystemExit(
            "This profile is of the CPU: hide the graphics card (CUDA_VISIBLE_DEVICES=) or use another machine."
        )
    tokenizer, records = AutoTokenizer.from_pretrained(weights()), load_split("train")[:ROWS]
    last = {"max_steps": 1 + 2 * asked.steps, "logging_steps": 1}

    def model_in(dtype):
        set_seed(0)
        return AutoModelForCausalLM.from_pretrained(weights(), dtype=dtype)

    runs = {}
    with tempfile.TemporaryDirectory(prefix="finetune-course-") as folder:
        last["output_dir"] = folder
        makers = {
            EXAMPLE: lambda: stock_trainer(
                model_in(torch.float32), tokenizer, records, hw, gradient_accumulation_steps=1, **last
            ),
            STOCK: lambda: triage_trainer(model_in(hw.dtype), tokenizer, records, hw, kind=SFTTrainer, **last),
            COURSE: lambda: triage_trainer(model_in(hw.dtype), tokenizer, records, hw, **last),
        }
        for name in RUNS:
            rates = measure_rates("cpu", seconds=0.5, clock=time.process_time)
            runs[name] = profiled(makers[name](), asked.steps, max(rates.values()))
            print(name, json.dumps(runs[name]), flush=True)
    record = {
        "settings": {
            "command": "python benchmarks/profile_step.py",
            "date": date.today().isoformat(),
            "machine": f"{platform.machine()}, {hw.cores} cores, cpu",
            "threads": torch.get_num_threads(),
            "number format": str(hw.dtype).removeprefix("torch."),
            "steps": asked.steps,
            "versions": {name: version(name) for name in LIBRARIES},
        },
        "runs": runs,
    }
    asked.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
