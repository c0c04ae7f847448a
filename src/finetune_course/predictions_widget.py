"""The sliders for the predictions, and the figure that shows what is saved (a widget does not survive on GitHub)."""

from __future__ import annotations

import html
import textwrap
import threading
from collections.abc import Sequence

import ipywidgets as widgets
from matplotlib.figure import Figure

from . import plots
from .claims import Claim
from .predictions import PredictionError, Predictions, load_predictions, record

_WIDE = widgets.Layout(width="95%", max_width="900px")
_NOT_YET, _SAVED = "not predicted yet", "✓ saved"
# JupyterLab may deliver quick moves on several threads (subshells). One at a time, and each saves the slider's value of
# that moment, so that the last move wins whichever thread comes last.
_ONE_AT_A_TIME = threading.Lock()


class PredictionPanel(widgets.VBox):
    """Sliders for all claims: the first ones open, the others folded away by group.

    Every slider starts at what is saved, or in its middle. Each move is saved at once; ``status`` says so, or in one
    sentence why not. A slider that was never moved is no prediction.
    """

    def __init__(self, claims: Sequence[Claim]) -> None:
        self.claims = list(claims)
        self.status = widgets.HTML()
        self.confidence: dict[str, widgets.IntSlider] = {}
        self.numbers: dict[str, widgets.FloatSlider] = {}
        notices: list[str] = []
        try:
            saved = load_predictions(self.claims, report=notices.append)
        except PredictionError as error:
            saved = Predictions()
            notices.append(str(error))
        first = [self._card(claim, saved) for claim in self.claims if claim.first]
        super().__init__([self.status, *first, self._folded(saved)], layout=_WIDE)
        self._tell(saved, " ".join(notices))

    def _folded(self, saved: Predictions) -> widgets.Accordion:
        groups: dict[str, list[widgets.Widget]] = {}
        for claim in self.claims:
            if not claim.first:
                groups.setdefault(claim.group, []).append(self._card(claim, saved))
        folded = widgets.Accordion([widgets.VBox(cards) for cards in groups.values()], selected_index=None)
        for place, (group, cards) in enumerate(groups.items()):
            folded.set_title(place, f"{group}: {len(cards)} more")  # not titles=…: Colab has ipywidgets 7
        return folded

    def _card(self, claim: Claim, saved: Predictions) -> widgets.VBox:
        words = (
            f"<p style='margin:0.6em 0 0; line-height:1.4'><b>{claim.id} · {html.escape(claim.text)}</b><br>"
            f"How sure are you of this? {html.escape(claim.question)}</p>"
        )
        sure = widgets.IntSlider(
            value=round(saved.confidence.get(claim.id, 50)),
            min=0,
            max=100,
            step=5,
            readout_format="d",
            continuous_update=False,
            description="sure, in %",
            layout=widgets.Layout(width="420px"),
        )
        self.confidence[claim.id] = sure
        rows = [widgets.HTML(words), self._row(sure, claim, "confidence", claim.id in saved.confidence)]
        if claim.number:
            asked = claim.number
            amount = widgets.FloatSlider(
                value=saved.numbers.get(claim.id, (asked.low + asked.high) / 2),
                min=asked.low,
                max=asked.high,
                step=1 if asked.high - asked.low > 50 else 0.5 if asked.high - asked.low > 20 else 0.1,
                readout_format=".1f",
                continuous_update=False,
                description=f"in {asked.unit}",
                layout=widgets.Layout(width="420px"),
            )
            self.numbers[claim.id] = amount
            rows.append(widgets.HTML(f"<span>And your number: {html.escape(asked.question)}</span>"))
            rows.append(self._row(amount, claim, "number", claim.id in saved.numbers))
        return widgets.VBox(rows)

    def _row(self, slider: widgets.Widget, claim: Claim, kind: str, is_saved: bool) -> widgets.HBox:
        mark = widgets.HTML(_SAVED if is_saved else _NOT_YET)

        def moved(_: dict) -> None:
            try:
                with _ONE_AT_A_TIME:
                    saved = record(claim, **{kind: slider.value})
            except PredictionError as error:
                mark.value = "not saved"
                self.status.value = f"<b>{html.escape(str(error))}</b>"
                return
            mark.value = _SAVED
            self._tell(saved)

        slider.observe(moved, names="value")
        return widgets.HBox([slider, mark])

    def _tell(self, saved: Predictions, notice: str = "") -> None:
        text = f"{len(saved)} of {len(self.claims)} claims predicted. Every move of a slider is saved at once."
        self.status.value = " ".join(filter(None, [html.escape(notice), text]))


def predictions_figure(claims: Sequence[Claim], predictions: Predictions) -> Figure:
    """One line a claim, the confidence (%) as a dot, the number beside it; a ring at 50 % where none is saved."""
    figure, axes = plots.figure(width=9, height=1.2 + 0.46 * len(claims))
    axes.axvline(50, color="0.6", linewidth=1.2, linestyle="--", zorder=0)
    for row, claim in enumerate(claims):
        sure = predictions.confidence.get(claim.id)
        if sure is None:
            axes.plot(50, row, "o", markersize=9, markerfacecolor="none", markeredgecolor="0.6")
        else:
            axes.plot([50, sure], [row, row], color=plots.COLOURS[0], linewidth=2)
            axes.plot(sure, row, "o", markersize=9, color=plots.COLOURS[0])
        if claim.id in predictions.numbers:
            amount = f"{predictions.numbers[claim.id]:g} {claim.number.unit}"
            axes.text(1.02, row, amount, transform=axes.get_yaxis_transform(), va="center")
    axes.grid(axis="y", visible=False)
    axes.set_yticks(range(len(claims)), [textwrap.fill(f"{claim.id} {claim.text}", 62) for claim in claims], fontsize=8)
    axes.set(
        xlim=(-3, 103),
        ylim=(len(claims) - 0.5, -0.5),
        xlabel="surely fails   ←   how sure that the claim holds (%)   →   surely holds",
    )
    done = sum(claim.id in predictions.confidence for claim in claims)
    axes.set_title(f"Your predictions: {done} of {len(claims)} made (ring: none yet)", loc="left")
    return figure
