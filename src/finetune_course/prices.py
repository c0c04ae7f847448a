"""What compute costs: list prices of rented cards (data/prices/gpu_hours.csv) and the sizes of published models."""

from __future__ import annotations

import pandas as pd

from .paths import data_path

GPU_COLUMNS = (
    "gpu", "memory_gb", "dense_bf16_tflops", "dollars_per_gpu_hour", "provider", "offer", "as_of", "source",
)  # fmt: skip
MODEL_COLUMNS = (
    "model", "year", "parameters", "active_parameters", "tokens", "reported_gpu_hours", "reported_gpu", "source",
)  # fmt: skip


def gpu_prices() -> pd.DataFrame:
    """Approximate list prices in US dollars per card and hour, each with its month (``as_of``, YYYY-MM) and source.

    ``dense_bf16_tflops`` is the maker's peak rate without sparsity, in 1e12 operations a second. Raises ValueError,
    in one sentence, for a file that lacks a column or holds a price that is not above 0.
    """
    return _read("gpu_hours.csv", GPU_COLUMNS, ["memory_gb", "dense_bf16_tflops", "dollars_per_gpu_hour"])


def published_models() -> pd.DataFrame:
    """Parameters, training tokens and, where published, GPU-hours of known models, with the paper they are from.

    ``active_parameters`` are those that one token passes through (fewer than all in a mixture of experts): the N of
    6·N·D. Raises ValueError as ``gpu_prices`` does.
    """
    return _read("published_models.csv", MODEL_COLUMNS, ["parameters", "active_parameters", "tokens"])


def training_flops(parameters: float, tokens: float) -> float:
    """6·N·D: about 2 operations per weight and token forward, and 4 backward (Kaplan and others, 2020)."""
    return 6 * parameters * tokens


def training_cost(
    parameters: float, tokens: float, tflops: float, utilisation: float, dollars_per_hour: float
) -> tuple[float, float]:
    """(card-hours, dollars) of training ``parameters`` on ``tokens`` with cards of ``tflops`` (1e12/s) peak.

    ``utilisation`` is the share of the peak rate that the run gets, above 0 and at most 1; otherwise ValueError.
    """
    if not 0 < utilisation <= 1:
        raise ValueError(f"utilisation is {utilisation}: give the share of the peak rate, above 0 and at most 1.")
    hours = training_flops(parameters, tokens) / (tflops * 1e12 * utilisation) / 3600
    return hours, hours * dollars_per_hour


def _read(name: str, columns: tuple[str, ...], positive: list[str]) -> pd.DataFrame:
    table = pd.read_csv(data_path("prices", name))
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(f"data/prices/{name} has no column '{missing[0]}': get the file again.")
    for column in positive:
        table[column] = pd.to_numeric(table[column], errors="coerce").astype(float)
        wrong = table.index[~(table[column] > 0)]
        if len(wrong):
            raise ValueError(f"data/prices/{name}, line {wrong[0] + 2}: '{column}' is not a number above 0.")
    return table[list(columns)]
