"""Evaluation's generation on a CPU: one message at a time, in padded batches, and as the course's notebooks do it.

    python benchmarks/compare_generation.py    # about five minutes on one core; OMP_NUM_THREADS sets the threads

The same messages get greedy answers three ways, with notebook 03's page of rules in the prompt and with notebook 06's
one word: ``model.generate`` for one message after the other; ``model.generate`` for padded batches in the order of
the file; ``answer_all``, which computes the shared beginning once, sorts by length and lets a finished text leave its
batch. All begin from the same weights (the shipped triage adapter merged) and stop at the same number of tokens.
Times are the process's CPU time, since other programs on the machine disturb that little; answers are compared letter
for letter. The result goes to benchmarks/results/compare_generation.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune_course.adapters import shipped_adapter
from finetune_course.allocator import keep_freed_memory
from finetune_course.generation import Chat, answer_all
from finetune_course.paths import course_root
from finetune_course.training import quiet_libraries, triage_settings
from finetune_course.triage import instructions, load_split
from finetune_course.weights import weights

RESULT = course_root() / "benchmarks" / "results" / "compare_generation.json"
LIBRARIES = ("torch", "transformers", "peft")
ROOM = 48
ONE, BATCHED, COURSE = WAYS = "generate, one by one", "generate, padded batches", "answer_all"


def generated(model: Any, tokenizer: Any, prefix: Chat, messages: Sequence[str], batch: int) -> list[str]:
    """Greedy answers by the library's own ``generate``, ``batch`` messages at once, in their order."""
    chats = [[*prefix, {"role": "user", "content": message}] for message in messages]
    texts: list[str] = []
    for first in range(0, len(chats), batch):
        ids = tokenizer.apply_chat_template(
            chats[first : first + batch], add_generation_prompt=True, padding=True, return_tensors="pt",
            return_dict=True,
        )  # fmt: skip
        with torch.inference_mode():
            out = model.generate(**ids, max_new_tokens=ROOM, do_sample=False, pad_token_id=tokenizer.pad_token_id)
        texts += tokenizer.batch_decode(out[:, ids["input_ids"].shape[1] :], skip_special_tokens=True)
    return texts


def compare(model: Any, tokenizer: Any, system: str, messages: Sequence[str], batch: int) -> dict[str, Any]:
    """CPU seconds of each way, how many answers equal those of one by one, and the ratio of each to ``answer_all``."""
    asked = model, tokenizer, [{"role": "system", "content": system}], messages
    ways: dict[str, Callable[[], list[str]]] = {
        COURSE: lambda: answer_all(*asked, batch_size=batch, max_new_tokens=ROOM).texts,
        BATCHED: lambda: generated(*asked, batch),
        ONE: lambda: generated(*asked, 1),
    }
    seconds, texts = {}, {}
    for name, way in ways.items():
        way_start = time.process_time()
        texts[name] = way()
        seconds[name] = time.process_time() - way_start
    return {
        "messages": len(messages),
        "cpu_seconds": {name: round(seconds[name], 1) for name in WAYS},
        "times answer_all": {name: round(seconds[name] / seconds[COURSE], 2) for name in WAYS},
        "same answers as one by one": {
            name: sum(a.strip() == b.strip() for a, b in zip(texts[name], texts[ONE], strict=True)) for name in WAYS
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    quiet_libraries()
    keep_freed_memory()
    tokenizer = AutoTokenizer.from_pretrained(weights(), padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(weights(), dtype=torch.float32)
    model = PeftModel.from_pretrained(model, shipped_adapter("triage")).merge_and_unload().eval()
    messages = [record["message"] for record in load_split("validation_handwritten")[: options.messages]]
    prompts = {"page of rules": instructions(), "one word": triage_settings()["system_prompt"]}
    compare(model, tokenizer, prompts["one word"], messages[:4], 4)  # first calls set things up and do not count
    result = {
        "settings": {
            "command": "python benchmarks/compare_generation.py", "date": date.today().isoformat(),
            "machine": platform.machine(), "threads": torch.get_num_threads(), "batch": options.batch,
            "new tokens at most": ROOM, "number format": "float32",
            "versions": {name: version(name) for name in LIBRARIES},
        },
        "runs": {},
    }  # fmt: skip
    for name, system in prompts.items():
        result["runs"][name] = compare(model, tokenizer, system, messages, options.batch)
        print(name, json.dumps(result["runs"][name]), flush=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
