"""The small model of notebooks 01 and 02: its size, its texts as tokens, its loss on documents, its samples.

The training loop is not here: it stands in the notebooks, in plain PyTorch. What is here only distracts there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, set_seed

from .paths import data_path, own_models_dir

TINY = {
    "vocab_size": 2048,
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 1,
}
"""Arguments of ``transformers.LlamaConfig``: 2.2 million parameters."""

CONTEXT = TINY["max_position_embeddings"]
SPECIAL_TOKENS = ("<|end|>", "<|pad|>", "<|user|>", "<|assistant|>")
"""Ids 0 to 3. ``<|end|>`` stands before and after every document; the last two wait for notebook 02."""
END = SPECIAL_TOKENS[0]

SPLITS = ("train", "validation", "test")
IGNORED = -100


def documents(split: str, part: str = "general") -> list[str]:
    """The documents of data/corpus/{part}_{split}.txt, in the file's order. ``part`` is general or shop.

    Raises ValueError for a split that does not exist and FileNotFoundError, in one sentence, for a missing file.
    """
    if split not in SPLITS:
        raise ValueError(f"There is no split '{split}': choose one of {', '.join(SPLITS)}.")
    path = data_path("corpus", f"{part}_{split}.txt")
    if not path.is_file():
        raise FileNotFoundError(f"data/corpus/{path.name} is missing: build it with 'python data/build_corpus.py'.")
    return [text.strip() for text in path.read_text(encoding="utf-8").split("\n\n") if text.strip()]


def encode(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    """Token ids of each text, between two END tokens: the model learns where a document starts and where it stops."""
    end = tokenizer.convert_tokens_to_ids(END)
    found = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return [[end, *ids, end] for ids in found]


def corpus_tokens(split: str, tokenizer: PreTrainedTokenizerFast, part: str = "general") -> torch.Tensor:
    """All documents of a split as one stream of token ids, shape (tokens,), with one END between two documents."""
    parts = [ids[:-1] for ids in encode(documents(split, part), tokenizer)]
    return torch.tensor([token for ids in parts for token in ids] + [tokenizer.convert_tokens_to_ids(END)])


def batches(
    tokens: torch.Tensor, steps: int, batch: int = 16, context: int = CONTEXT, seed: int = 0
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """``steps`` pairs (inputs, targets), each of shape (batch, context); the targets are the inputs moved by one.

    Windows are cut one after another from the stream and handed out in random order, each once before any comes again;
    every round over the stream starts its cuts at another place. Raises ValueError for a stream shorter than a window.
    """
    if len(tokens) < 2 * context + 1:
        raise ValueError(f"The stream has {len(tokens)} tokens; at least {2 * context + 1} are needed.")
    generator = torch.Generator().manual_seed(seed)
    waiting = torch.empty(0, dtype=torch.long)
    offsets = torch.arange(context + 1)
    for _ in range(steps):
        while len(waiting) < batch:
            first = int(torch.randint(context, (1,), generator=generator))
            starts = torch.arange(first, len(tokens) - context, context)
            waiting = torch.cat([waiting, starts[torch.randperm(len(starts), generator=generator)]])
        chosen, waiting = waiting[:batch], waiting[batch:]
        windows = tokens[chosen[:, None] + offsets]
        yield windows[:, :-1], windows[:, 1:]


def token_loss(model: torch.nn.Module, encoded: Sequence[Sequence[int]], batch: int = 32) -> np.ndarray:
    """Nats per token of each document, shape (documents,): what ``evaluate.interval`` takes.

    ``encoded`` as from ``encode``; every token after the first is predicted once. A document longer than the model's
    context is cut into windows that do not overlap. Prompt tokens to be left out: see ``masked_loss``.
    """
    return masked_loss(model, [(list(ids), [IGNORED, *ids[1:]]) for ids in encoded], batch)


@torch.inference_mode()
def masked_loss(
    model: torch.nn.Module, rows: Sequence[tuple[Sequence[int], Sequence[int]]], batch: int = 32
) -> np.ndarray:
    """Nats per learned token of each row (input ids, labels of the same length with -100 where nothing is scored).

    The label at place t belongs to the token at t (as in transformers): it is predicted from the places before.
    """
    context, device = model.config.max_position_embeddings, next(model.parameters()).device
    pieces = [
        (row, ids[at : at + context], labels[at + 1 : at + 1 + context])
        for row, (ids, labels) in enumerate(rows)
        for at in range(0, max(len(ids) - 1, 1), context)
    ]
    pieces.sort(key=lambda piece: len(piece[1]))  # windows of like length share a batch
    total, count = np.zeros(len(rows)), np.zeros(len(rows))
    training = model.training
    model.eval()
    for start in range(0, len(pieces), batch):
        group = pieces[start : start + batch]
        width = max(len(piece[1]) for piece in group)
        inputs = torch.tensor([[*piece[1], *[0] * (width - len(piece[1]))] for piece in group], device=device)
        targets = torch.tensor([[*piece[2], *[IGNORED] * (width - len(piece[2]))] for piece in group], device=device)
        logits = model(input_ids=inputs).logits.float()
        losses = cross_entropy(logits.transpose(1, 2), targets, reduction="none", ignore_index=IGNORED)
        for piece, sums, kept in zip(group, losses.sum(1).tolist(), (targets != IGNORED).sum(1).tolist(), strict=True):
            total[piece[0]] += sums
            count[piece[0]] += kept
    model.train(training)
    if not count.all():
        raise ValueError(f"Row {int(np.argmin(count))} has no token to score: all its labels are {IGNORED}.")
    return total / count


def continue_text(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerFast,
    prompt: str,
    max_new_tokens: int = 50,
    temperature: float = 0.8,
    top_p: float = 0.95,
    seed: int = 0,
) -> str:
    """The prompt and what the model writes after it, until END or ``max_new_tokens``; temperature 0 is greedy."""
    ids = encode([prompt], tokenizer)[0][:-1][-(model.config.max_position_embeddings - 1) :]
    room = model.config.max_position_embeddings - len(ids)
    inputs = torch.tensor([ids], device=next(model.parameters()).device)
    chosen = {"do_sample": temperature > 0}
    if temperature > 0:
        chosen |= {"temperature": temperature, "top_p": top_p, "top_k": 0}
    set_seed(seed)
    training = model.training
    model.eval()
    with torch.inference_mode():
        output = model.generate(
            inputs,
            attention_mask=torch.ones_like(inputs),
            max_new_tokens=min(max_new_tokens, room),
            pad_token_id=TINY["pad_token_id"],
            **chosen,
        )
    model.train(training)
    return tokenizer.decode(output[0, 1:], skip_special_tokens=True)


def save_small_model(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, folder: Path, record: dict | None = None
) -> None:
    """Write model (bfloat16, safetensors) and tokenizer to ``folder``, and ``record`` as run.json in it."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.to(torch.bfloat16) for name, value in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=state)
    tokenizer.save_pretrained(folder)
    if record is not None:
        (folder / "run.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def load_small_model(folder: Path) -> tuple[torch.nn.Module, PreTrainedTokenizerFast]:
    """Model (float32, on the CPU) and tokenizer from a folder of ``save_small_model``."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), tokenizer


def own_small_model() -> Path:
    """Where notebook 01 keeps the model trained on this machine (in the cache folder); not created here."""
    return own_models_dir() / "models" / "small"


def shipped_small_model() -> Path:
    """The pre-trained model that comes with the course, data/models/small."""
    return data_path("models", "small")


def small_model_folder() -> tuple[Path, str]:
    """The folder to start notebook 02 from and one sentence about it: the learner's own if there, else the shipped.

    A model of another tokenizer than the shipped one's (trained on an older corpus) is passed over. Raises
    FileNotFoundError where there is neither.
    """
    own, shipped = own_small_model(), shipped_small_model()
    if (own / "model.safetensors").is_file() and _tokenizer(own) == _tokenizer(shipped):
        return own, "Your own model from notebook 01 is used."
    if not (shipped / "model.safetensors").is_file():
        raise FileNotFoundError(
            "There is no model in data/models/small: get the course's folder again, or train it with "
            "'python benchmarks/record_small_model.py'."
        )
    return shipped, "The model that comes with the course is used: no model of your own from notebook 01 was found."


def _tokenizer(folder: Path) -> bytes:
    path = folder / "tokenizer.json"
    return path.read_bytes() if path.is_file() else b""
