"""Record the opponent of retrieval in notebook 10: a LoRA that learns the shop's facts and answers without any page.

    python benchmarks/record_facts.py choose            # seed 0 on version 1, looked at on validation after some passes
    python benchmarks/record_facts.py test              # after choose: every seed on the test, with and without pages
    python benchmarks/record_facts.py terms             # the shop's own terms, every seed, with and without pages
    python benchmarks/record_facts.py update            # after choose: what it takes to bring the weights to version 2
    python benchmarks/record_facts.py update --ways anew --seeds 2        # a part

Written to benchmarks/results/kb_facts.json, each run as soon as it is done, every answer in full; a run that stands
there is not made again, so the script may be stopped and started anew, and several processes may take different parts
or seeds. ``update`` does it in two ways: *anew*, the whole training on version 2, and *short*, a few passes on what
changed with as many old rows beside it, with the seeds that data/kb/training.yaml names for it. ``--tiny`` proves that
the script works and wants an --output folder of its own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from finetune_course.grid_record import Run, grid_options
from finetune_course.hardware import inspect_hardware
from finetune_course.kb_bench import KbBench, kb_settings
from finetune_course.qa_arms import arm, ask, ask_both
from finetune_course.reader import load_fact_rows, prompt_completion, training_hash
from finetune_course.retrieved import load_retrieved
from finetune_course.training import keep_freed_memory, quiet_libraries

NAME, ARM, WITH_PAGES = "kb_facts", "LoRA on facts", "LoRA on facts + RAG"
WAYS, PARTS = ("anew", "short"), ("choose", "test", "terms", "update")


def changed_rows(old: list[dict], new: list[dict], replay: int, seed: int) -> list[dict]:
    """The rows of ``new`` that ``old`` does not hold, and ``replay`` unchanged ones for each, drawn by ``seed``."""
    known = {(row["question"], row["answer"]) for row in old}
    fresh = [row for row in new if (row["question"], row["answer"]) not in known]
    same = [row for row in new if (row["question"], row["answer"]) in known]
    order = torch.randperm(len(same), generator=torch.Generator().manual_seed(seed)).tolist()
    return fresh + [same[place] for place in order[: replay * len(fresh)]]


class Bench(KbBench):
    """Both versions' facts and the record."""

    arms = (ARM, WITH_PAGES)

    def __init__(self, output: Path, tiny: bool = False, adapters: Path | None = None):
        super().__init__("facts", inspect_hardware("standard"), tiny, adapters)
        self.old, self.new = load_fact_rows("v1"), load_fact_rows("v2")
        self.retrieved = load_retrieved()
        commands = [f"python benchmarks/record_facts.py {part}" for part in PARTS]
        data = {version: training_hash(f"facts_train_{version}") for version in ("v1", "v2")}
        self.record = self.grid_record(output / f"{NAME}.json", " && ".join(commands), data, self.own)

    def asked(self, model, tokenizer, questions) -> Run:
        return ask(arm(ARM), model, tokenizer, questions, None, room=self.room, batch_size=self.hw.eval_batch)

    def adapted(self, seed: int, passes: int):
        return self.known(seed, passes)

    def known(self, seed: int, passes: int, **options):
        """The model that has version 1 in its weights."""
        return self.trained("v1", [prompt_completion(row) for row in self.old], seed, passes, **options)

    def trial(self, passes: int) -> Run:
        model, tokenizer, cost, _ = self.known(0, passes, looks=self.looks)
        return cost | {"validation": self.asked(model, tokenizer, self.validation)}

    def score(self, seeds: list[int]) -> None:
        chosen = self.chosen()
        for seed in seeds:
            self.record.once(lambda s=seed: self.point(s, chosen), part="test", seed=seed)

    def point(self, seed: int, passes: int) -> Run:
        """Without pages an answer does not depend on their version: it is asked once, and scored twice."""
        model, tokenizer, cost, folder = self.adapted(seed, passes)
        run = cost | {"rows": len(self.old), "epochs": passes, "learning_rate": self.own["learning_rate"]}
        if seed == 0:
            self.ship("facts", model, folder, run)
        pages = ask_both(
            arm(WITH_PAGES), model, tokenizer, self.test, self.retrieved,
            room=self.room, batch_size=self.hw.eval_batch,
        )  # fmt: skip
        return run | {"test": self.asked(model, tokenizer, self.test), "pages": pages}

    def update(self, seeds: list[int], ways: list[str]) -> None:
        chosen = self.chosen()
        for way in ways:
            for seed in seeds:
                if way == "anew" or seed in self.own["update"]["seeds"]:
                    self.record.once(
                        lambda w=way, s=seed: self.updated(w, s, chosen), part="update", way=way, seed=seed
                    )

    def updated(self, way: str, seed: int, passes: int) -> Run:
        start, rows = None, self.new
        if way == "short":
            *_, start = self.known(seed, passes)
            passes = 1 if self.tiny else self.own["update"]["epochs"]
            rows = changed_rows(self.old, self.new, self.own["update"]["replay"], seed)
        made = [prompt_completion(row) for row in rows]
        model, tokenizer, cost, _ = self.trained(f"v2-{way}", made, seed, passes, start=start)
        return cost | {"rows": len(rows), "epochs": passes, "test": self.asked(model, tokenizer, self.test)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=kb_settings()["seeds"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="of 'update'")
    options = grid_options(parser)
    quiet_libraries()
    keep_freed_memory()
    bench = Bench(options.output, options.tiny, options.output / "adapters" if options.tiny else None)
    parts = {
        "choose": bench.choose,
        "test": lambda: bench.score(options.seeds),
        "terms": lambda: bench.name_terms(options.seeds),
        "update": lambda: bench.update(options.seeds, options.ways),
    }
    parts[options.part]()


if __name__ == "__main__":
    main()
