"""Speed and memory of training on one graphics card: TRL's trainer on models of known shapes, a clock, a peak.

How fast a step is and what it holds does not depend on what the weights say, so a model with random weights of a known
shape tells both, without a download. benchmarks/record_gpu.py writes what is measured here to benchmarks/results/.
"""

from __future__ import annotations

import gc
import tempfile
import time
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, PrinterCallback, TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer

from .hardware import Hardware
from .model_sizes import SIZES, Shape, added_by_lora, linear_shapes, on_meta
from .training import triage_settings

WAYS = ("LoRA", "QLoRA", "full", "full, 16 bits")
"""LoRA on all linear layers; the same with frozen weights in 4 bits; all weights, in float32 or in 16 bits."""

SETTINGS = ("stock", "course", "course, not compiled")
"""SFTConfig's defaults, and what the course sets: packing, fused kernels, a compiled model, no recomputation."""

NO_ROOM = "out of memory"
TINY = Shape(64, 128, 2, 4, 2, 512, True)
"""A model for trying everything without a card."""


class NotHere(RuntimeError):
    """A case that this machine cannot run at all; its sentence goes into the record in place of figures."""


def lora_everywhere() -> LoraConfig:
    """The settings file's LoRA, but in all blocks: what others mean by LoRA."""
    return LoraConfig(**{**triage_settings()["lora"], "layers_to_transform": None})


def arguments(settings: str, hw: Hardware, way: str, batch: int, length: int, **changes: Any) -> dict[str, Any]:
    """SFTConfig's arguments for one of SETTINGS: ``batch`` rows of up to ``length`` tokens at once.

    The number format is the card's in every case (``hardware.choose_precision``): float16 with loss scaling on a card
    without bfloat16. Weights in 16 bits are trained without a second copy, so there the trainer must not convert.
    """
    if settings not in SETTINGS:
        raise ValueError(f"There are no settings '{settings}': choose one of {', '.join(SETTINGS)}.")
    own: dict[str, Any] = {
        "per_device_train_batch_size": batch,
        "max_length": length,
        "learning_rate": 1e-4,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "seed": 0,
        **hw.precision,
    }
    if way == "full, 16 bits":
        if hw.dtype != torch.bfloat16:
            raise NotHere("Training 16-bit weights needs bfloat16: float16 cannot hold their small changes.")
        own |= {"bf16": False, "fp16": False}
    if settings != "stock":
        own |= {
            "activation_checkpointing": False,
            "packing": True,
            "packing_strategy": "bfd",
            "optim": "adamw_torch_fused",
            "use_liger_kernel": hw.device == "cuda" and find_spec("liger_kernel") is not None,
            "torch_compile": hw.device == "cuda" and settings == "course",
        }
    return own | changes


def random_weights(shape: Shape, folder: Path, device: str = "cpu") -> Path:
    """Write a model of a shape with random weights in bfloat16 to a folder, once; returns the folder."""
    if not (folder / "config.json").is_file():
        set_seed(0)
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(shape.config(), dtype=torch.bfloat16)
        model.save_pretrained(folder)
        del model
        let_go()
    return folder


def load(folder: str | Path, way: str, hw: Hardware) -> torch.nn.Module:
    """The model in a folder, in the number format that one of WAYS trains it in, on the machine's device.

    Raises NotHere for QLoRA without an NVIDIA card or without bitsandbytes.
    """
    if way == "QLoRA":
        if hw.device != "cuda":
            raise NotHere("QLoRA needs an NVIDIA card.")
        if find_spec("bitsandbytes") is None:
            raise NotHere("QLoRA needs bitsandbytes, which is not installed.")
        from transformers import BitsAndBytesConfig

        four_bit = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=hw.dtype)
        return AutoModelForCausalLM.from_pretrained(folder, quantization_config=four_bit, device_map={"": 0})
    dtype = torch.float32 if way == "full" else hw.dtype
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(hw.device)


def random_rows(vocabulary: int, count: int, length: int) -> Dataset:
    """Rows of random token ids, each of ``length`` tokens: nothing is padded, and every token counts in the loss."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(vocabulary, (count, length), generator=draw)
    return Dataset.from_dict({"input_ids": ids.tolist()})


class StepClock(TrainerCallback):
    """When each step ended, with the device waited for, and the tokens that it had seen by then."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.tokens: list[int] = []
        self.losses: list[float] = []

    def on_step_end(self, args, state, control, **kwargs):
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()
        self.ends.append(time.perf_counter())

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and "loss" in logs:
            self.tokens.append(int(float(logs["num_tokens"])))
            self.losses.append(float(logs["loss"]))


def train(model, tokenizer, rows: Dataset, own: dict[str, Any], way: str, lora: LoraConfig | None = None) -> SFTTrainer:
    """Train with TRL's own trainer; returns it with ``clock`` (StepClock) and ``peak_gb`` (None without a card)."""
    lora = (lora or lora_everywhere()) if "LoRA" in way else None
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*use_liger_kernel.*", category=FutureWarning)
        config = SFTConfig(output_dir=folder, **own)
        trainer = SFTTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer, peft_config=lora)
        trainer.remove_callback(PrinterCallback)
        if own.get("fp16"):
            keep_in_float32(trainer.model)
        trainer.clock = StepClock()
        trainer.add_callback(trainer.clock)
        card = model.device.type == "cuda"
        if card:
            torch.cuda.reset_peak_memory_stats()
        trainer.train()
        trainer.peak_gb = torch.cuda.max_memory_allocated() / 1e9 if card else None
    return trainer


def keep_in_float32(model: torch.nn.Module) -> None:
    """Weights that are trained, in float32: loss scaling for float16 takes no gradient in 16 bits.

    TRL keeps QLoRA's adapters in bfloat16, which a card without it can neither scale nor multiply fast.
    """
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def speed(clock: StepClock, warm: int) -> dict[str, float]:
    """Tokens and seconds of the steps after the first ``warm`` ones (which compile, and fill the allocator)."""
    steps = len(clock.ends) - warm
    if warm < 1 or steps < 1:
        raise ValueError(f"{len(clock.ends)} steps were made and {warm} are for warming up: none is left to measure.")
    seconds = clock.ends[-1] - clock.ends[warm - 1]
    tokens = clock.tokens[-1] - clock.tokens[warm - 1]
    return {
        "steps": steps,
        "tokens a step": tokens / steps,
        "seconds a step": seconds / steps,
        "tokens a second": tokens / seconds,
    }


def measured(
    folder: str | Path, shape: Shape, tokenizer, hw: Hardware, way: str, settings: str, batch: int, length: int,
    *, warm: int = 4, steps: int = 12, matmul_gflops: float | None = None, **changes: Any,
) -> dict[str, Any]:  # fmt: skip
    """One case on random rows: speed, peak memory, losses, and the share of the measured matrix-multiply rate.

    A case without room gives {"failed": "out of memory"}, one that cannot run here {"failed": its sentence}.
    """
    case = {"way": way, "settings": settings, "batch": batch, "length": length}
    model = trainer = None
    try:
        own = arguments(settings, hw, way, batch, length, max_steps=warm + steps, **changes)
        model = load(folder, way, hw)
        rows = random_rows(shape.vocabulary, batch * own.get("gradient_accumulation_steps", 1) * (warm + steps), length)
        trainer = train(model, tokenizer, rows, own, way)
        found = speed(trainer.clock, warm)
        found |= {"peak_gb": trainer.peak_gb, "losses": [round(loss, 4) for loss in trainer.clock.losses]}
        if matmul_gflops:
            flops = flops_a_token(shape, way, length)
            found["share of matrix-multiply rate"] = flops * found["tokens a second"] / 1e9 / matmul_gflops
        return case | found
    except NotHere as reason:
        return case | {"failed": str(reason)}
    except torch.OutOfMemoryError:
        return case | {"failed": NO_ROOM}
    finally:
        del model, trainer
        let_go()


def let_go() -> None:
    """Free what the last model held, so that the next case has the whole card."""
    gc.collect()
    torch.compiler.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def flops_a_token(shape: Shape, way: str, length: int, *, causal: bool = True) -> float:
    """Floating-point operations that a training step needs for one token; recomputed activations do not count.

    A matrix of P numbers: 2·P forward, 2·P for the gradient of its input, 2·P for its own gradient where it is
    trained. Attention over ``length`` tokens: 4·length·width a block forward, half of it where tokens look back alone
    (``causal``), and twice that backward. The lowest block's input gradient, which LoRA needs not, is counted.
    """
    shapes = list(linear_shapes(on_meta(shape)))
    matrices = sum(out * inner for _, (out, inner) in shapes) + shape.vocabulary * shape.width  # the head multiplies
    attention = 4 * length * shape.width * shape.blocks / (2 if causal else 1)
    if "LoRA" not in way:
        return 6 * matrices + 3 * attention
    lora = triage_settings()["lora"]
    adapted = [size for name, size in shapes if name in lora["target_modules"]]
    return 4 * matrices + 6 * added_by_lora(adapted, lora["r"]) + 3 * attention


def largest_batch(case, batches: Sequence[int]) -> list[dict[str, Any]]:
    """``case(batch)`` for each of the growing ``batches`` until one has no room; that one is in the list, too."""
    found = []
    for batch in batches:
        found.append(case(batch))
        if "failed" in found[-1]:
            break
    return found


def shape_named(name: str) -> Shape:
    """A shape of ``model_sizes.SIZES``, or TINY for "tiny". Raises ValueError for another name."""
    if name == "tiny":
        return TINY
    if name not in SIZES:
        raise ValueError(f"There is no shape '{name}': choose tiny or one of {', '.join(SIZES)}.")
    return SIZES[name]
