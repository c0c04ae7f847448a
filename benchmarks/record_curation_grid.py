"""Record the two grids of notebook 04: label noise and size for the linear classifier, care and amount for the LoRA.

    python benchmarks/record_curation_grid.py linear         # about 3 minutes on one core
    python benchmarks/record_curation_grid.py lora           # about 25 minutes on one core

Written to benchmarks/results/curation_{linear,lora}.json after every run; a run that stands there for the same rows and
settings is not made again. Scores are kept message by message, as bits. Settings other than those of
data/triage/training.yaml are scored on the hand-written validation messages; the best of them there is run with the
other seeds; test decides nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from copy import deepcopy
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, set_seed

from finetune_course import completion_trainer
from finetune_course.adapters import data_hash
from finetune_course.curation_grid import ARMS, SMALL_EPOCHS, VARIANTS, rows_hash, rows_of, to_bits
from finetune_course.evaluate import score
from finetune_course.generation import answer_all
from finetune_course.hardware import inspect_hardware
from finetune_course.label_noise import KINDS, noisy
from finetune_course.linear_triage import LinearTriage
from finetune_course.lower_half import LowerHalf, SeveralEpochsTrainer
from finetune_course.paths import course_root
from finetune_course.training import keep_freed_memory, quiet_libraries, triage_settings
from finetune_course.triage import load_split
from finetune_course.weights import weights

RESULTS = course_root() / "benchmarks" / "results"
SEEDS = (0, 1, 2)
SIZES = (40, 80, 160, 320, 640, 1280, 2560)
SHARES = (0.0, 0.1, 0.2, 0.4, 0.6)
SETS = ("validation_handwritten", "test_handwritten")


def linear_point(train: list[dict], size: int, kind: str, share: float, seed: int) -> dict:
    """One run of the linear grid: its rows are ``size`` drawn with ``seed``, ``share`` of them labelled wrong."""
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)).tolist()[:size]
    rows = noisy([train[place] for place in order], share, kind, seed)
    model = LinearTriage().fit(rows)
    point = {"size": size, "kind": kind, "share": share, "seed": seed, "rows": rows_hash(rows)}
    for name in SETS:
        records = load_split(name)
        point[name] = to_bits(score(model.answers(records), records)["exact"])
    return point


def linear(path: Path, sizes: tuple[int, ...] = SIZES) -> None:
    train = load_split("train")
    grid = [
        (size, kind, share, seed)
        for size in sizes
        for kind in KINDS
        for share in SHARES
        if share or kind == KINDS[0]  # without noise both kinds are the same
        for seed in SEEDS
    ]
    content = opened(path, {"command": "python benchmarks/record_curation_grid.py linear"})
    known = {(run["size"], run["kind"], run["share"], run["seed"]) for run in content["runs"]}
    start = time.process_time()
    for number, point in enumerate(grid, start=1):
        if point not in known:
            content["runs"].append(linear_point(train, *point))
        if number % 20 == 0 or number == len(grid):
            content["settings"]["cpu_seconds"] = round(time.process_time() - start)
            write(path, content)


class Lora:
    """The machine, the tokenizer and the base model's lower half, which is the same in every run of the grid."""

    def __init__(self):
        quiet_libraries()
        keep_freed_memory()
        self.hw = inspect_hardware("standard")
        self.tokenizer = AutoTokenizer.from_pretrained(weights())
        self.states: dict = {}
        self.train = load_split("train")

    def run(self, arm: str, seed: int, change: dict, rows: list[dict] | None = None, sets: tuple[str, ...] = SETS):
        """Train one arm with settings changed by ``change`` and score it; ``rows`` instead of the arm's, for trials."""
        rows = rows_of(arm, self.train, seed) if rows is None else rows
        set_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(weights(), dtype=self.hw.dtype).to(self.hw.device)
        start = time.process_time()
        with tempfile.TemporaryDirectory() as folder, changed_lora(change.get("lora", {})):
            trainer = completion_trainer.triage_trainer(
                model, self.tokenizer, rows, self.hw, SeveralEpochsTrainer, output_dir=folder, seed=seed, logging_steps=10,
                **({"num_train_epochs": SMALL_EPOCHS} if arm == "curated" else {}), **change.get("trainer", {}),
            )  # fmt: skip
            first = min(triage_settings()["lora"]["layers_to_transform"])
            trainer.lower_half = LowerHalf(trainer.model.get_base_model().model, first)
            trainer.lower_half.known = self.states  # frozen layers: the same states in every run
            trainer.remove_callback(PrinterCallback)
            trainer.train()
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        outcome = {"arm": arm, "seed": seed, "rows": len(rows), "rows_sha256": rows_hash(rows)}
        outcome |= {"steps": trainer.state.global_step, "losses": [round(loss, 3) for loss in losses]}
        outcome["train_cpu_seconds"] = round(time.process_time() - start, 1)
        merged = trainer.model.merge_and_unload().eval()
        # The training rows too, for claim C29: as many as there are, 64 at most, with the labels that were trained.
        for name, records in [*((name, load_split(name)) for name in sets), ("own_rows", rows[:64])]:
            outcome |= self.scores(merged, name, records)
        outcome["cpu_seconds"] = round(time.process_time() - start, 1)
        return outcome

    def scores(self, model, name: str, records: list[dict]) -> dict:
        system = [{"role": "system", "content": triage_settings()["system_prompt"]}]
        messages = [record["message"] for record in records]
        answers = answer_all(model, self.tokenizer, system, messages, batch_size=self.hw.eval_batch).texts
        table = score(answers, [{"id": str(place), **record} for place, record in enumerate(records)])
        fields = table.drop(columns=["id", "valid", "exact"]).mean(axis=None)
        return {name: to_bits(table["exact"]), f"{name}_fields": round(float(fields), 4)}


class changed_lora:
    """Within it the settings' ``lora`` part is changed; triage_trainer reads it from the settings."""

    def __init__(self, change: dict):
        self.lora, self.change = triage_settings()["lora"], change

    def __enter__(self):
        self.before = deepcopy(self.lora)
        self.lora.update(self.change)

    def __exit__(self, *error):
        self.lora.update(self.before)


def lora(path: Path) -> None:
    grid = Lora()
    settings = {
        "command": "python benchmarks/record_curation_grid.py lora",
        "training": {
            key: value for key, value in deepcopy(triage_settings()).items() if key not in ("live", "recorded")
        },
        "dtype": str(grid.hw.dtype).removeprefix("torch."),
        "variants": VARIANTS,
    }
    content = opened(path, settings)

    def once(name: str, arm: str, seed: int, change: dict) -> dict:
        for run in content["runs"]:
            if (run["name"], run["seed"]) == (name, seed):
                return run
        content["runs"].append({"name": name, **grid.run(arm, seed, change)})
        content["settings"]["cpu_seconds"] = round(sum(run["cpu_seconds"] for run in content["runs"]))
        write(path, content)
        print(
            json.dumps({key: value for key, value in content["runs"][-1].items() if len(str(value)) < 60}), flush=True
        )
        return content["runs"][-1]

    for seed in SEEDS:
        for arm in ARMS:
            once(arm, arm, seed, {})
    tried = {name: once(name, "as found", 0, change) for name, change in VARIANTS.items()}
    best = max(tried, key=lambda name: (tried[name][SETS[0]].count("1"), tried[name][f"{SETS[0]}_fields"]))
    content["settings"]["best_variant"] = best
    for seed in SEEDS:
        once(best, "as found", seed, VARIANTS[best])


def opened(path: Path, settings: dict) -> dict:
    """The record to add to: the stored one where it is of the same data and settings, otherwise a new one."""
    settings |= {
        "data_sha256": {name: data_hash(name) for name in ("train", *SETS)},
        "versions": {name: version(name) for name in ("torch", "transformers", "peft", "trl", "scikit-learn")},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "date": date.today().isoformat(),
    }
    if path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
        same = ("command", "training", "data_sha256", "variants")
        if all(stored["settings"].get(key) == settings.get(key) for key in same):
            return stored
    return {"settings": settings, "runs": []}


def write(path: Path, content: dict) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("grid", choices=["linear", "lora"])
    kind = parser.parse_args().grid
    {"linear": linear, "lora": lora}[kind](RESULTS / f"curation_{kind}.json")
