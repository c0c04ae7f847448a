"""Pre-train the small model of notebooks 01 and 02, score it, and write it to data/models/small.

    python benchmarks/record_small_model.py                 # 4 to 8 minutes on 2 CPU cores

The same recipe as notebook 01's, with more steps. The tokenizer is trained on the general training text, as there. The
weights are kept in bfloat16; the record beside them (run.json) holds the command, the data's hash, versions and scores
(of the weights as they are shipped).
"""

from __future__ import annotations

import argparse
import hashlib
import math
import platform
import shutil
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

from finetune_course.allocator import keep_freed_memory
from finetune_course.evaluate import interval
from finetune_course.paths import data_path
from finetune_course.probes import answers, load_probes, model_nats
from finetune_course.small_model import (
    END,
    SPECIAL_TOKENS,
    TINY,
    batches,
    corpus_tokens,
    documents,
    encode,
    load_small_model,
    save_small_model,
    shipped_small_model,
    token_loss,
)
from finetune_course.training import quiet_libraries

WARM_UP, WEIGHT_DECAY = 30, 0.1
LIBRARIES = ("torch", "transformers", "tokenizers")


def make_tokenizer() -> PreTrainedTokenizerFast:
    """The byte-pair tokenizer of notebook 01."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TINY["vocab_size"],
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(documents("train"), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=END, pad_token=SPECIAL_TOKENS[1])


def train(
    tokenizer: PreTrainedTokenizerFast, steps: int, batch: int, rate: float, seed: int
) -> tuple[LlamaForCausalLM, float]:
    """The model after ``steps`` steps and the seconds they took."""
    set_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**TINY))
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / WARM_UP, 0.1 + 0.45 * (1 + math.cos(math.pi * step / steps)))
    )
    validation = encode(documents("validation"), tokenizer)
    start = time.perf_counter()
    for step, (inputs, targets) in enumerate(batches(corpus_tokens("train", tokenizer), steps, batch, seed=seed), 1):
        loss = cross_entropy(model(input_ids=inputs).logits.flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        if step % 200 == 0:
            print(f"step {step}: {loss.item():.3f}, validation {token_loss(model, validation).mean():.3f}", flush=True)
    return model, time.perf_counter() - start


def scores_of(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> dict[str, list[float]]:
    """Mean and 95% interval of the losses and of the probes."""
    values = {
        f"{split} loss": token_loss(model, encode(documents(split), tokenizer)) for split in ("validation", "test")
    }
    for kind, name in (("agreement", "agreement"), ("fact", "facts")):
        values[name] = answers(load_probes(kind), tokenizer, model_nats(model))
    return {name: [round(float(value), 4) for value in interval(found)] for name, found in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=3e-3, help="the highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=None, help="a folder of your own instead of data/models/small")
    options = parser.parse_args()
    quiet_libraries()
    keep_freed_memory()
    tokenizer = make_tokenizer()
    model, seconds = train(tokenizer, options.steps, options.batch, options.rate, options.seed)
    record = {
        "command": "python benchmarks/record_small_model.py"
        f" --steps {options.steps} --batch {options.batch} --rate {options.rate:g} --seed {options.seed}",
        "config": TINY,
        "optimiser": {"learning_rate": options.rate, "warm_up_steps": WARM_UP, "weight_decay": WEIGHT_DECAY},
        "tokens": options.steps * options.batch * TINY["max_position_embeddings"],
        "train_seconds": round(seconds, 1),
        "data_sha256": hashlib.sha256(data_path("corpus", "general_train.txt").read_bytes()).hexdigest(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "versions": {name: version(name) for name in LIBRARIES},
        "date": date.today().isoformat(),
    }
    target = options.output or shipped_small_model()
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        save_small_model(model, tokenizer, work)
        shipped, _ = load_small_model(work)
        save_small_model(shipped, tokenizer, work, {**record, "scores": scores_of(shipped, tokenizer)})
        shutil.rmtree(target, ignore_errors=True)
        work.chmod(0o755)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print((target / "run.json").read_text())


if __name__ == "__main__":
    main()
