"""Time the course's triage run against stock TRL, in one process, to the same held-out accuracy.

    python benchmarks/compare_with_stock.py [--examples 240] [--patience 6]

Course: notebook 06's settings (data/triage/training.yaml) on ``--examples`` messages; what it reaches on hand-written
validation messages is the target. Stock: TRL's own LoRA example (finetune_course.stock_example), with the full
instructions in the prompt. It trains until it has reached the target or has had ``--patience`` times the course's time;
then the ratio is a lower bound, and is printed as one. Scoring does not count as training time.

Accuracy is the share of the answer's tokens that the model predicts rightly from the true ones before them: it moves
from the first step on, unlike whole records. Shares of the machine's rate come from torch's FLOP counter and from the
matrix-product rate measured in the same minute. The result goes to benchmarks/results/compare_with_stock.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from datetime import date
from importlib.metadata import version

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback, set_seed

from finetune_course.allocator import keep_freed_memory
from finetune_course.completion_trainer import triage_trainer
from finetune_course.hardware import inspect_hardware, measure_rates
from finetune_course.paths import course_root
from finetune_course.stock_example import stock_trainer, with_instructions
from finetune_course.training import prompt_completion, quiet_libraries
from finetune_course.triage import label_text, load_split
from finetune_course.weights import weights

RESULT = course_root() / "benchmarks" / "results" / "compare_with_stock.json"
LIBRARIES = ("torch", "transformers", "peft", "trl")


def token_accuracy(model, tokenizer, make_row, records) -> float:
    """Share of answer tokens (end token included) whose best guess is right, given the true tokens before."""
    right = total = 0
    training = model.training
    model.eval()
    with torch.inference_mode():
        for record in records:
            prompt = tokenizer.apply_chat_template(
                make_row(record)["prompt"], add_generation_prompt=True, tokenize=True
            )
            answer = tokenizer(label_text(record["label"]) + tokenizer.eos_token).input_ids
            ids = torch.tensor([prompt["input_ids"] + answer])
            logits = model(input_ids=ids, logits_to_keep=len(answer) + 1).logits[0, :-1]
            right += (logits.argmax(-1) == torch.tensor(answer)).sum().item()
            total += len(answer)
    model.train(training)
    return right / total


class Clock(TrainerCallback):
    """Training seconds without scoring; stops the run when the target is reached or the time is over."""

    def __init__(self, accuracy, every: int, target: float = 2.0, limit: float = float("inf")):
        self.accuracy, self.every, self.target, self.limit = accuracy, every, target, limit
        self.seconds, self.started, self.curve = 0.0, 0.0, []

    def on_train_begin(self, args, state, control, **kwargs):
        self.started = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        self.seconds += time.perf_counter() - self.started
        if state.global_step % self.every == 0 or self.seconds > self.limit:
            self.curve.append((round(self.seconds, 1), round(self.accuracy(), 4)))
            reached = self.curve[-1][1] >= self.target
            control.should_training_stop = control.should_training_stop or reached or self.seconds > self.limit
        self.started = time.perf_counter()


def flops_of_a_step(trainer) -> float:
    """Floating-point operations of one batch, forward and backward, counted by torch."""
    batch = next(iter(trainer.get_train_dataloader()))
    counter = FlopCounterMode(display=False)
    with counter:
        trainer.compute_loss(trainer.model, batch).backward()
    trainer.model.zero_grad()
    return counter.get_total_flops() / batch["input_ids"].numel()


def run(name: str, trainer, clock: Clock) -> dict:
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(clock)
    flops = flops_of_a_step(trainer)
    trainer.train()
    lengths = [len(ids) for ids in trainer.train_dataset["input_ids"]]
    per_step = trainer.args.per_device_train_batch_size * trainer.args.gradient_accumulation_steps
    tokens = trainer.state.global_step * per_step * sum(lengths) / len(lengths)
    rate = max(measure_rates("cpu", seconds=0.5).values())
    result = {
        "seconds": round(clock.seconds, 1),
        "steps": trainer.state.global_step,
        "tokens_per_second": round(tokens / clock.seconds),
        "examples_per_second": round(trainer.state.global_step * per_step / clock.seconds, 2),
        "share_of_matmul_rate": round(flops * tokens / clock.seconds / 1e9 / rate, 3),
        "accuracy": clock.curve[-1][1],
        "curve": clock.curve,
    }
    print(name, json.dumps({key: value for key, value in result.items() if key != "curve"}), flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=240)
    parser.add_argument("--patience", type=float, default=6, help="stock's time at most, in times the course's")
    parser.add_argument("--scored", type=int, default=24, help="validation messages that the accuracy is taken on")
    options = parser.parse_args()
    quiet_libraries()
    keep_freed_memory()
    hw = inspect_hardware("standard")
    tokenizer = AutoTokenizer.from_pretrained(weights())
    train, scored = load_split("train"), load_split("validation_handwritten")[: options.scored]

    def model_in(dtype):
        set_seed(0)
        return AutoModelForCausalLM.from_pretrained(weights(), dtype=dtype)

    with tempfile.TemporaryDirectory() as folder:
        trainer = triage_trainer(model_in(hw.dtype), tokenizer, train[: options.examples], hw, output_dir=folder)
        steps = -(-options.examples // trainer.args.per_device_train_batch_size)
        course_model = trainer.model
        clock = Clock(lambda: token_accuracy(course_model, tokenizer, prompt_completion, scored), every=steps)
        course = run("course", trainer, clock)
        example = stock_trainer(model_in(torch.float32), tokenizer, train, hw, output_dir=folder, num_train_epochs=100)
        limit = options.patience * course["seconds"]
        accuracy = lambda: token_accuracy(example.model, tokenizer, with_instructions, scored)  # noqa: E731
        stock = run("stock", example, Clock(accuracy, every=2, target=course["accuracy"], limit=limit))
    reached = stock["accuracy"] >= course["accuracy"]
    ratio = stock["seconds"] / course["seconds"]
    print(f"{'' if reached else 'at least '}{ratio:.1f} times faster to {course['accuracy']:.1%} of answer tokens right"
          + ("" if reached else f" (stock stood at {stock['accuracy']:.1%} when its time was over)"))  # fmt: skip
    record = {
        "command": f"python benchmarks/compare_with_stock.py --examples {options.examples}"
        f" --patience {options.patience:g}",
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {hw.cores} cores",
        "matmul_gflops": {name: round(rate) for name, rate in hw.rates.items()},
        "versions": {name: version(name) for name in LIBRARIES},
        "ratio": round(ratio, 2),
        "ratio_is_lower_bound": not reached,
        "course": course,
        "stock": stock,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
