"""The triage data: schema, sizes, balance, order ids, nothing shared between splits, no personal data; its builder."""

import importlib
import itertools
import json
import re
import shutil
import subprocess
import sys
from collections import Counter

import pytest

from finetune_course import leakage, triage
from finetune_course.paths import data_path

MADE = ("train", "validation", "test")
HANDWRITTEN = ("validation_handwritten", "test_handwritten")


@pytest.fixture(scope="module")
def splits():
    return {name: triage.load_split(name) for name in triage.SPLITS}


@pytest.fixture(scope="module")
def messages(splits):
    return {name: [row["message"] for row in rows] for name, rows in splits.items()}


@pytest.fixture(scope="module")
def wordings():
    return leakage.product_wordings()


@pytest.fixture(scope="module")
def builder():
    """data/build_data.py as a module."""
    sys.path.insert(0, str(data_path()))
    try:
        yield importlib.import_module("build_data")
    finally:
        sys.path.remove(str(data_path()))


@pytest.fixture(scope="module")
def sources(builder):
    """Each split's own sentences: its frames, its clauses, and for training the messages written whole."""
    parts = {}
    for split in MADE:
        frames = [frame for category in builder.ORDER_SHARE for frame in builder.frames_of(category)[split]]
        clauses = [clause for kind in builder.clauses_of(split).values() for clause in kind]
        parts[split] = [item["text"] for item in (*frames, *clauses)]
    parts["train"] += [row["message"] for row in builder.read_jsonl("whole_messages.jsonl")]
    return parts


def told(pairs, left, right):
    """Pairs in words, for a failing test's message."""
    return [f"{pair.similarity:.2f} [{pair.shared}] {left[pair.left]!r} ~ {right[pair.right]!r}" for pair in pairs]


def test_sizes(splits):
    sizes = {name: len(rows) for name, rows in splits.items()}
    assert sizes["train"] >= 1000
    assert sizes["test_handwritten"] >= 150
    assert sizes["test"] >= 150
    assert sizes["validation"] >= 100 and sizes["validation_handwritten"] >= 100


def test_ids_are_unique_over_all_splits(splits):
    ids = [row["id"] for rows in splits.values() for row in rows]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", triage.SPLITS)
def test_labels_are_balanced(splits, name):
    labels = [row["label"] for row in splits[name]]
    shares = {field: Counter(label[field] for label in labels) for field in ("category", "urgency", "mood", "product")}
    for category in triage.allowed_values("category"):
        assert 0.08 <= shares["category"][category] / len(labels) <= 0.12, category
    for field in ("urgency", "mood"):
        for value in triage.allowed_values(field):
            assert shares[field][value] / len(labels) >= 0.08, value
    for family in triage.allowed_values("product"):
        assert shares["product"][family] >= 2, family
    assert 0.2 <= shares["product"][None] / len(labels) <= 0.45
    assert 0.25 <= sum(label["order_id"] is not None for label in labels) / len(labels) <= 0.5


@pytest.mark.parametrize("name", triage.SPLITS)
def test_category_does_not_give_the_other_fields_away(splits, name):
    """Urgency and mood vary within each category (feedback's urgency is low by the guide's own rule)."""
    for category in triage.allowed_values("category"):
        labels = [row["label"] for row in splits[name] if row["label"]["category"] == category]
        assert len({label["mood"] for label in labels}) >= 2, category
        assert len({label["urgency"] for label in labels}) >= (1 if category == "feedback" else 2), category


@pytest.mark.parametrize("name", triage.SPLITS)
def test_order_id_is_in_the_message_and_null_only_without_one(splits, name):
    """An order id is five digits, however typed; a message with two ids has the label of one of them."""
    two = 0
    for row in splits[name]:
        found = {f"WW-{digits}" for digits in re.findall(r"(?<![\d.,])\d{5}(?![\d]|[.,]\d)", row["message"])}
        if row["label"]["order_id"] is None:
            assert not found, row
        else:
            assert row["label"]["order_id"] in found, row
        two += len(found) > 1
    assert two <= 0.05 * len(splits[name])


@pytest.mark.parametrize("name", triage.SPLITS)
def test_no_message_stands_twice_in_a_split(messages, name):
    assert told(leakage.exact_duplicates(messages[name]), messages[name], messages[name]) == []


@pytest.mark.parametrize("name", HANDWRITTEN)
def test_hand_written_messages_differ_among_themselves(messages, wordings, name):
    pairs = leakage.near_duplicates(messages[name], wordings=wordings)
    assert told(pairs, messages[name], messages[name]) == []


@pytest.mark.slow
def test_no_duplicate_and_no_near_duplicate_between_splits(messages, wordings):
    """All pairs of splits, hand-written against template-made too, with products, numbers and order ids masked."""
    for position, left in enumerate(triage.SPLITS[:-1]):
        others = [text for right in triage.SPLITS[position + 1 :] for text in messages[right]]
        assert told(leakage.exact_duplicates(messages[left], others, wordings), messages[left], others) == []
        assert told(leakage.near_duplicates(messages[left], others, wordings=wordings), messages[left], others) == []


@pytest.mark.slow
def test_the_threshold_parts_leaks_from_chance(messages, wordings, builder):
    """Both sides of leakage.THRESHOLD, as the data card quotes them."""

    def shingles(text):
        return leakage._shingles(leakage.masked(text, wordings))

    parts = {name: [shingles(text) for text in texts] for name, texts in messages.items()}
    highest = {}
    for left, right in itertools.combinations(triage.SPLITS, 2):
        holders = {}
        for place, shares in enumerate(parts[right]):
            for shingle in shares:
                holders.setdefault(shingle, []).append(place)
        best = 0.0
        for shares in parts[left]:
            common = Counter(place for shingle in shares for place in holders.get(shingle, ()))
            best = max([best, *(count / len(shares | parts[right][place]) for place, count in common.items())])
        highest[left, right] = best
    assert max(highest.values()) < 0.25 < leakage.THRESHOLD
    assert max(value for pair, value in highest.items() if pair[0] == "train") < 0.2

    maker = builder.MessageMaker("train")
    frames = [frame for category in builder.ORDER_SHARE for frame in builder.frames_of(category)["train"]]
    pairs = [(shingles(maker.make(frame)[0]), shingles(maker.make(frame)[0])) for frame in frames]
    same = sorted(len(first & second) / len(first | second) for first, second in pairs)
    assert sum(value >= leakage.THRESHOLD for value in same) > 0.9 * len(same)
    assert 0.58 < same[len(same) // 2] < 0.68


def test_no_hand_written_message_shares_a_long_word_run_with_training(messages, sources, wordings):
    left, right = [text for name in HANDWRITTEN for text in messages[name]], [*messages["train"], *sources["train"]]
    assert told(leakage.shared_runs(left, right, wordings=wordings), left, right) == []


@pytest.mark.slow
def test_no_hand_written_message_shares_a_sentence_with_training(messages, sources, wordings):
    """A sentence of four words or more (numbers and products masked) stands on one side only."""

    def sentences(text):
        parts = (tuple(leakage.masked(part, wordings)) for part in re.split(r"[.!?;:\n]+", text))
        return {part for part in parts if len(part) >= 4}

    trained = set().union(*(sentences(text) for text in [*messages["train"], *sources["train"]]))
    assert len(trained) > 1000
    written = [text for name in HANDWRITTEN for text in messages[name]]
    assert [(text, shared) for text in written if (shared := sentences(text) & trained)] == []


@pytest.mark.slow
def test_a_frame_or_clause_serves_one_split_only(builder, sources, wordings):
    # Clauses that say hardly more than the order id ("({order})", "re {order}") are no sentence of anyone's.
    texts = {split: [text for text in parts if len(leakage.masked(text)) > 2] for split, parts in sources.items()}
    written = [
        frame["text"] for category in builder.ORDER_SHARE for frame in builder.read_jsonl(f"frames_{category}.jsonl")
    ]
    written += [clause["text"] for clause in builder.read_jsonl("clauses.jsonl")]
    written += [row["message"] for row in builder.read_jsonl("whole_messages.jsonl")]
    assert sorted(text for parts in sources.values() for text in parts) == sorted(written)
    for left, right in itertools.combinations(MADE, 2):
        assert told(leakage.exact_duplicates(texts[left], texts[right], wordings), texts[left], texts[right]) == []
        assert told(leakage.shared_runs(texts[left], texts[right], wordings=wordings), texts[left], texts[right]) == []


# Numbers that Australia's regulator keeps for fiction: never given to a subscriber.
FICTIONAL = re.compile(r"(?:0491570(?:006|110|15[6-9]|313|737)|0[2378](?:5550|7010)\d{4})")
DIGITS = re.compile(r"\+?\(?\d(?:[ ()-]{0,2}\d){6,}")
DATE = re.compile(r"\d{1,2}[/-]\d{1,2}[/-]\d{2,4}")


def personal_data(text):
    """What in the text could belong to somebody: e-mail and web addresses, phone and card numbers."""
    found = re.findall(r"\S+@\S+|\bhttps?:\S*|\bwww\.\S*|\b[\w-]+\.(?:com|net|org|au|io)\b", text, flags=re.IGNORECASE)
    for run in DIGITS.findall(DATE.sub(" ", text)):
        digits = re.sub(r"\D", "", run)
        if 13 <= len(digits) <= 19 and luhn(digits):
            found.append(run)
        elif len(digits) >= 9 and not FICTIONAL.fullmatch(re.sub("^61", "0", digits)):
            found.append(run)
    return found


def luhn(digits):
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


@pytest.mark.parametrize("name", triage.SPLITS)
def test_no_personal_data(messages, name):
    assert {text: found for text in messages[name] if (found := personal_data(text))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "ring 0412 345 678",
        "write to jo.b@post.example",
        "see www.shop.example",
        "https://a.example/b",
        "my site: jo.com.au",
    ]
    + ["card 4111 1111 1111 1111", "card 5500-0000-0000-0004", "+61 412 345 678", "(02) 9374 4000", "0412345678"],
)
def test_personal_data_would_be_found(text):
    assert personal_data(text)


@pytest.mark.parametrize(
    "text", ["0491 570 156", "+61 491 570 157", "WW-40718 on 12/03/2023", "02 5550 1234", "7719 0042"]
)
def test_fictional_numbers_pass(text):
    assert personal_data(text) == []


def test_the_sources_are_free_of_personal_data():
    for path in data_path("triage", "sources").iterdir():
        lines = path.read_text(encoding="utf-8").splitlines()
        assert {line: found for line in lines if (found := personal_data(line))} == {}, path.name


@pytest.fixture
def copy(tmp_path):
    """A copy of the data folder and a function that runs its builder."""
    folder = tmp_path / "data"
    shutil.copytree(data_path(), folder, ignore=shutil.ignore_patterns("__pycache__"))

    def build(*arguments):
        command = [sys.executable, str(folder / "build_data.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)

    return folder, build


@pytest.mark.slow
def test_the_data_is_what_the_builder_makes():
    command = [sys.executable, str(data_path("build_data.py")), "--check"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (outcome.returncode, outcome.stdout.strip(), outcome.stderr) == (0, "All data files are current.", "")


def _change_one_letter(folder):
    path = folder / "triage" / "train.jsonl"
    path.write_bytes(path.read_bytes().replace(b"tent", b"tint", 1))


def _drop_a_file(folder):
    (folder / "triage" / "test.jsonl").unlink()


def _change_a_wording(folder):
    path = folder / "triage" / "sources" / "products.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"dome tent"', '"domed tent"'), encoding="utf-8")


def _relabel_by_hand(folder):
    path = folder / "triage" / "test_handwritten.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"mood":"upset"', b'"mood":"happy"'))


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        (_change_one_letter, "train.jsonl"),
        (_drop_a_file, "test.jsonl"),
        (_change_a_wording, "train.jsonl"),
        (_relabel_by_hand, "README.md"),
    ],
)
@pytest.mark.slow
def test_a_tampered_copy_fails_the_check(copy, tamper, named):
    folder, build = copy
    tamper(folder)
    before = {path.name: path.read_bytes() for path in (folder / "triage").glob("*.jsonl")}
    outcome = build("--check")
    assert outcome.returncode == 1 and outcome.stderr == ""
    assert outcome.stdout.startswith("Stale: ") and named in outcome.stdout
    assert {path.name: path.read_bytes() for path in (folder / "triage").glob("*.jsonl")} == before


@pytest.mark.slow
def test_building_makes_changed_and_missing_files_anew(copy):
    folder, build = copy
    _change_one_letter(folder)
    _drop_a_file(folder)
    assert build().returncode == 0
    for name in ("README.md", "triage/train.jsonl", "triage/test.jsonl", "triage/validation.jsonl"):
        assert (folder / name).read_bytes() == data_path(*name.split("/")).read_bytes()


@pytest.mark.slow
def test_building_follows_changed_sources(copy):
    folder, build = copy
    _change_a_wording(folder)
    _relabel_by_hand(folder)
    assert build().returncode == 0
    assert build("--check").returncode == 0
    assert (folder / "triage/train.jsonl").read_bytes() != data_path("triage", "train.jsonl").read_bytes()
    assert (folder / "README.md").read_bytes() != data_path("README.md").read_bytes()


def test_the_second_annotation_agrees_as_far_as_the_card_says(splits, builder):
    first = {row["id"]: row["label"] for row in splits["train"]}
    again = builder.read_jsonl("second_annotation.jsonl")
    assert len(again) == len({row["id"] for row in again}) == 300
    fields = ("product", "category", "urgency", "mood", "order_id")
    shares = [sum(row["label"][field] == first[row["id"]][field] for row in again) / 300 for field in fields]
    shares.insert(0, sum(row["label"] == first[row["id"]] for row in again) / 300)
    card = " ".join(data_path("README.md").read_text(encoding="utf-8").split())
    told = "all five fields agreed on {:.0%} (product {:.0%}, category, urgency and mood {:.0%} each, order id {:.0%})"
    assert shares[2] == shares[3] == shares[4]
    assert told.format(shares[0], shares[1], shares[2], shares[5]) in card


def test_the_cards_numbers_in_words_are_the_datas(builder):
    card = data_path("README.md").read_text(encoding="utf-8")
    frames = sum(len(builder.read_jsonl(f"frames_{category}.jsonl")) for category in builder.ORDER_SHARE)
    clauses = len(builder.read_jsonl("clauses.jsonl"))
    whole = len(builder.read_jsonl("whole_messages.jsonl"))
    assert whole == int(re.search(r"wrote ([\d,]+) messages whole", card)[1].replace(",", ""))
    assert abs(frames - int(re.search(r"about ([\d,]+) \*frames\*", card)[1].replace(",", ""))) <= 10
    assert abs(clauses - int(re.search(r"about (\d+) \*clauses\*", card)[1])) <= 5
    example = json.loads(re.search(r"```json\n(.*)\n```", card)[1])
    assert example in triage.load_split("test_handwritten")
    for name in re.findall(r"^\| `([^`]+\.\w+)`", card, flags=re.MULTILINE):
        assert data_path(*name.split("/")).exists(), name
