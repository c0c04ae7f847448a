"""Questions and answers about the shop and the coast, for instruction tuning: training pairs and the test's rows.

A fact is one field of one record (``product/Harrier tent/price``). Of the facts of each field about one in seven is
kept out of the training pairs: the texts state it, and nobody asks for it. Each other fact is asked for in four
wordings, drawn from those of its field: two or three here, twelve in qa_wordings.txt. The last two wordings of each field
there are kept for validation. The test's questions are written by hand (shop_questions.txt), in words of their own.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from . import world
from .shop_text import SEED, counted, facts

SOURCES = Path(__file__).resolve().parent
ONE_IN = 7
"""Of so many facts of a field one is not asked for in training."""
WORDINGS = 4
"""In so many wordings a fact is asked for in training."""
KEPT_WORDINGS, VALIDATION_FACTS = 2, 120
"""Of each field so many wordings are kept for validation, in which so many facts are asked for."""


class Field(NamedTuple):
    """A field that can be asked for: the kind of its answer, first wordings of the question, wordings of the answer."""

    kind: str
    questions: tuple[str, ...]
    answers: tuple[str, ...]


FIELDS: dict[str, Field] = {
    "product/price": Field(
        "dollars",
        ("What does the {name} cost?", "How much is the {name}?", "What is the price of the {name}?"),
        ("The {name} costs {value}.", "It costs {value}."),
    ),
    "product/colour": Field(
        "colour",
        ("What colour is the {name}?", "Which colour does the {name} have?"),
        ("The {name} is {value}.", "It is {value}."),
    ),
    "product/material": Field(
        "material",
        ("What is the {name} made of?", "Which material is the {name} made from?"),
        ("The {name} is made of {value}.", "It is made of {value}."),
    ),
    "product/shelf": Field(
        "spot",
        ("Where do I find the {name}?", "Where is the {name} kept?", "Where in the shop is the {name}?"),
        ("You find the {name} at {value}.", "It is at {value}."),
    ),
    "product/maker": Field(
        "person",
        ("Who makes the {name}?", "Who is the maker of the {name}?"),
        ("{value} makes the {name}.", "It is made by {value}."),
    ),
    "product/years": Field(
        "years",
        ("How long is the warranty of the {name}?", "How many years of warranty has the {name}?"),
        ("The {name} has a warranty of {value}.", "The warranty is {value}."),
    ),
    "staff/job": Field(
        "task",
        ("What does {name} do in the shop?", "What is the job of {name}?"),
        ("{name} {value}.",),
    ),
    "staff/day_off": Field(
        "weekday",
        ("When does {name} have a day off?", "On which day does {name} not work?"),
        ("{name} has {value} off.", "The day off of {name} is {value}."),
    ),
    "staff/drink": Field(
        "drink",
        ("What does {name} drink?", "What is the favourite drink of {name}?"),
        ("{name} drinks {value}.",),
    ),
    "staff/hobby": Field(
        "hobby",
        ("What does {name} like to do after work?", "What is the hobby of {name}?"),
        ("{name} likes {value}.", "The hobby of {name} is {value}."),
    ),
    "service/price": Field(
        "dollars",
        ("What does it cost to mend {name}?", "How much is the repair of {name}?"),
        ("To mend {name} costs {value}.", "The repair costs {value}."),
    ),
    "service/days": Field(
        "days",
        ("How long does it take to mend {name}?", "How many days does the repair of {name} take?"),
        ("It takes {value}.", "The repair takes {value}."),
    ),
    "service/who": Field(
        "person",
        ("Who mends {name}?", "Who can repair {name}?"),
        ("{value} mends {name}.", "That is done by {value}."),
    ),
    "day/opens": Field(
        "hour",
        ("When do you open on {name}?", "At what time does the shop open on {name}?"),
        ("On {name} we open at {value}.", "The shop opens at {value}."),
    ),
    "day/closes": Field(
        "hour",
        ("When do you close on {name}?", "At what time does the shop shut on {name}?"),
        ("On {name} we close at {value}.", "The shop closes at {value}."),
    ),
    "event/day": Field(
        "weekday",
        ("On which day is {name}?", "When is {name}?"),
        ("{name} is on {value}.", "It is on {value}."),
    ),
    "event/who": Field(
        "person",
        ("Who leads {name}?", "Who is in charge of {name}?"),
        ("{value} leads {name}.", "It is led by {value}."),
    ),
    "event/cost": Field(
        "dollars",
        ("What does {name} cost?", "How much do I pay for {name}?"),
        ("{name} costs {value}.", "You pay {value}."),
    ),
    "event/bring": Field(
        "thing",
        ("What do I have to bring to {name}?", "What do I need for {name}?"),
        ("Bring {value}.", "You need {value}."),
    ),
    "hire/price": Field(
        "dollars",
        ("What does it cost to hire {name}?", "How much is {name} for a day?"),
        ("To hire {name} costs {value} a day.", "It is {value} a day."),
    ),
    "hire/deposit": Field(
        "dollars",
        ("How much deposit do you take for {name}?", "What is the deposit for {name}?"),
        ("The deposit for {name} is {value}.", "We take {value}."),
    ),
    "town/landmark": Field(
        "spot",
        ("What is the landmark of {name}?", "What can I see in {name}?"),
        ("In {name} you can see {value}.", "The landmark of {name} is {value}."),
    ),
    "town/product": Field(
        "goods",
        ("What is {name} known for?", "What comes from {name}?"),
        ("{name} is known for {value}.", "{name} sends {value} all along the coast."),
    ),
    "town/festival": Field(
        "festival",
        ("Which festival is held in {name}?", "What is the festival of {name} called?"),
        ("In {name} they hold {value}.", "The festival is called {value}."),
    ),
    "town/month": Field(
        "month",
        ("In which month is the festival of {name}?", "When does {name} have its festival?"),
        ("It is in {value}.", "The festival of {name} is in {value}."),
    ),
    "person/town": Field(
        "town",
        ("Where does {name} live?", "In which town does {name} live?"),
        ("{name} lives in {value}.", "The home of {name} is {value}."),
    ),
    "person/job": Field(
        "job",
        ("What does {name} do for a living?", "What is {name} by trade?"),
        ("{name} is {value}.", "{name} works as {value}."),
    ),
    "person/pet": Field(
        "animal",
        ("What kind of pet does {name} have?", "Which animal does {name} keep?"),
        ("{name} has {value}.", "{name} keeps {value}."),
    ),
    "person/pet_name": Field(
        "petname",
        ("What is the pet of {name} called?", "What is the name of the pet of {name}?"),
        ("It is called {value}.", "The pet of {name} is called {value}."),
    ),
}


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[0].lower() in "aeiou" else f"a {noun}"


VALUE: dict[str, Callable] = {
    "dollars": lambda value: f"{value} dollars",
    "years": lambda value: counted(value, "year"),
    "days": lambda value: counted(value, "day"),
    "job": _with_article,
    "animal": _with_article,
}


class Fact(NamedTuple):
    """One fact: its id, its field, the name of its record, the value as an answer says it, whether training asks it."""

    id: str
    field: str
    name: str
    value: str
    asked: bool


def all_facts() -> dict[str, Fact]:
    """Every fact by its id, in a fixed order."""
    records = {**facts(), "town": [vars(town) for town in world.TOWNS]}
    records["person"] = [{**vars(person), "name": person.name} for person in world.PEOPLE]
    found = {}
    for key, field in FIELDS.items():
        subject, column = key.split("/")
        rows = records[subject]
        kept_out = set(random.Random(f"{SEED} {key}").sample(range(len(rows)), max(1, len(rows) // ONE_IN)))
        for place, row in enumerate(rows):
            value = VALUE.get(field.kind, str)(row[column])
            fact = Fact(f"{subject}/{row['name']}/{column}", key, row["name"], value, place not in kept_out)
            found[fact.id] = fact
    return found


def rows(split: str) -> list[dict]:
    """The pairs of ``train`` (question, answer, kind, value, fact) or the rows of another split (no answer, ``asked``)."""
    return {"train": _train, "validation": _validation, "test": _test}[split]()


def question_wordings() -> dict[str, list[str]]:
    """Every wording of a question, by field: those of ``FIELDS``, then the lines ``field | wording`` of the file."""
    found = {key: list(field.questions) for key, field in FIELDS.items()}
    for line in (SOURCES / "qa_wordings.txt").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            key, wording = (part.strip() for part in line.split("|"))
            found[key].append(wording)
    return found


def _train() -> list[dict]:
    rng = random.Random(f"{SEED} qa train")
    wordings = question_wordings()
    pairs = []
    for fact in all_facts().values():
        field = FIELDS[fact.field]
        if fact.asked:
            # A wording that names the value ("Is it blue, or …?") is no question for this fact.
            value = fact.value.casefold().removeprefix("a ").removeprefix("an ")
            open_ones = [text for text in wordings[fact.field][:-KEPT_WORDINGS] if value not in text.casefold()]
            for question in rng.sample(open_ones, WORDINGS):
                answer = rng.choice(field.answers).format(name=fact.name, value=fact.value)
                pairs.append(
                    {
                        "question": _capital(question.format(name=fact.name)),
                        "answer": _capital(answer),
                        "kind": field.kind,
                        "value": fact.value,
                        "fact": fact.id,
                    }
                )
    rng.shuffle(pairs)
    return pairs


def _validation() -> list[dict]:
    """Facts that the pairs ask for, each in one of its field's kept wordings."""
    rng = random.Random(f"{SEED} qa validation")
    wordings = question_wordings()
    chosen = rng.sample([fact for fact in all_facts().values() if fact.asked], VALIDATION_FACTS)
    questions = [rng.choice(wordings[fact.field][-KEPT_WORDINGS:]).format(name=fact.name) for fact in chosen]
    return [
        _row(f"qa-validation-{number:03d}", _capital(question), fact)
        for number, (question, fact) in enumerate(zip(questions, chosen, strict=True), start=1)
    ]


def _row(name: str, question: str, fact: Fact) -> dict:
    kind = FIELDS[fact.field].kind
    told = {"id": name, "question": question, "kind": kind, "value": fact.value}
    return {**told, "fact": fact.id, "asked": fact.asked}


def _test() -> list[dict]:
    """The hand-written questions, each with its fact: lines of ``fact id | question``."""
    known, found = all_facts(), []
    for line in (SOURCES / "shop_questions.txt").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, question = (part.strip() for part in line.split("|"))
            fact = known[name]
            found.append(_row(f"qa-test-{len(found) + 1:03d}", question, fact))
    return found


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
