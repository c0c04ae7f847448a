"""Ask every test message with the shipped triage adapter beside the weights, and merged into them; write the record.

    python benchmarks/record_merge.py          # about 10 minutes on 2 CPU cores

For each number format: which messages get another answer, letter for letter. benchmarks/results/merge.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune_course.adapters import shipped_adapter
from finetune_course.generation import answer_all
from finetune_course.hardware import inspect_hardware
from finetune_course.paths import course_root
from finetune_course.training import quiet_libraries, triage_settings
from finetune_course.triage import load_split
from finetune_course.weights import weights

RESULT = course_root() / "benchmarks" / "results" / "merge.json"
SETS = {"test, hand-written": "test_handwritten", "test, template-made": "test"}
FORMATS = ("float32", "bfloat16")


def adapter_hash() -> str:
    """SHA-256 of the shipped adapter's weights: what a record was made with."""
    return hashlib.sha256((shipped_adapter("triage") / "adapter_model.safetensors").read_bytes()).hexdigest()


def answers(kind: str, messages: list[str], batch_size: int) -> tuple[list[str], list[str]]:
    """Greedy answers with the adapter beside the weights, and merged into them, all in the number format ``kind``."""
    tokenizer = AutoTokenizer.from_pretrained(weights())
    base = AutoModelForCausalLM.from_pretrained(weights(), dtype=getattr(torch, kind))
    tuned = PeftModel.from_pretrained(base, shipped_adapter("triage")).eval()
    system = [{"role": "system", "content": triage_settings()["system_prompt"]}]
    beside = answer_all(tuned, tokenizer, system, messages, batch_size=batch_size).texts
    return beside, answer_all(tuned.merge_and_unload(), tokenizer, system, messages, batch_size=batch_size).texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    quiet_libraries()
    hw = inspect_hardware("standard")
    records = [(name, row) for name, split in SETS.items() for row in load_split(split)]
    runs = []
    for kind in FORMATS:
        start = time.perf_counter()
        beside, merged = answers(kind, [row["message"] for _, row in records], hw.eval_batch)
        other = [place for place, pair in enumerate(zip(beside, merged, strict=True)) if pair[0] != pair[1]]
        run = {"format": kind, "seconds": round(time.perf_counter() - start, 1), "sets": {}}
        for name, split in SETS.items():
            ids = [records[place][1]["id"] for place in other if records[place][0] == name]
            run["sets"][name] = {"messages": len(load_split(split)), "another answer": ids}
        runs.append(run)
        print(json.dumps(run), flush=True)
    settings = {
        "command": "python benchmarks/record_merge.py",
        "adapter_sha256": adapter_hash(),
        "batch": hw.eval_batch,
        "machine": f"{platform.machine()}, {hw.cores} cores, {hw.device}",
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
        "date": date.today().isoformat(),
    }
    options.output.write_text(json.dumps({"settings": settings, "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
