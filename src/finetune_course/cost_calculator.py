"""The break-even of tuning against prompting as a figure, and as a calculator with sliders."""

from __future__ import annotations

import math

import ipywidgets as widgets
import numpy as np
from matplotlib.figure import Figure

from . import plots
from .costs import break_even, hosted_call, own_call


def cost_figure(
    once: float,
    tuned_call: float,
    prompted: dict[str, float],
    mark: float | None = None,
    tuned: str = "tuned, own machine",
) -> Figure:
    """Total dollars against the number of calls (both axes logarithmic): a tuned model and some prompted ones.

    ``once`` is paid before the first tuned call, ``prompted`` maps a name to dollars a call, ``mark`` is a number of
    calls to mark with a dotted line, ``tuned`` the first line's name. A cross stands where two lines meet; the figure
    reaches as far as the last of them, if that is below 10¹¹ calls.
    """
    crossings = [break_even(once, tuned_call, call) for call in prompted.values()]
    last = max((crossing for crossing in crossings if 1 < crossing < 1e11), default=1)
    calls = np.logspace(2, max(8, math.ceil(math.log10(last) + 0.3)), 200)
    figure, ax = plots.figure(height=4.2)
    ax.plot(calls, once + tuned_call * calls, color=plots.COLOURS[0], linewidth=2.6, label=tuned)
    styles = ("--", "-.", ":", (0, (5, 1, 1, 1)))
    for place, ((name, call), crossing) in enumerate(zip(prompted.items(), crossings, strict=True)):
        colour = plots.COLOURS[1 + place % 5]
        ax.plot(calls, call * calls, color=colour, linestyle=styles[place % len(styles)], label=name)
        if calls[0] <= crossing <= calls[-1]:
            ax.plot(crossing, call * crossing, "x", color=colour, markersize=10, markeredgewidth=2.5)
    if mark is not None:
        ax.axvline(mark, color=plots.COLOURS[7], linestyle=":", linewidth=1)
    ax.set(xscale="log", yscale="log", xlabel="calls answered", ylabel="dollars paid so far")
    ax.legend(loc="upper left", fontsize=9)
    return figure


def describe_costs(once: float, tuned_call: float, prompted: dict[str, float]) -> str:
    """The figure of ``cost_figure`` in words, for its alt text."""
    parts = [f"{name} {_count(break_even(once, tuned_call, call))}" for name, call in prompted.items()]
    return (
        f"Dollars paid against calls answered, both logarithmic. The tuned model starts at {once:,.0f} dollars and "
        f"hardly rises; it becomes cheaper after this many calls: {'; '.join(parts)}."
    )


class CostCalculator(widgets.VBox):
    """Sliders for what is your own (tokens, prices, wages' sum, traffic); the result is one ``sentence``.

    The starting values are given by name: prompt_tokens, answer_tokens, input_price, output_price (dollars per million
    tokens), once (dollars), calls_per_second, dollars_per_hour, busy (share) and calls_a_day. One outside its range in
    ``RANGES`` becomes the nearest end of it.
    """

    RANGES = {
        "prompt_tokens": ("tokens of a prompt", 10, 4000, 10),
        "answer_tokens": ("tokens of an answer", 1, 1000, 1),
        "input_price": ("input, $ per million tokens", 0.01, 20, 0.01),
        "output_price": ("output, $ per million tokens", 0.01, 80, 0.01),
        "once": ("once: labels, hours, run, $", 0, 20_000, 50),
        "calls_per_second": ("own machine, calls a second", 0.05, 200, 0.05),
        "dollars_per_hour": ("own machine, $ an hour", 0.01, 15, 0.01),
        "busy": ("share of hours at work", 0.01, 1, 0.01),
        "calls_a_day": ("calls a day", 10, 1_000_000, 10),
    }

    def __init__(self, **start: float) -> None:
        missing = sorted(set(self.RANGES) ^ set(start))
        if missing:
            raise ValueError(f"The calculator starts from {', '.join(self.RANGES)}; look at '{missing[0]}'.")
        wide = {"layout": widgets.Layout(width="95%", max_width="640px"), "style": {"description_width": "220px"}}
        self.sliders = {
            name: widgets.FloatLogSlider(
                value=start[name], min=math.log10(low), max=math.log10(high), step=0.01, description=words,
                readout_format=",.3g", continuous_update=False, **wide,
            )
            if low > 0 and high / low > 500
            else widgets.FloatSlider(
                value=start[name], min=low, max=high, step=step, description=words, continuous_update=False, **wide
            )
            for name, (words, low, high, step) in self.RANGES.items()
        }  # fmt: skip
        self.result = widgets.HTML()
        super().__init__([*self.sliders.values(), self.result])
        for slider in self.sliders.values():
            slider.observe(self._calculate, names="value")
        self._calculate()

    def _calculate(self, _: object = None) -> None:
        value = {name: slider.value for name, slider in self.sliders.items()}
        hosted = hosted_call(*(value[n] for n in ("prompt_tokens", "answer_tokens", "input_price", "output_price")))
        own = own_call(value["calls_per_second"], value["dollars_per_hour"], value["busy"])
        calls = break_even(value["once"], own, hosted)
        days = calls / value["calls_a_day"]
        when = (
            f"after {_count(calls)} calls, {days:,.1f} days" if math.isfinite(calls) else "never: a call saves nothing"
        )
        self.sentence = (
            f"1,000 calls: ${1000 * hosted:.3g} prompted, ${1000 * own:.3g} tuned on your machine. "
            f"Tuning is cheaper {when}."
        )
        self.result.value = f"<p>{self.sentence}</p>"


def _count(calls: float) -> str:
    return f"{calls:,.0f}" if math.isfinite(calls) else "never"
