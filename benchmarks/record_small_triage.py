"""Record what the small model of notebooks 01 and 02 makes of the triage task, for notebook 07.

    python benchmarks/record_small_triage.py          # about 15 minutes on one core

Several settings, every weight trained, written to benchmarks/results/small_triage.json one by one. Which of them is
reported is decided on the hand-written validation messages; the test outcomes of the others are kept, since the claim
says "whatever training setting". ``--tiny`` proves that it works and wants an --output folder of its own.
"""

from __future__ import annotations

import argparse
import hashlib

from finetune_course.curation_grid import rows_hash
from finetune_course.few_rows import rows_for
from finetune_course.grid_record import GridRecord, Run, grid_options, outcome_bits, triage_identity
from finetune_course.small_model import shipped_small_model
from finetune_course.small_triage import long_small_model, small_answers, train_small
from finetune_course.training import quiet_libraries
from finetune_course.triage import load_split

TRIED = (
    {"size": 600, "passes": 5, "rate": 1e-3},
    {"size": 600, "passes": 5, "rate": 3e-3},
    {"size": 600, "passes": 12, "rate": 3e-3},
    {"size": 5000, "passes": 2, "rate": 3e-3},
)
TINY = ({"size": 4, "passes": 1, "rate": 1e-3}, {"size": 8, "passes": 2, "rate": 3e-3})


def model_hash() -> str:
    """SHA-256 of the shipped small model's weights."""
    return hashlib.sha256((shipped_small_model() / "model.safetensors").read_bytes()).hexdigest()


def point(size: int, passes: int, rate: float, seed: int, messages: int | None = None) -> Run:
    """One setting, trained and scored on both hand-written sets."""
    rows = rows_for(load_split("train"), size, seed)
    model, tokenizer = long_small_model()
    losses = train_small(model, tokenizer, rows, passes=passes, rate=rate, seed=seed)
    run = {"rows": rows_hash(rows), "first_losses": [round(loss, 4) for loss in losses[:3]]}
    run["last_loss"] = round(sum(losses[-20:]) / len(losses[-20:]), 4)
    for name in ("validation", "test"):
        records = load_split(f"{name}_handwritten")[:messages]
        run[name] = outcome_bits(small_answers(model, tokenizer, records), records)
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options = grid_options(parser)
    quiet_libraries()
    tried, messages = (TINY, 4) if options.tiny else (TRIED, None)
    settings = {"data_sha256": triage_identity(), "model_sha256": model_hash(), "tried": tried, "messages": messages}
    record = GridRecord(options.output / "small_triage.json", "python benchmarks/record_small_triage.py", **settings)
    for setting in tried:
        record.once(lambda s=setting: point(**s, seed=0, messages=messages), **setting, seed=0)


if __name__ == "__main__":
    main()
