"""The texts of the shop: short pieces about its goods, people, repairs, days, evenings and hire, and little stories.

A piece is put together from sentences of shop_sentences.txt, filled with shop_facts.json; a story of shop_stories.txt
is taken whole. A sentence or a story serves one split only, so that a held-out text repeats the shop's facts (which
are the same for all) but not the sentences that carry them.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

SEED = 2026
SOURCES = Path(__file__).resolve().parent
PER_SUBJECT = {
    "train": {"product": 6, "staff": 6, "service": 5, "day": 5, "event": 5, "hire": 5},
    "validation": {"product": 1, "staff": 1, "service": 1, "day": 1, "event": 1, "hire": 1},
    "test": {"product": 2, "staff": 2, "service": 2, "day": 2, "event": 2, "hire": 2},
}
NAMES_IT = re.compile(r"\{(item|item_cap|name)\}")
PLURAL = {"product": "products", "staff": "staff", "service": "services", "day": "hours", "event": "events"}
PLURAL |= {"hire": "hire"}


def facts() -> dict[str, list[dict]]:
    """The shop's facts: kind of subject -> its records, each with a ``name``."""
    content = json.loads((SOURCES / "shop_facts.json").read_text(encoding="utf-8"))
    for row in content["hours"]:
        row["name"] = row["day"]
    return {kind: content[plural] for kind, plural in PLURAL.items()}


def counted(number: int, unit: str) -> str:
    """``1 year``, ``5 years``."""
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def documents(split: str) -> list[str]:
    """The split's texts, in an order shuffled once. The same bytes each time."""
    rng = random.Random(f"{SEED} shop {split}")
    sentences = _sentences(split)
    texts = _parted(_blocks("shop_stories.txt"), "stories")[split]
    for kind, subjects in facts().items():
        for subject in subjects:
            hands = _hands([group for group in sentences[kind] if group != "more"], PER_SUBJECT[split][kind], rng)
            texts += [_piece(hand, subject, sentences[kind], rng) for hand in hands]
    texts = list(dict.fromkeys(texts))
    rng.shuffle(texts)
    return texts


def _hands(groups: list[str], count: int, rng: random.Random) -> list[list[str]]:
    """``count`` hands of two to four kinds of facts, dealt in rounds so that none comes again before all have come."""
    hands, deck = [], []
    for _ in range(count):
        hand: list[str] = []
        for _ in range(rng.randint(min(2, len(groups)), min(4, len(groups)))):
            deck = deck or rng.sample(groups, len(groups))
            hand += [group for group in [deck.pop()] if group not in hand]
        hands.append(hand)
    return hands


def _piece(hand: list[str], subject: dict, groups: dict[str, list[str]], rng: random.Random) -> str:
    """The facts of the hand in one sentence each, and one or two sentences beside; the first names the subject."""
    lines = [rng.choice(groups[group]) for group in hand]
    naming = [line for line in lines if NAMES_IT.search(line)]
    if not naming:  # one more sentence is put before them that does
        naming = [rng.choice([line for lines in groups.values() for line in lines if NAMES_IT.search(line)])]
    lines = [naming[0], *(line for line in lines if line != naming[0])]
    for line in rng.sample(groups["more"], min(len(groups["more"]), rng.randint(1, 2))):
        lines.insert(rng.randint(1, len(lines)), line)
    return " ".join(_filled(line, subject) for line in lines)


def _filled(line: str, subject: dict) -> str:
    name = subject["name"]
    slots = {**subject, "item": name, "item_cap": name[0].upper() + name[1:], "short": name.split()[-1]}
    if "years" in subject:
        slots["years_text"] = counted(subject["years"], "year")
    if "days" in subject:
        slots["days_text"] = counted(subject["days"], "day")
    text = line.format(**slots)
    return text[0].upper() + text[1:]


def _sentences(split: str) -> dict[str, dict[str, list[str]]]:
    """Kind of subject -> kind of fact -> the split's sentences."""
    found: dict[str, dict[str, list[str]]] = {}
    for block in _blocks("shop_sentences.txt"):
        head, *lines = block.splitlines()
        if head.startswith("## "):
            kind, group = head[3:].split()
            found.setdefault(kind, {})[group] = _parted(lines, head)[split]
    return found


def _parted(items: list[str], name: str) -> dict[str, list[str]]:
    """The items, each given to one split: one in eight, and at least one, for validation; one in six for test."""
    items = list(items)
    random.Random(f"{SEED} {name}").shuffle(items)
    validation, test = max(1, len(items) // 8), max(1, len(items) // 6)
    return {
        "validation": items[:validation],
        "test": items[validation : validation + test],
        "train": items[validation + test :],
    }


def _blocks(name: str) -> list[str]:
    text = (SOURCES / name).read_text(encoding="utf-8")
    return [block.strip() for block in text.split("\n\n") if block.strip()]
