"""Try the settings of notebook 02 on validation, run the chosen ones for several seeds, and write the record.

    python benchmarks/record_small_finetune.py            # about 25 minutes on one core of a CPU

Every run is written to benchmarks/results/small_finetune.json as soon as it is done, and a run that stands there for
the same data, model and settings is not done again. The training loops are those of notebook 02. What is chosen is
chosen on the shop's validation texts, general validation texts and validation questions; the
test is touched by the runs of the chosen settings alone.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import torch
import yaml
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

from finetune_course.continuing import times_fewer
from finetune_course.evaluate import interval, paired_difference
from finetune_course.paths import course_root, data_path
from finetune_course.shop_questions import CHAT_TEMPLATE, load_questions, score_answers, write_answers
from finetune_course.small_model import (
    IGNORED,
    TINY,
    batches,
    corpus_tokens,
    documents,
    encode,
    shipped_small_model,
    token_loss,
)

RESULT = course_root() / "benchmarks" / "results" / "small_finetune.json"
SETTINGS = data_path("corpus", "finetuning.yaml")
SEEDS = (0, 1, 2)
TRIED = {
    "scratch": [{"learning_rate": 5e-4}, {"learning_rate": 1e-3}, {"learning_rate": 2e-3}, {"steps": 480}],
    "continued": [{"learning_rate": rate} for rate in (1e-3, 3e-3, 6e-3)],
    "replay": [0, 2, 4, 8],
    "answers": [{"learning_rate": rate} for rate in (1e-3, 2e-3, 4e-3)] + [{"epochs": 3}],
}
"""What is changed of the settings, one run each; a chosen value stands among them."""
REPLAYED, ANSWERED = ("continued", "replay"), ("continued", "replay", "answers")
"""The parts of the settings that a run with replay, and a run of answers, depends on."""
FINE = (*range(2, 61, 2), 80, 120, 160, 200)
"""Steps at which a run is measured that is asked where it first reaches a loss; others are measured at their end."""


class Bench:
    """The data as tokens, and the two loops."""

    def __init__(self):
        self.folder = shipped_small_model()
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(self.folder)
        self.tokenizer.chat_template = CHAT_TEMPLATE
        self.shop, self.general = (corpus_tokens("train", self.tokenizer, part) for part in ("shop", "general"))
        self.texts = {
            (part, split): encode(documents(split, part), self.tokenizer)
            for part in ("shop", "general")
            for split in ("validation", "test")
        }

    def fresh(self, seed: int, scratch: bool = False):
        set_seed(seed)
        if scratch:
            return LlamaForCausalLM(LlamaConfig(**TINY))
        return AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32)

    def train_text(
        self, model, settings: dict, seed: int, split: str, replay: int = 0, marks: Sequence[int] = ()
    ) -> list[tuple[int, np.ndarray]]:
        """The notebook's loop; (tokens of the shop seen, loss of each of the split's shop texts) at every mark."""
        optimiser = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.1)
        steps, batch = settings["steps"], settings["batch"]
        old = batches(self.general, steps, replay, seed=seed) if replay else [None] * steps
        points = [(0, token_loss(model, self.texts["shop", split]))]
        for step, (pair, more) in enumerate(zip(batches(self.shop, steps, batch, seed=seed), old, strict=True), 1):
            if more is not None:
                pair = [torch.cat(both) for both in zip(pair, more, strict=True)]
            for group in optimiser.param_groups:
                group["lr"] = settings["learning_rate"] * rate_factor(step, steps)
            update(model, optimiser, *pair)
            if step in marks or step == steps:
                points.append((step * pair[0].shape[1] * batch, token_loss(model, self.texts["shop", split])))
        return points

    def train_answers(self, model, settings: dict, seed: int, pairs: list[dict]) -> None:
        rows = [chat_row(self.tokenizer, pair) for pair in pairs]
        optimiser = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.1)
        generator = torch.Generator().manual_seed(seed)
        each = math.ceil(len(rows) / settings["batch"])
        for step in range(each * settings["epochs"]):
            if step % each == 0:
                order = torch.randperm(len(rows), generator=generator).tolist()
            chosen = [rows[place] for place in order[step % each :: each]]
            for group in optimiser.param_groups:
                group["lr"] = settings["learning_rate"] * rate_factor(step + 1, each * settings["epochs"])
            update(model, optimiser, *padded(chosen, self.tokenizer.pad_token_id))

    def ask(self, model, rows: list[dict]) -> dict[str, np.ndarray]:
        prompts = [
            self.tokenizer.apply_chat_template(
                [{"role": "user", "content": row["question"]}], tokenize=False, add_generation_prompt=True
            )
            for row in rows
        ]
        table = score_answers(*write_answers(model, self.tokenizer, prompts), rows)
        return {name: table[name].to_numpy() for name in ("responds", "stops", "both", "right")}


def rate_factor(step: int, steps: int) -> float:
    """Warm-up over the first ten steps, then half a cosine down to a tenth."""
    return min(step / 10, 1) * (0.1 + 0.45 * (1 + math.cos(math.pi * step / steps)))


def update(model, optimiser, inputs, targets) -> None:
    loss = cross_entropy(model(input_ids=inputs).logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad()


def chat_row(tokenizer, pair: dict) -> tuple[list[int], list[int]]:
    """Token ids of a question with its answer, and the labels: the answer and its end."""
    turns = [{"role": "user", "content": pair["question"]}, {"role": "assistant", "content": pair["answer"]}]
    asked = tokenizer.apply_chat_template(turns[:1], add_generation_prompt=True, return_dict=True)["input_ids"]
    whole = tokenizer.apply_chat_template(turns, return_dict=True)["input_ids"]
    return whole, [IGNORED] * len(asked) + whole[len(asked) :]


def padded(rows: list[tuple[list[int], list[int]]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets, one step apart, of rows of unequal length."""
    width = max(len(ids) for ids, _ in rows) - 1
    inputs = [ids[:-1] + [pad] * (width + 1 - len(ids)) for ids, _ in rows]
    targets = [labels[1:] + [IGNORED] * (width + 1 - len(labels)) for _, labels in rows]
    return torch.tensor(inputs), torch.tensor(targets)


def identity(parts: Sequence[str]) -> str:
    """What a run of these parts stands on, as one hash: texts, the model's weights and, for answers, the questions."""
    kinds = ("general", "shop", "qa") if "answers" in parts else ("general", "shop")
    texts = [path for kind in kinds for path in sorted(data_path("corpus").glob(f"{kind}_*"))]
    files = [*texts, shipped_small_model() / "model.safetensors"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def load_settings() -> dict:
    """The settings of notebook 02: scratch, continued, replay, answers."""
    return yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))


def main() -> None:
    settings = load_settings()
    record = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    record = {"runs": record.get("runs", {})} | {
        "command": "python benchmarks/record_small_finetune.py",
        "settings": settings,
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
    }
    bench = Bench()

    def once(name: str, parts: Sequence[str], changed: dict, make) -> None:
        """``make`` gets the settings of these parts, some changed; a run that stands there is not repeated."""
        used = {
            part: changed.get(part, settings[part]) if part == "replay" else settings[part] | changed.get(part, {})
            for part in parts
        }
        stored, data = record["runs"].get(name, {}), identity(parts)
        if (stored.get("settings"), stored.get("data")) != (used, data):
            start = time.process_time()
            found = make(used)
            record["runs"][name] = {
                "data": data,
                "settings": used,
                **found,
                "cpu_seconds": round(time.process_time() - start, 1),
            }
            RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            print(name, found, flush=True)

    for part in ("scratch", "continued"):
        for change in TRIED[part]:
            once(
                f"validation, {part}, {spoken(change)}",
                [part],
                {part: change},
                lambda used, p=part: curve(bench, used, p),
            )
    for replay in TRIED["replay"]:
        once(
            f"validation, replay {replay}",
            REPLAYED,
            {"replay": replay},
            lambda used: forgotten(bench, used, 0, "validation"),
        )
    for change in TRIED["answers"]:
        name = f"validation, answers, {spoken(change)}"
        once(name, ANSWERED, {"answers": change}, lambda used: answered(bench, used, 0, choosing=True))
    for seed in SEEDS:
        once(f"test, compute, seed {seed}", ["scratch", "continued"], {}, lambda used, s=seed: compute(bench, used, s))
        for replay in (0, settings["replay"]):
            name = f"test, replay {replay}, seed {seed}"
            once(name, REPLAYED, {"replay": replay}, lambda used, s=seed: forgotten(bench, used, s, "test"))
        once(f"test, answers, seed {seed}", ANSWERED, {}, lambda used, s=seed: answered(bench, used, s, choosing=False))


def spoken(change: dict) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in change.items())


def curve(bench: Bench, settings: dict, part: str) -> dict:
    points = bench.train_text(bench.fresh(0, part == "scratch"), settings[part], 0, "validation")
    return {"curve": [(tokens, round(float(losses.mean()), 4)) for tokens, losses in points]}


def compute(bench: Bench, settings: dict, seed: int) -> dict:
    scratch, continued = (
        bench.train_text(
            bench.fresh(seed, part == "scratch"),
            settings[part],
            seed,
            "test",
            marks=FINE if part == "continued" else (),
        )
        for part in ("scratch", "continued")
    )
    same_steps = settings["scratch"] | {"steps": settings["continued"]["steps"]}
    short = bench.train_text(bench.fresh(seed, True), same_steps, seed, "test")
    means = {
        f"{name} curve": [(tokens, round(float(losses.mean()), 4)) for tokens, losses in points]
        for name, points in (("scratch", scratch), ("continued", continued))
    }
    return {
        "times fewer tokens": times_fewer(scratch, continued),
        "lower after the same compute": paired_difference(short[-1][1], continued[-1][1]),
        **means,
    }


def forgotten(bench: Bench, settings: dict, seed: int, split: str) -> dict:
    model = bench.fresh(seed)
    before = token_loss(model, bench.texts["general", split])
    shop = bench.train_text(model, settings["continued"], seed, split, settings["replay"])
    rise = paired_difference(token_loss(model, bench.texts["general", split]), before)
    return {"rise on general text": rise, "loss on shop text": interval(shop[-1][1])}


def answered(bench: Bench, settings: dict, seed: int, choosing: bool) -> dict:
    """Answers before and after tuning, to the test's questions or, for choosing, to those of validation."""
    model = bench.fresh(seed)
    bench.train_text(model, settings["continued"], seed, "validation", settings["replay"])
    pairs, rows = load_questions("train"), load_questions("validation" if choosing else "test")
    before = bench.ask(model, rows)
    bench.train_answers(model, settings["answers"], seed, pairs)
    after = bench.ask(model, rows)
    found = {f"after, {name}": interval(values) for name, values in after.items()}
    return {"before, both": interval(before["both"]), **found}


if __name__ == "__main__":
    main()
