"""Figures of notebook 09: the pages as a map, and how the time of a search grows with the number of vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from . import plots

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

    ``places`` are those of the pages and, where there is a question, its own as the last row. The ``label`` pages that
    lie farthest from the map's middle, and the nearest ones, have their ids written beside them. Raises ValueError when
    the numbers of places and names do not fit.
    """
    if len(places) != len(page_ids) + bool(question):
        raise ValueError(f"There are {len(places)} places for {len(page_ids)} pages: they do not fit.")
    fig, ax = plots.figure(width=8.5, height=5.2)
    kinds = [page_kind(page) for page in page_ids]
    for number, kind in enumerate(sorted(set(kinds))):
        rows = [row for row, each in enumerate(kinds) if each == kind]
        colour, marker = plots.COLOURS[number], plots.MARKERS[number]
        ax.scatter(*places[rows].T, color=colour, marker=marker, s=48, edgecolor="#333333", linewidth=0.5, label=kind)
    spread = np.linalg.norm(places[: len(page_ids)] - places[: len(page_ids)].mean(0), axis=1)
    far = [page_ids[row] for row in spread.argsort()[::-1][:label]]
    for page in dict.fromkeys([*nearest, *far]):
        place = places[list(page_ids).index(page)]
        ax.annotate(page, place, xytext=(5, 5), textcoords="offset points", fontsize=8)
    if question:
        for page in nearest:
            ax.plot(*np.stack([places[-1], places[list(page_ids).index(page)]]).T, color="#555555", linewidth=1)
        ax.scatter(*places[-1], color="black", marker="*", s=190, label="the question")
    ax.set(xlabel="place on the map, first axis (no unit)", ylabel="second axis (no unit)")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def growth_figure(rows: Sequence[Mapping], limit_ms: float = 100.0) -> Figure:
    """Time of a search (ms) against the number of vectors, both axes logarithmic: exact, and with the index.

    ``rows`` have ``vectors``, ``exact_ms``, ``index_ms`` and ``recall`` (share of the exact first ten that the index
    finds), which is written beside the index's points. A dashed line marks ``limit_ms``.
    """
    fig, ax = plots.figure(height=4.0)
    sizes = [row["vectors"] for row in rows]
    ax.plot(sizes, [row["exact_ms"] for row in rows], marker="o", label="exact: every vector is compared")
    ax.plot(sizes, [row["index_ms"] for row in rows], marker="s", label="with an index")
    for row in rows:
        ax.annotate(
            f"{row['recall']:.0%}",
            (row["vectors"], row["index_ms"]),
            xytext=(0, -14),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    ax.axhline(limit_ms, color="#555555", linestyle="--", linewidth=1)
    ax.set(xscale="log", yscale="log", xlabel="vectors in the table", ylabel="time of one search (ms)")
    ax.legend()
    return fig
