"""The figures of notebook 10: what every arm gets right, before the facts change and after, and what it declines."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import plots
from .comparison_table import STATES, Asked, share, share_interval

_MARKS = {"before": "o", "not updated": "v", "updated": "s"}
RIGHT, SILENT = "right answers to answerable questions, %", "unanswerable ones declined, %"

Found = Mapping[tuple[str, str], Asked]


def arms_figure(found: Found) -> Figure:
    """One line an arm: the share of right answers with its interval in every state that was measured."""
    figure, ax = plots.figure(height=1.6 + 0.55 * len(_arms(found)))
    _draw(ax, found, _right, RIGHT)
    _legend(figure)
    return figure


def answers_figure(found: Found) -> Figure:
    """The same, and beside it the share of unanswerable questions that an arm declines."""
    figure, (left, right) = plots.figure(
        width=9, height=1.6 + 0.55 * len(_arms(found)), ncols=2, sharey=True, width_ratios=(4, 3)
    )
    _draw(left, found, _right, RIGHT)
    _draw(right, found, _silent, SILENT)
    _legend(figure)
    return figure


def describe_arms(found: Found) -> str:
    """``arms_figure`` in words, for its alt text."""
    told = _told(found, _right)
    return f"Right answers to answerable questions in per cent, with intervals, by arm and state. {told}."


def describe_answers(found: Found) -> str:
    """``answers_figure`` in words."""
    told = _told(found, _silent)
    return f"{describe_arms(found)} Beside it, unanswerable questions declined in per cent. {told}."


def _right(asked: Asked) -> np.ndarray:
    return asked.per_question("right")


def _silent(asked: Asked) -> np.ndarray:
    return asked.per_question("declined", "unanswerable")


def _told(found: Found, values: Callable[[Asked], np.ndarray]) -> str:
    return "; ".join(f"{arm}, {state}: {share(values(asked))}" for (arm, state), asked in found.items())


def _arms(found: Found) -> list[str]:
    return list(dict.fromkeys(arm for arm, _ in found))


def _draw(ax: Axes, found: Found, values: Callable[[Asked], np.ndarray], label: str) -> None:
    arms = _arms(found)
    for place, state in enumerate(STATES):
        for row, arm in enumerate(arms):
            if (arm, state) not in found:
                continue
            mean, low, high = (100 * value for value in share_interval(values(found[arm, state])))
            ax.errorbar(
                mean, row + 0.22 * (place - 1), xerr=[[mean - low], [high - mean]], fmt=_MARKS[state],
                color=plots.COLOURS[place], markersize=7, capsize=3,
            )  # fmt: skip
    ax.set_yticks(range(len(arms)), arms)
    ax.set(xlim=(-2, 102), ylim=(len(arms) - 0.5, -0.5), xlabel=label)


def _legend(figure: Figure) -> None:
    ax = figure.axes[0]
    marks = [ax.plot([], [], _MARKS[state], color=plots.COLOURS[at])[0] for at, state in enumerate(STATES)]
    figure.legend(marks, STATES, loc="outside upper center", ncols=len(STATES), frameon=False)
