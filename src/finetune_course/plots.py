"""House style of the figures: colours that colour-blind readers can tell apart, axes with units, and alt text.

Colours are those of Okabe and Ito (2008). The background is white by intent: a notebook opened in a dark theme then
shows dark text on white and not dark text on dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
"""Blue, vermilion, green, purple, orange, sky, yellow, black. Give every group a marker of its own, too."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

STYLE = {
    "figure.facecolor": "white",
    "figure.dpi": 110,
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
    "grid.color": "#DDDDDD",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 7,
}


matplotlib.rcParams.update(STYLE)  # importing this module is what puts a notebook into the house style


def figure(width: float = 7.5, height: float = 3.6, **subplots: Any) -> tuple[Figure, Any]:
    """A figure (size in inches) and its axes, as from ``pyplot.subplots``, laid out so that nothing is cut off."""
    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, fig.subplots(**subplots)


def picture(fig: Figure, alt: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Data and metadata for ``display(data, metadata=metadata, raw=True)``: ``fig`` as a PNG with its alternative text.

    A Figure displayed as it is becomes a picture only where the inline backend was loaded; elsewhere it is one line of
    text. Raises ValueError for an empty text.
    """
    if not alt or not alt.strip():
        raise ValueError("This figure has no alt text: say in one sentence what its axes are and what is seen.")
    buffer = BytesIO()
    fig.savefig(buffer, format="png", facecolor="white")
    data = {"image/png": buffer.getvalue(), "text/plain": f"[figure: {alt}]"}
    return data, {"image/png": {"alt": alt.strip()}}


def show(fig: Figure, alt: str) -> None:
    """Display ``fig`` as a PNG with ``alt`` as its alternative text: one plain sentence, the axes and what is seen.

    Jupyter reads the text from the output's metadata (``image/png`` → ``alt``). The figure is closed afterwards, so
    that the inline backend does not show it again. Raises ValueError for an empty text.
    """
    data, metadata = picture(fig, alt)
    from IPython.display import display
    from matplotlib import pyplot

    pyplot.close(fig)
    display(data, metadata=metadata, raw=True)


def interval_plot(
    table: pd.DataFrame,
    *,
    measure: str = "exact",
    label: str = "messages right in every field (%)",
    title: str = "",
    legend: str = "test messages",
    ax: Axes | None = None,
) -> Figure:
    """A dot with its interval for each method, one marker and colour per set, in per cent from 0 to 100.

    ``table`` is tidy, as from ``evaluate.summary``: columns method, set, measure, mean, low, high (shares). Methods
    stand from top to bottom in the table's order; ``legend`` heads the list of sets. Raises ValueError when ``measure``
    does not occur.
    """
    rows = table[table["measure"] == measure]
    if rows.empty:
        known = ", ".join(dict.fromkeys(table["measure"]))
        raise ValueError(f"The table holds no measure '{measure}'; it has {known or 'no rows'}.")
    methods, sets = list(dict.fromkeys(rows["method"])), list(dict.fromkeys(rows["set"]))
    if ax is None:
        _, ax = figure(height=1.2 + 0.42 * len(methods))
    for place, name in enumerate(sets):
        part = rows[rows["set"] == name]
        heights = [methods.index(method) + 0.22 * (place - (len(sets) - 1) / 2) for method in part["method"]]
        mean, low, high = (100 * part[column].to_numpy(float) for column in ("mean", "low", "high"))
        ax.errorbar(
            mean,
            heights,
            xerr=[mean - low, high - mean],
            fmt=MARKERS[place],
            color=COLOURS[place],
            capsize=3,
            label=name,
        )
    ax.set(xlim=(-2, 102), xlabel=label, yticks=range(len(methods)), yticklabels=methods, title=title)
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    if len(sets) > 1:
        ax.legend(title=legend, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax.figure


def describe_intervals(table: pd.DataFrame, measure: str = "exact") -> str:
    """The figure of ``interval_plot`` in words, for its alt text: every method's values with their intervals."""
    from .evaluate import percent

    rows = table[table["measure"] == measure]
    parts = [f"{row.method}, {row.set}: {percent(row.mean, row.low, row.high)}" for row in rows.itertuples()]
    return "; ".join(parts)


def value_bars(
    values: Mapping[str, float], label: str, *, title: str = "", notes: Sequence[str] = (), ax: Axes | None = None
) -> Figure:
    """Horizontal bars from zero, one per entry, each with its value written beside it (or the entry of ``notes``)."""
    if ax is None:
        _, ax = figure(height=1.2 + 0.36 * len(values))
    bars = ax.barh(list(values), list(values.values()), color=COLOURS[0], height=0.6)
    ax.bar_label(bars, labels=list(notes) or [f"{value:,.3g}" for value in values.values()], padding=4)
    ax.set(xlabel=label, title=title)
    ax.margins(x=0.15)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    return ax.figure
