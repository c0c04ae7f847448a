"""The voice's scorer: each rule by itself, the facts, the score, and its agreement with the hand labels."""

import re

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from finetune_course import voice
from finetune_course.paths import data_path
from finetune_course.voice_facts import check_facts
from finetune_course.voice_rules import RULES, check_rules, images, parts, sentences
from finetune_course.voice_scorer import (
    IN_FROM,
    PARTLY_FROM,
    agreement,
    disagreements,
    kappa,
    label_of,
    score_table,
    score_text,
)  # fmt: skip

GOOD = (
    "G'day, our Bunbury store's open until 5 pm on Friday. You can park behind it. "
    "It's as calm in there as a rockpool. See you on the sand."
)


def kept(text):
    return {rule.rule for rule in check_rules(text) if rule.kept}


def test_a_text_in_voice_keeps_all_rules():
    assert kept(GOOD) == set(RULES)
    assert [rule.rule for rule in check_rules(GOOD)] == list(RULES)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("opening", GOOD.replace("G'day, our", "Our")),
        ("opening", GOOD.replace("G'day,", "Hello,")),
        ("opening", "Sure. " + GOOD),
        ("opening", '"' + GOOD),
        ("short", GOOD.replace(" You can park behind it.", "").replace(" It's as calm in there as a rockpool.", "")),
        ("short", GOOD.replace("behind it", "behind it all day long if you like and nobody will ever mind that")),
        ("short", GOOD.replace(" You can", "\n\nYou can")),
        (
            "short",
            GOOD.replace("You can park behind it. ", "You can park. It's near. It's free. It's big. It's flat. "),
        ),
        ("you", GOOD.replace("You can park", "Parking is")),
        ("contractions", GOOD.replace("store's", "store is").replace("It's", "Inside, all is")),
        ("contractions", GOOD.replace("You can park", "You cannot park")),
        ("contractions", GOOD.replace("It's", "It is")),
        ("contractions", GOOD.replace("You can", "You will")),
        ("image", GOOD.replace(" It's as calm in there as a rockpool.", " It's calm in there.")),
        ("image", GOOD.replace("a rockpool", "a library")),
        ("image", GOOD.replace("You can park behind it.", "You'll park behind it like a crab.")),
        ("plain", GOOD.replace("calm in there", "amazing in there")),
        ("plain", GOOD.replace("You can", "You may purchase and")),
        ("plain", GOOD.replace("You can", "Mate, you can")),
        ("calm", GOOD.replace("behind it.", "behind it!")),
        ("calm", GOOD + " 🏄"),
        ("calm", GOOD.replace("behind it.", "behind it...")),
        ("calm", GOOD.replace("open", "OPEN")),
        ("sign_off", GOOD.replace(" See you on the sand.", "")),
        ("sign_off", GOOD.replace("on the sand", "later")),
        ("sign_off", GOOD.replace("on the sand", "in the shop")),
        ("sign_off", GOOD.replace("on the sand", "on the long white sand by noon")),
        ("sign_off", GOOD + " Thanks."),
    ],
)
def test_each_rule_sees_its_fault(rule, text):
    assert rule not in kept(text), next(result.found for result in check_rules(text) if result.rule == rule)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("opening", GOOD.replace("'", "’")),
        ("contractions", GOOD.replace("'", "’")),
        ("short", GOOD.replace("5 pm", "5.30 pm")),
        ("contractions", GOOD.replace("It's as calm in there as", "Inside, it'd feel like")),
        ("contractions", GOOD.replace("It's", "Inside is").replace("store's open", "store's closed")),
        ("image", GOOD.replace("as calm in there as a rockpool", "quieter in there than the dunes")),
        ("image", GOOD.replace("a rockpool", "a long, slow tide")),
        ("image", GOOD.replace("a rockpool", "fireflies are bright")),
        ("plain", GOOD.replace("Bunbury", "Matesville")),
        ("calm", GOOD.replace("Bunbury", "WW-40718")),
        ("sign_off", GOOD.replace("on the sand", "under the she-oaks")),
        ("sign_off", GOOD.replace("on the sand", "out past the breakers")),
    ],
)
def test_each_rule_forgives_what_it_should(rule, text):
    assert rule in kept(text), next(result.found for result in check_rules(text) if result.rule == rule)


def test_any_text_is_judged():
    for text in ("", " ", "\n", "G'day,", "See you", "!!!", "x" * 5000, "See you. " * 400):
        assert len(check_rules(text)) == len(RULES)
        assert 0 <= score_text(text).score <= 1


def test_parts_and_sentences():
    assert parts(GOOD)[0] == "G'day," and parts(GOOD)[2] == "See you on the sand."
    assert parts("Hello there.") == ("", "Hello there.", "")
    assert sentences("It's 6.30 am. Up? Yes… you.") == ["It's 6.30 am.", "Up?", "Yes…", "you."]
    assert images("It runs like an emu. It's as hot as soup.") == ["emu"]


NEUTRAL = "The Heron tent costs $59 until Friday, 3 May. Order WW-40718 is not sent before 8 am. It takes two weeks."
KEPT = "G'day, the Heron tent's $59 until Friday, 3 May. We won't send WW-40718 before 8 am. Give it 2 weeks."


@pytest.mark.parametrize(
    "text",
    [
        KEPT,
        KEPT.replace("2 weeks", "two weeks. It's like a gull. See you on the sand"),
        KEPT.replace("8 am", "8am"),
        KEPT.replace("G'day", "Righto"),
    ],
)
def test_facts_that_are_kept(text):
    facts = check_facts(NEUTRAL, text)
    assert facts.kept, facts


@pytest.mark.parametrize(
    ("old", "new", "missing", "invented"),
    [
        ("$59", "$95", "$59", "$95"),
        ("8 am", "8 pm", "8 am", "8 pm"),
        ("2 weeks", "2 days", "2 week", "2 day"),
        ("Friday", "Saturday", "Friday", "Saturday"),
        ("3 May", "3 June", "May", "June"),
        ("WW-40718", "WW-40781", "WW-40718", "WW-40781"),
        ("Heron tent", "tent", "heron", None),
        ("Heron tent", "Heron swag", "tent", None),
        ("We won't send", "We'll send", "not", None),
        ("Give it", "Leanne gives it", None, None),
        ("Give it", "Ask Leanne, give it", None, "leanne"),
        ("Give it 2", "It's $7 more, give it 2", None, "$7"),
    ],
)
def test_facts_that_are_not_kept(old, new, missing, invented):
    facts = check_facts(NEUTRAL, KEPT.replace(old, new))
    assert facts.kept == (missing is None and invented is None)
    assert missing is None or missing in facts.missing
    assert invented is None or invented in facts.invented


def test_score_and_label():
    good, bad = score_text(GOOD), score_text("The store is open until 5 pm on Friday. Parking is behind the building.")
    assert good.score > IN_FROM and good.label == "in" and good.facts is None
    assert bad.score < PARTLY_FROM and bad.label == "not"
    assert good.reads_like > 0.5 > bad.reads_like
    one_fault = score_text(GOOD.replace("behind it.", "behind it!").replace("calm in there", "amazing"))
    assert one_fault.label == "partly"
    assert [label_of(value) for value in (1, IN_FROM, IN_FROM - 1e-6, PARTLY_FROM, PARTLY_FROM - 1e-6, 0)] == [
        "in", "in", "partly", "partly", "not", "not",
    ]  # fmt: skip


def test_a_text_that_loops_scores_nothing():
    assert score_text(GOOD.replace("You can park behind it.", "You can park. " * 3)).score == 0
    assert score_text(GOOD.replace("You can park behind it.", "You can park. " * 2)).score > PARTLY_FROM


def test_a_score_says_why():
    text = str(score_text(GOOD.replace("behind it.", "behind it!"), "The Bunbury store is open until 6 pm on Friday."))
    assert "NO  calm          !" in text and "missing 6 pm, new 5 pm" in text and text.endswith("in voice")


def test_score_table():
    table = score_table([GOOD, GOOD], [None, "The Bunbury store is open until 5 pm on Friday."])
    assert list(table.columns) == ["score", "label", *RULES, "reads_like", "facts_kept"]
    assert table["facts_kept"].tolist() == [None, True]
    assert table["score"][0] == table["score"][1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: score_text(None), "NoneType"),
        (lambda: score_table("one text"), "list"),
        (lambda: score_table([]), "at least one"),
        (lambda: score_table([GOOD], []), "1 texts and 0"),
        (lambda: agreement("all"), "held_out"),
        (lambda: agreement("held_out", "nobody"), "written or model"),
    ],
)
def test_wrong_calls_are_told_in_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("weights", [None, "linear"])
def test_kappa_is_scikit_learns(weights):
    rng = np.random.default_rng(3)
    truth = rng.integers(3, size=80)
    given = np.where(rng.random(80) < 0.7, truth, rng.integers(3, size=80))
    measured = kappa(truth, given, weights)
    assert measured.mean == pytest.approx(cohen_kappa_score(truth, given, weights=weights))
    assert measured.low < measured.mean < measured.high
    assert kappa(truth, truth, weights).mean == 1
    assert np.isnan(kappa([1, 1], [1, 1], weights)).all()
    drawn = [rng.integers(80, size=80) for _ in range(400)]
    ends = np.percentile([cohen_kappa_score(truth[d], given[d], weights=weights) for d in drawn], [2.5, 97.5])
    assert measured[1:] == pytest.approx(ends, abs=0.06)


def test_agreement_on_the_held_out_half_is_above_the_stated_level():
    """The levels that data/voice/README.md states."""
    measured = agreement("held_out")
    assert measured["voice"].texts == len(voice.load_labels("held_out"))
    assert measured["voice"].accuracy.mean >= 0.75 and measured["voice"].kappa.mean >= 0.70
    assert measured["in voice"].kappa.mean >= 0.65
    assert measured["facts"].kappa.mean >= 0.45


@pytest.mark.parametrize("half", ["development", "held_out"])
def test_the_cards_agreement_is_the_scorers(half):
    """Within 0.02, which another version of scikit-learn may move."""
    card = data_path("voice", "README.md").read_text(encoding="utf-8")
    rows = re.findall(
        rf"^\| {half.replace('_', ' ')} \| (.+?) \| (\d+) \| ([\d.]+) .*? \| ([\d.]+) ", card, re.MULTILINE
    )
    assert len(rows) == 3
    for (question, texts, accuracy, value), result in zip(rows, agreement(half).values(), strict=True):
        assert int(texts) == result.texts, question
        assert float(accuracy) == pytest.approx(result.accuracy.mean, abs=0.02), question
        assert float(value) == pytest.approx(result.kappa.mean, abs=0.02), question


def test_disagreements_are_listed():
    table = disagreements("development")
    rows = voice.load_labels("development")
    right = agreement("development")["voice"].accuracy.mean
    assert len(table) == round((1 - right) * len(rows))
    assert (table["reader"] != table["scorer"]).all()
