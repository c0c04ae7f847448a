"""Record the reader of notebook 10: a LoRA that learns to read pages, and the raw model beside it, on the same pieces.

    python benchmarks/record_reader.py choose           # seed 0, looked at on validation after each pass
    python benchmarks/record_reader.py raw              # the untrained model on the test, both versions of the pages
    python benchmarks/record_reader.py test             # after choose: the trained one, every seed
    python benchmarks/record_reader.py test --seeds 1   # a part
    python benchmarks/record_reader.py terms            # the shop's own terms, every seed
    python benchmarks/record_reader.py several          # what was tried first: several pieces in a row; validation only

Written to benchmarks/results/kb_reader.json (the last part to kb_reader_several.json), each run as soon as it is
done, every answer in full; a run that stands there is not made again, so the script may be stopped and started anew,
and several processes may take different parts or seeds. Adapters are kept in the cache folder, that of seed 0 goes to
data/adapters/reader. ``--tiny`` proves within a minute that the script works and wants an --output folder of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from finetune_course.grid_record import Run, grid_options
from finetune_course.hardware import inspect_hardware
from finetune_course.kb_bench import KbBench, Rows, kb_settings
from finetune_course.lora_runs import base_model
from finetune_course.qa_arms import ONE_BY_ONE, arm, ask, ask_both
from finetune_course.reader import load_reader_rows, prompt_completion, training_hash
from finetune_course.retrieved import load_retrieved
from finetune_course.training import keep_freed_memory, quiet_libraries

NAME = "kb_reader"
READER = "LoRA reader + RAG"
RAW = ("RAG, short rules", "RAG, long rules")
PARTS = ("choose", "raw", "test", "terms", "several")
ROWS = "reader_pieces"
PIECES = (1, 2, 3)
"""Read one by one: tried on validation after each look."""
SEVERAL_LOOKS = [1, 2]


class Bench(KbBench):
    """The reader's rows and record."""

    arms = (READER,)

    def __init__(self, output: Path, tiny: bool = False, adapters: Path | None = None):
        super().__init__("reader", inspect_hardware("standard"), tiny, adapters)
        self.rows = [prompt_completion(row) for row in load_reader_rows(ROWS)]
        self.retrieved, self.output = load_retrieved(), output
        commands = [f"python benchmarks/record_reader.py {part}" for part in PARTS[:-1]]
        self.record = self.grid_record(output / f"{NAME}.json", " && ".join(commands), training_hash(ROWS), self.own)

    def trial(self, passes: int) -> Run:
        model, tokenizer, cost, _ = self.trained("pages", self.rows, 0, passes, looks=self.looks)
        found = self.validated(model, tokenizer, PIECES)
        best = max(PIECES, key=lambda pieces: self.right(found[str(pieces)]["answers"]))  # the first of equals
        return cost | {"pieces": best, "validation": found[str(best)], "by_pieces": found}

    def validated(self, model, tokenizer, numbers: Sequence[int]) -> dict[str, Run]:
        """Answers to the validation questions by how many pieces are read one by one (0: all in one prompt)."""
        return {
            str(number): ask(
                replace(arm(READER), one_by_one=number), model, tokenizer, self.validation, self.retrieved, "v1",
                room=self.room, batch_size=self.hw.eval_batch,
            )
            for number in numbers
        }  # fmt: skip

    def several(self) -> None:
        """Seed 0 on rows with several pieces, a run of its own length, asked with several in a prompt and with one."""
        rows, self.looks = [prompt_completion(row) for row in load_reader_rows()], SEVERAL_LOOKS
        record = self.grid_record(
            self.output / f"{NAME}_several.json", f"python benchmarks/record_reader.py {PARTS[-1]}",
            training_hash("reader_train"), self.own | {"epochs": SEVERAL_LOOKS},
        )  # fmt: skip
        for passes in SEVERAL_LOOKS:
            record.once(lambda p=passes: self.tried(rows, p), part="several", epochs=passes)

    def tried(self, rows: Rows, passes: int) -> Run:
        model, tokenizer, cost, _ = self.trained("several", rows, 0, passes, looks=self.looks)
        return cost | {"rows": len(rows), "by_pieces": self.validated(model, tokenizer, (0, 1))}

    def raw(self) -> None:
        for name in RAW:
            self.record.once(lambda n=name: self.asked(n, *base_model(self.hw)), part="test", arm=name)

    def score(self, seeds: list[int]) -> None:
        chosen = self.chosen()
        pieces = next(run["pieces"] for run in self.record.runs if run["part"] == "choose" and run["epochs"] == chosen)
        if pieces != ONE_BY_ONE and not self.tiny:
            raise SystemExit(f"Validation chose {pieces} pieces: set ONE_BY_ONE of qa_arms.py to it first.")
        for seed in seeds:
            self.record.once(lambda s=seed: self.point(s, chosen), part="test", arm=READER, seed=seed)

    def adapted(self, seed: int, passes: int):
        return self.trained("pages", self.rows, seed, passes)

    def asked(self, name: str, model, tokenizer) -> dict[str, Run]:
        return ask_both(
            arm(name), model, tokenizer, self.test, self.retrieved, room=self.room, batch_size=self.hw.eval_batch
        )

    def point(self, seed: int, passes: int) -> Run:
        model, tokenizer, cost, folder = self.adapted(seed, passes)
        run = cost | {"epochs": passes, "learning_rate": self.own["learning_rate"]}
        if seed == 0:
            self.ship("reader", model, folder, run)
        return run | self.asked(READER, model, tokenizer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=kb_settings()["seeds"])
    options = grid_options(parser)
    quiet_libraries()
    keep_freed_memory()
    bench = Bench(options.output, options.tiny, options.output / "adapters" if options.tiny else None)
    parts = {
        "choose": bench.choose,
        "raw": bench.raw,
        "test": lambda: bench.score(options.seeds),
        "terms": lambda: bench.name_terms(options.seeds),
        "several": bench.several,
    }
    parts[options.part]()


if __name__ == "__main__":
    main()
