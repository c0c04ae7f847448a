"""The exercise checks of notebook 05 that count: the largest rank under a limit, the memory of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .checking import ask, check, passed, refuse, require, require_close

SMALL = [(576, 576), (192, 576), (192, 576), (576, 576), (1536, 576), (1536, 576), (576, 1536)] * 30
SMALL_MODEL = 134_515_008
"""SmolLM2-135M: (out, in) of its linear layers, and all its parameters."""
LARGE = [(8192, 8192), (1024, 8192), (1024, 8192), (8192, 8192), (28672, 8192), (28672, 8192), (8192, 28672)] * 80
LARGE_MODEL = 70_553_706_496
"""The same of Llama-3.1-70B."""


@check("5.4")
def largest_rank(answer: Callable[[list, int, float], Any]) -> None:
    """Check of exercise 5.4: ``answer(shapes, base, share)`` is the largest rank whose parameters stay within a share.

    ``shapes`` are (out, in) of the adapted layers, ``base`` the parameters of the model, ``share`` from 0 to 1.
    """
    shapes = [(4, 6), (10, 7)]
    found = ask(answer, shapes, 1000, 0.25)  # 27 parameters for each step of rank; 250 are allowed: 9.26
    refuse(
        found,
        (250 / 27, "A rank is a whole number: round down."),
        (10, "You rounded up, and rank 10 is over the limit: round down."),
        (250 // 94, "Each step of rank adds in + out parameters to a layer, not in · out."),
        (250 // 13, "You counted A alone. B adds `out` numbers for each step of rank."),
        (250 // 14, "You counted B alone. A adds `in` numbers for each step of rank."),
        (250 // 10, "That is the first layer alone: add up all of them."),
        (250 // 17, "That is the last layer alone: add up all of them."),
        (0, "Did you read the share as per cent? It goes from 0 to 1: a share of 0.25 of 1,000 is 250."),
        (243, "That is the number of added parameters: return the rank."),
        (12, "That takes the share of base + added: take it of the base alone."),
    )
    require_close(found, 9, "Rank 9 adds 9 · 27 = 243 parameters, rank 10 adds 270, and 250 are allowed.")
    exactly = ask(answer, shapes, 1080, 0.25)
    require_close(exactly, 10, "Rank 10 adds exactly the 270 that are allowed: a rank that just fits is allowed.")
    require_close(ask(answer, shapes, 1000, 0.02), 0, "Here not even rank 1 fits: the answer is 0.")
    small, large = ask(answer, SMALL, SMALL_MODEL, 0.01), ask(answer, LARGE, LARGE_MODEL, 0.01)
    require_close(small, 4, "For SmolLM2-135M and 1% it should be rank 4.")
    require_close(large, 54, "For Llama-3.1-70B and 1% it should be rank 54.")
    passed(f"under 1% means rank {int(small)} at most for 135 million parameters, and {int(large)} for 70 billion.")


@check("5.5")
def training_memory(answer: Callable[..., Any]) -> None:
    """Check of exercise 5.5: ``answer(frozen, trained, frozen_bits=16)`` gives the bytes of a run with AdamW.

    A dictionary with the keys weights, gradients, optimiser and total; what is trained is float32.
    """
    parts = _parts(ask(answer, 1000, 30, frozen_bits=4))
    refuse(
        parts["weights"],
        (4120, "frozen_bits are bits: 8 of them make a byte."),
        (500, "The trained weights are weights as well: 4 bytes for each of the 30."),
        (515, "The trained weights are float32 whatever the frozen ones are: 4 bytes each, not frozen_bits."),
        (2120, "Is 16 fixed in your code? These frozen weights have frozen_bits=4."),
        (4030, "frozen_bits are bits: 8 of them make a byte; and the 30 trained weights have 4 bytes each."),
        (120, "Those are the trained weights alone. The frozen ones are in memory too, for every forward pass."),
        (530, "The 30 trained weights are float32: 4 bytes each, not 1."),
    )
    require_close(parts["weights"], 620, "1,000 frozen weights at 4 bits are 500 bytes; 30 trained ones are 120.")
    refuse(
        parts["gradients"],
        (4120, "You gave frozen weights a gradient: they never change and need none."),
        (4000, "You gave frozen weights a gradient, and the trained ones none."),
        (30, "That is the number of gradients: each is a float32 of 4 bytes."),
        (15, "frozen_bits is about the frozen weights alone: a gradient has 4 bytes."),
    )
    require_close(parts["gradients"], 120, "A float32 of 4 bytes for each of the 30 trained weights.")
    refuse(
        parts["optimiser"],
        (120, "That is one moment. AdamW keeps two: the running mean of the gradient, and that of its square."),
        (8240, "You gave frozen weights AdamW's moments: it keeps them only for what it changes."),
        (360, "The gradient is counted already: the optimiser's own part is the two moments."),
        (60, "That is the number of moments: each has 4 bytes."),
    )
    require_close(parts["optimiser"], 240, "Two float32 moments for each of the 30 trained weights.")
    require_close(parts["total"], 980, "The total is the sum of the three parts.")
    full = _parts(ask(answer, 0, 1000))
    require_close(full["total"], 16_000, "Full fine-tuning has nothing frozen: 4 + 4 + 8 bytes for each weight.")
    half = _parts(ask(answer, 1000, 0))
    require_close(half["total"], 2000, "frozen_bits should be 16 where it is not given: 2 bytes a weight.")
    added = sum(8 * (outputs + inputs) for outputs, inputs in LARGE)
    kinds = ((0, LARGE_MODEL), (LARGE_MODEL, added), (LARGE_MODEL, added, 4))
    sizes = [_parts(ask(answer, *given))["total"] / 1e9 for given in kinds]
    passed(
        f"70 billion parameters: {sizes[0]:,.0f} GB to train in full, {sizes[1]:.0f} GB with LoRA of rank 8, "
        f"{sizes[2]:.0f} GB over 4-bit weights."
    )


def _parts(value: Any) -> dict[str, Any]:
    parts = memory_parts(value)
    in_gb = "That is in MB or GB: return bytes, and divide only when you print."
    refuse(parts["total"], *((980 / unit, in_gb) for unit in (1e6, 1e9, 2**20, 2**30)))
    return parts


def memory_parts(value: Any) -> dict[str, Any]:
    """An answer that is a dictionary of a run's memory, with exactly the keys that 05's and 06's exercises name."""
    keys = ("weights", "gradients", "optimiser", "total")
    require(isinstance(value, dict), f"Return a dictionary with the keys {', '.join(keys)}.")
    require("optimizer" not in value, "The key is spelt `optimiser` in this course.")
    missing = [key for key in keys if key not in value]
    require(not missing, f"The dictionary lacks {' and '.join(missing)}: its keys are {', '.join(keys)}.")
    require(len(value) == len(keys), f"The dictionary has more than its keys {', '.join(keys)}: leave the rest out.")
    return value
