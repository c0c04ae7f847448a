"""The retrieval explorer: type a question, see which pieces each way of searching puts first."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence

import ipywidgets as widgets

Found = Sequence[tuple[str, float, str]]
"""What a search returns, best first: the piece's id, its score, and its text."""


def found_table(found: Found, words: Sequence[str] = (), right: Sequence[str] = ()) -> str:
    """The pieces as an HTML table: rank, id (with ✓ where its page is one of ``right``), score, and text.

    ``words`` are marked in the text. All text is escaped: a page cannot bring markup or a script into the notebook.
    """
    rows = []
    for rank, (chunk, score, text) in enumerate(found, 1):
        tick = " ✓" if chunk.partition("#")[0] in right else ""
        rows.append(
            f"<tr><td>{rank}</td><td>{html.escape(chunk)}{tick}</td><td>{score:.3f}</td>"
            f"<td style='text-align:left'>{_marked(text, words)}</td></tr>"
        )
    head = "<tr><th>rank</th><th>piece</th><th>score</th><th style='text-align:left'>text</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>" if rows else "<p>Nothing was found.</p>"


class RetrievalExplorer(widgets.VBox):
    """A text field, a choice of ways to search, a slider for how many pieces, and the table of what was found.

    ``ways`` maps a name to a function ``search(question, k)`` that returns ``Found``; ``examples`` are questions to
    start from. A search that fails shows its one sentence in place of the table.
    """

    def __init__(self, ways: Mapping[str, Callable[[str, int], Found]], examples: Sequence[str]) -> None:
        if not ways or not examples:
            raise ValueError("The explorer needs at least one way to search and one question to start from.")
        self.ways = dict(ways)
        wide = widgets.Layout(width="95%", max_width="900px")
        self.question = widgets.Combobox(
            value=examples[0], options=list(examples), description="question", continuous_update=False, layout=wide
        )
        self.way = widgets.ToggleButtons(options=list(self.ways), description="search by")
        self.count = widgets.IntSlider(value=5, min=1, max=10, description="pieces", continuous_update=False)
        self.result = widgets.HTML()
        super().__init__([self.question, self.way, self.count, self.result], layout=wide)
        for control in (self.question, self.way, self.count):
            control.observe(self._search, names="value")
        self._search()

    def _search(self, _: object = None) -> None:
        question = self.question.value.strip()
        if not question:
            self.result.value = "<p>Type a question.</p>"
            return
        try:
            found = self.ways[self.way.value](question, self.count.value)
        except Exception as error:  # a widget has no place for a traceback
            self.result.value = f"<p>{html.escape(f'{type(error).__name__}: {error}')}</p>"
            return
        words = [word for word in question.casefold().split() if len(word) > 3]
        self.result.value = found_table(found, [word.strip("?!.,'\"") for word in words])


def _marked(text: str, words: Sequence[str]) -> str:
    wanted = {word.casefold() for word in words if word}
    parts = []
    for part in text.split(" "):
        safe = html.escape(part)
        parts.append(f"<mark>{safe}</mark>" if part.casefold().strip("?!.,:;'\"()") in wanted else safe)
    return " ".join(parts)
