"""Record the two grids of notebook 04: label noise and size for the linear classifier, care and amount for the LoRA.

    python benchmarks/record_curation_grid.py linear         # about 3 minutes on one core
    python benchmarks/record_curation_grid.py lora           # about 25 minutes on one core

Written to benchmarks/results/curation_{linear,lora}.json; a run that stands there for the same data and settings is not
made again. Scores are kept message by message, as bits. The other settings of ``VARIANTS`` are compared on the
hand-written validation messages; the best of them there is run with the other seeds. Test decides nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune_course.adapters import data_hash
from finetune_course.curation_grid import (
    ARMS,
    BATCH,
    FIRST_BLOCK,
    LARGE,
    SMALL,
    USUAL,
    VARIANTS,
    rows_hash,
    rows_of,
    settings_of,
    to_bits,
    train_category,
)
from finetune_course.evaluate import score
from finetune_course.label_noise import KINDS, noisy
from finetune_course.linear_triage import LinearTriage
from finetune_course.lora_layer import remove_lora
from finetune_course.paths import course_root
from finetune_course.short_runs import UpperBlocks, category_batches
from finetune_course.training import quiet_libraries
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
            content["settings"]["complete"] = number == len(grid)
            write(path, content)


class Lora:
    """The base model with its frozen lower blocks' states for all rows of the grid, computed once."""

    def __init__(self, rows: dict[str, list[dict]], sets: dict[str, list[dict]]):
        """``rows`` are the training sets by name, ``sets`` the held-out ones."""
        quiet_libraries()
        tokenizer = AutoTokenizer.from_pretrained(weights())
        model = AutoModelForCausalLM.from_pretrained(weights(), dtype=torch.float32)
        self.rows, self.sets = rows, sets
        batches = {name: category_batches(tokenizer, some, BATCH) for name, some in rows.items()}
        batches |= {name: category_batches(tokenizer, some, 20) for name, some in sets.items()}
        self.stage = UpperBlocks(model, FIRST_BLOCK, **batches)

    def run(self, arm: str, seed: int, variant: str | None = None) -> dict:
        """Train one arm and score it on every held-out set and on its own rows."""
        name, start = f"{arm} {seed}", time.process_time()
        losses = train_category(self.stage, name, seed, **settings_of(arm, variant))
        outcome = {"name": variant or arm, "arm": arm, "seed": seed, "rows_sha256": rows_hash(self.rows[name])}
        outcome |= {"steps": len(losses), "first_losses": [round(loss, 4) for loss in losses[:3]]}
        outcome |= {each: to_bits(self.stage.held_out(each)[1]) for each in (*self.sets, name)}
        outcome["own_rows"] = outcome.pop(name)
        remove_lora(self.stage.model)
        return outcome | {"cpu_seconds": round(time.process_time() - start, 1)}


def lora(path: Path) -> None:
    train, start = load_split("train"), time.process_time()
    rows = {f"{arm} {seed}": rows_of(arm, train, seed) for arm in ARMS for seed in SEEDS}
    grid = Lora(rows, {name: load_split(name) for name in SETS})
    settings = {"command": "python benchmarks/record_curation_grid.py lora", "usual": USUAL, "variants": VARIANTS}
    content = opened(path, settings | {"large": LARGE, "small": SMALL, "first_block": FIRST_BLOCK, "batch": BATCH})

    def once(arm: str, seed: int, variant: str | None = None) -> dict:
        for run in content["runs"]:
            if (run["name"], run["seed"]) == (variant or arm, seed):
                return run
        content["runs"].append(grid.run(arm, seed, variant))
        content["settings"]["cpu_seconds"] = round(time.process_time() - start)
        write(path, content)
        print({key: value for key, value in content["runs"][-1].items() if len(str(value)) < 60}, flush=True)
        return content["runs"][-1]

    for seed in SEEDS:
        for arm in ARMS:
            once(arm, seed)
    tried = {variant: once("as found", 0, variant)[SETS[0]].count("1") for variant in VARIANTS}
    content["settings"]["best_variant"] = max(tried, key=tried.get)
    for seed in SEEDS:
        once("as found", seed, content["settings"]["best_variant"])
    content["settings"]["complete"] = True
    write(path, content)


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
        same = ("command", "data_sha256", "usual", "variants", "large", "small", "first_block", "batch")
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
