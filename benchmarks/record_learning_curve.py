"""Record the grids of notebook 07 that train the 135M model: its learning curve, the rounds, full fine-tuning.

    python benchmarks/record_learning_curve.py choose        # steps and learning rate, on validation
    python benchmarks/record_learning_curve.py curve         # after choose
    python benchmarks/record_learning_curve.py rounds        # after curve: goes on from its runs of 300 rows
    python benchmarks/record_learning_curve.py full          # full fine-tuning on the rows of the same runs
    python benchmarks/record_learning_curve.py long          # more rows and many more steps than the curve's
    python benchmarks/record_learning_curve.py curve --sizes 100 300 --seeds 0      # a part

Written to benchmarks/results/{learning_curve,rounds,full_fine_tuning,long_curve}.json, each run as soon as it is
done; a run that stands there is not made again. Settings are compared on the hand-written validation messages with
seed 0, by the share of fields that are right; each run of the curve (long or not), the rounds and the full fine-tuning
is scored once on the hand-written test messages. ``--tiny`` proves within a minute that the script works, with two
steps and a few messages, and wants an --output folder of its own.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

from transformers import AutoTokenizer

from finetune_course.allocator import keep_freed_memory
from finetune_course.curation_grid import from_bits, rows_hash
from finetune_course.data_rounds import ADDED, START, error_kinds, mend
from finetune_course.few_rows import FULL_STEPS, STEPS, FewRows, full_fine_tune, rows_for, triage_answers
from finetune_course.general_ability import general_ability
from finetune_course.grid_record import GridRecord, Run, grid_options, outcome_bits, triage_identity
from finetune_course.hardware import inspect_hardware
from finetune_course.training import quiet_libraries, training_identity
from finetune_course.triage import FIELDS, load_split
from finetune_course.weights import weights

RATE = 1e-3


@dataclass(frozen=True)
class Plan:
    """What is run. ``seeds`` by number of rows: fewest where a run is dear and only frames the curve."""

    steps: dict[int, int] = field(default_factory=lambda: STEPS)
    seeds: dict[int, tuple[int, ...]] = field(
        default_factory=lambda: {
            10: (0, 1),
            50: (0, 1, 2),
            100: (0, 1, 2),
            300: (0, 1, 2),
            500: (0, 1),
            600: (0, 1),
            1000: (0,),
        }  # fmt: skip
    )
    tried: tuple[tuple[int, float], ...] = ((50, RATE), (100, RATE), (150, RATE), (150, RATE / 2), (150, RATE * 2))
    tried_on: int = 100
    start: int = START
    added: int = ADDED
    round_seeds: tuple[int, ...] = (0, 1)
    full_rates: tuple[float, ...] = (3e-5, 1e-4, 3e-4)
    full_trial_steps: int = 40
    full_steps: int = FULL_STEPS
    full_seeds: tuple[int, ...] = (0, 1)
    long: tuple[tuple[int, int], ...] = ((1000, 750),)
    long_seeds: tuple[int, ...] = (0,)
    messages: int | None = None
    own_rows: int = 100


TINY = Plan(
    steps={4: 2, 6: 2, 8: 2, 10: 2},
    seeds={4: (0,), 6: (0, 1), 10: (0,)},
    tried=((1, RATE), (2, RATE)),
    tried_on=4,
    start=6,
    added=2,
    full_rates=(1e-4, 3e-4),
    full_trial_steps=1,
    full_steps=1,
    full_seeds=(0,),
    long=((4, 3),),
    messages=4,
    own_rows=4,
)


class Bench:
    """Model, data and records of one call of the script."""

    def __init__(self, plan: Plan, folder: Path):
        self.plan, self.folder = plan, folder
        self.hw = inspect_hardware("standard")
        self.tokenizer = AutoTokenizer.from_pretrained(weights())
        self.train = load_split("train")
        self.validation, self.test = (
            load_split(name)[: plan.messages] for name in ("validation_handwritten", "test_handwritten")
        )
        self.few = FewRows(self.tokenizer, self.hw)
        self.seed_in_memory = None

    def record(self, name: str, parts: str, **settings) -> GridRecord:
        script = "python benchmarks/record_learning_curve.py"
        settings |= {
            "data_sha256": triage_identity(),
            "training": training_identity(),
            "dtype": str(self.hw.dtype).removeprefix("torch."),
            "messages": self.plan.messages,
        }
        command = " && ".join(f"{script} {part}" for part in parts.split())
        return GridRecord(self.folder / f"{name}.json", command, **settings)

    def curve_record(self) -> GridRecord:
        steps = {str(size): count for size, count in self.plan.steps.items()}
        return self.record("learning_curve", "choose curve", tried=self.plan.tried, steps=steps)

    def answers(self, model, records) -> list[str]:
        return triage_answers(model, self.tokenizer, records, self.hw.eval_batch)

    def only(self, seed: int) -> None:
        """Rows of another seed are other rows: let the kept states of the last seed's go."""
        if seed != self.seed_in_memory:
            self.few.forget()
        self.seed_in_memory = seed

    # choose

    def choose(self) -> None:
        record = self.curve_record()
        for steps, rate in self.plan.tried:
            record.once(lambda s=steps, r=rate: self.trial(s, r), part="choose", steps=steps, rate=rate)

    def trial(self, steps: int, rate: float) -> Run:
        self.only(0)
        rows = rows_for(self.train, self.plan.tried_on, 0)
        with self.few.lora(rows, 0, steps, rate) as model:
            bits = outcome_bits(self.answers(model, self.validation), self.validation)
        return {"rows": rows_hash(rows), "validation": bits}

    def chosen(self, record: GridRecord) -> tuple[int, float]:
        """Steps (at the size they were tried on) and learning rate with the most fields right on validation."""
        trials = [run for run in record.runs if run["part"] == "choose"]
        if len(trials) < len(self.plan.tried):
            raise SystemExit("The settings are not chosen yet: run this script with 'choose' first.")
        best = max(trials, key=lambda run: fields_right(run["validation"]))
        return best["steps"], best["rate"]

    def length(self, size: int, record: GridRecord) -> int:
        """Steps for ``size`` rows: the plan's, but no more than the chosen ones up to the size these were tried on."""
        steps, _ = self.chosen(record)
        return min(self.plan.steps[size], steps) if size <= self.plan.tried_on else self.plan.steps[size]

    # curve

    def curve(self, sizes: list[int], seeds: list[int]) -> None:
        record = self.curve_record()
        self.chosen(record)
        record.once(
            lambda: {"general": general_ability(self.few.model, self.tokenizer, self.plan.messages)}, part="untuned"
        )
        for seed in seeds:
            for size in sizes:
                if seed in self.plan.seeds.get(size, ()):
                    record.once(lambda z=size, s=seed: self.point(z, s, record), part="curve", size=size, seed=seed)

    def point(self, size: int, seed: int, record: GridRecord) -> Run:
        self.only(seed)
        rows, steps, rate = rows_for(self.train, size, seed), self.length(size, record), self.chosen(record)[1]
        with self.few.lora(rows, seed, steps, rate) as model:
            run = {"steps": steps, "rate": rate, "rows": rows_hash(rows)}
            run["test"] = outcome_bits(self.answers(model, self.test), self.test)
            if seed == 0:
                own = rows[: self.plan.own_rows]
                run["own_rows"] = outcome_bits(self.answers(model, own), own)
            if size == self.plan.start:
                run["validation_answers"] = self.answers(model, self.validation)
                run["general"] = general_ability(model, self.tokenizer, self.plan.messages)
        return run

    # rounds

    def rounds(self, seeds: list[int]) -> None:
        curve = self.curve_record()
        start, added = self.plan.start, self.plan.added
        record = self.record("rounds", "rounds", start=start, added=added, steps=self.plan.steps[start])
        for seed in [seed for seed in seeds if seed in self.plan.round_seeds]:
            first = [run for run in curve.runs if (run.get("size"), run.get("seed")) == (start, seed)]
            if not first:
                raise SystemExit(f"The curve has no run of {start} rows and seed {seed} yet: run 'curve' first.")
            rows, answers = rows_for(self.train, start, seed), first[0]["validation_answers"]
            for number in (2, 3):
                rows = self.mended(rows, answers, seed)
                run = record.once(lambda r=rows, s=seed: self.round(r, s, curve), round=number, seed=seed)
                answers = run["validation_answers"]

    def mended(self, rows: list[dict], answers: list[str], seed: int) -> list[dict]:
        known = {row["id"] for row in rows}
        pool = [row for row in self.train if row["id"] not in known]
        return rows + mend(error_kinds(answers, self.validation), pool, self.plan.added, seed)

    def round(self, rows: list[dict], seed: int, curve: GridRecord) -> Run:
        self.only(seed)
        with self.few.lora(rows, seed, self.plan.steps[len(rows)], self.chosen(curve)[1]) as model:
            answers = self.answers(model, self.validation)
            return {
                "rows": rows_hash(rows), "added": [row["id"] for row in rows[-self.plan.added :]],
                "validation_answers": answers, "test": outcome_bits(self.answers(model, self.test), self.test),
            }  # fmt: skip

    # full fine-tuning

    def full(self, seeds: list[int]) -> None:
        plan = self.plan
        record = self.record("full_fine_tuning", "full", rates=plan.full_rates, trial_steps=plan.full_trial_steps,
                             steps=plan.full_steps, size=plan.start)  # fmt: skip
        del self.few  # the runs below load a model each
        for rate in plan.full_rates:
            record.once(lambda r=rate: self.full_trial(r), part="choose", rate=rate)
        trials = [run for run in record.runs if run["part"] == "choose"]
        rate = max(trials, key=lambda run: fields_right(run["validation"]))["rate"]
        for seed in seeds:
            if seed in plan.full_seeds:
                record.once(lambda s=seed: self.full_point(rate, s), part="test", rate=rate, seed=seed)

    def full_trial(self, rate: float) -> Run:
        rows = rows_for(self.train, self.plan.start, 0)
        model = full_fine_tune(self.tokenizer, self.hw, rows, 0, self.plan.full_trial_steps, rate)
        return {"validation": outcome_bits(self.answers(model, self.validation), self.validation)}

    def full_point(self, rate: float, seed: int) -> Run:
        rows = rows_for(self.train, self.plan.start, seed)
        model = full_fine_tune(self.tokenizer, self.hw, rows, seed, self.plan.full_steps, rate)
        test = outcome_bits(self.answers(model, self.test), self.test)
        return {
            "rows": rows_hash(rows),
            "test": test,
            "general": general_ability(model, self.tokenizer, self.plan.messages),
        }

    # long runs

    def long(self, seeds: list[int]) -> None:
        """Rows and steps far past the curve's: whether its end is the end of what more examples give."""
        curve = self.curve_record()
        rate = self.chosen(curve)[1]
        record = self.record("long_curve", "long", rate=rate)
        for size, steps in self.plan.long:
            for seed in [seed for seed in seeds if seed in self.plan.long_seeds]:
                record.once(
                    lambda z=size, n=steps, s=seed: self.long_point(z, n, s, rate), size=size, steps=steps, seed=seed
                )

    def long_point(self, size: int, steps: int, seed: int, rate: float) -> Run:
        self.only(seed)
        rows = rows_for(self.train, size, seed)
        with self.few.lora(rows, seed, steps, rate) as model:
            return {"rows": rows_hash(rows), "test": outcome_bits(self.answers(model, self.test), self.test)}


def fields_right(bits: dict[str, str]) -> float:
    """Share of all fields of all messages that are right."""
    return float(sum(from_bits([bits[name]]).mean() for name in FIELDS) / len(FIELDS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["choose", "curve", "rounds", "full", "long"])
    parser.add_argument("--sizes", type=int, nargs="+", help="only these numbers of rows (curve)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="only these, of those planned")
    options = grid_options(parser)
    quiet_libraries()
    keep_freed_memory()
    plan = TINY if options.tiny else Plan()
    bench = Bench(plan, options.output)
    if options.part == "choose":
        bench.choose()
    elif options.part == "curve":
        bench.curve(options.sizes or sorted(plan.seeds), options.seeds)
    else:
        getattr(bench, options.part)(options.seeds)


if __name__ == "__main__":
    main()
