"""The general corpus: stories, dialogues, how-to pages, facts, portraits, scenes, letters, in one shuffled order.

``documents(split)`` gives the documents of a split. Whole plots, dialogues, tasks and wordings serve one split only; what
all splits share is the world (its facts must be the same), the word lists, how a story opens, and the loose sentences of
scenes.py. Diaries, letters, weather reports and notices are made of few sentences, so only the training data has them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from . import scenes, wordings
from .nature import ANIMALS, JOBS, PLANTS, TOOLS, third
from .patterns import Pool, Writer, parted
from .world import PEOPLE, TOWN, TOWNS, Person, Town, place_of

SUBSTANCES = ("smoked fish", "sea salt", "flour", "honey", "cheese", "wool", "jam", "trout")
"""Products that take the singular."""

HERE = Path(__file__).resolve().parent
SIZES = {
    "train": {"story": 480, "dialogue": 180, "howto": 130, "animal": 240, "plant": 100, "tool": 100, "job": 90,
              "town": 680, "person": 960, "scene": 1000, "diary": 60, "letter": 50, "report": 30, "notice": 40},
    "validation": {"story": 22, "dialogue": 9, "howto": 6, "animal": 10, "plant": 4, "tool": 4, "job": 4, "town": 12,
                   "person": 16, "scene": 10},
    "test": {"story": 30, "dialogue": 12, "howto": 9, "animal": 14, "plant": 6, "tool": 6, "job": 6, "town": 18,
             "person": 24, "scene": 15},
}  # fmt: skip


def sections(name: str) -> dict[str, list[list[str]]]:
    """A source file: title -> groups of lines; ``## title`` begins a section, an empty line a group."""
    found: dict[str, list[list[str]]] = {}
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            groups = found.setdefault(line[3:].strip(), [[]])
        elif line.strip():
            groups[-1].append(line.strip())
        elif groups[-1]:
            groups.append([])
    return {title: [group for group in groups if group] for title, groups in found.items()}


def documents(split: str) -> list[str]:
    """The split's documents, the same every time."""
    maker = Maker(split)
    texts = [text for kind, count in SIZES[split].items() for text in maker.make(kind, count)]
    maker.writer.rng.shuffle(texts)
    return texts


class Maker:
    """Writes the documents of one split, kind by kind."""

    def __init__(self, split: str):
        self.split = split
        self.writer = Writer(f"general {split}")
        self.rng = self.writer.rng
        self.people = Pool(PEOPLE, self.rng)
        self.friends = Pool(PEOPLE, self.rng)
        self._wordings: dict[tuple[str, str], Pool] = {}

    def make(self, kind: str, count: int) -> list[str]:
        """``count`` documents of a kind, no two the same."""
        one: Callable[[], str] = getattr(self, f"{kind}_maker")()
        texts: list[str] = []
        while len(texts) < count:
            text = one()
            if text not in texts:
                texts.append(text)
        return texts

    # What a document is about

    def cast(self) -> tuple[Person, Person]:
        """A main person and a friend, whose facts go into the slots."""
        hero, friend = self.people.draw(), self.friends.draw()
        while friend is hero:
            friend = self.friends.draw()
        town = TOWN[hero.town]
        others = self.rng.sample([person.first for person in PEOPLE if person not in (hero, friend)], 2)
        self.writer.begin(
            h2=others[0], h3=others[1],
            H=hero.name, h=hero.first, he=hero.they, him=hero.them, his=hero.their, He=hero.they.capitalize(),
            His=hero.their.capitalize(), job=hero.job, a_job=f"a {hero.job}", pet=hero.pet, petname=hero.pet_name,
            thing=hero.thing, F=friend.name, f=friend.first, fhe=friend.they, fhis=friend.their, fhim=friend.them,
            fjob=friend.job, a_fjob=f"a {friend.job}", ftown=friend.town, radio="Rafe Winter", radio_town="Kestrel Hill",
            **self.town_facts(town),
        )  # fmt: skip
        return hero, friend

    def town_facts(self, town: Town) -> dict[str, str]:
        others = self.rng.sample([other.name for other in TOWNS if other is not town], 2)
        return {
            "town": town.name, "T": town.name, "landmark": town.landmark, "product": town.product, "water": town.water,
            "are": "is" if town.product in SUBSTANCES else "are", "come": "comes" if town.product in SUBSTANCES else "come",
            "festival": town.festival, "month": town.month, "town2": others[0], "town3": others[1],
        }  # fmt: skip

    def word(self, family: dict[str, list[str]], name: str, key: str) -> str:
        """The next wording of this split for one kind of statement."""
        if (name, key) not in self._wordings:
            self._wordings[name, key] = Pool(parted(family[key], f"wording {name} {key}", self.split), self.rng)
        return self._wordings[name, key].draw()

    def told(self, family: dict[str, list[str]], name: str, keys: list[str]) -> str:
        """One sentence for each key, in the order given."""
        return " ".join(self.writer.sentence(self.word(family, name, key)) for key in keys)

    def mixed(self, family: dict[str, list[str]], name: str, keys: list[str], loose: list[str]) -> str:
        """As ``told``, with two loose sentences among the others."""
        sentences = [self.writer.sentence(self.word(family, name, key)) for key in keys]
        for pattern in self.rng.sample(loose, 2):
            sentences.insert(self.rng.randint(1, len(sentences)), self.writer.sentence(pattern))
        return " ".join(sentences)

    # Kinds of document

    def story_maker(self) -> Callable[[], str]:
        plots = Pool(parted(sorted(sections("plots.txt").items()), "plots", self.split), self.rng)
        opening = [
            "{H}, the {job} of {town}, [lived|had a house] near {landmark}.",
            "In {town}, where {landmark} stands, lived {a_job} called {H}.",
            "{H} was the {job} of {town}.",
            "This [is a story about|happened to] {H}, the {job} of {town}.",
            "Everybody in {town} knows {H}, the {job}, and {his} {thing}.",
            "The {job} of {town} is called {H}, and {his} {pet} is called {petname}.",
            "{H} and {petname} the {pet} lived in {town}.",
        ]
        friendly = [
            "{F}, the {fjob} of {ftown}, was {his} [best|oldest] friend.",
            "{His} friend {F} was the {fjob} of {ftown}.",
            "{F} [came|had come] over from {ftown}, where {fhe} was the {fjob}.",
            "With {him} was {F}, {a_fjob} from {ftown}.",
        ]

        def one() -> str:
            self.cast()
            _, beats = plots.draw()
            sentences = [
                self.writer.sentence(self.rng.choice(opening)),
                self.writer.sentence(self.rng.choice(friendly)),
            ]
            for number, beat in enumerate(beats):
                sentences.append(self.writer.sentence(self.rng.choice(beat)))
                if 0 < number < len(beats) - 1 and self.rng.random() < 0.55:
                    sentences.append(self.writer.sentence(self.rng.choice(scenes.PAST)))
            return " ".join(sentences)

        return one

    def dialogue_maker(self) -> Callable[[], str]:
        plots = Pool(parted(sorted(sections("dialogues.txt").items()), "dialogues", self.split), self.rng)

        def one() -> str:
            self.cast()
            _, (lines,) = plots.draw()
            start, end = (self.writer.sentence(pattern) for pattern in self.rng.sample(scenes.PAST, 2))
            return "\n".join([start, *(self.writer.sentence(line) for line in lines), end])

        return one

    def howto_maker(self) -> Callable[[], str]:
        tasks = Pool(parted(sorted(sections("howto.txt").items()), "howto", self.split), self.rng)

        def one() -> str:
            self.cast()
            title, (lines,) = tasks.draw()
            head = self.rng.choice(["How to {x}", "How to {x}, by {H}", "{H} tells you how to {x}"]).replace(
                "{x}", title
            )
            steps = [f"{number}. {self.writer.sentence(line)}" for number, line in enumerate(lines[1:], start=1)]
            need = self.writer.sentence(f"You need {lines[0]}.") if not lines[0].startswith("[the sky") else ""
            return "\n".join(part for part in (self.writer.sentence(head), need, *steps) if part)

        return one

    def animal_maker(self) -> Callable[[], str]:
        rows = Pool(ANIMALS, self.rng)

        def one() -> str:
            name, group, colour, food, home, does, also = rows.draw()
            self.writer.begin(A=name, group=group, colour=colour, food=food, home=home, does=does, also=also,
                              does3=third(does), also3=third(also))  # fmt: skip
            keys = ["kind", *self.rng.sample(["colour", "eats", "lives", "does"], 4)]
            return self.told(wordings.ANIMAL, "animal", keys[: self.rng.choice([4, 5, 5])])

        return one

    def plant_maker(self) -> Callable[[], str]:
        rows = Pool(PLANTS, self.rng)

        def one() -> str:
            name, kind, colour, where, time, use = rows.draw()
            self.writer.begin(P=name, kind=kind, colour=colour, where=where, time=time, use=use, botanist="Hana Sato")
            return self.told(wordings.PLANT, "plant", ["kind", *self.rng.sample(["flower", "use"], 2)])

        return one

    def tool_maker(self) -> Callable[[], str]:
        rows = Pool(TOOLS, self.rng)

        def one() -> str:
            name, use, kept, made, user = rows.draw()
            self.writer.begin(T=name, use=use, kept=kept, made=made, user=user)
            return self.told(wordings.TOOL, "tool", ["use", *self.rng.sample(["made", "kept", "user"], 3)])

        return one

    def job_maker(self) -> Callable[[], str]:
        rows = Pool(JOBS, self.rng)

        def one() -> str:
            name, does, place, needs = rows.draw()
            first = does.split(" and ")[0]
            self.writer.begin(J=name, does=does, first=first, place=place, needs=needs)
            return self.told(wordings.JOB, "job", ["does", *self.rng.sample(["place", "needs"], 2)])

        return one

    def town_maker(self) -> Callable[[], str]:
        towns = Pool(TOWNS, self.rng)

        def one() -> str:
            town = towns.draw()
            someone = self.rng.choice([person for person in PEOPLE if person.town == town.name])
            friend = self.rng.choice(PEOPLE).name
            self.writer.begin(
                where=place_of(town), P=someone.name, job=someone.job, friend=friend, **self.town_facts(town)
            )
            keys = ["where", *self.rng.sample(["landmark", "product", "festival", "people"], self.rng.choice([3, 4]))]
            return self.mixed(wordings.TOWN, "town", keys, wordings.TOWN_LOOSE)

        return one

    def person_maker(self) -> Callable[[], str]:
        people = Pool(PEOPLE, self.rng)

        def one() -> str:
            person = people.draw()
            friend = self.rng.choice([other for other in PEOPLE if other is not person])
            self.writer.begin(
                P=person.name, first=person.first, they=person.they, them=person.them, their=person.their, he=person.they,
                town=person.town, job=person.job, age=str(person.age), pet=person.pet, petname=person.pet_name,
                thing=person.thing, friend=friend.name, **dict(list(self.town_facts(TOWN[person.town]).items())[-2:]),
            )  # fmt: skip
            keys = ["job", *self.rng.sample(["pet", "thing"], 2)]
            return self.mixed(wordings.PERSON, "person", keys, wordings.PERSON_LOOSE)

        return one

    def scene_maker(self) -> Callable[[], str]:
        heads = ["It is {hour} o'clock in {town}.", "A [morning|evening|picture] in {town}.", "This is {town} on a {weather_adj} day.",
                 "Look out of the window at {shore}."]  # fmt: skip

        def one() -> str:
            self.cast()
            start = self.writer.sentence(self.rng.choice(heads))
            return " ".join([start, *(scenes.present(self.writer) for _ in range(self.rng.choice([6, 7, 8, 9])))])

        return one

    def _chosen_maker(self, patterns: list[str], low: int, high: int, ends: int = 0) -> Callable[[], str]:
        """Documents of some of the sentences in their order; the first and the last ``ends`` are always there."""

        def one() -> str:
            self.cast()
            middle = patterns[1 : len(patterns) - ends]
            kept = sorted(self.rng.sample(range(len(middle)), self.rng.randint(low, high)))
            lines = [patterns[0], *(middle[place] for place in kept), *(patterns[-ends:] if ends else [])]
            return " ".join(self.writer.sentence(line) for line in lines)

        return one

    def diary_maker(self) -> Callable[[], str]:
        return self._chosen_maker(scenes.DIARY, 5, 8)

    def letter_maker(self) -> Callable[[], str]:
        return self._chosen_maker(scenes.LETTER, 5, 8, ends=2)

    def report_maker(self) -> Callable[[], str]:
        return self._chosen_maker(scenes.REPORT, 5, 7, ends=1)

    def notice_maker(self) -> Callable[[], str]:
        def one() -> str:
            self.cast()
            chosen = self.rng.sample(scenes.NOTICE, 3)
            return "\n".join(self.writer.sentence(line) for line in chosen)

        return one
