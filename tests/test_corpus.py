"""The corpus of notebooks 01 and 02: rebuilt the same, rich, apart between splits, true to the world; its probes."""

import importlib
import json
import re
import subprocess
import sys
from collections import Counter

import pytest

from finetune_course import leakage
from finetune_course.paths import course_root, data_path
from finetune_course.probes import load_probes, options
from finetune_course.small_model import SPLITS, documents

HELD_OUT = ("validation", "test")
KINDS = ("plots.txt", "dialogues.txt", "howto.txt")


@pytest.fixture(scope="module")
def texts():
    return {split: documents(split) for split in SPLITS}


@pytest.fixture(scope="module")
def builder():
    """data/build_corpus.py as a module."""
    sys.path.insert(0, str(data_path()))
    try:
        yield importlib.import_module("build_corpus")
    finally:
        sys.path.remove(str(data_path()))


@pytest.fixture(scope="module")
def sources():
    """The generator's modules, by name."""
    sys.path.insert(0, str(data_path("corpus")))
    try:
        names = ("general", "lexicon", "nature", "patterns", "scenes", "wordings", "world")
        yield {name: importlib.import_module(f"sources.{name}") for name in names}
    finally:
        sys.path.remove(str(data_path("corpus")))


def words(text):
    return re.findall(r"[a-z][a-z'-]*", text.lower())


# The builder


@pytest.mark.slow
def test_check_says_that_all_files_are_current():
    """The shop's files too. A process of its own, with another hash seed: nothing may depend on the order of sets."""
    found = subprocess.run(
        [sys.executable, "data/build_corpus.py", "--check"], cwd=course_root(), capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_check_notices_a_changed_and_a_missing_file(builder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(builder, "contents", lambda: {"a.txt": "one\n", "b.txt": "two\n"})
    monkeypatch.setattr(builder, "TARGET", tmp_path)
    monkeypatch.setattr(sys, "argv", ["build_corpus.py"])
    assert builder.main() == 0 and (tmp_path / "b.txt").read_text() == "two\n"
    (tmp_path / "a.txt").write_text("another\n")
    (tmp_path / "b.txt").unlink()
    monkeypatch.setattr(sys, "argv", ["build_corpus.py", "--check"])
    assert builder.main() == 1
    assert "a.txt, b.txt" in capsys.readouterr().out
    assert not (tmp_path / "b.txt").exists()


def test_a_document_with_an_empty_line_is_refused(builder):
    with pytest.raises(ValueError, match="empty line"):
        builder._text(["one\n\ntwo"])


# How rich it is


def test_the_general_corpus_is_large_and_rich(texts):
    whole = "\n\n".join(texts["train"])
    counts = Counter(words(whole))
    assert 500_000 <= len(whole.encode()) <= 1_600_000
    assert len(counts) >= 3_000
    assert sum(count >= 5 for count in counts.values()) >= 2_000
    assert all(len(texts[split]) >= 90 for split in HELD_OUT)


def test_no_pattern_was_left_unfilled(texts):
    for split, found in texts.items():
        left = [text for text in found if re.search(r"[{}\[\]|]|None|  |\.\.", text)]
        assert left == [], split


def test_a_and_an(texts):
    """The article before a vowel, by spelling; words spoken otherwise are named."""
    spoken = ("one", "uni", "use", "euc", "uku", "eur")
    wrong = [
        found
        for text in texts["train"]
        for found in re.findall(r"\b[Aa] [aeiou]\w+|\b[Aa]n [^aeiouAEIOU\W]\w+", text)
        if not found.split()[1].startswith(spoken) and found.split()[1] not in ("hour", "honest")
    ]
    assert wrong == []


def test_plurals_and_third_persons(sources):
    plural, third = sources["lexicon"].plural, sources["nature"].third
    for one, many in (
        ("pony", "ponies"), ("box of eggs", "boxes of eggs"), ("pair of pliers", "pairs of pliers"), ("mouse", "mice"),
        ("water dragon", "water dragons"), ("fisherman", "fishermen"), ("day", "days"), ("brush", "brushes"),
    ):  # fmt: skip
        assert plural(one) == many
    for many, one in (("catch fish", "catches fish"), ("fly low", "flies low"), ("play", "plays"), ("have", "has")):
        assert third(many) == one


def test_the_general_texts_never_name_the_shop(texts):
    """Its facts are new to the model in notebook 02."""
    assert [text for found in texts.values() for text in found if "Wattle &" in text] == []


# The world


def test_names_are_unique_and_every_person_lives_in_a_town(sources):
    world = sources["world"]
    for field in ("name", "landmark", "product", "water", "festival"):
        values = [getattr(town, field) for town in world.TOWNS]
        assert len(set(values)) == len(values) == 24, field
    for field in ("first", "job", "pet_name", "thing"):
        values = [getattr(person, field) for person in world.PEOPLE]
        assert len(set(values)) == len(values) == 48, field
    assert {person.town for person in world.PEOPLE} == {town.name for town in world.TOWNS}


def test_the_training_text_states_each_fact_more_than_once(texts, sources):
    whole = "\n".join(texts["train"])
    for person in sources["world"].PEOPLE:
        about = [text for text in texts["train"] if person.first in text]
        assert sum(person.pet_name in text for text in about) >= 3, person.name
        assert sum(person.thing in text for text in about) >= 2, person.name
        assert sum(person.job in text and person.town in text for text in about) >= 3, person.name
    for town in sources["world"].TOWNS:
        sentences = [part for part in re.split(r"[.?!]", whole) if town.name in part]
        for fact in (town.landmark, town.festival, town.product):
            assert sum(fact.lower() in part.lower() for part in sentences) >= 3, (town.name, fact)


# The splits


@pytest.mark.slow
def test_no_held_out_document_is_a_duplicate_of_a_training_document(texts):
    held_out = [text for split in HELD_OUT for text in texts[split]]
    assert leakage.exact_duplicates(held_out, texts["train"]) == []
    pairs = leakage.near_duplicates(texts["train"], held_out)
    assert [(texts["train"][pair.left][:80], held_out[pair.right][:80]) for pair in pairs] == []


def test_validation_and_test_share_no_near_duplicate(texts):
    assert leakage.near_duplicates(texts["validation"], texts["test"]) == []


@pytest.mark.parametrize("name", KINDS)
def test_a_plot_serves_one_split_only(sources, name):
    general, parted = sources["general"], sources["patterns"].parted
    whole = sorted(general.sections(name))
    parts = [parted(whole, name.partition(".")[0], split) for split in SPLITS]
    assert sorted(title for part in parts for title in part) == whole
    assert all(parts)


@pytest.mark.parametrize("family", ["ANIMAL", "PLANT", "TOOL", "JOB", "TOWN", "PERSON"])
def test_a_wording_serves_one_split_only(sources, family):
    parted = sources["patterns"].parted
    for key, patterns in getattr(sources["wordings"], family).items():
        parts = [parted(patterns, f"wording {family.lower()} {key}", split) for split in SPLITS]
        assert sorted(text for part in parts for text in part) == sorted(patterns), (family, key)
        assert len(set(patterns)) == len(patterns) and all(parts)


# The probes


def test_an_agreement_pair_differs_in_one_word():
    for probe in load_probes("agreement"):
        (right, wrong), place = options(probe)
        different = [pair for pair in zip(right.split(), wrong.split(), strict=True) if pair[0] != pair[1]]
        assert place == 0 and len(different) == 1, probe["id"]


@pytest.mark.slow
def test_agreement_is_balanced_and_new(texts):
    probes = load_probes("agreement")
    for apart in (False, True):
        group = [probe for probe in probes if probe["apart"] == apart]
        assert len(group) == 120
        assert 0.35 < sum(probe["plural"] for probe in group) / 120 < 0.65
    read = words(" ".join(texts["train"]))
    pairs = set(zip(read, read[1:], strict=False))
    for probe in probes:
        head = probe["head"].lower().split()[-1]
        for text in probe["text"]:
            assert text not in " ".join(texts["train"])
        verbs = [
            a.strip(".") for a, b in zip(probe["text"][0].split(), probe["text"][1].split(), strict=True) if a != b
        ]
        assert (head, verbs[0]) not in pairs, probe["id"]


def test_fact_probes_are_true_of_the_world_and_worded_anew(texts, sources):
    towns = {town.name: town for town in sources["world"].TOWNS}
    people = {person.first: person for person in sources["world"].PEOPLE}
    whole = " ".join(text for found in texts.values() for text in found)
    places = Counter()
    for probe in load_probes("fact"):
        full, place = options(probe)
        assert len(set(full)) == 4
        answer = probe["choices"][place]
        places[place] += 1
        about = towns.get(answer) or people.get(answer)
        if probe["relation"] in ("landmark", "product"):
            assert getattr(about, probe["relation"]) in probe["prompt"]
        elif probe["relation"] == "job":
            assert any(p.town == answer and f"the {p.job} " in probe["prompt"] for p in people.values())
        else:
            assert (about.pet_name if probe["relation"] == "pet" else about.thing) in probe["prompt"]
        assert probe["prompt"] not in whole
    assert min(places[place] for place in range(4)) > 25


def test_the_probe_file_is_what_the_generator_makes():
    rows = [json.loads(line) for line in data_path("corpus", "probes_test.jsonl").read_text().splitlines()]
    assert len({row["id"] for row in rows}) == len(rows)
