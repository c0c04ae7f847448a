"""Leakage checks: what counts as the same message, and that planted leaks are found."""

import random

import pytest

from finetune_course import leakage, triage


@pytest.fixture(scope="module")
def wordings():
    return leakage.product_wordings()


@pytest.fixture(scope="module")
def train():
    """Every fourth training message: that the others share nothing with the tests is test_triage_data.py's matter."""
    return [row["message"] for row in triage.load_split("train")[::4]]


@pytest.fixture(scope="module")
def handwritten():
    return [row["message"] for row in triage.load_split("test_handwritten")]


def test_masking_takes_out_case_punctuation_numbers_and_products(wordings):
    said = leakage.masked("WHERE'S my Two-Person Tent?! Order WW-40718, paid $1,249.50 on 12/03.", wordings)
    assert said == "wheres my <p> order <n> paid <n> on <n>".split()


@pytest.mark.parametrize("typed", ["WW-40718", "ww40718", "Ww 40718", "#WW-40718", "40718", "no. 40718"])
def test_every_way_to_type_an_order_id_is_one_mask(typed):
    assert leakage.masked(f"re {typed} please")[-2:] == ["<n>", "please"]


def test_slots_of_a_frame_are_masked_like_the_messages_made_from_it(wordings):
    frame = "Could {order} with the {product} for {price} arrive in {n} days?"
    message = "could ww-40718 with the wetties for $89 arrive in 3 days"
    assert leakage.masked(frame, wordings) == leakage.masked(message, wordings)


def test_without_wordings_products_stay():
    assert leakage.masked("My tent leaks") == ["my", "tent", "leaks"]


def test_exact_duplicates_between_and_within():
    left = ["My tent leaks!", "Where is #40718?", "my TENT leaks"]
    right = ["where is WW-55555", "my esky leaks"]
    assert [(pair.left, pair.right) for pair in leakage.exact_duplicates(left, right)] == [(1, 0)]
    assert [(pair.left, pair.right) for pair in leakage.exact_duplicates(left)] == [(0, 2)]
    masked = leakage.exact_duplicates(left, right, ["tent", "esky"])
    assert {(pair.left, pair.right) for pair in masked} == {(0, 1), (1, 0), (2, 1)}


def test_near_duplicates_are_those_of_comparing_all_with_all():
    """The hashing only proposes; on texts of a small vocabulary its pairs must be the exact ones."""
    rng = random.Random(5)
    words = [f"w{chr(97 + number)}" for number in range(12)]
    texts = [" ".join(rng.choices(words, k=rng.randrange(2, 12))) for _ in range(150)]
    texts += [text + " extra" for text in texts[:60]]

    def shingles(text):
        parts = text.split()
        return {tuple(parts[at : at + 3]) for at in range(max(len(parts) - 2, 1))}

    expected = {}
    for first in range(len(texts)):
        for second in range(first + 1, len(texts)):
            a, b = shingles(texts[first]), shingles(texts[second])
            if len(a & b) / len(a | b) >= 0.3:
                expected[first, second] = len(a & b) / len(a | b)
    found = {(pair.left, pair.right): pair.similarity for pair in leakage.near_duplicates(texts)}
    assert len(expected) > 50 and min(expected.values()) < 0.4
    assert found == pytest.approx(expected)


def test_near_duplicates_come_most_alike_first():
    text = "one two three four five six seven eight nine ten"
    pairs = leakage.near_duplicates([text], [text + " eleven", text, "something else entirely, you see"])
    assert [(pair.right, pair.similarity) for pair in pairs] == [(1, 1.0), (0, pytest.approx(8 / 9))]


@pytest.mark.parametrize("threshold", [0, 0.29, 1.01])
def test_a_threshold_that_the_hashing_cannot_serve_is_refused(threshold):
    with pytest.raises(ValueError, match="from 0.3 to 1"):
        leakage.near_duplicates(["a"], ["b"], threshold)


def test_empty_lists_and_empty_texts_are_no_trouble():
    assert (
        leakage.near_duplicates([], ["a"]) == leakage.exact_duplicates([], []) == leakage.shared_runs(["a"], []) == []
    )
    assert leakage.near_duplicates(["", "x y"], ["z"]) == []


def test_a_shared_run_is_reported_whole():
    left = ["Nothing here.", "Honestly: the pole of my tent snapped in the first wind, order 40718."]
    right = ["The pole of my ESKY snapped in the first wind?!", "in the first wind"]
    (pair,) = leakage.shared_runs(left, right, wordings=["tent", "esky"])
    assert (pair.left, pair.right) == (1, 0)
    assert pair.shared == "the pole of my <p> snapped in the first wind"
    assert pair.similarity == 1.0
    assert leakage.shared_runs(left, right) == []  # unmasked, "snapped in the first wind" is five words
    assert [pair.right for pair in leakage.shared_runs(left, right, words=5)] == [0]
    assert leakage.shared_runs(left, right, words=11, wordings=["tent", "esky"]) == []


@pytest.mark.slow
def test_planted_leaks_are_found(train, handwritten, wordings):
    """A hand-written test message, disguised goes into the training data in six ways: each is seen through."""
    told = handwritten[0]
    disguises = {
        "copied": told,
        "shouted, without punctuation": told.upper().replace(",", "").replace(".", ""),
        "with another product and order id": told.replace("tent", "double swag").replace("31846", "90011"),
        "behind a greeting, before a sign-off": f"G'day, {told} Cheers, Baz",
        "with a sentence more": f"{told} I feel a little let down, if I'm honest.",
        "with a typing slip": told.replace("Tracking", "Trakcing"),
    }
    assert len({told, *disguises.values()}) == len(disguises)  # each but the copy changes something
    tainted = [*train, *disguises.values()]
    planted = {(0, len(train) + place) for place in range(len(disguises))}

    near = {(pair.left, pair.right) for pair in leakage.near_duplicates(handwritten, tainted, wordings=wordings)}
    assert near == planted
    runs = {(pair.left, pair.right) for pair in leakage.shared_runs(handwritten, tainted, wordings=wordings)}
    assert planted <= runs
    exact = {(pair.left, pair.right) for pair in leakage.exact_duplicates(handwritten, tainted, wordings)}
    assert exact == {(0, len(train) + place) for place in range(3)}


def test_half_a_sentence_lifted_into_training_is_found_as_a_shared_run(train, handwritten, wordings):
    lifted = "My mate says the kids are packed for the Flinders and we drive nowhere without new boots."
    assert leakage.near_duplicates(handwritten, [lifted], wordings=wordings) == []
    (pair,) = leakage.shared_runs(handwritten, [*train, lifted], wordings=wordings)
    assert (pair.left, pair.right) == (0, len(train))
    assert pair.shared == "the kids are packed for the flinders and we drive"
