"""Record the opponent of retrieval in notebook 10: a LoRA that learns the shop's facts and answers without any page.

    python benchmarks/record_facts.py choose            # the settings of data/kb/training.yaml, on validation, seed 0
    python benchmarks/record_facts.py test              # after choose: the facts of version 1, asked in both versions
    python benchmarks/record_facts.py update            # after test: what it takes to bring the weights to version 2

Written to benchmarks/results/kb_facts.json, each run as soon as it is done, every answer in full; a run that stands
there is not made again. ``update`` does it in two ways: *anew*, the whole training on version 2, and *short*, a few
passes on what changed with as many old rows beside it. ``--tiny`` proves that the script works and wants an --output
folder of its own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from finetune_course.adapters import own_adapter_folder
from finetune_course.grid_record import GridRecord, Run, grid_options
from finetune_course.hardware import inspect_hardware
from finetune_course.kb_bench import TriedSettings, kb_settings
from finetune_course.kb_questions import load_kb_questions
from finetune_course.lora_runs import adapter_about, base_model, save_adapter, train_lora, with_adapter
from finetune_course.paths import data_path
from finetune_course.qa_arms import arm, ask
from finetune_course.reader import load_fact_rows, prompt_completion, training_hash
from finetune_course.retrieved import load_retrieved
from finetune_course.training import keep_freed_memory, quiet_libraries, triage_settings

NAME, ARM, WITH_PAGES = "kb_facts", "LoRA on facts", "LoRA on facts + RAG"
WAYS = ("anew", "short")


def changed_rows(old: list[dict], new: list[dict], replay: int, seed: int) -> list[dict]:
    """The rows of ``new`` that ``old`` does not hold, and ``replay`` unchanged ones for each, drawn by ``seed``."""
    known = {(row["question"], row["answer"]) for row in old}
    fresh = [row for row in new if (row["question"], row["answer"]) not in known]
    same = [row for row in new if (row["question"], row["answer"]) in known]
    order = torch.randperm(len(same), generator=torch.Generator().manual_seed(seed)).tolist()
    return fresh + [same[place] for place in order[: replay * len(fresh)]]


class Bench(TriedSettings):
    """Data, settings and record of one call; ``tiny``: a few rows and questions, two steps."""

    def __init__(self, output: Path, tiny: bool = False, adapters: Path | None = None):
        self.own, self.tiny = kb_settings()["facts"], tiny
        self.hw = inspect_hardware("standard")
        self.old, self.new = load_fact_rows("v1"), load_fact_rows("v2")
        self.adapters = adapters or own_adapter_folder("kb").parent
        self.retrieved = load_retrieved()
        few = 3 if tiny else None
        self.validation, self.test = (load_kb_questions(split)[:few] for split in ("validation", "test"))
        self.record = GridRecord(
            output / f"{NAME}.json",
            " && ".join(f"python benchmarks/record_facts.py {part}" for part in ("choose", "test", "update")),
            data_sha256={version: training_hash(f"facts_train_{version}") for version in ("v1", "v2")},
            settings=self.own, room=kb_settings()["room"], search=self.retrieved.settings["pages_sha256"], tiny=tiny,
            training={name: value for name, value in triage_settings().items() if name not in ("live", "recorded")},
            dtype=str(self.hw.dtype).removeprefix("torch."),
        )  # fmt: skip

    def trained(self, what: str, rows: list[dict], seed: int, epochs: float, learning_rate: float, start=None):
        """The model with its adapter, tokenizer, cost and folder; ``start``: the folder of an adapter to go on from."""
        folder = self.adapters / f"facts-{what}-{epochs:g}-{learning_rate:g}-{seed}{'-tiny' if self.tiny else ''}"
        about = {"data_sha256": self.record.settings["data_sha256"], "what": what, "seed": seed, "epochs": epochs,
                 "rate": learning_rate}  # fmt: skip
        model, tokenizer = base_model(self.hw)
        kept = adapter_about(folder)
        if kept and all(kept.get(name) == value for name, value in about.items()):
            return with_adapter(model, folder), tokenizer, kept["cost"], folder
        made = [prompt_completion(row) for row in rows]
        if start:
            model = with_adapter(model, start, trainable=True)
        run = train_lora(
            model, tokenizer, sorted(made, key=lambda row: len(str(row)))[:6] if self.tiny else made, self.hw,
            seed=seed, epochs=epochs, learning_rate=learning_rate, batch=self.own["batch"],
            max_length=10_000 if self.tiny else self.own["max_length"], max_steps=2 if self.tiny else -1,
        )  # fmt: skip
        cost = run.cost() | {"rows": len(rows)}
        save_adapter(run.model, folder, about | {"cost": cost})
        model, tokenizer = base_model(self.hw)
        return with_adapter(model, folder), tokenizer, cost, folder

    def asked(self, model, tokenizer, questions) -> Run:
        return ask(arm(ARM), model, tokenizer, questions, None, batch_size=self.hw.eval_batch)

    def with_pages(self, model, tokenizer, version: str) -> Run:
        """The old facts in the weights, the pages of ``version`` in the prompt."""
        return ask(
            arm(WITH_PAGES), model, tokenizer, self.test, self.retrieved, version,
            room=kb_settings()["room"], batch_size=self.hw.eval_batch,
        )  # fmt: skip

    def trial(self, epochs: float, learning_rate: float) -> Run:
        model, tokenizer, cost, _ = self.trained("v1", self.old, 0, epochs, learning_rate)
        return cost | {"validation": self.asked(model, tokenizer, self.validation)}

    def score(self, seeds: list[int]) -> None:
        """A question's answer does not depend on the version of the pages here: it is asked once, and scored twice."""
        chosen = self.chosen()
        for seed in seeds:
            self.record.once(lambda s=seed: self.point(s, chosen), part="test", seed=seed)

    def point(self, seed: int, chosen: dict) -> Run:
        model, tokenizer, cost, folder = self.trained("v1", self.old, seed, **chosen)
        run = cost | chosen | {"test": self.asked(model, tokenizer, self.test)}
        run["pages"] = {version: self.with_pages(model, tokenizer, version) for version in ("v1", "v2")}
        if seed == 0 and not self.tiny:
            about = {
                "settings": self.record.settings,
                "run": {k: v for k, v in run.items() if k not in ("test", "pages")},
            }
            save_adapter(model, data_path("adapters", "facts"), adapter_about(folder) | about)
        return run

    def update(self, seeds: list[int]) -> None:
        chosen = self.chosen()
        for seed in seeds:
            for way in WAYS:
                self.record.once(lambda s=seed, w=way: self.updated(w, s, chosen), part="update", way=way, seed=seed)

    def updated(self, way: str, seed: int, chosen: dict) -> Run:
        start, rows, epochs = None, self.new, chosen["epochs"]
        if way == "short":
            *_, start = self.trained("v1", self.old, seed, **chosen)
            epochs = self.own["update"]["epochs"]
            rows = changed_rows(self.old, self.new, self.own["update"]["replay"], seed)
        model, tokenizer, cost, _ = self.trained(
            f"v2-{way}", rows, seed, epochs, chosen["learning_rate"], start
        )  # fmt: skip
        return cost | {"test": self.asked(model, tokenizer, self.test)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["choose", "test", "update"])
    parser.add_argument("--seeds", type=int, nargs="+", default=kb_settings()["seeds"])
    options = grid_options(parser)
    quiet_libraries()
    keep_freed_memory()
    bench = Bench(options.output, options.tiny, options.output / "adapters" if options.tiny else None)
    {"choose": bench.choose, "test": lambda: bench.score(options.seeds), "update": lambda: bench.update(options.seeds)}[
        options.part
    ]()


if __name__ == "__main__":
    main()
