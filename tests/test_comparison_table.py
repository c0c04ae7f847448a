"""The comparison: arms, states and seeds are put together from records; verdicts follow the intervals."""

import numpy as np
import pytest
from test_record_kb import retrieved  # noqa: F401  (a fixture)

from finetune_course import comparison_verdicts as cv
from finetune_course.comparison_plots import (
    RIGHT,
    SILENT,
    answers_figure,
    arms_figure,
    describe_answers,
    describe_arms,
)
from finetune_course.comparison_table import (
    BOTH,
    SEARCH,
    SHORT_UPDATE,
    citation,
    cited_of_answered,
    difference,
    gather,
    gives,
    main_table,
    outdated,
    share,
    share_interval,
    update_minutes,
)
from finetune_course.comparison_verdicts import WAITS, judged, more, ratio, together, verdicts
from finetune_course.evaluate import Interval
from finetune_course.kb_questions import KINDS, load_kb_questions
from finetune_course.scoreboard import verdict_of

TEST = load_kb_questions("test")
READER, RAW, FACTS = "LoRA reader + RAG", "RAG, short rules", "LoRA on facts"


def told(version, cited=True):
    """The gold answers of a version, with or without their page."""
    return [
        f"{q.gold[version].answer}" + (f" [{q.gold[version].pages[0]}]" if cited else "")
        if q.gold[version].pages
        else "Not in the documents."
        for q in TEST
    ]


def run(answers):
    return {"answers": answers, "prompt_tokens": 1400, "new_tokens": 280, "seconds": 14.0}


@pytest.fixture
def records():
    """A reader that is right in both versions, weights that know version 1 alone, raw RAG that is never right."""
    wrong = run(["It is blue."] * len(TEST))
    point = {"part": "test", "arm": READER, "v1": run(told("v1")), "v2": run(told("v2"))}
    update = {"part": "update", "seed": 0, "train_cpu_seconds": 600.0, "test": run(told("v2"))}
    known = run(told("v1", cited=False))
    return {
        "reader": {
            "runs": [{"part": "test", "arm": RAW, "v1": wrong, "v2": wrong}, *[point | {"seed": s} for s in (0, 1)]]
        },
        "facts": {
            "runs": [
                {"part": "test", "seed": 0, "test": known, "pages": {"v1": known, "v2": run(told("v2"))}},
                update | {"way": "anew"},
                update | {"way": "short", "train_cpu_seconds": 60.0},
            ]
        },
        "comparison": {
            "runs": [
                {"part": "questions", "arm": "zero-shot", "v1": wrong},
                {"part": "triage", "arm": "LoRA", "seed": 1, "otherwise": {"valid": "01" * 20}},
                {"part": "triage", "arm": "LoRA", "seed": 0, "otherwise": {"valid": "1" * 40}},
                {"part": "triage", "arm": "few-shot", "otherwise": {"valid": "01" * 20}},
            ]
        },
    }


@pytest.fixture
def found(records, retrieved):  # noqa: F811
    return gather(TEST, retrieved, len, *records.values(), room=10_000)


def test_arms_stand_in_their_order_with_their_states(found):
    assert list(found) == [
        (SEARCH, "before"), (SEARCH, "updated"),
        ("zero-shot", "before"), ("zero-shot", "not updated"), (RAW, "before"), (RAW, "updated"),
        (FACTS, "before"), (FACTS, "not updated"), (FACTS, "updated"), (BOTH, "before"), (BOTH, "updated"),
        (READER, "before"), (READER, "updated"), (SHORT_UPDATE, "updated"),
    ]  # fmt: skip
    assert len(found[READER, "before"].tables) == 2 and found[READER, "before"].tokens_in == 10


def test_seeds_stand_in_their_order_whoever_wrote_first(records, retrieved):  # noqa: F811
    records["reader"]["runs"].reverse()
    records["reader"]["runs"][0]["v1"] = run(["It is blue."] * len(TEST))  # seed 1
    tables = gather(TEST, retrieved, len, *records.values(), room=10_000)[READER, "before"].tables
    assert [bool(table["right"].any()) for table in tables] == [True, False]


def test_scores_are_by_the_version_of_the_state(found):
    assert found[FACTS, "before"].per_question("right").all()
    assert not found[FACTS, "not updated"].per_question("right", "changed in v2")[:].any()
    assert found[FACTS, "updated"].per_question("right").all()
    table = main_table(found)
    assert table.loc[(READER, "updated"), "right, answerable"].startswith("100% [")
    assert table.loc[(READER, "before"), "seeds"] == 2 and table.loc[(RAW, "before"), "tokens out"] == 2
    assert table.loc[(RAW, "before"), "cites a right page, of right answers"] == "no right answer"
    assert citation(found[FACTS, "before"]).startswith("0% [")
    assert citation(found[READER, "before"]).startswith("100% [")
    assert cited_of_answered(found[READER, "before"]).all() and not cited_of_answered(found[FACTS, "before"]).any()


def test_citations_of_several_seeds_are_one_number_a_question(records, retrieved):  # noqa: F811
    """Seed 1 cites nothing and declines the first answerable question: there, seed 0 alone counts."""
    silent = told("v1", cited=False)
    first = next(place for place, q in enumerate(TEST) if q.gold["v1"].pages)
    silent[first] = "Not in the documents."
    records["reader"]["runs"][-1]["v1"] = run(silent)
    asked = gather(TEST, retrieved, len, *records.values(), room=10_000)[READER, "before"]
    shares = cited_of_answered(asked)
    assert len(shares) == sum(bool(q.gold["v1"].pages) for q in TEST)
    assert sorted(set(shares.tolist())) == [0.5, 1] and (shares == 1).sum() == 1
    assert citation(asked).startswith(f"{round(100 * shares.mean())}% [")


def test_a_kind_is_not_what_the_version_can_answer(found):
    """The kind "answerable" is the questions in the page's words; a version answers others, too."""
    asked = found[READER, "before"]
    kinds = {kind: len(asked.of_kind("right", kind)) for kind in KINDS}
    assert kinds == {kind: sum(q.kind == kind for q in TEST) for kind in KINDS}
    assert len(asked.per_question("right")) == sum(bool(q.gold["v1"].pages) for q in TEST) > kinds["answerable"]
    fresh = found[READER, "updated"]
    assert len(fresh.per_question("right", "unanswerable")) != len(fresh.of_kind("right", "unanswerable"))


def test_search_alone_gives_the_first_piece_of_the_day_and_never_declines(found, retrieved):  # noqa: F811
    before, after = found[SEARCH, "before"], found[SEARCH, "updated"]
    assert before.tokens_in == before.tokens_out == 0 and before.seconds == pytest.approx(0.01)
    first = retrieved.rows["v1"][retrieved.found["v1"][TEST[0].id][0]]
    assert before.answers[0][0] == f"{first['searched']} [{first['page']}]"
    assert before.answers[0] != after.answers[0]
    table = before.tables[0]
    assert not table["declined"].any() and table["formatted"].all() and table.loc[table["answerable"], "cites"].all()
    assert not table["right"].any()  # the fixture's search finds the right page and its first sentence


def test_differences_are_paired_over_questions(found):
    gain = difference(found, (READER, "before"), (RAW, "before"))
    answerable = sum(bool(q.gold["v1"].pages) for q in TEST)
    assert gain.mean == 1 and gain.low > 0.9
    assert len(found[READER, "before"].per_question("right")) == answerable
    fresh = difference(found, (READER, "updated"), (FACTS, "not updated"), "changed in v2")
    assert fresh.low > 0


def test_old_answers_are_seen(found):
    before, after = gives(found[FACTS, "before"], TEST, "v1"), gives(found[BOTH, "updated"], TEST, "v1")
    assert before.shape == (1, outdated(TEST).sum()) and before.all() and not after.any()
    assert gives(found[BOTH, "updated"], TEST, "v2").all()
    kinds = [q.kind for q, old in zip(TEST, outdated(TEST), strict=True) if old]
    assert set(kinds) == {"changed in v2", "two pages"} and kinds.count("changed in v2") == 25
    withdrawn = [q for q, old in zip(TEST, outdated(TEST), strict=True) if old and not q.gold["v2"].pages]
    assert withdrawn


def test_nothing_recorded_gives_an_empty_table_and_verdicts_that_wait(retrieved):  # noqa: F811
    assert {name for name, _ in gather(TEST, retrieved, len, None, None, None, room=10_000)} == {SEARCH}
    assert main_table({}).empty
    waiting = verdicts({}, TEST, retrieved, {"facts": None}, {}, {}, {})
    assert set(waiting) == {"C09", "C24", "C26", "C27", "C35", "C36", "C37", "C38"}
    assert {said for _, said in waiting.values()} == {WAITS} == {verdict_of(WAITS)}
    assert update_minutes(retrieved, None) == {"rows of the search index replaced": pytest.approx(0.1 / 60)}


def test_verdicts_follow_the_records(found, records, retrieved):  # noqa: F811
    gains = {
        "RAG − LoRA on facts, before": difference(found, (RAW, "before"), (FACTS, "before")),
        "reader + RAG − RAG, before": difference(found, (READER, "before"), (RAW, "before")),
        "reader + RAG − RAG one by one, before": difference(found, (READER, "before"), (RAW, "before")),
        "reader + RAG − LoRA on facts, before": difference(found, (READER, "before"), (FACTS, "before")),
    }
    wanted = "reader + RAG − search alone, before"
    assert verdicts(found, TEST, retrieved, records, gains, {}, {})["C27"] == ("–", WAITS), "one of four is missing"
    gains[wanted] = difference(found, (READER, "before"), (SEARCH, "before"))
    knew = gives(found[FACTS, "before"], TEST, "v1")
    stayed = {"no page in the prompt": gives(found[FACTS, "not updated"], TEST, "v1")[knew]}
    named = {FACTS: np.array([1, 1, 1 / 3] * 10), RAW: np.zeros(30)}
    said = verdicts(found, TEST, retrieved, records, gains, stayed, named)
    assert {name: verdict for name, (_, verdict) in said.items()} == {
        "C09": "raw model: fails here; trained reader: not decided", "C24": "holds",
        "C26": "holds", "C27": "not decided", "C35": "holds", "C36": "not decided",
        "C37": "holds", "C38": "not decided",
    }  # fmt: skip
    assert verdict_of(said["C09"][1]) == "not decided"
    assert said["C27"][0].count("points") == 4 and "than the facts in the weights 0 [" in said["C27"][0]
    gains[wanted] = Interval(-0.2, -0.3, -0.1)
    assert verdicts(found, TEST, retrieved, records, gains, stayed, named)["C27"][1] == "fails here", "one is enough"
    assert said["C24"][0].count("[") == 2 == said["C09"][0].count("[")
    assert said["C37"][0].count("points") == 1 and " +78 [" in said["C37"][0]
    named["RAG, one by one"] = [False, True] * 15
    told, verdict = verdicts(found, TEST, retrieved, records, gains, stayed, named)["C37"]
    assert told.count("points") == 2 and verdict == "holds"
    assert "0.00 min" in said["C26"][0] and "10.00 min" in said["C26"][0]
    assert "+25 [" in said["C38"][0], "two seeds, one of them no better than the prompt"


def test_the_two_halves_of_a_verdict_are_judged_apart(found, records, retrieved):  # noqa: F811
    """Retrieval is two arms (C09); citing is the reader's and the weights' (C24); nothing right, nothing cited."""
    names = list(cv.RETRIEVAL.values())
    gains = {names[0]: Interval(-0.2, -0.3, -0.1), names[1]: Interval(0.2, 0.1, 0.3)}
    told, verdict = verdicts({}, TEST, retrieved, records, gains, {}, {})["C09"]
    assert verdict == "raw model: fails here; trained reader: holds" and verdict_of(verdict) == "holds in part"
    assert "-20 [-30, -10] points" in told.replace("\N{MINUS SIGN}", "-")
    assert verdicts({}, TEST, retrieved, records, {names[0]: gains[names[0]]}, {}, {})["C09"] == ("–", WAITS)
    cited = found | {(FACTS, "before"): found[READER, "before"], (READER, "before"): found[RAW, "before"]}
    told, verdict = verdicts(cited, TEST, retrieved, records, {}, {}, {})["C24"]
    assert "no right answer" in told and verdict == "fails here"
    assert together(["holds", "holds"]) == "holds" and together(["holds", "not decided"]) == "not decided"


@pytest.mark.parametrize(
    ("low", "high", "at_least", "less"),
    [
        (0.9, 1, "holds", "fails here"),
        (0.8, 0.95, "not decided", "not decided"),
        (0.2, 0.89, "fails here", "holds"),
        (0.2, 0.9, "not decided", "not decided"),
    ],
)
def test_an_interval_and_a_line(low, high, at_least, less):
    measured = Interval((low + high) / 2, low, high)
    assert judged(measured, 0.9) == at_least and judged(measured, 0.9, below=True) == less


def test_a_difference_has_a_verdict_of_its_own():
    assert [more(Interval(0, *ends)) for ends in ((0.01, 1), (-1, 0.01), (-1, -0.01))] == [
        "holds", "not decided", "fails here",
    ]  # fmt: skip


def test_a_ratio_has_the_bootstrap_s_interval():
    before = np.array([1.0] * 30 + [0.0] * 10)
    kept = ratio(before, before)
    assert kept.mean == 1 == kept.high and 0.85 < kept.low < 0.9  # Wilson's, of 30 questions that were right
    half = before.copy()
    half[:15] = 0
    assert ratio(half, before).low < 0.5 == ratio(half, before).mean < ratio(half, before).high
    with pytest.raises(ValueError, match="Nothing was right before"):
        ratio(before, np.zeros(40))


def test_shares_of_several_seeds_have_an_interval():
    assert share(np.array([1.0, 0.0])) == "50% [9, 91]"
    same = share_interval(np.full(30, 2 / 3))
    assert same.low < 2 / 3 < same.high
    assert share_interval(np.array([1 / 3, 1.0, 0.0])).mean == pytest.approx(4 / 9)


def test_the_figure_shows_every_arm_and_its_text_every_number(found):
    figure = arms_figure(found)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == list(dict.fromkeys(arm for arm, _ in found))
    assert figure.axes[0].get_xlabel().endswith("%")
    text = describe_arms(found)
    assert all(f"{arm}, {state}:" in text for arm, state in found)
    assert cv.READER in text


def test_the_manager_s_figure_shows_what_is_declined_beside_what_is_right(found):
    left, right = answers_figure(found).axes
    assert (left.get_xlabel(), right.get_xlabel()) == (RIGHT, SILENT)
    means = {ax: sorted(round(float(mark.lines[0].get_xdata()[0])) for mark in ax.containers) for ax in (left, right)}
    for ax, (column, which) in {left: ("right", "answerable"), right: ("declined", "unanswerable")}.items():
        assert means[ax] == sorted(round(100 * each.per_question(column, which).mean()) for each in found.values())
    text = describe_answers(found)
    for (arm, state), each in found.items():
        assert f"{arm}, {state}: {share(each.per_question('declined', 'unanswerable'))}" in text
