"""Record the reader of notebook 10: a LoRA that learns to read pages, and the raw model beside it, on the same pieces.

    python benchmarks/record_reader.py choose           # the settings of data/kb/training.yaml, on validation, seed 0
    python benchmarks/record_reader.py test             # after choose: raw and trained on the test, both versions
    python benchmarks/record_reader.py test --seeds 1   # a part

Written to benchmarks/results/kb_reader.json, each run as soon as it is done, every answer in full; a run that stands
there is not made again. Adapters are kept in the cache folder, that of seed 0 goes to data/adapters/reader. ``--tiny``
proves within a minute that the script works and wants an --output folder of its own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from finetune_course.adapters import own_adapter_folder
from finetune_course.grid_record import GridRecord, Run, grid_options
from finetune_course.hardware import inspect_hardware
from finetune_course.kb_bench import TriedSettings, kb_settings
from finetune_course.kb_questions import load_kb_questions
from finetune_course.lora_runs import adapter_about, base_model, save_adapter, train_lora, with_adapter
from finetune_course.paths import data_path
from finetune_course.qa_arms import arm, ask
from finetune_course.reader import load_reader_rows, prompt_completion, training_hash
from finetune_course.retrieved import load_retrieved
from finetune_course.training import keep_freed_memory, quiet_libraries, triage_settings

NAME = "kb_reader"
READER = "LoRA reader + RAG"
RAW = ("RAG, short rules", "RAG, long rules")
VERSIONS = ("v1", "v2")


class Bench(TriedSettings):
    """Data, settings and record of one call; ``tiny``: a few rows and questions, two steps."""

    def __init__(self, output: Path, tiny: bool = False, adapters: Path | None = None):
        self.settings, self.tiny = kb_settings(), tiny
        self.own = self.settings["reader"]
        self.hw = inspect_hardware("standard")
        rows = [prompt_completion(row) for row in load_reader_rows()]
        self.rows = sorted(rows, key=lambda row: len(str(row)))[:6] if tiny else rows
        self.retrieved = load_retrieved()
        self.adapters = adapters or own_adapter_folder("kb").parent
        few = 3 if tiny else None
        self.validation, self.test = (load_kb_questions(split)[:few] for split in ("validation", "test"))
        self.record = GridRecord(
            output / f"{NAME}.json",
            " && ".join(f"python benchmarks/record_reader.py {part}" for part in ("choose", "test")),
            data_sha256=training_hash("reader_train"), search=self.retrieved.settings["pages_sha256"],
            settings=self.own, room=self.settings["room"], tiny=tiny,
            training={name: value for name, value in triage_settings().items() if name not in ("live", "recorded")},
            dtype=str(self.hw.dtype).removeprefix("torch."),
        )  # fmt: skip

    def trained(self, seed: int, epochs: float, learning_rate: float):
        """The model with its adapter, tokenizer, cost and the adapter's folder; from the cache where it is there."""
        folder = self.adapters / f"reader-{epochs:g}-{learning_rate:g}-{seed}{'-tiny' if self.tiny else ''}"
        about = {"data_sha256": training_hash("reader_train"), "seed": seed, "epochs": epochs, "rate": learning_rate}
        model, tokenizer = base_model(self.hw)
        kept = adapter_about(folder)
        if kept and all(kept.get(name) == value for name, value in about.items()):
            return with_adapter(model, folder), tokenizer, kept["cost"], folder
        run = train_lora(
            model, tokenizer, self.rows, self.hw, seed=seed, epochs=epochs, learning_rate=learning_rate,
            batch=self.own["batch"], max_length=10_000 if self.tiny else self.own["max_length"],
            max_steps=2 if self.tiny else -1,
        )  # fmt: skip
        save_adapter(run.model, folder, about | {"cost": run.cost()})
        # Answers come from the adapter as it is kept (bfloat16), not from the one in memory.
        model, tokenizer = base_model(self.hw)
        return with_adapter(model, folder), tokenizer, run.cost(), folder

    def asked(self, name: str, model, tokenizer, questions, version: str) -> Run:
        return ask(
            arm(name), model, tokenizer, questions, self.retrieved, version,
            room=self.settings["room"], batch_size=self.hw.eval_batch,
        )  # fmt: skip

    def trial(self, epochs: float, learning_rate: float) -> Run:
        model, tokenizer, cost, _ = self.trained(0, epochs, learning_rate)
        return cost | {"validation": self.asked(READER, model, tokenizer, self.validation, "v1")}

    def score(self, seeds: list[int]) -> None:
        chosen = self.chosen()
        for name in RAW:
            self.record.once(lambda n=name: self.raw(n), part="test", arm=name)
        for seed in seeds:
            self.record.once(lambda s=seed: self.point(s, **chosen), part="test", arm=READER, seed=seed)

    def raw(self, name: str) -> Run:
        model, tokenizer = base_model(self.hw)
        return {version: self.asked(name, model, tokenizer, self.test, version) for version in VERSIONS}

    def point(self, seed: int, epochs: float, learning_rate: float) -> Run:
        model, tokenizer, cost, folder = self.trained(seed, epochs, learning_rate)
        run = cost | {"epochs": epochs, "learning_rate": learning_rate}
        run |= {version: self.asked(READER, model, tokenizer, self.test, version) for version in VERSIONS}
        if seed == 0 and not self.tiny:
            about = {"settings": self.record.settings, "run": {k: v for k, v in run.items() if k not in VERSIONS}}
            save_adapter(model, data_path("adapters", "reader"), adapter_about(folder) | about)
        return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["choose", "test"])
    parser.add_argument("--seeds", type=int, nargs="+", default=kb_settings()["seeds"])
    options = grid_options(parser)
    quiet_libraries()
    keep_freed_memory()
    bench = Bench(options.output, options.tiny, options.output / "adapters" if options.tiny else None)
    if options.part == "choose":
        bench.choose()
    else:
        bench.score(options.seeds)


if __name__ == "__main__":
    main()
