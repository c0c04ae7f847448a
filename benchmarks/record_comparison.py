"""Record what notebook 10's table still needs: the untrained arms, the other two tasks, the time of an answer.

    python benchmarks/record_comparison.py questions    # prompts alone: the test questions, the shop's own terms
    python benchmarks/record_comparison.py triage       # triage under each lever; asked for another format, too
    python benchmarks/record_comparison.py voice        # the brand voice under each lever (trains its LoRA)
    python benchmarks/record_comparison.py latency      # one question at a time

Written to benchmarks/results/kb_comparison.json, each run as soon as it is done; a run that stands there is not made
again. Nothing is chosen here. Seed 0 of triage's LoRA is the shipped adapter (benchmarks/record_triage_lora.py); the
others are trained here on the same rows and settings. ``--tiny`` proves that the script works and wants an --output
folder of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
from collections.abc import Callable
from pathlib import Path

import torch

from finetune_course import triage, voice
from finetune_course.adapters import data_hash, shipped_adapter
from finetune_course.generation import answer_all
from finetune_course.grid_record import GridRecord, Run, grid_options, outcome_bits
from finetune_course.hardware import inspect_hardware
from finetune_course.kb_bench import kb_settings
from finetune_course.kb_questions import load_kb_questions, load_terms
from finetune_course.levers import LEVERS, asked_otherwise, other_formats, triage_prompts, voice_prompts
from finetune_course.lora_runs import Trained, base_model, train_lora, with_adapter
from finetune_course.paths import data_path
from finetune_course.qa_arms import ARMS, ONE_BY_ONE, Arm, ask, ask_both
from finetune_course.retrieved import load_retrieved
from finetune_course.training import keep_freed_memory, prompt_completion, quiet_libraries, triage_settings

NAME = "kb_comparison"
PARTS = ("questions", "triage", "voice", "latency")
VOICE_RUN = {"epochs": 2, "learning_rate": 1e-3, "batch": 4, "max_length": 448}
OTHERWISE, TIMED, VOICE_TOKENS = 100, 10, 110


def voice_hash() -> str:
    names = ("train.jsonl", "test_handwritten.jsonl", "persona_rewrite.txt", "trained_prompts.yaml")
    return hashlib.sha256(b"".join(data_path("voice", name).read_bytes() for name in names)).hexdigest()


class Bench:
    """Data, settings and record of one call; ``tiny``: a few rows, two steps."""

    def __init__(self, output: Path, tiny: bool = False):
        self.settings = kb_settings()
        self.hw, self.tiny, self.few = inspect_hardware("standard"), tiny, 2 if tiny else None
        self.retrieved = load_retrieved()
        self.questions, self.named = load_kb_questions("test")[: self.few], load_terms()[: self.few]
        self.record = GridRecord(
            output / f"{NAME}.json",
            " && ".join(f"python benchmarks/record_comparison.py {part}" for part in PARTS),
            search=self.retrieved.settings["pages_sha256"], triage_sha256=data_hash("train"), voice_sha256=voice_hash(),
            other_formats=other_formats(), voice_run=VOICE_RUN, room=self.settings["room"],
            pieces=f"the surest of {ONE_BY_ONE}", tiny=tiny, dtype=str(self.hw.dtype).removeprefix("torch."),
        )  # fmt: skip

    def loaded(self, task: str | None):
        model, tokenizer = base_model(self.hw)
        return (with_adapter(model, shipped_adapter(task)) if task else model), tokenizer

    def asked(self, way: Arm, model, tokenizer, questions, version: str = "v1", batch: int | None = None) -> Run:
        return ask(
            way, model, tokenizer, questions, self.retrieved, version,
            room=self.settings["room"], batch_size=batch or self.hw.eval_batch,
        )  # fmt: skip

    def part_questions(self, seeds: list[int]) -> None:
        """The untrained arms that record_reader.py does not ask. Without pages a question is asked once."""
        for way in [way for way in ARMS if not way.adapter and way.name not in ("RAG, short rules", "RAG, long rules")]:
            self.record.once(lambda w=way: self.untrained(w), part="questions", arm=way.name)
        for way in [way for way in ARMS if not way.adapter]:
            self.record.once(lambda w=way: self.terms(w), part="terms", arm=way.name)

    def untrained(self, way: Arm) -> Run:
        model, tokenizer = self.loaded(None)
        if not way.pages:
            return {"v1": self.asked(way, model, tokenizer, self.questions)}
        return ask_both(
            way, model, tokenizer, self.questions, self.retrieved,
            room=self.settings["room"], batch_size=self.hw.eval_batch,
        )  # fmt: skip

    def terms(self, way: Arm) -> Run:
        model, tokenizer = self.loaded(None)
        return {"v1": self.asked(way, model, tokenizer, self.named)}

    def under_each_lever(self, part: str, make: Callable[[str, int | None], Run], seeds: list[int]) -> None:
        """``make(lever, seed)`` for every lever: the LoRA with each seed, the prompts once."""
        for lever in LEVERS:
            for seed in seeds if lever == "LoRA" else (None,):
                self.record.once(lambda w=lever, s=seed: make(w, s), part=part, arm=lever, seed=seed)

    def part_triage(self, seeds: list[int]) -> None:
        self.under_each_lever("triage", self.triage, seeds)

    def triage(self, lever: str, seed: int | None) -> Run:
        model, tokenizer = self.loaded("triage" if seed == 0 else None)
        train, run = triage.load_split("train"), {}
        if seed:
            made = self.trained_for_triage(model, tokenizer, train, seed)
            model, run = made.model, made.cost()
        records = triage.load_split("test_handwritten")[: self.few]
        messages = [row["message"] for row in records]
        for name, texts in {"plain": messages, "otherwise": asked_otherwise(messages[:OTHERWISE])}.items():
            chat, users = triage_prompts(lever, texts, train)
            found = answer_all(model, tokenizer, chat, users, batch_size=self.hw.eval_batch, max_new_tokens=56)
            run[name] = outcome_bits(found.texts, records[: len(texts)]) | counted(found)
            run[name]["examples"] = found.texts[:8]
        return run

    def trained_for_triage(self, model, tokenizer, train, seed: int) -> Trained:
        """A run as record_triage_lora.py makes it, in this machine's dtype."""
        trainer, recorded = triage_settings()["trainer"], triage_settings()["recorded"]
        rows = [prompt_completion(row) for row in train[: recorded["examples"]]]
        return train_lora(
            model, tokenizer, rows[:4] if self.tiny else rows, self.hw, seed=seed,
            epochs=recorded["num_train_epochs"], batch=recorded["per_device_train_batch_size"],
            learning_rate=trainer["learning_rate"], max_length=10_000 if self.tiny else trainer["max_length"],
            max_steps=2 if self.tiny else -1, known_states={},
        )  # fmt: skip

    def part_voice(self, seeds: list[int]) -> None:
        self.under_each_lever("voice", self.voice, seeds)

    def voice(self, lever: str, seed: int | None) -> Run:
        model, tokenizer = self.loaded(None)
        train, cost = voice.load_split("train"), {}
        texts = [row["neutral"] for row in voice.load_split("test_handwritten")][: self.few]
        if lever == "LoRA":
            rows = sorted((voice.prompt_completion(row) for row in train), key=lambda row: len(str(row)))
            limits = {"max_length": 10_000, "max_steps": 2} if self.tiny else {}
            made = train_lora(
                model, tokenizer, rows[:4] if self.tiny else rows, self.hw, seed=seed, **VOICE_RUN | limits
            )
            model, cost = made.model, made.cost()
        chat, users = voice_prompts(lever, texts, train)
        room = 8 if self.tiny else VOICE_TOKENS
        found = answer_all(model, tokenizer, chat, users, batch_size=self.hw.eval_batch, max_new_tokens=room)
        return cost | {"answers": found.texts} | counted(found)

    def part_latency(self, seeds: list[int]) -> None:
        """Median seconds of an answer asked alone, the first one left out, and what the weights take."""
        for way in ARMS:
            self.record.once(lambda w=way: self.timed(w), part="latency", arm=way.name)

    def timed(self, way: Arm) -> Run:
        model, tokenizer = self.loaded(way.adapter)
        questions = self.questions[: TIMED + 1]
        seconds = [self.asked(way, model, tokenizer, [each], batch=1)["seconds"] for each in questions]
        return {
            "threads": torch.get_num_threads(),
            "median_seconds": statistics.median(seconds[1:]),
            "weights_megabytes": round(sum(each.numel() * each.element_size() for each in model.parameters()) / 1e6, 1),
        }


def counted(found) -> Run:
    """Tokens and seconds of ``generation.Answers``."""
    return {
        "prompt_tokens": sum(found.prompt_tokens), "new_tokens": sum(found.new_tokens),
        "seconds": round(found.seconds, 2),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = grid_options(parser)
    quiet_libraries()
    keep_freed_memory()
    getattr(Bench(options.output, options.tiny), f"part_{options.part}")(options.seeds)


if __name__ == "__main__":
    main()
