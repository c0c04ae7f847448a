"""What this machine has, and the precision and batch size that follow from it, each with its reason in words.

The batch is that of answering. The batch of *training* belongs to the recipe (data/triage/training.yaml): it changes
the result, so it is the same on every machine.

A processor's flags do not tell which precision is fast: on some CPUs with AVX-512 BF16 a bfloat16 matrix product is
three times as fast as a float32 one, on others half as fast. So the rates are measured (0.4 s) and decide.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import torch

from .allocator import spare_memory

PROFILES = ("standard", "small")
_GB = 1e9
# A product of the shape that dominates a 135M training step: 800 tokens, hidden size 576, MLP size 1536.
_PROBE = (800, 576, 1536)


class UnknownProfile(ValueError):
    """A profile's name that does not exist; shown in a notebook as its one sentence, without traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython's hook for exceptions that explain themselves
        return [f"UnknownProfile: {self}"]


@dataclass(frozen=True)
class Hardware:
    """The machine and what follows from it. ``rates``: GFLOP/s of a matrix product; memory in GB (1e9 bytes).

    ``eval_batch``: how many messages go through the model together when they are answered.
    """

    device: str
    name: str
    dtype: torch.dtype
    precision: dict[str, bool]
    memory_gb: float
    cores: int
    profile: str
    eval_batch: int
    gradient_checkpointing: bool
    rates: dict[str, float] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    def table(self):
        """The facts and choices as a pandas DataFrame with one row each."""
        import pandas

        rows = {
            "device": self.device,
            "name": self.name,
            "memory": f"{self.memory_gb:.1f} GB",
            "profile": self.profile,
            "weights kept in": str(self.dtype).removeprefix("torch."),
            "answered together": f"{self.eval_batch} messages",
            "gradient checkpointing": "on" if self.gradient_checkpointing else "off",
        }
        rows |= {f"matrix product in {name}": f"{rate:,.0f} GFLOP/s" for name, rate in self.rates.items()}
        return pandas.DataFrame({"value": rows})


def inspect_hardware(profile: str | None = None) -> Hardware:
    """Look at this machine and choose; in the small profile the process is also told to spare memory.

    Args:
        profile: "standard" or "small" (2 GB of memory in all, as on Binder); default: ``COURSE_PROFILE``, otherwise
            small where the process may use less than 4 GB.

    Raises:
        UnknownProfile: an unknown profile.
    """
    memory, cores = _memory_bytes(), _cores()
    asked = (profile or os.environ.get("COURSE_PROFILE", "")).strip()
    if asked and asked not in PROFILES:
        names = " or ".join(PROFILES)
        raise UnknownProfile(f"There is no profile '{asked}': set COURSE_PROFILE to {names}, or unset it.")
    chosen = asked or ("small" if memory < 4 * _GB else "standard")
    if chosen == "small":
        spare_memory()  # here, because the next matrix product settles how many kernels are kept
    device = _device()
    reasons = [_why_device(device), _why_profile(chosen, asked, memory)]
    rates = measure_rates(device)
    dtype, precision, why = choose_precision(device, rates, _cuda_capability(device), chosen)
    reasons.append(why)
    eval_batch, checkpointing, why = _choose_batch(device, chosen)
    reasons.append(why)
    plural = "" if cores == 1 else "s"
    name = torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()}, {cores} core{plural}"
    return Hardware(
        device,
        name,
        dtype,
        precision,
        memory / _GB,
        cores,
        chosen,
        eval_batch,
        checkpointing,
        rates,
        reasons,
    )


def measure_rates(
    device: str = "cpu", seconds: float = 0.15, clock: Callable[[], float] | None = None
) -> dict[str, float]:
    """GFLOP/s (1e9 floating-point operations a second) of a matrix product, for float32 and the 16-bit kinds.

    ``clock``: another one than time.perf_counter, such as time.process_time for operations in a second of CPU time.
    """
    clock = clock or time.perf_counter
    kinds = {"cpu": ("float32", "bfloat16"), "mps": ("float32", "float16")}.get(
        device, ("float32", "float16", "bfloat16")
    )
    rows, inner, columns = _PROBE if device == "cpu" else (4096, 4096, 4096)
    rates = {}
    for kind in kinds:
        dtype = getattr(torch, kind)
        left = torch.ones(rows, inner, dtype=dtype, device=device)
        right = torch.ones(columns, inner, dtype=dtype, device=device)
        for _ in range(3):
            torch.nn.functional.linear(left, right)
        _wait(device)
        start, times = clock(), 0
        while clock() - start < seconds:
            torch.nn.functional.linear(left, right)
            times += 1
            if times % 20 == 0 or device == "cpu":
                _wait(device)
        _wait(device)
        rates[kind] = 2 * rows * inner * columns * times / (clock() - start) / 1e9
    return rates


def choose_precision(
    device: str, rates: dict[str, float], capability: tuple[int, int] | None, profile: str
) -> tuple[torch.dtype, dict[str, bool], str]:
    """Return the dtype for frozen weights, the switches for ``SFTConfig``, and the reason.

    ``capability`` is CUDA's compute capability: bfloat16 needs 8.0 (Ampere); a T4 has 7.5 and gets float16, whose small
    range needs loss scaling, which the trainer's ``fp16`` switch brings.
    """
    if device == "cuda":
        if capability is not None and capability >= (8, 0):
            why = f"The card's compute capability is {capability[0]}.{capability[1]}: bfloat16 is there."
            return torch.bfloat16, {"bf16": True, "fp16": False}, why
        shown = ".".join(map(str, capability)) if capability else "unknown"
        why = f"The card's compute capability is {shown}, below 8.0: no bfloat16, so float16 with loss scaling."
        return torch.float16, {"bf16": False, "fp16": True}, why
    if device == "mps":
        return torch.float32, {"bf16": False, "fp16": False}, "On Apple's GPU float32 is the safe choice for training."
    on_cpu = {
        "bf16": True,
        "fp16": False,
        "use_cpu": True,
    }  # without use_cpu, transformers refuses bf16 where no GPU is
    single, half = rates["float32"], rates["bfloat16"]
    measured = f"a matrix product runs at {half:,.0f} GFLOP/s in bfloat16 and {single:,.0f} in float32"
    if half > 1.2 * single:
        return torch.bfloat16, on_cpu, f"bfloat16, because here {measured}."
    if profile == "small":
        return torch.bfloat16, on_cpu, f"bfloat16 for its half memory, although here {measured}."
    return torch.float32, {"bf16": False, "fp16": False}, f"float32, because here {measured}."


def _choose_batch(device: str, profile: str) -> tuple[int, bool, str]:
    """Messages answered together, whether training recomputes activations to save memory, and the reason."""
    if profile == "small":
        return 4, True, "4 messages are answered together, and gradient checkpointing is on: slower, in less memory."
    batch = 64 if device == "cuda" else 32
    return batch, False, f"{batch} messages are answered together: every weight that is read then serves all of them."


def _device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _cuda_capability(device: str) -> tuple[int, int] | None:
    return torch.cuda.get_device_capability() if device == "cuda" else None


def _why_device(device: str) -> str:
    return {
        "cuda": "An NVIDIA card is there, so everything runs on it.",
        "mps": "Apple's GPU is there, so everything runs on it.",
        "cpu": "No GPU is there, so everything runs on the CPU.",
    }[device]


def _why_profile(profile: str, asked: str, memory: float) -> str:
    source = "as COURSE_PROFILE says" if asked else f"because this process may use {memory / _GB:.1f} GB"
    return f"The {profile} profile, {source}."


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))  # honours a container's CPU set; Linux only
    except AttributeError:
        return psutil.cpu_count(logical=False) or 1


def _memory_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory that this process may use: the machine's, or less where a container (Binder, Colab) sets a limit."""
    limits = [psutil.virtual_memory().total]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # cgroup v2, v1
        try:
            text = (cgroup / name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            limits.append(int(text))
    if os.environ.get("MEM_LIMIT", "").isdigit():  # set by JupyterHub, and so on Binder
        limits.append(int(os.environ["MEM_LIMIT"]))
    return min(limits)
