"""Figures of notebook 09: the pages as a map, and how the time of a search grows with the number of vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from sklearn.manifold import TSNE

from . import plots

_SMALL = {"textcoords": "offset points", "fontsize": 8, "path_effects": [withStroke(linewidth=2, foreground="white")]}
"""Small text beside a point, with a white rim: it stays readable where a line or a point lies below it."""

_KINDS = {
    "product": "products",
    "store": "stores",
    "repair": "repairs",
    "event": "events",
    "person": "people",
    "loyalty": "club and account",
    "account": "club and account",
}


def page_kind(page_id: str) -> str:
    """products, stores, repairs, events, people, club and account, or policies: as the page's id begins."""
    return _KINDS.get(page_id.partition("-")[0], "policies")


def flat_map(vectors: np.ndarray, seed: int = 0) -> np.ndarray:
    """Places on a plane, (rows, 2), for vectors (rows, numbers): t-SNE on cosine distances, neighbours near each other.

    van der Maaten and Hinton (2008). Only who is whose neighbour has a meaning; axes, sizes of groups and far distances
    have none. The same vectors and seed give the same map on one machine. Raises ValueError for fewer than 10 rows.
    """
    if len(vectors) < 10:
        raise ValueError(f"A map needs 10 or more vectors; there are {len(vectors)}.")
    perplexity = min(12, (len(vectors) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, metric="cosine", init="random", random_state=seed, method="exact")
    return tsne.fit_transform(np.asarray(vectors, dtype=np.float64))


def map_figure(
    places: np.ndarray, page_ids: Sequence[str], *, question: str = "", nearest: Sequence[str] = (), label: int = 6
) -> Figure:
    """Pages as dots, a colour and a marker for each kind; a question as a star, joined to its ``nearest`` pages.

    ``places`` are those of the pages and, where there is a question, its own as the last row. The nearest pages have
    their ids written beside them, and so have up to ``label`` of those that lie farthest from the map's middle and not
    close to one another. There are no ticks, since a place has no meaning. Raises ValueError when the numbers of places
    and names do not fit.
    """
    if len(places) != len(page_ids) + bool(question):
        raise ValueError(f"There are {len(places)} places for {len(page_ids)} pages: they do not fit.")
    fig, ax = plots.figure(width=8.5, height=5.2)
    kinds = [page_kind(page) for page in page_ids]
    for number, kind in enumerate(sorted(set(kinds))):
        rows = [row for row, each in enumerate(kinds) if each == kind]
        colour, marker = plots.COLOURS[number], plots.MARKERS[number]
        ax.scatter(*places[rows].T, color=colour, marker=marker, s=48, edgecolor="#333333", linewidth=0.5, label=kind)
    place_of = dict(zip(page_ids, places, strict=False))
    middle = places[-1] if question else places.mean(0)
    _label_close({page: place_of[page] for page in nearest}, middle[0], ax)
    for page in _far_apart(place_of, label, nearest):
        ax.annotate(page, place_of[page], xytext=(5, 5), **_SMALL)
    if question:
        for page in nearest:
            ax.plot(*np.stack([places[-1], place_of[page]]).T, color="#555555", linewidth=1)
        ax.scatter(*places[-1], color="black", marker="*", s=190, label="the question")
    ax.set(xticks=[], yticks=[])
    ax.set(xlabel="first axis of the map (no unit: only nearness means something)", ylabel="second axis (no unit)")
    fig.legend(loc="outside right center")  # the layout keeps it clear of text that leaves the axes
    return fig


def _label_close(place_of: Mapping[str, np.ndarray], middle: float, ax: Axes, step: float = 18.0) -> None:
    """Ids beside points that may lie close together: each in a line of its own, ``step`` points (1/72 inch) apart.

    The lines have the order of the points' heights, the text stands on the side away from ``middle`` (on the first
    axis), and a thin line leads from it to its point.
    """
    for line, page in enumerate(sorted(place_of, key=lambda page: place_of[page][1])):
        side = 1 if place_of[page][0] >= middle else -1
        ax.annotate(
            page,
            place_of[page],
            xytext=(22 * side, step * (line - (len(place_of) - 1) / 2)),
            ha="left" if side > 0 else "right",
            va="center",
            arrowprops={"arrowstyle": "-", "color": "#777777", "linewidth": 0.6, "shrinkA": 1, "shrinkB": 0},
            **_SMALL,
        )


def _far_apart(place_of: Mapping[str, np.ndarray], count: int, taken: Sequence[str]) -> list[str]:
    """Up to ``count`` pages, the farthest from the middle first, none close to another or to one of ``taken``."""
    places = np.array(list(place_of.values()))
    least = 0.15 * np.ptp(places, axis=0).max()
    far: list[str] = []
    for row in np.linalg.norm(places - places.mean(0), axis=1).argsort()[::-1]:
        others = np.array([place_of[page] for page in [*taken, *far]]).reshape(-1, 2)
        if len(far) < count and (np.linalg.norm(others - places[row], axis=1) >= least).all():
            far.append(list(place_of)[row])
    return far


def growth_figure(rows: Sequence[Mapping], limit_ms: float = 100.0) -> Figure:
    """Time of a search (ms) against the number of vectors, both axes logarithmic: exact, and with the index.

    ``rows`` have ``vectors``, ``exact_ms``, ``index_ms`` and ``recall`` (share of the exact first ten that the index
    finds), which is written beside the index's points, on the side away from the exact search's. A dashed line marks
    ``limit_ms``.
    """
    fig, ax = plots.figure(height=4.0)
    sizes = [row["vectors"] for row in rows]
    ax.plot(sizes, [row["exact_ms"] for row in rows], marker="o", label="exact: every vector is compared")
    ax.plot(sizes, [row["index_ms"] for row in rows], marker="s", label="with an index")
    for row in rows:
        ax.annotate(
            f"{row['recall']:.0%}",
            (row["vectors"], row["index_ms"]),
            xytext=(0, 12 if row["index_ms"] > row["exact_ms"] else -12),
            ha="center",
            va="center",
            **_SMALL,
        )
    ax.axhline(limit_ms, color="#555555", linestyle="--", linewidth=1, label=f"{limit_ms:g} ms")
    ax.set(xscale="log", yscale="log", xlabel="vectors in the table", ylabel="time of one search (ms)")
    ax.margins(x=0.06, y=0.12)  # room for the recall beside the outermost points
    fig.legend(loc="outside upper center", ncols=3)
    return fig
