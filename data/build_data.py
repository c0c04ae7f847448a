"""Build the template-made triage splits from the frames in data/triage/sources/, the same bytes every time.

    python data/build_data.py            write data/triage/{train,validation,test}.jsonl and the tables of the data card
    python data/build_data.py --check    write nothing; exit 1 when a file differs from what would be written

The hand-written splits (*_handwritten.jsonl) are sources themselves and are never touched. A frame or a clause
serves one split only, so that the template-made test shares no sentence with the training data; wordings of products,
greetings and sign-offs are shared. Messages that were written whole, with their labels (sources/whole_messages.jsonl),
are training messages as they stand.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from data_card import with_counts

SOURCES = Path(__file__).resolve().parent / "triage" / "sources"
TARGET = SOURCES.parent
CARD = TARGET.parent / "README.md"
SEED = 2026
SPLIT_SIZES = {"train": 5000, "validation": 100, "test": 150}  # made from frames
# Of each category's frames and of each kind of clause: this many in a hundred are kept for validation and for test.
HELD_OUT = {"validation": 7, "test": 8}
MAX_WORDS = 70

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PLACES = (
    "Dubbo", "Ballarat", "Hobart", "Cairns", "Geelong", "Orange", "Albury", "Broome", "Bendigo", "Noosa", "Katoomba",
    "Port Lincoln", "Alice Springs", "Torquay", "Coffs Harbour", "Launceston", "Fremantle", "Mildura", "Wagga",
)  # fmt: skip
PRICES = ("$24.95", "$39", "$59.90", "$89", "$120", "$149", "$189", "$219.95", "$260", "$340", "$415", "$79.50")
# {n} stands for the five digits; the forms with the word "order" are not put after that word.
ORDER_FORMS = (
    "WW-{n}", "WW-{n}", "WW-{n}", "WW{n}", "ww-{n}", "ww{n}", "WW {n}", "ww {n}", "Ww-{n}", "#{n}", "no. {n}",
    "#WW-{n}", "#WW{n}",
)  # fmt: skip
ORDER_FORMS_WITH_WORD = ("order {n}", "order #{n}", "order no. {n}", "order WW-{n}", "order number {n}", "order ww{n}")
ORDER_SHARE = {
    "delivery": 0.5, "return": 0.5, "faulty": 0.45, "order_change": 0.55, "payment": 0.45, "stock": 0.1, "advice": 0.1,
    "store": 0.2, "account": 0.15, "feedback": 0.2,
}  # fmt: skip


class Pool:
    """Items handed out in shuffled rounds, so that each is used as often as any other."""

    def __init__(self, items: Iterable, rng: random.Random):
        self.items, self.rng, self.waiting = list(items), rng, []

    def draw(self):
        if not self.waiting:
            self.waiting = self.rng.sample(self.items, len(self.items))
        return self.waiting.pop()


def read_jsonl(name: str) -> list[dict]:
    return [json.loads(line) for line in (SOURCES / name).read_text(encoding="utf-8").splitlines() if line.strip()]


def read_lines(name: str) -> list[str]:
    return [line for line in (SOURCES / name).read_text(encoding="utf-8").splitlines() if line.strip()]


def parted(items: list[dict], name: str) -> dict[str, list[dict]]:
    """The items, each given to one split: ordered by a hash of their text, so that a new one moves few, then cut."""
    items = sorted(items, key=lambda item: random.Random(f"{SEED} {name} {item['text']}").random())
    shares, start = {}, 0
    for split, percent in HELD_OUT.items():
        count = max(1, round(len(items) * percent / 100))
        shares[split] = items[start : start + count]
        start += count
    return {**shares, "train": items[start:]}


def frames_of(category: str) -> dict[str, list[dict]]:
    """A category's frames, each given to one split."""
    return parted(read_jsonl(f"frames_{category}.jsonl"), f"frames {category}")


def clauses_of(split: str) -> dict[tuple[str, str | None], list[dict]]:
    """A split's clauses, by what they carry: an urgency, a mood, an order id or a distractor."""
    kinds = defaultdict(list)
    for clause in read_jsonl("clauses.jsonl"):
        kinds[clause["kind"], clause["value"]].append(clause)
    return {kind: parted(clauses, f"clauses {kind}")[split] for kind, clauses in kinds.items()}


class MessageMaker:
    """Turns frames into messages with labels; one per split, with a random stream of its own."""

    def __init__(self, split: str):
        self.rng = random.Random(f"{SEED} {split}")
        self.wordings = {
            family: Pool(words, self.rng)
            for family, words in json.loads((SOURCES / "products.json").read_text(encoding="utf-8")).items()
        }
        self.family_uses: Counter[str] = Counter()
        self.clauses = {kind: Pool(clauses, self.rng) for kind, clauses in clauses_of(split).items()}
        self.greetings = Pool(read_lines("greetings.txt"), self.rng)
        self.signoffs = Pool(read_lines("signoffs.txt"), self.rng)

    def make(self, frame: dict) -> tuple[str, dict]:
        """One message and its label."""
        label = {
            "category": frame["category"],
            "product": self._family(frame),
            "urgency": frame["urgency"],
            "order_id": None,
            "mood": frame["mood"],
        }
        before, after = [], []
        for clause in self._clauses_for(frame, label):
            if clause["kind"] in ("urgency", "mood"):
                label[clause["kind"]] = clause["value"]
            (before if clause["where"] == "before" else after).append(clause["text"])
        self.rng.shuffle(after)
        text = " ".join([*before, _ended(frame["text"]) if after else frame["text"], *after])
        text = self._fill(text, label)
        if self.rng.random() < 0.32:
            text = f"{self.greetings.draw()} {text}"
        if self.rng.random() < 0.2:
            text = f"{_ended(text)} {self.signoffs.draw()}"
        return self._roughen(text), label

    def _family(self, frame: dict) -> str | None:
        if frame["products"] is None:
            return None
        families = sorted(self.wordings) if frame["products"] == "any" else frame["products"]
        # The least used family first (ties by chance), so that rare products are learnt as well as common ones.
        family = min(families, key=lambda name: (self.family_uses[name], self.rng.random()))
        self.family_uses[family] += 1
        return family

    def _clauses_for(self, frame: dict, label: dict) -> list[dict]:
        """Up to two extra sentences that fit the frame; they may carry the order id, the urgency or the mood."""
        wanted = []
        if "{order}" not in frame["text"] and self.rng.random() < ORDER_SHARE[frame["category"]] * 0.75:
            wanted.append(("order", None))
        # Added clauses are kept few: a message of one piece teaches more than one put together from three.
        if label["urgency"] == "normal" and self.rng.random() < 0.2:
            wanted.append(("urgency", self.rng.choices(["high", "low", "normal"], [4, 3, 2])[0]))
        if label["mood"] == "neutral" and self.rng.random() < 0.18:
            wanted.append(("mood", self.rng.choices(["upset", "happy", "neutral"], [5, 3, 2])[0]))
        if self.rng.random() < 0.05:
            wanted.append(("distractor", None))
        self.rng.shuffle(wanted)
        room = MAX_WORDS - len(frame["text"].split())
        chosen = []
        for kind in wanted[:2]:
            clause = self.clauses[kind].draw()
            room -= len(clause["text"].split())
            if room > 0:
                chosen.append(clause)
        return chosen

    def _fill(self, text: str, label: dict) -> str:
        if "{product}" in text:
            text = text.replace("{product}", self.wordings[label["product"]].draw())
            text = re.sub(r"\b([Aa]) (?=[aeiouAEIOU])(?!uni|eu|one)", r"\1n ", text)
        if "{order}" in text:
            digits = f"{self.rng.randrange(10_000, 100_000)}"
            label["order_id"] = f"WW-{digits}"
            follows_word = re.search(r"(order|number|no\.?|id|ref|#)[\s:#(]*\{order\}", text, flags=re.IGNORECASE)
            forms = ORDER_FORMS if follows_word else ORDER_FORMS + ORDER_FORMS_WITH_WORD
            if follows_word:
                forms = [form for form in forms if not form.startswith(("#", "no."))] + ["{n}"] * 3
            text = text.replace("{order}", self.rng.choice(forms).format(n=digits))
        for slot, values in (("{day}", DAYS), ("{place}", PLACES), ("{price}", PRICES)):
            while slot in text:
                text = text.replace(slot, self.rng.choice(values), 1)
        while "{n}" in text:
            text = text.replace("{n}", str(self.rng.randrange(2, 10)), 1)
        return text

    def _roughen(self, text: str) -> str:
        """How people type: some all in lower case, some without full stops, some with slips; digits are kept."""
        if self.rng.random() < 0.16:
            text = text.lower()
        elif self.rng.random() < 0.02:
            text = text.upper()
        if self.rng.random() < 0.1:
            text = re.sub(r"(?<!\d)[.,;](?=\s|$)|'", "", text)
        if self.rng.random() < 0.16:
            words = text.split(" ")
            for _ in range(self.rng.randrange(1, 4)):
                place = self.rng.randrange(len(words))
                words[place] = self._slip(words[place])
            text = " ".join(words)
        return text

    def _slip(self, word: str) -> str:
        """Swap, drop or double one inner letter of a word of letters."""
        if len(word) < 4 or not word.isalpha():
            return word
        at = self.rng.randrange(1, len(word) - 2)
        kind = self.rng.randrange(3)
        if kind == 0:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        return word[:at] + word[at + 1 :] if kind == 1 else word[:at] + word[at] + word[at:]


def _ended(text: str) -> str:
    return text if text.rstrip()[-1] in ".!?)…" else text.rstrip() + "."


def build_split(split: str) -> str:
    """The split's file contents: JSON Lines; the template-made messages are balanced to one a category."""
    maker = MessageMaker(split)
    categories = list(ORDER_SHARE)
    pools = {category: Pool(frames_of(category)[split], maker.rng) for category in categories}
    seen, rows = set(), []
    while len(rows) < SPLIT_SIZES[split]:
        message, label = maker.make(pools[categories[len(rows) % len(categories)]].draw())
        # The letters alone: messages that differ only in case, punctuation or a number count as one.
        letters = re.sub(r"[\W\d_]+", " ", message.replace("'", "")).strip().casefold()
        letters = re.sub(r"\b(ww|order|no|number)\b ?", "", letters)  # the forms of an order id
        if letters in seen:
            continue
        seen.add(letters)
        rows.append({"message": message, "label": label})
    maker.rng.shuffle(rows)
    rows = numbered(rows, f"{split}-made")
    if split == "train":
        rows += numbered(read_jsonl("whole_messages.jsonl"), "train-whole")
        maker.rng.shuffle(rows)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def numbered(rows: list[dict], name: str) -> list[dict]:
    return [{"id": f"{name}-{number:04d}", **row} for number, row in enumerate(rows, start=1)]


def _settle(path: Path, text: str, check: bool, stale: list[str]) -> None:
    """Note the file as stale when it does not hold ``text``, and unless only checking, write it."""
    if path.is_file() and path.read_bytes() == text.encode("utf-8"):
        return
    stale.append(path.name)
    if not check:
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(text.encode("utf-8"))
        temporary.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    check = parser.parse_args().check
    stale = []
    for split in SPLIT_SIZES:
        _settle(TARGET / f"{split}.jsonl", build_split(split), check, stale)
    if not (check and stale):  # the card counts the files, so it waits until they are right
        try:
            _settle(CARD, with_counts(CARD.read_text(encoding="utf-8"), TARGET), check, stale)
        except (OSError, ValueError, KeyError) as error:
            print(f"The tables of the data card could not be counted ({error}): mend that file and try again.")
            return 1
    if check and stale:
        print(f"Stale: {', '.join(stale)}. Run 'python data/build_data.py' and commit the result.")
        return 1
    print("All data files are current." if not stale else f"Written: {', '.join(stale)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
