"""How many test messages a claim needs: the usual formulas, and the simulation that they are checked against.

*Power* is the chance that a test of this size finds a difference that is really there.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import norm


def messages_unpaired(share: float, difference: float, power: float = 0.8, level: float = 0.95) -> int:
    """Messages *for each of two models* that answer different messages, right in ``share`` and share + difference.

    The formula for two shares (Fleiss, Levin and Paik 2003, chapter 4, without continuity correction). Raises
    ValueError for shares outside 0 to 1 or a difference of 0.
    """
    other = share + difference
    if difference == 0 or not (0 <= share <= 1 and 0 <= other <= 1):
        raise ValueError(f"Shares of {share:g} and {other:g}: give two different shares from 0 to 1.")
    spread = share * (1 - share) + other * (1 - other)
    return math.ceil(_z(power, level) ** 2 * spread / difference**2)


def messages_paired(discordant: float, difference: float, power: float = 0.8, level: float = 0.95) -> int:
    """Messages for two models that answer the *same* ones; ``discordant``: the share that just one of them has right.

    The difference of one message is +1, -1 or 0, with the mean ``difference`` and the variance discordant -
    difference². Raises ValueError where the difference is 0 or larger than the discordant share, which cannot be.
    """
    if not 0 < abs(difference) <= discordant <= 1:
        raise ValueError(
            f"A difference of {difference:g} needs at least that share of messages on which the models differ, "
            f"and the share given is {discordant:g}."
        )
    return math.ceil(_z(power, level) ** 2 * (discordant - difference**2) / difference**2)


def simulated_power(
    messages: int, discordant: float, difference: float, draws: int = 4000, level: float = 0.95, seed: int = 0
) -> float:
    """Share of ``draws`` imaginary tests whose interval for the paired difference excludes zero.

    Each draw asks ``messages`` messages: with probability (discordant + difference) / 2 only the better model is right,
    with (discordant - difference) / 2 only the other. The interval is mean ± z · standard error.
    """
    rng = np.random.default_rng(seed)
    chances = [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant]
    better, worse, _ = rng.multinomial(messages, chances, size=draws).T
    mean = (better - worse) / messages
    error = np.sqrt(np.maximum((better + worse) / messages - mean**2, 0) / messages)
    return float((np.abs(mean) > norm.ppf((1 + level) / 2) * error).mean())


def _z(power: float, level: float) -> float:
    """The two quantiles of the normal curve that a test of this level and power adds up."""
    return float(norm.ppf((1 + level) / 2) + norm.ppf(power))
