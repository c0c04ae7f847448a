"""The formulas for the number of messages: known values, and the power that a simulation of such tests has."""

import numpy as np
import pytest

from finetune_course.power import messages_paired, messages_unpaired, simulated_power


def test_known_values():
    """1.96 + 0.84 squared is 7.849: 7.849 · (0.24 + 0.2275) / 0.0025, and 7.849 · (0.15 - 0.0025) / 0.0025."""
    assert messages_unpaired(0.60, 0.05) == 1468
    assert messages_paired(0.15, 0.05) == 464
    assert messages_unpaired(0.60, -0.05) == messages_unpaired(0.55, 0.05)


def test_pairing_pays_unless_the_models_are_strangers():
    """Two independent models differ on p(1-q) + q(1-p) of the messages, and then both ways need as many."""
    p, q = 0.60, 0.65
    strangers = p * (1 - q) + q * (1 - p)
    assert messages_paired(strangers, q - p) == pytest.approx(messages_unpaired(p, q - p), abs=1)
    assert messages_paired(0.2, 0.05) < messages_unpaired(p, 0.05) / 2


@pytest.mark.parametrize(("discordant", "difference", "power"), [(0.15, 0.05, 0.8), (0.3, 0.1, 0.8), (0.4, 0.05, 0.9)])
def test_a_test_of_that_size_has_that_power(discordant, difference, power):
    messages = messages_paired(discordant, difference, power)
    assert simulated_power(messages, discordant, difference, draws=20_000) == pytest.approx(power, abs=0.02)


def test_unpaired_messages_have_that_power_too():
    messages, rng = messages_unpaired(0.6, 0.05), np.random.default_rng(0)
    a, b = (rng.binomial(messages, share, size=20_000) / messages for share in (0.60, 0.65))
    error = np.sqrt((a * (1 - a) + b * (1 - b)) / messages)
    assert (np.abs(b - a) > 1.96 * error).mean() == pytest.approx(0.8, abs=0.02)


def test_without_a_difference_one_test_in_twenty_is_wrong():
    assert simulated_power(1000, 0.2, 0.0, draws=20_000) == pytest.approx(0.05, abs=0.01)


def test_impossible_questions_are_refused():
    with pytest.raises(ValueError, match="two different shares"):
        messages_unpaired(0.98, 0.05)
    with pytest.raises(ValueError, match="two different shares"):
        messages_unpaired(0.5, 0.0)
    with pytest.raises(ValueError, match="at least that share"):
        messages_paired(0.03, 0.05)
    with pytest.raises(ValueError, match="at least that share"):
        messages_paired(0.3, 0.0)
