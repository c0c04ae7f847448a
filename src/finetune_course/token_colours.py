"""A training row as the model meets it: one chip a token, coloured by whether the loss counts it.

The difference never hangs on colour alone: learned tokens are bold and underlined, and the plain-text form that stands
beside the HTML (for terminals, screen readers and git diffs) puts them in brackets. Every chip sets both its colours,
so that it reads in light and dark themes alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

MASKED = "background:#E8E8E8;color:#333333;"
LEARNED = "background:#F5C77E;color:#000000;font-weight:bold;border-bottom:3px solid #0072B2;"
_CHIP = "padding:1px 2px;margin:1px;border-radius:3px;white-space:pre;display:inline-block;"
IGNORED = -100


def mask_html(pieces: Sequence[str], learned: Sequence[bool], caption: str = "") -> str:
    """HTML of a row of tokens: ``pieces`` are their texts, ``learned`` says for each whether it has a label.

    Raises ValueError for lists of unequal length.
    """
    _same_length(pieces, learned)
    chips = []
    for place, (piece, counts) in enumerate(zip(pieces, learned, strict=True)):
        tag, style, word = ("mark", LEARNED, "learned") if counts else ("span", MASKED, "masked")
        title = f"token {place}, {word}"
        chips.append(f'<{tag} style="{_CHIP}{style}" title="{title}">{escape(_visible(piece))}</{tag}>')
        if "\n" in piece:
            chips.append("<br>")
    head = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    said = escape(mask_text(pieces, learned, caption), quote=True)
    return (
        f'<figure role="img" aria-label="{said}" style="margin:4px 0;line-height:1.9">{head}{"".join(chips)}</figure>'
    )


def mask_text(pieces: Sequence[str], learned: Sequence[bool], caption: str = "") -> str:
    """The same in plain text: runs of tokens, those that are learned between ⟦ and ⟧."""
    _same_length(pieces, learned)
    text, inside = f"{caption}\n" if caption else "", False
    for piece, counts in zip(pieces, learned, strict=True):
        if bool(counts) != inside:
            text += "⟦" if counts else "⟧"
            inside = bool(counts)
        text += piece
    return text + ("⟧" if inside else "")


def show_mask(tokenizer: Any, ids: Sequence[int], labels: Sequence[int], caption: str = "") -> None:
    """Display token ids with their labels in colours; a label of -100 is masked. Text form included."""
    from IPython.display import display

    pieces = [tokenizer.decode([token]) for token in ids]
    learned = [label != IGNORED for label in labels]
    html, text = mask_html(pieces, learned, caption), mask_text(pieces, learned, caption)
    display({"text/html": html, "text/plain": text}, raw=True)


def _visible(piece: str) -> str:
    """A token whose white space can be seen: spaces stay (the chip keeps them), a line break gets its sign."""
    return piece.replace("\n", "↵")


def _same_length(pieces: Sequence[str], learned: Sequence[bool]) -> None:
    if len(pieces) != len(learned):
        raise ValueError(f"Every token needs one label: {len(pieces)} tokens and {len(learned)} labels were given.")
