"""Time training on a graphics card, and what it holds; write the record. Needs a CUDA card (or --tiny, anywhere).

    python benchmarks/record_gpu.py                    # every part; what is done is kept when it is cut off
    python benchmarks/record_gpu.py --parts shapes     # one part; the others' results stay in the record
    python benchmarks/record_gpu.py --only 8B          # the cases with 8B in their name, where time is short
    python benchmarks/record_gpu.py --tiny             # a model of toy size, to see that everything runs; says so

Each case is written to benchmarks/results/gpu.json as soon as it is done. A case that stands there for the same card
and versions is not run again, so a run that was cut off goes on where it was. Parts:

- weights: the 135M model learns the triage task by LoRA, QLoRA and full fine-tuning: exact answers on hand-written
  validation messages, tokens a second, peak memory;
- engine: the same rows, rank and learning rate with SFTConfig's defaults and with the course's settings (packing, fused
  kernels, a compiled model, no recomputation): tokens a second, and the loss on
  validation messages, which has to agree;
- shapes: models of 1B and 8B parameters with random weights, each way, stock and course;
- sweep: batch and length grow until the card has no room.

The rate that shares refer to is measured on the same card first. What cannot run stands there with its reason, not with
a figure. bitsandbytes (QLoRA) and liger-kernel (fused kernels) are used where they are installed:

    pip install bitsandbytes==0.50.2 liger-kernel==0.8.5
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoTokenizer

from finetune_course import gpu_bench
from finetune_course.evaluate import interval, score
from finetune_course.generation import answer_all
from finetune_course.hardware import Hardware, inspect_hardware, measure_rates
from finetune_course.paths import course_root
from finetune_course.training import prompt_completion, quiet_libraries, triage_settings
from finetune_course.triage import label_text, load_split
from finetune_course.weights import weights

RESULT = course_root() / "benchmarks" / "results" / "gpu.json"
PARTS = ("weights", "engine", "shapes", "sweep")
LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes", "liger-kernel", "triton")
FULL = {"examples": 4000, "scored": 200, "shapes": ("Llama-3.2-1B", "Llama-3.1-8B"), "batch": 4, "length": 1024,
        "warm": 5, "steps": 15, "lengths": (512, 2048, 8192), "batches": (1, 2, 4, 8, 16, 32, 64)}  # fmt: skip
SMALL = {"examples": 24, "scored": 2, "shapes": ("tiny",), "batch": 2, "length": 32,
         "warm": 1, "steps": 2, "lengths": (16,), "batches": (1, 2)}  # fmt: skip

Cases = Iterator[tuple[str, Callable[[], Any]]]


class Bench:
    """The machine, the sizes of this run, and what the cases share."""

    def __init__(self, hw: Hardware, tiny: bool, scratch: Path):
        self.hw, self.tiny, self.scratch, self.size = hw, tiny, scratch, SMALL if tiny else FULL
        rates = measure_rates(hw.device, seconds=0.15 if tiny else 2.0)
        self.rates = {name: round(rate) for name, rate in rates.items()}
        self.gflops = self.rates[str(hw.dtype).removeprefix("torch.")]
        self.tokenizer = AutoTokenizer.from_pretrained(weights())

    def rows(self) -> list[dict[str, Any]]:
        return [prompt_completion(record) for record in load_split("train")[: self.size["examples"]]]

    def folder(self, name: str) -> Path:
        """The folder with random weights of a shape, written when it is first asked for."""
        shape = gpu_bench.shape_named(name)
        return gpu_bench.random_weights(shape, self.scratch / name, self.hw.device)

    def real(self) -> Path:
        """The folder of the 135M weights; in a tiny run a toy model with the same tokenizer."""
        if not self.tiny:
            return Path(weights())
        toy = replace(gpu_bench.TINY, vocabulary=len(self.tokenizer))
        return gpu_bench.random_weights(toy, self.scratch / "toy", self.hw.device)

    def learn(self, settings: str, way: str, *, ask: bool = False, **changes: Any) -> dict[str, Any]:
        """One epoch over the triage messages: speed, peak, loss on validation messages, and answers with ``ask``."""
        model = trainer = None
        try:
            own = gpu_bench.arguments(settings, self.hw, way, num_train_epochs=1, **changes)
            model = gpu_bench.load(self.real(), way, self.hw)
            trainer = gpu_bench.train(model, self.tokenizer, Dataset.from_list(self.rows()), own, way)
            warm = min(self.size["warm"], len(trainer.clock.ends) - 1)
            found = gpu_bench.speed(trainer.clock, warm) | {"peak_gb": trainer.peak_gb}
            found["validation loss"] = validation_loss(trainer.model, self.tokenizer, self.size["scored"])
            if ask:
                found |= self.answers(trainer.model)
            return {"way": way, "settings": settings} | found
        except gpu_bench.NotHere as reason:
            return {"way": way, "settings": settings, "failed": str(reason)}
        except torch.OutOfMemoryError:
            return {"way": way, "settings": settings, "failed": gpu_bench.NO_ROOM}
        finally:
            del model, trainer
            gpu_bench.let_go()

    def answers(self, model) -> dict[str, Any]:
        """Exact and valid answers to hand-written validation messages, each a share with its interval."""
        records = load_split("validation_handwritten")[: self.size["scored"]]
        system = [{"role": "system", "content": triage_settings()["system_prompt"]}]
        texts = [record["message"] for record in records]
        model.eval()
        given = answer_all(model, self.tokenizer, system, texts, batch_size=self.hw.eval_batch).texts
        found = score(given, records)
        return {name: [round(float(end), 4) for end in interval(found[name])] for name in ("exact", "valid")}


def validation_loss(model, tokenizer, count: int) -> float:
    """Mean loss (nats a token) of the true answers to hand-written validation messages, end token included."""
    total = tokens = 0
    model.eval()
    with torch.inference_mode():
        for record in load_split("validation_handwritten")[:count]:
            prompt = tokenizer.apply_chat_template(prompt_completion(record)["prompt"], add_generation_prompt=True)
            answer = tokenizer(label_text(record["label"]) + tokenizer.eos_token)["input_ids"]
            ids = torch.tensor([prompt["input_ids"] + answer], device=model.device)
            scores = model(input_ids=ids).logits[0, -len(answer) - 1 : -1].float()
            total += torch.nn.functional.cross_entropy(scores, ids[0, -len(answer) :], reduction="sum").item()
            tokens += len(answer)
    return round(total / tokens, 4)


def weights_cases(bench: Bench) -> Cases:
    """About 16 messages a step, as stock's 2 × 8: 2,048 packed tokens."""
    for way in gpu_bench.WAYS:
        rate = 1e-3 if "LoRA" in way else 1e-4
        own = {"batch": 1, "length": 2048, "learning_rate": rate, "ask": True}
        yield way, lambda way=way, own=own: bench.learn("course", way, **own)


def engine_cases(bench: Bench) -> Cases:
    same = {"way": "LoRA", "learning_rate": 1e-3}
    yield "stock", lambda: bench.learn("stock", batch=2, length=1024, gradient_accumulation_steps=8, **same)
    yield "course", lambda: bench.learn("course", batch=1, length=2048, **same)
    yield "course, not compiled", lambda: bench.learn("course, not compiled", batch=1, length=2048, **same)


def one_case(bench: Bench, name: str, way: str, settings: str, batch: int, length: int, **steps: int) -> dict[str, Any]:
    steps = {"warm": bench.size["warm"], "steps": bench.size["steps"]} | steps
    return gpu_bench.measured(
        bench.folder(name), gpu_bench.shape_named(name), bench.tokenizer, bench.hw, way, settings, batch, length,
        matmul_gflops=bench.gflops, **steps,
    )  # fmt: skip


def shapes_cases(bench: Bench) -> Cases:
    size = bench.size
    for name in size["shapes"]:
        for way in gpu_bench.WAYS:
            for settings in gpu_bench.SETTINGS:
                yield (
                    f"{name}, {way}, {settings}",
                    lambda n=name, w=way, s=settings: one_case(bench, n, w, s, size["batch"], size["length"]),
                )


def sweep_cases(bench: Bench) -> Cases:
    size = bench.size
    for name in size["shapes"]:
        for way in gpu_bench.WAYS[:3]:
            for length in size["lengths"]:

                def grow(name=name, way=way, length=length):
                    def case(batch):
                        return one_case(bench, name, way, "course, not compiled", batch, length, warm=1, steps=3)

                    return gpu_bench.largest_batch(case, size["batches"])

                yield f"{name}, {way}, {length} tokens", grow


CASES = {"weights": weights_cases, "engine": engine_cases, "shapes": shapes_cases, "sweep": sweep_cases}


def installed() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def settings_of(bench: Bench, command: str) -> dict[str, Any]:
    hw = bench.hw
    return {
        "command": command,
        "date": date.today().isoformat(),
        "device": hw.name if hw.device == "cuda" else "no graphics card: a trial, no result",
        "capability": list(torch.cuda.get_device_capability()) if hw.device == "cuda" else None,
        "memory_gb": round(torch.cuda.get_device_properties(0).total_memory / 1e9, 1) if hw.device == "cuda" else None,
        "number format": str(hw.dtype).removeprefix("torch."),
        "matmul_gflops": bench.rates,
        "versions": installed(),
        "tiny": bench.tiny,
    }


def kept(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The parts of an earlier record of the same card, versions and sizes; otherwise none."""
    if not path.is_file():
        return {}
    record = json.loads(path.read_text(encoding="utf-8"))
    same = ("device", "versions", "tiny")
    return record["parts"] if all(record["settings"][name] == settings[name] for name in same) else {}


def finite(value: Any) -> Any:
    """JSON has no word for infinity or for what is no number."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def main(options: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--tiny", action="store_true", help="a toy model on any machine, to see that everything runs")
    parser.add_argument("--only", default="", metavar="WORDS", help="the cases whose name holds these words")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args(options)
    quiet_libraries()
    hw = inspect_hardware("standard")
    if hw.device != "cuda" and not asked.tiny:
        raise SystemExit("No NVIDIA card is there, so there is nothing to record; try --tiny --output FILE.")
    if asked.tiny and asked.output is None:
        raise SystemExit("A trial is no record: name another file with --output.")
    path = asked.output or RESULT
    command = "python benchmarks/record_gpu.py" + (" --tiny" if asked.tiny else "")
    with tempfile.TemporaryDirectory(prefix="finetune-course-") as scratch:
        bench = Bench(hw, asked.tiny, Path(scratch))
        settings = settings_of(bench, command)
        parts = kept(path, settings)
        for part in asked.parts:
            cases = parts.setdefault(part, {})
            for name, run in CASES[part](bench):
                if name in cases or asked.only not in name:
                    continue
                cases[name] = finite(run())
                print(part, name, json.dumps(cases[name])[:300], flush=True)
                path.write_text(json.dumps({"settings": settings, "parts": parts}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
