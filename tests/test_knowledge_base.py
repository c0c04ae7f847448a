"""The knowledge base: sizes, every fact in its page, what version 2 changes, one world with the shop's other facts."""

import json
import re
from collections import Counter

import pytest
from test_triage_data import personal_data

from finetune_course import knowledge_base, leakage
from finetune_course.knowledge_base import load_facts, load_pages, withdrawn_ids
from finetune_course.paths import data_path
from finetune_course.records import DataError

V1 = {page.id: page for page in load_pages("v1")}
V2 = {page.id: page for page in load_pages("v2")}
FACTS = load_facts()
CHANGED = [fact for fact in FACTS if None not in (fact.value, fact.v2) and fact.value != fact.v2]
NEW = sorted(set(V2) - set(V1))
SHOP = json.loads(data_path("corpus", "sources", "shop_facts.json").read_text(encoding="utf-8"))

NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
KINDS = {"product": "products", "store": "stores", "repair": "repairs", "person": "people", "event": "events"}
KINDS |= {"loyalty": "club and account", "account": "club and account"}


def kind(page_id):
    return KINDS.get(page_id.split("-")[0], "policies")


def slug(name):
    return name.casefold().replace(" ", "-")


def stands_in(value, text):
    """Whether ``value`` stands in ``text`` word for word: "5 dollars" does not stand in "45 dollars"."""
    return re.search(rf"(?<![\w.,]){re.escape(value)}(?!\w)", text) is not None


def counted(number, unit):
    """As the pages write it: "one year", "nine days", "12 days"."""
    number = NUMBERS[number] if number <= 10 else number
    return f"{number} {unit}" + "s" * (number != "one")


def sentences(text):
    return set(re.split(r"(?<=[.!?])\s+|\n+", text))


def body_words(page):
    return len(page.text.replace("#", " ").split())


def without_title(page):
    return page.text.partition("\n")[2]


# Sizes and form


@pytest.mark.parametrize("pages", [V1, V2], ids=["v1", "v2"])
def test_every_page_has_its_form(pages):
    for page in pages.values():
        assert re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", page.id)
        assert page.text.startswith(f"# {page.title}\n\n") and page.text.count("\n# ") == 0, page.id
        assert not page.text.split("\n\n")[1].startswith("#"), f"{page.id}: no opening sentence"
        assert 2 <= page.text.count("\n## ") <= 4, page.id
        assert 90 <= body_words(page) <= 220, page.id
        assert not re.search(r"[\[\]|{}$<>]", page.text), f"{page.id}: a mark that is no text"


@pytest.mark.parametrize("pages", [V1, V2], ids=["v1", "v2"])
def test_titles_are_unique(pages):
    assert len({page.title for page in pages.values()}) == len(pages)


def test_sizes():
    assert len(V1) >= 60
    counts = Counter(map(kind, V1))
    least = {"policies": 14, "products": 22, "stores": 9, "repairs": 8, "club and account": 4, "people": 7, "events": 8}
    assert {name: counts[name] >= number for name, number in least.items()} == dict.fromkeys(least, True)


def test_the_cards_numbers_are_the_datas():
    card = data_path("kb", "README.md").read_text(encoding="utf-8")
    rows = {name: (int(one), int(two)) for name, one, two in re.findall(r"^\| (.+?) \| (\d+) \| (\d+) \|", card, re.M)}
    found = {"pages": (len(V1), len(V2))}
    found["facts"] = tuple(sum(value is not None for value in values) for values in zip(*_values(), strict=True))
    found["words a page, mean"] = tuple(round(sum(map(body_words, p.values())) / len(p)) for p in (V1, V2))
    for name in set(map(kind, V1)):
        found[name] = tuple(sum(kind(page_id) == name for page_id in pages) for pages in (V1, V2))
    assert rows == found
    lost = [fact for fact in FACTS if fact.v2 is None]
    added = [fact for fact in FACTS if fact.value is None]
    assert (
        f"changes {len(CHANGED)} facts on {len({fact.page for fact in CHANGED})} pages, adds {len(NEW)} pages with "
        f"{len(added)} facts and withdraws {len(withdrawn_ids())} pages with {len(lost)} facts."
    ) in card
    lengths = [body_words(page) for page in (*V1.values(), *V2.values())]
    assert re.search(rf"{min(lengths)}\s+to {max(lengths)} words", card)


def _values():
    return [(fact.value, fact.v2) for fact in FACTS]


# Facts


@pytest.mark.parametrize(("pages", "column"), [(V1, "value"), (V2, "v2")], ids=["v1", "v2"])
def test_every_fact_stands_in_its_page_word_for_word(pages, column):
    """And where a version does not state a fact, it does not have its page."""
    for fact in FACTS:
        assert fact.fact.startswith(f"{fact.page}/")
        value = getattr(fact, column)
        assert (value is None) == (fact.page not in pages), fact
        assert value is None or stands_in(value, without_title(pages[fact.page])), fact


def test_every_page_has_five_to_nine_facts():
    for pages, values in ((V1, [fact for fact in FACTS if fact.value]), (V2, [fact for fact in FACTS if fact.v2])):
        counts = Counter(fact.page for fact in values)
        assert set(counts) == set(pages)
        assert {page: count for page, count in counts.items() if not 5 <= count <= 9} == {}


def test_a_value_names_one_fact_of_its_page():
    """A reader's answer can be scored by its value: no two facts of a page share one, in either version."""
    for column in ("value", "v2"):
        counts = Counter((fact.page, getattr(fact, column)) for fact in FACTS if getattr(fact, column))
        assert [key for key, count in counts.items() if count > 1] == []


# Version 2


def test_version_2_changes_enough():
    assert len(CHANGED) >= 28 and len({fact.page for fact in CHANGED}) >= 20
    assert len(NEW) == 6 and len(withdrawn_ids()) == 4
    assert set(withdrawn_ids()) == set(V1) - set(V2)


def test_a_changed_value_tells_the_version():
    """The old value stands nowhere on the new page, nor the new value on the old one."""
    assert [fact for fact in CHANGED if stands_in(fact.value, V2[fact.page].text)] == []
    assert [fact for fact in CHANGED if stands_in(fact.v2, V1[fact.page].text)] == []


def test_changed_pages_differ_in_the_changed_sentences_only():
    files = {path.stem for path in data_path("kb", "v2").glob("*.md")}
    assert files - set(NEW) == {fact.page for fact in CHANGED}
    for page_id in files - set(NEW):
        values = [fact.v2 for fact in CHANGED if fact.page == page_id]
        for sentence in sentences(V2[page_id].text) - sentences(V1[page_id].text):
            assert any(stands_in(value, sentence) for value in values), f"{page_id}: {sentence}"


def test_no_page_that_stays_speaks_of_a_withdrawn_one():
    words = {"lay-by": "lay-by", "event-map-morning": "map morning"}
    words |= {"product-brolga-hat": "brolga", "repair-stuck-zip": "stuck zip"}
    assert set(words) == set(withdrawn_ids())
    for page in (*V2.values(), *(V1[page_id] for page_id in V1.keys() & V2.keys())):
        assert not any(word in page.text.casefold() for word in words.values()), page.id


# One world


def pages_to_compare():
    """Version 1, and of version 2 what is new: its changed pages differ from the shop's facts on purpose."""
    return {**V1, **{page_id: V2[page_id] for page_id in NEW}}


def expected_of(record, kind_of_record):
    """What a page about this record of shop_facts.json must say."""
    if kind_of_record == "product":
        wanted = [f"{record['price']} dollars", record["colour"], record["material"], record["maker"]]
        return [*wanted, counted(record["years"], "year")]
    if kind_of_record == "person":
        verb = {"playing the fiddle": "the fiddle"}.get(record["hobby"], record["hobby"])
        return [record["day_off"], record["drink"], verb, counted(record["years"], "year")]
    if kind_of_record == "repair":
        return [f"{record['price']} dollars", counted(record["days"], "day"), record["who"]]
    return [record["day"], record["who"], f"{record['cost']} dollars", record["place"], record["bring"]]


def shop_records():
    pages = pages_to_compare()
    ids = {"product": slug, "person": slug, "event": lambda name: slug(name.removeprefix("the "))}
    found = []
    for key, name in (("products", "product"), ("staff", "person"), ("events", "event")):
        rows = [(f"{name}-{ids[name](row['name'])}", name, row) for row in SHOP[key]]
        found += [row for row in rows if row[0] in pages]
    titles = {page.title: page.id for page in pages.values()}
    found += [
        (titles[f"Repair: {row['name']}"], "repair", row)
        for row in SHOP["services"]
        if f"Repair: {row['name']}" in titles
    ]
    return found


def test_every_product_person_repair_and_event_page_is_of_the_shops_world():
    ids = {page_id for page_id, _, _ in shop_records()}
    own = {page_id for page_id in pages_to_compare() if kind(page_id) in ("products", "people", "repairs", "events")}
    assert own - ids == {"event-reef-talk"}  # new in version 2, and the Cairns store's own


@pytest.mark.parametrize(("page_id", "name", "record"), shop_records(), ids=lambda value: str(value)[:24])
def test_pages_agree_with_the_shops_facts(page_id, name, record):
    text = without_title(pages_to_compare()[page_id])
    missing = [value for value in expected_of(record, name) if not stands_in(value, text)]
    assert missing == [], page_id


@pytest.mark.parametrize("column", ["price", "warranty", "maker", "material", "colour"])
def test_product_facts_are_the_shops(column):
    """The marked value, too, is the shop's: not another sum that stands on the page."""
    shop = {f"product-{slug(row['name'])}": row for row in SHOP["products"]}
    wanted = {
        "price": lambda row: f"{row['price']} dollars",
        "warranty": lambda row: counted(row["years"], "year"),
    }.get(column, lambda row: row[column])
    rows = [fact for fact in FACTS if fact.fact.startswith("product-") and fact.fact.endswith(f"/{column}")]
    assert len(rows) >= 5
    assert {fact.fact: fact.value or fact.v2 for fact in rows} == {fact.fact: wanted(shop[fact.page]) for fact in rows}


def test_repair_and_event_facts_are_the_shops():
    rows = {fact.fact: fact.value or fact.v2 for fact in FACTS}
    for page_id, name, record in shop_records():
        if name == "repair":
            assert rows[f"{page_id}/price"] == f"{record['price']} dollars"
            assert rows[f"{page_id}/days"] == counted(record["days"], "day")
        if name == "event":
            assert (rows[f"{page_id}/day"], rows[f"{page_id}/cost"]) == (record["day"], f"{record['cost']} dollars")
            assert rows[f"{page_id}/place"] == record["place"]
        if name == "person":
            assert rows[f"{page_id}/day-off"] == record["day_off"]


def test_shelves_named_on_product_pages_are_the_shops():
    shelves = {row["shelf"] for row in SHOP["products"]}
    for page_id, name, record in shop_records():
        if name == "product":
            named = {shelf for shelf in shelves if stands_in(shelf, pages_to_compare()[page_id].text)}
            assert named <= {record["shelf"]}, page_id


def test_torquays_hours_are_the_shops():
    hour = dict(zip(NUMBERS, range(11), strict=True)) | {"eleven": 11}

    def clock(word, closing):
        # The shop closes between two and eight in the afternoon, and opens before noon.
        return f"{hour[word]} {'pm' if closing else 'am'}"

    parts = re.split(r"(?<=\.)\s", V1["store-torquay"].text.replace(", and on Wednesday", ". On Wednesday"))
    for row in SHOP["hours"]:
        told = [part for part in parts if row["day"] in part]
        assert len(told) == 1, row["day"]
        times = re.findall(r"\d+(?:\.\d+)? [ap]m", told[0])
        assert times == [clock(row["opens"], False), clock(row["closes"], True)], row["day"]


def test_hire_prices_and_deposits_are_the_shops():
    sections = V1["hire"].text.split("\n## ")
    prices, deposits = (next(part for part in sections if part.startswith(name)) for name in ("Prices", "Deposits"))
    for row in SHOP["hire"]:
        assert stands_in(row["name"], prices.casefold()) and f"{row['price']} dollars" in prices
        assert f"{row['deposit']} dollars" in deposits
        if stands_in(f"{row['name'].capitalize()} comes with", V1["hire"].text):
            assert stands_in(row["with"], V1["hire"].text)


def test_nobody_leads_an_event_or_is_asked_for_on_the_day_off():
    days = {row["name"]: row["day_off"] for row in SHOP["staff"]}
    for row in SHOP["events"]:
        assert days[row["who"]] != row["day"]


# Alike, and personal


def test_no_two_pages_are_near_duplicates():
    for pages in (V1, V2):
        texts = [page.text for page in pages.values()]
        assert leakage.near_duplicates(texts) == []
        runs = [_three_word_runs(text) for text in texts]
        alike = [len(one & two) / len(one | two) for place, one in enumerate(runs) for two in runs[:place]]
        assert max(alike) < 0.1


def _three_word_runs(text):
    words = leakage.masked(text)
    return set(zip(words, words[1:], words[2:], strict=False))


def test_no_personal_data():
    every = [*V1.values(), *V2.values()]
    assert {page.id: found for page in every if (found := personal_data(page.text))} == {}


# The loader


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A knowledge base of two pages, of which version 2 changes one, withdraws one and adds one."""
    monkeypatch.setattr(knowledge_base, "data_path", lambda *names: tmp_path.joinpath(*names))
    for name, text in {
        "v1/hats.md": "# Hats\n\nA hat costs 4 dollars.\n",
        "v1/ropes.md": "# Ropes\n\nA rope is long.\n",
        "v2/hats.md": "# Hats\n\nA hat costs 5 dollars.\n",
        "v2/boats.md": "\ufeff# Boats\n\nA boat floats.\n",
        "v2/withdrawn.txt": "ropes\n\n",
    }.items():
        path = tmp_path / "kb" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "kb"


def test_version_2_is_version_1_with_changes_additions_and_withdrawals(folder):
    assert [page.id for page in load_pages()] == ["hats", "ropes"]
    assert load_pages("v2") == [
        ("boats", "Boats", "# Boats\n\nA boat floats."),
        ("hats", "Hats", "# Hats\n\nA hat costs 5 dollars."),
    ]
    (folder / "v2" / "withdrawn.txt").unlink()
    assert [page.id for page in load_pages("v2")] == ["boats", "hats", "ropes"]


def test_problems_are_told_in_one_sentence(folder):
    with pytest.raises(ValueError, match="no version 'v3'.*v1, v2"):
        load_pages("v3")
    (folder / "v2" / "withdrawn.txt").write_text("rope\n")
    with pytest.raises(ValueError, match="names 'rope', but there is no such page"):
        load_pages("v2")
    for text in ("", "Hats\n\n# Hats", "# \n\nA hat.", "## Hats\n"):
        (folder / "v1" / "hats.md").write_text(text)
        with pytest.raises(ValueError, match=r"v1/hats\.md has no title"):
            load_pages("v1")
    for path in (folder / "v1").iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match="no pages in data/kb/v1"):
        load_pages("v1")


def test_a_damaged_facts_file_is_told_line_by_line(folder):
    good = {"fact": "hats/price", "page": "hats", "value": "4 dollars", "v2": None}
    lines = [good, good, {**good, "fact": "Hats"}, {**good, "fact": "hats/brim", "value": 4}]
    (folder / "facts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError) as caught:
        load_facts()
    assert [problem.line for problem in caught.value.problems] == [2, 3, 4]
