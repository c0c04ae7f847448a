"""The decision helper as a widget: drop-down lists and number fields, and below them the advice with its evidence."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as widgets
import pandas as pd

from .decision import Situation, SituationError, advise, evidence, load_rules


class DecisionHelper(widgets.VBox):
    """One control for each question of the rules; ``situation`` holds the answers, ``result`` the advice as HTML.

    ``board`` is the scoreboard; ``start`` are the answers to begin with (others: the first option, 0).
    """

    def __init__(self, board: pd.DataFrame, start: Situation | None = None) -> None:
        self.board, self.questions = board, load_rules()["questions"]
        self.controls = {question["name"]: _control(question, (start or {})) for question in self.questions}
        self.result = widgets.HTML()
        wide = widgets.Layout(width="95%", max_width="900px")
        super().__init__([*self.controls.values(), self.result], layout=wide)
        for control in self.controls.values():
            control.observe(self._advise, names="value")
        self._advise()

    @property
    def situation(self) -> dict[str, Any]:
        return {name: control.value for name, control in self.controls.items()}

    def _advise(self, _: object = None) -> None:
        try:
            self.result.value = advice_html(self.situation, self.board)
        except SituationError as error:  # a widget has no place for a traceback
            self.result.value = f"<p>{html.escape(str(error))}</p>"


def advice_html(situation: Situation, board: pd.DataFrame) -> str:
    """The advice as a short HTML text: a heading for each lever, its reasons, and what was measured. All escaped."""
    parts = []
    for each in sorted(advise(situation), key=lambda each: not each.advised):
        parts.append(f"<h4>{'→ ' if each.advised else 'not '}{html.escape(each.lever)}</h4><ul>")
        for rule in each.rules if each.advised else each.against:
            told = "<br>".join(html.escape(line) for line in evidence(rule, board))
            parts.append(f"<li>{html.escape(rule['because'])}<br><small>{told}</small></li>")
        parts.append("</ul>")
    return "".join(parts) or "<p>No rule speaks: keep what you have, and measure it.</p>"


def _control(question: dict[str, Any], start: Situation) -> widgets.Widget:
    style = {"description_width": "330px"}
    layout = widgets.Layout(width="640px")
    shown = {"description": question["ask"], "style": style, "layout": layout}
    if "options" in question:
        return widgets.Dropdown(
            options=question["options"], value=start.get(question["name"], question["options"][0]), **shown
        )
    low, high = question["low"], question["high"]
    return widgets.BoundedIntText(value=start.get(question["name"], low), min=low, max=high, **shown)
