"""Train the triage adapter on all training messages, once per seed, score it, and write the record.

    python benchmarks/record_triage_lora.py --seeds 0 1 2      # about an hour a seed on one core of a CPU

Each seed is written as soon as it is done to benchmarks/results/triage_lora.json, and a seed that stands there for the
same data and settings is not run again; two processes may do different seeds at once (OMP_NUM_THREADS=1 for each is the
best use of two cores). Seed 0's adapter goes to data/adapters/triage (bfloat16).
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch
from filelock import FileLock
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

from finetune_course.adapters import data_hash
from finetune_course.allocator import keep_freed_memory
from finetune_course.completion_trainer import triage_trainer
from finetune_course.evaluate import interval, score
from finetune_course.generation import answer_all
from finetune_course.hardware import inspect_hardware
from finetune_course.lora_runs import save_adapter
from finetune_course.lower_half import SeveralEpochsTrainer
from finetune_course.paths import course_root, data_path
from finetune_course.training import quiet_libraries, training_identity, triage_settings
from finetune_course.triage import load_split
from finetune_course.weights import weights

RESULT = course_root() / "benchmarks" / "results" / "triage_lora.json"
LIBRARIES = ("torch", "transformers", "peft", "trl")
SETS = {
    "validation_handwritten": "validation, hand-written",
    "test_handwritten": "test, hand-written",
    "test": "test, template-made",
}


def train(seed: int, examples: int, epochs: float, batch: int, hw):
    """One run; returns the model, its tokenizer, seconds and tokens trained on."""
    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(weights())
    model = AutoModelForCausalLM.from_pretrained(weights(), dtype=hw.dtype).to(hw.device)
    records = load_split("train")[:examples]
    with tempfile.TemporaryDirectory() as folder:
        trainer = triage_trainer(
            model, tokenizer, records, hw, SeveralEpochsTrainer, output_dir=folder, seed=seed, logging_steps=25,
            num_train_epochs=epochs, per_device_train_batch_size=batch,
        )  # fmt: skip
        start = time.perf_counter()
        trainer.train()
        tokens = sum(map(len, trainer.train_dataset["input_ids"])) * epochs
    return trainer.model.eval(), tokenizer, time.perf_counter() - start, tokens


def scores_of(model, tokenizer, hw) -> dict:
    system = [{"role": "system", "content": triage_settings()["system_prompt"]}]
    result = {}
    for split, name in SETS.items():
        records = load_split(split)
        answers = answer_all(
            model, tokenizer, system, [row["message"] for row in records], batch_size=hw.eval_batch
        ).texts
        table = score(answers, records)
        result[name] = {measure: [round(v, 4) for v in interval(table[measure])] for measure in ("valid", "exact")}
    return result


def description(options: argparse.Namespace, hw) -> dict:
    """What the record says of its runs: command, settings, data, machine, versions and date."""
    return {
        "command": f"python benchmarks/record_triage_lora.py --seeds {' '.join(map(str, options.seeds))}"
        f" --examples {options.examples} --epochs {options.epochs:g} --batch {options.batch}",
        "training": training_identity(),
        "examples": options.examples,
        "epochs": options.epochs,
        "batch": options.batch,
        "data_sha256": data_hash("train"),
        "dtype": str(hw.dtype).removeprefix("torch."),
        "machine": f"{platform.machine()}, {hw.cores} cores, {hw.device}",
        "matmul_gflops": {name: round(rate) for name, rate in hw.rates.items()},
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in LIBRARIES},
        "date": date.today().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    recorded = triage_settings()["recorded"]
    parser.add_argument("--examples", type=int, default=recorded["examples"])
    parser.add_argument("--epochs", type=float, default=recorded["num_train_epochs"])
    parser.add_argument("--batch", type=int, default=recorded["per_device_train_batch_size"])
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    quiet_libraries()
    keep_freed_memory()
    hw = inspect_hardware("standard")
    settings = description(options, hw)
    for seed in options.seeds:
        if any(run["seed"] == seed for run in stored_runs(options.output, settings)):
            continue
        model, tokenizer, seconds, tokens = train(seed, options.examples, options.epochs, options.batch, hw)
        run = {
            "seed": seed,
            "train_seconds": round(seconds, 1),
            "tokens": int(tokens),
            "scores": scores_of(model, tokenizer, hw),
        }
        store(run, options.output, settings)
        print(json.dumps(run), flush=True)
        if seed == 0 and options.output == RESULT:
            save_adapter(model, data_path("adapters", "triage"), {"settings": settings, "run": run})


def stored_runs(path: Path, settings: dict) -> list[dict]:
    """The runs in a result file that were made on this data with these settings."""
    if not path.is_file():
        return []
    stored = json.loads(path.read_text(encoding="utf-8"))
    same = ("training", "examples", "epochs", "batch", "data_sha256")
    return stored["runs"] if all(stored["settings"].get(key) == settings[key] for key in same) else []


def store(run: dict, path: Path, settings: dict) -> None:
    """Add a run to the result file; another process may be adding another seed's."""
    path.parent.mkdir(exist_ok=True)
    with FileLock(Path(tempfile.gettempdir()) / f"{path.name}.lock"):
        runs = [other for other in stored_runs(path, settings) if other["seed"] != run["seed"]]
        runs = sorted([*runs, run], key=lambda each: each["seed"])
        seeds = " ".join(str(each["seed"]) for each in runs)
        command = re.sub(r"--seeds [\d ]+", f"--seeds {seeds} ", settings["command"])
        content = {"settings": settings | {"command": command}, "runs": runs}
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)


if __name__ == "__main__":
    main()
