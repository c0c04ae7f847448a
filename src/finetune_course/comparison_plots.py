"""The figure of notebook 10: right answers of every arm before and after the shop's facts change."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from . import plots
from .comparison_table import STATES, Asked, share, share_interval

_MARKS = {"before": "o", "not updated": "v", "updated": "s"}


def arms_figure(found: Mapping[tuple[str, str], Asked]) -> Figure:
    """One line an arm: the share of right answers with its interval in every state that was measured."""
    arms = list(dict.fromkeys(arm for arm, _ in found))
    figure, ax = plots.figure(height=1.6 + 0.55 * len(arms))
    for place, state in enumerate(STATES):
        for row, arm in enumerate(arms):
            if (arm, state) not in found:
                continue
            mean, low, high = (100 * value for value in share_interval(found[arm, state].per_question("right")))
            ax.errorbar(
                mean, row + 0.22 * (place - 1), xerr=[[mean - low], [high - mean]], fmt=_MARKS[state],
                color=plots.COLOURS[place], markersize=7, capsize=3,
            )  # fmt: skip
    for place, state in enumerate(STATES):
        ax.plot([], [], _MARKS[state], color=plots.COLOURS[place], label=state)
    ax.set_yticks(range(len(arms)), arms)
    ax.invert_yaxis()
    ax.set(xlim=(-2, 102), xlabel="right answers to answerable questions, %")
    ax.legend(loc="upper center", bbox_to_anchor=(0.4, 1.18), ncols=3, frameon=False)
    return figure


def describe_arms(found: Mapping[tuple[str, str], Asked]) -> str:
    """The figure in words, for its alt text."""
    parts = [f"{arm}, {state}: {share(asked.per_question('right'))}" for (arm, state), asked in found.items()]
    return f"Right answers to answerable questions in per cent, with intervals, by arm and state. {'; '.join(parts)}."
