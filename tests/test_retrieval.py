"""Ranking measures against hand-worked cases, pieces of pages, made-up vectors, figures and the explorer."""

import itertools
import math

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from finetune_course import retrieval, retrieval_answers, retrieval_plots, vector_growth
from finetune_course.kb_questions import Gold, KbQuestion
from finetune_course.knowledge_base import Page, load_pages
from finetune_course.retrieval_chunks import by_section, by_sentences, sections, split_sentences, whole_pages, windows
from finetune_course.retrieval_explorer import RetrievalExplorer, found_table


def question(pages, kind="answerable", name="q1"):
    gold = Gold(tuple(pages), "5 days" if pages else None, (("5 days",),) if pages else ())
    return KbQuestion(name, "How long?", kind, {"v1": gold, "v2": gold})


def test_recall_counts_right_pages_and_not_places():
    assert retrieval.recall_at(["a", "b", "c"], ["c", "x"], 3) == 0.5
    assert retrieval.recall_at(["a", "b", "c"], ["c"], 2) == 0
    assert retrieval.recall_at([], ["c"], 2) == 0


def test_reciprocal_rank_takes_the_first_right_page():
    assert retrieval.reciprocal_rank(["a", "b", "c"], ["b", "c"]) == 0.5
    assert retrieval.reciprocal_rank(["a"], ["b"]) == 0


def test_ndcg_is_one_for_a_perfect_order_and_discounts_by_the_logarithm():
    assert retrieval.ndcg_at(["a", "b", "c"], ["b", "a"], 10) == pytest.approx(1)
    assert retrieval.ndcg_at(["x", "a"], ["a"], 10) == pytest.approx(1 / math.log2(3))
    assert retrieval.ndcg_at(["a", "x", "b"], ["a", "b"], 10) == pytest.approx(1.5 / (1 + 1 / math.log2(3)))
    assert retrieval.ndcg_at(["a", "b"], ["a", "b"], 1) == 1
    assert retrieval.ndcg_at(["x", "a"], ["a"], 1) == 0


@pytest.mark.parametrize(
    ("ranked", "gold", "words"),
    [(["a", "a"], ["a"], "twice"), (["a"], [], "no right page"), ("abc", ["a"], "not one text")],
)
def test_a_ranking_that_cannot_be_scored_says_why(ranked, gold, words):
    for measure in (lambda: retrieval.recall_at(ranked, gold, 1), lambda: retrieval.ndcg_at(ranked, gold, 1)):
        with pytest.raises(ValueError, match=words):
            measure()


def test_pages_stand_where_their_best_piece_stands():
    assert retrieval.pages_in_order(["b", "a", "b", "c", "a"]) == ["b", "a", "c"]


def test_score_rankings_leaves_out_what_has_no_right_page():
    questions = [question(["a"]), question([], "unanswerable", "q2"), question(["a", "b"], "two pages", "q3")]
    table = retrieval.score_rankings([["a", "b"], ["a"], ["b", "c", "a"]], questions)
    assert list(table["id"]) == ["q1", "q3"]
    assert list(table["hit@1"]) == [True, True]
    assert list(table["recall@1"]) == [1, 0.5]
    assert list(table["recall@5"]) == [1, 1]
    with pytest.raises(ValueError, match="one per question"):
        retrieval.score_rankings([["a"]], questions)
    with pytest.raises(ValueError, match="nothing to score"):
        retrieval.score_rankings([["a"]], questions[1:2])


def test_tables_have_a_row_for_each_way_and_each_kind():
    questions = [question(["a"], "answerable", f"q{n}") for n in range(8)] + [question(["b"], "other words", "r")]
    good = retrieval.score_rankings([["a", "b"]] * 8 + [["b"]], questions)
    bad = retrieval.score_rankings([["b", "a"]] * 9, questions)
    table = retrieval.measures_table({"good": good, "bad": bad})
    assert table.loc["good", "hit@1"].startswith("100% [7")
    assert table.loc["bad", "hit@1"].startswith("11% [")
    kinds = retrieval.by_kind({"good": good, "bad": bad})
    assert list(kinds.index) == ["answerable", "other words"] and list(kinds["questions"]) == [8, 1]
    assert kinds.loc["answerable", "bad"].startswith("0% [0")
    with pytest.raises(ValueError, match="other questions"):
        retrieval.by_kind({"good": good, "bad": bad.iloc[1:]})


def test_pieces_fit_in_their_order_until_one_does_not():
    assert retrieval.how_many_fit([5, 6, 1], 10) == 1
    assert retrieval.how_many_fit([5, 5, 1], 10) == 2
    assert retrieval.how_many_fit([11], 10) == retrieval.how_many_fit([], 10) == 0


def test_fusion_adds_over_the_lists_and_weighs_them():
    found = retrieval.fused([["a", "b"], ["d", "b"]])
    assert [name for name, _ in found] == ["b", "a", "d"]
    assert dict(found)["b"] == pytest.approx(2 / 62) and dict(found)["a"] == pytest.approx(1 / 61)
    assert retrieval.fused([["a"], ["b"]], weights=[0.3, 0.7])[0][0] == "b"
    assert retrieval.fused([["a", "b"], ["c", "b"]], k=0)[0][0] == "a"  # all three sums are 1: first come, first
    with pytest.raises(ValueError, match="one for each"):
        retrieval.fused([["a"]], weights=[1, 2])


PAGE = Page(
    "p-one", "A page", "# A page\n\nOpening here.\n\n## First\n\nIt opens at 7.30 am. Ring!\n\n## Second\n\nEnd."
)


def test_sections_keep_their_headings_and_nothing_is_lost():
    assert sections(PAGE) == [("", "Opening here."), ("First", "It opens at 7.30 am. Ring!"), ("Second", "End.")]
    chunks = by_section([PAGE])
    assert [chunk.id for chunk in chunks] == ["p-one#1", "p-one#2"]
    assert chunks[0].searched == "A page: First. Opening here. It opens at 7.30 am. Ring!"
    assert whole_pages([PAGE])[0].text == "Opening here. It opens at 7.30 am. Ring! End."


def test_sentences_end_where_they_end():
    text = 'Under "My orders" you see 2.6 kilograms at 7.30 am. Is it? "Yes." We close at 5 pm! 20 dollars.'
    assert split_sentences(text) == [
        'Under "My orders" you see 2.6 kilograms at 7.30 am.',
        "Is it?",
        '"Yes."',
        "We close at 5 pm!",
        "20 dollars.",
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("overlap", [0, 1, 2])
def test_windows_cover_every_item_once_more_than_they_overlap(size, overlap):
    items = [str(number) for number in range(11)]
    if overlap >= size:
        with pytest.raises(ValueError, match="overlap"):
            windows(items, size, overlap)
        return
    made = windows(items, size, overlap)
    assert all(len(window) <= size for window in made)
    assert made[0] + [item for window in made[1:] for item in window[overlap:]] == items
    assert all(len(window) > overlap for window in made)  # none is wholly contained in the one before
    assert windows([], size, overlap) == []


def test_the_real_pages_are_cut_without_loss():
    pages = load_pages()
    for chunks in (whole_pages(pages), by_section(pages), by_sentences(pages, 3)):
        assert len({chunk.id for chunk in chunks}) == len(chunks)
        for page in pages:
            own = " ".join(chunk.text for chunk in chunks if chunk.page == page.id)
            assert own == " ".join(text for _, text in sections(page))


def test_made_up_vectors_lie_between_real_ones():
    real = np.eye(8)[:4] * 3
    made = vector_growth.vectors_between(real, 200, seed=1, noise=0.0)
    assert made.shape == (200, 8) and made.dtype == np.float32
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert ((made != 0).sum(1) <= 2).all() and (made[:, 4:] == 0).all()
    assert (vector_growth.vectors_between(real, 5, seed=1) == vector_growth.vectors_between(real, 5, seed=1)).all()
    with pytest.raises(ValueError, match="two real vectors"):
        vector_growth.vectors_between(real[:1], 5)


def test_fewer_vectors_are_the_beginning_of_more():
    real = np.random.default_rng(0).standard_normal((6, 4))
    few = np.concatenate(list(vector_growth.batches_between(real, 25, batch=10)))
    more = np.concatenate(list(vector_growth.batches_between(real, 40, batch=10)))
    assert few.shape == (25, 4) and (few == more[:25]).all()
    assert not (more[:10] == more[10:20]).all()


def test_recall_of_an_index_and_timed_searches():
    assert vector_growth.share_found([[1, 2], [3]], [[1, 9], [3]]) == [0.5, 1.0]
    with pytest.raises(ValueError, match="one non-empty exact answer"):
        vector_growth.share_found([[1]], [[]])
    timed = vector_growth.timed_searches(lambda row: [int(row[0])], np.array([[4.0], [5.0]]))
    assert timed.found == [[4], [5]] and len(timed.milliseconds) == 2 and min(timed.milliseconds) >= 0


def test_the_map_keeps_neighbours_together():
    generator = np.random.default_rng(0)
    groups = [generator.standard_normal(20) * 5 for _ in range(3)]
    vectors = np.array([group + 0.1 * generator.standard_normal(20) for group in groups for _ in range(8)])
    places = retrieval_plots.flat_map(vectors)
    assert places.shape == (24, 2)
    for row in range(24):
        nearest = np.linalg.norm(places - places[row], axis=1).argsort()[1]
        assert nearest // 8 == row // 8
    with pytest.raises(ValueError, match="10 or more"):
        retrieval_plots.flat_map(vectors[:5])


def test_figures_have_axes_with_words():
    ids = [f"store-{n}" for n in range(5)] + [f"hire-{n}" for n in range(5)]
    places = np.random.default_rng(0).standard_normal((11, 2))
    fig = retrieval_plots.map_figure(places, ids, question="Where?", nearest=["store-1"])
    labels = fig.axes[0].get_legend_handles_labels()[1]
    assert labels == ["policies", "stores", "the question"]
    with pytest.raises(ValueError, match="do not fit"):
        retrieval_plots.map_figure(places, ids)
    axes = fig.axes[0]
    assert "only nearness means something" in axes.get_xlabel() and "no unit" in axes.get_ylabel()
    assert not len(axes.get_xticks()) and not len(axes.get_yticks())
    rows = [{"vectors": 10**n, "exact_ms": n, "index_ms": 1, "recall": 0.9} for n in range(1, 4)]
    axes = retrieval_plots.growth_figure(rows).axes[0]
    assert axes.get_xscale() == "log" and "(ms)" in axes.get_ylabel()


def boxes_of(fig, words):
    """The texts of the first axes whose words are among ``words``, as boxes in pixels; every one must be there."""
    renderer = FigureCanvasAgg(fig).get_renderer()
    fig.draw(renderer)
    texts = [text for text in fig.axes[0].texts if text.get_text() in words]
    assert len(texts) == len(words)
    return [Text.get_window_extent(text, renderer) for text in texts]  # without the line that leads to the point


@pytest.mark.parametrize("question", [(0, 0), (9, 5), (-9, 5)], ids=["below", "right", "left"])
def test_ids_of_pages_that_lie_close_are_not_printed_over_each_other(question):
    """Three pages at nearly one place, and far ones at another: every two labels are apart, and clear of the legend."""
    ids = ["event-boot-clinic", "repair-boot-sole", "product-bandicoot-boot"]
    close = np.array([[0.1, 0.2], [0.2, 0.2], [0.15, 0.3]])
    places = np.vstack([np.random.default_rng(1).uniform(-9, 9, (30, 2)), 9 + 0.1 * close, np.array(question) + close])
    names = [f"page-{n}" for n in range(33)] + ids
    fig = retrieval_plots.map_figure(np.vstack([places, [question]]), names, question="Where?", nearest=ids)
    words = [text.get_text() for text in fig.axes[0].texts]
    boxes = boxes_of(fig, words)
    assert set(ids) < set(words)
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    legend = fig.legends[0].get_window_extent()
    assert not [box for box in boxes if box.overlaps(legend)]


def test_every_line_of_the_growth_is_named_and_no_recall_lies_on_a_point():
    times = {1_000: (4, 6), 5_000: (7, 6), 10_000: (14, 5), 1_000_000: (1765, 10)}
    rows = [
        {"vectors": size, "exact_ms": exact, "index_ms": index, "recall": 0.9 + place / 100}
        for place, (size, (exact, index)) in enumerate(times.items())
    ]
    fig = retrieval_plots.growth_figure(rows, limit_ms=50)
    words = [text.get_text() for text in fig.legends[0].get_texts()]
    assert len(words) == len(fig.axes[0].lines) == 3 and "50 ms" in words
    boxes = boxes_of(fig, ["90%", "91%", "92%", "93%"])
    for size, both in times.items():
        for point in fig.axes[0].transData.transform([(size, time) for time in both]):
            assert not [box for box in boxes if box.contains(*point)]


def test_the_kinds_of_pages_are_known():
    kinds = {retrieval_plots.page_kind(page.id) for page in load_pages()}
    assert kinds == {"products", "stores", "repairs", "events", "people", "club and account", "policies"}


def test_the_explorer_searches_again_when_something_changes():
    asked = []

    def search(text, k):
        asked.append((text, k))
        return [("hire#1", 0.5, f"A <b>tent</b> costs {text}")][:k]

    def broken(text, k):
        raise RuntimeError("no table")

    explorer = RetrievalExplorer({"words": search, "broken": broken}, ["tent price", "boots"])
    assert asked == [("tent price", 5)] and "hire#1" in explorer.result.value
    assert "&lt;b&gt;" in explorer.result.value and "<b>" not in explorer.result.value
    explorer.count.value = 2
    explorer.question.value = "What do boots cost?"
    assert asked[-1] == ("What do boots cost?", 2) and "<mark>" in explorer.result.value
    explorer.way.value = "broken"
    assert explorer.result.value == "<p>RuntimeError: no table</p>"
    explorer.question.value = "  "
    assert explorer.result.value == "<p>Type a question.</p>"
    with pytest.raises(ValueError, match="at least one way"):
        RetrievalExplorer({}, ["x"])


def test_the_table_of_finds_ticks_right_pages():
    table = found_table([("hire#2", 1.0, "Hire here."), ("delivery#1", 0.5, "Post.")], right=["hire"])
    assert "hire#2 ✓" in table and "delivery#1 ✓" not in table
    assert found_table([]) == "<p>Nothing was found.</p>"


PIECES = [
    {"page": "hire", "heading": "Hire", "text": "A kayak costs 45 dollars a day."},
    {"page": "delivery", "heading": "Delivery", "text": "Kayaks come by truck for 60 dollars."},
]


def test_a_citation_is_read_where_it_stands():
    assert retrieval_answers.cited_page("45 dollars [hire]", ["hire", "delivery"]) == "hire"
    assert retrieval_answers.cited_page("45 dollars (hire).", ["hire"]) == "hire"
    assert retrieval_answers.cited_page("[nowhere] then [delivery]", ["hire", "delivery"]) == "delivery"
    assert retrieval_answers.cited_page("You can hire it.", ["hire"]) is None
    assert retrieval_answers.cited_page("", ["hire"]) is None


def test_the_program_cites_the_piece_that_the_answer_came_from():
    assert retrieval_answers.best_source("60 dollars by truck", PIECES) == "delivery"
    assert retrieval_answers.best_source("It is 45 dollars.", PIECES) == "hire"
    assert retrieval_answers.best_source("dollars", PIECES) == "hire"  # both hold it: the better ranked
    assert retrieval_answers.best_source("purple elephants", PIECES) is None
    assert retrieval_answers.best_source("Not in the documents.", PIECES) is None
    assert retrieval_answers.best_source("It is the", PIECES) is None
    assert retrieval_answers.best_source("45 dollars", []) is None


def test_outcomes_of_answers():
    questions = [question(["hire"]), question([], "unanswerable", "q2")]
    table = retrieval_answers.outcomes(
        ["5 days [hire]", "Not in the documents."], questions, [PIECES[:1], PIECES], ["hire", "delivery"]
    )
    assert list(table["right"]) == [True, True]
    assert list(table["declined"]) == [False, True]
    assert list(table["cites"]) == [True, False]
    with pytest.raises(ValueError, match="one answer"):
        retrieval_answers.outcomes(["x"], questions, [PIECES, PIECES], ["hire"])
