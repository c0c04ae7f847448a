"""Probes: what has a model learned? Pairs of sentences for agreement, a sentence and four endings for the world's facts.

A subject and a verb of an agreement probe never stand side by side in the training text, so no pair of words can have
been learned by heart. Facts are asked in wordings that no document uses.
"""

from __future__ import annotations

import re
from pathlib import Path

from . import scenes
from .lexicon import plural
from .nature import third
from .patterns import Writer
from .world import PEOPLE, TOWNS

SIZE = 120
TRAINING = Path(__file__).resolve().parents[1] / "general_train.txt"
# Asked in words of their own; what follows is chosen from four.
FACTS = {
    "landmark": "Whoever wants to look at {landmark} must travel to",
    "product": "The {product} on this table were brought here from",
    "job": "Ask for {name} when you are next in",
    "pet": "Early today {pet_name} the {pet} ran away from",
    "thing": "Somebody has moved the {thing} of",
}


def rows(split: str) -> list[dict]:
    """All probes: ``kind`` agreement (``text`` a list of two, the right one first) or fact (``prompt``, ``choices``)."""
    return [*_agreement(), *_facts()]


def _agreement() -> list[dict]:
    from .general import documents  # what the training file holds, also when it is not written yet

    seen = set(zip(*(words := re.findall(r"[a-z'-]+", " ".join(documents("train")).lower()), words[1:]), strict=False))
    writer = Writer("probes agreement")
    found: list[dict] = []
    for apart in (False, True):
        kept: list[dict] = []
        while len(kept) < SIZE:
            row = _pair(writer, apart)
            right, wrong = row.pop("verbs")
            fresh = all((row["head"].split()[-1], verb) not in seen for verb in (right, wrong))
            if fresh and row["text"] not in [other["text"] for other in kept]:
                kept.append(row)
        found += kept
    return [{"id": f"agreement-{number:03}", **row} for number, row in enumerate(found, start=1)]


def _pair(writer: Writer, apart: bool) -> dict:
    """Two sentences that differ in the number of the verb; if ``apart``, a noun of the other number stands between."""
    rng = writer.rng
    kind = rng.choice(["person", "bird", "beast", "boat", "thing"])
    many = rng.random() < 0.5
    noun = scenes.noun(writer, kind)
    while plural(noun) == noun:
        noun = scenes.noun(writer, kind)
    head = plural(noun) if many else noun
    writer.begin()
    middle = ""
    if apart:
        while not middle or "{" in middle:
            middle = f" {scenes.between(writer, kind, not many)}"
    if kind == "thing":
        state = rng.choice(scenes.THING_STATES)
        both = (f"are {state}", f"is {state}")
    else:
        phrase = rng.choice([verb for verb in scenes.SUBJECTS[kind] if "their young" not in verb])
        both = (phrase, third(phrase))
    right, wrong = both if many else both[::-1]
    text = [writer.sentence(f"the {head}{middle} {verb}.") for verb in (right, wrong)]
    verbs = right.split()[0], wrong.split()[0]
    return {"kind": "agreement", "apart": apart, "plural": many, "head": head, "text": text, "verbs": verbs}


def _facts() -> list[dict]:
    rng = Writer("probes facts").rng
    towns, firsts = [town.name for town in TOWNS], [person.first for person in PEOPLE]
    asked: list[tuple[str, str, str, list[str]]] = []
    for town in TOWNS:
        asked.append(("landmark", FACTS["landmark"].format(landmark=town.landmark), town.name, towns))
        asked.append(("product", FACTS["product"].format(product=town.product), town.name, towns))
    for person in PEOPLE:
        asked.append(("job", FACTS["job"].format(name=f"the {person.job}"), person.town, towns))
        asked.append(("pet", FACTS["pet"].format(pet_name=person.pet_name, pet=person.pet), person.first, firsts))
        asked.append(("thing", FACTS["thing"].format(thing=person.thing), person.first, firsts))
    found = []
    for number, (relation, prompt, answer, others) in enumerate(asked, start=1):
        wrong = rng.sample([other for other in others if other != answer], 3)
        choices = [answer, *wrong]
        rng.shuffle(choices)
        row = {"id": f"fact-{number:03}", "kind": "fact", "relation": relation, "prompt": prompt}
        found.append({**row, "choices": choices, "answer": choices.index(answer)})
    return found
