"""Build the messy export of notebook 04, the same bytes every time, and the key that says what is wrong with each line.

    python data/build_raw_messages.py            write data/raw/support_export.jsonl and support_export_key.jsonl
    python data/build_raw_messages.py --check    write nothing; exit 1 when a file differs from what would be written

The faults are planted in copies of training messages: the key is what a cleaning pipeline is scored with, and no
pipeline may read it. Run it after build_data.py, since it draws on data/triage/train.jsonl.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import string
import sys
from pathlib import Path

from build_data import MessageMaker

from finetune_course.label_noise import spoil
from finetune_course.triage import load_split

RAW = Path(__file__).resolve().parent / "raw"
SEED = 404
# How many lines carry each fault; "good" ones carry none.
COUNTS = {
    "good": 320,
    "exact duplicate": 36,
    "near duplicate": 40,
    "wrong label": 72,
    "missing field": 14,
    "value outside the list": 8,
    "value spelt differently": 16,
    "broken line": 12,
    "wrong encoding": 14,
    "garbled characters": 12,
    "personal data": 44,
    "copied from the test set": 24,
    "other language": 18,
    "empty message": 10,
}
EMPTY = ("", " ", "-", ".", "n/a", "(no text)", "test", "\n", "...", "?")
NAMES = (
    "Kim Kettle", "Beau Lantern", "Orrin Vale", "Marjorie Tapley", "Dannika Frost", "Hollis Greatorex",
    "Saoirse Hinchbrook", "Terrence Oakhollow", "Wendeline Abacus", "Tuan Peverell",
)  # fmt: skip
PHONES = ("0491 570 006", "0491570156", "+61 491 570 157", "0491-570-158", "(02) 5550 0142", "0491 570 110")
CARDS = ("4242 4242 4242 4242", "5555-5555-5555-4444", "4111111111111111", "3782 822463 10005")
STREETS = (
    "14 Quokka Whistle Lane, Torquay VIC 3228",
    "71 Gumnut Rise, Ballarat VIC 3350",
    "PO Box 4410, Broome WA 6725",
)
PERSONAL = (
    "Call me on {phone}.",
    "My number is {phone}, text is fine.",
    "Write to {email}, not to the old address.",
    "The account is under {email}.",
    "I paid with {card}.",
    "My address is {address}.",
    "Regards, {name}, {phone}",
    "Cheers, {name}",
    "{name}, {email}",
)
FIRST_WORDS = ("Following up:", "As I wrote yesterday,", "Second try.", "Hello again,", "Reminder:", "Still waiting.")
SPELT = {
    "category": lambda value: value.replace("_", " ").title(),
    "urgency": str.upper,
    "mood": str.capitalize,
    "order_id": lambda value: value.replace("WW-", "#"),
}


def copies_of(rows: list[dict], rng: random.Random, count: int) -> list[dict]:
    return [json.loads(json.dumps(row)) for row in rng.sample(rows, count)]


def edited(message: str, rng: random.Random, maker: MessageMaker) -> str:
    """The message sent again by the same person: another beginning, other digits, a slip or two, a sentence less."""
    words = re.sub(r"\d", lambda digit: str((int(digit[0]) + 3) % 10), message).split(" ")
    for _ in range(2):
        place = rng.randrange(len(words))
        words[place] = maker._slip(words[place])
    text = " ".join(words)
    return f"{rng.choice(FIRST_WORDS)} {text}" if rng.random() < 0.6 else text


def misspelt(label: dict, rng: random.Random) -> dict:
    field = rng.choice([name for name in SPELT if label[name] and SPELT[name](label[name]) != label[name]])
    return {**label, field: SPELT[field](label[field])}


def outside(label: dict, rng: random.Random) -> dict:
    field, value = rng.choice([("category", "refund"), ("urgency", "asap"), ("product", "drone"), ("mood", "4")])
    return {**label, field: value}


def with_personal_data(message: str, rng: random.Random) -> tuple[str, list[tuple[str, int, int]]]:
    """The message with a sentence of personal data behind it, and the spans (kind, start, end) that this planted."""
    name = rng.choice(NAMES)
    email = f"{name.lower().replace(' ', '.')}@example.{rng.choice(['org', 'com', 'net'])}"
    sentence = rng.choice(PERSONAL)
    values = {"phone": rng.choice(PHONES), "card": rng.choice(CARDS), "address": rng.choice(STREETS)}
    values |= {"name": name, "email": email}
    text, spans = f"{message} ", []
    for before, kind, *_ in string.Formatter().parse(sentence):
        text += before
        if kind:
            spans.append((kind, len(text), len(text) + len(values[kind])))
            text += values[kind]
    return text, spans


def typographic(row: dict) -> dict:
    """The row with the curly apostrophes that phones put in: a letter that encodings write differently."""
    return {**row, "message": row["message"].replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")}


class Export:
    """The lines of the export as (place, bytes, key), where ``place`` (0 to 1) decides where a line stands."""

    def __init__(self, train: list[dict], tested: list[dict], foreign: list[str]):
        self.rng = random.Random(SEED)
        self.maker = MessageMaker("train")  # for its slips alone
        self.pool = self.rng.sample(train, len(train))
        self.lines: list[tuple[float, bytes, dict]] = []
        good = [self.pool.pop() for _ in range(COUNTS["good"])]
        places = [self.add(row) for row in good]
        self.resent(list(zip(good, places, strict=True)))
        self.mislabelled()
        self.unreadable()
        self.inside_out(tested, foreign)

    def add(self, row: dict, *faults: str, after: float = 0.0, raw: bytes | None = None, **more) -> float:
        """Put a row in at random, behind ``after``; returns its place."""
        place = after + (1 - after) * self.rng.random()
        content = {key: row[key] for key in ("message", "label") if key in row}
        data = raw if raw is not None else json.dumps(content, ensure_ascii=False).encode()
        self.lines.append((place, data, {"faults": list(faults), **more}))
        return place

    def take(self, fault: str) -> list[dict]:
        return [json.loads(json.dumps(self.pool.pop())) for _ in range(COUNTS[fault])]

    def resent(self, good: list[tuple[dict, float]]) -> None:
        chosen = self.rng.sample(good, COUNTS["exact duplicate"] + COUNTS["near duplicate"])
        for number, (row, place) in enumerate(chosen):
            again = json.loads(json.dumps(row))
            if number < COUNTS["exact duplicate"]:
                again["message"] = self.rng.choice([str, str.upper, str.strip, lambda text: f"  {text}\n"])(
                    row["message"]
                )
                self.add(again, "exact duplicate", after=place)
            else:
                again["message"] = edited(row["message"], self.rng, self.maker)
                if row["label"]["order_id"]:
                    digits = row["label"]["order_id"][3:].translate(str.maketrans("0123456789", "3456789012"))
                    again["label"]["order_id"] = f"WW-{digits}"
                self.add(again, "near duplicate", after=place)

    def mislabelled(self) -> None:
        for number, row in enumerate(self.take("wrong label")):
            right, kind = row["label"], ("careless", "misread")[number % 2]
            row["label"] = spoil(right, kind, self.rng)
            if row["label"] == right:  # nothing to misread in this one
                row["label"] = spoil(right, "careless", self.rng)
            self.add(row, "wrong label", right=right)
        for row in self.take("missing field"):
            if self.rng.random() < 0.3:
                row.pop(self.rng.choice(["message", "label"]))
            else:
                row["label"].pop(self.rng.choice(list(row["label"])))
            self.add(row, "missing field")
        for row in self.take("value outside the list"):
            self.add({**row, "label": outside(row["label"], self.rng)}, "value outside the list")
        for row in self.take("value spelt differently"):
            right = row["label"]
            self.add({**row, "label": misspelt(right, self.rng)}, "value spelt differently", right=right)

    def unreadable(self) -> None:
        for row in self.take("broken line"):
            text = json.dumps({key: row[key] for key in ("message", "label")}, ensure_ascii=False)
            broken = [text[: len(text) // 2], text[:-1] + ",}", text.replace('"', "'"), row["message"]]
            self.add(row, "broken line", raw=self.rng.choice(broken).encode())
        curly = [row for row in self.pool if "'" in row["message"] and row["message"].isascii()]
        for number, row in enumerate(curly[: COUNTS["wrong encoding"] + COUNTS["garbled characters"]]):
            self.pool.remove(row)
            row = typographic(row)
            text = json.dumps({key: row[key] for key in ("message", "label")}, ensure_ascii=False)
            if number < COUNTS["wrong encoding"]:
                self.add(row, "wrong encoding", raw=text.encode("cp1252"))
            else:  # UTF-8 that some program took for Windows-1252 and saved once more
                self.add(row, "garbled characters", raw=text.encode().decode("cp1252").encode())

    def inside_out(self, tested: list[dict], foreign: list[str]) -> None:
        """What came in from outside: personal data, test messages, other languages, and nothing at all."""
        for row in self.take("personal data"):
            message, spans = with_personal_data(row["message"], self.rng)
            self.add({**row, "message": message}, "personal data", spans=spans)
        for number, row in enumerate(copies_of(tested, self.rng, COUNTS["copied from the test set"])):
            if number % 2:
                row["message"] = edited(row["message"], self.rng, self.maker)
            self.add(row, "copied from the test set")
        for message, row in zip(foreign, self.take("other language"), strict=True):
            self.add({"message": message, "label": {**row["label"], "order_id": None}}, "other language")
        for message, row in zip(EMPTY, self.take("empty message"), strict=True):
            self.add({**row, "message": message}, "empty message")

    def written(self) -> tuple[bytes, str]:
        """The export's bytes and the key's text; line numbers count from 1."""
        ordered = sorted(self.lines, key=lambda line: line[0])
        key = [json.dumps({"line": number, **key}, ensure_ascii=False) for number, (_, _, key) in enumerate(ordered, 1)]
        return b"".join(data + b"\n" for _, data, _ in ordered), "".join(line + "\n" for line in key)


def build() -> dict[str, bytes]:
    """Contents of the two files, by name."""
    foreign = (RAW / "sources" / "other_languages.txt").read_text(encoding="utf-8").splitlines()
    export, key = Export(load_split("train"), load_split("test_handwritten"), foreign).written()
    return {"support_export.jsonl": export, "support_export_key.jsonl": key.encode()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    check = parser.parse_args().check
    stale = []
    for name, content in build().items():
        path = RAW / name
        if path.is_file() and path.read_bytes() == content:
            continue
        stale.append(name)
        if not check:
            path.write_bytes(content)
    if check and stale:
        print(f"Stale: {', '.join(stale)}. Run 'python data/build_raw_messages.py' and commit the result.")
        return 1
    print("The raw export is current." if not stale else f"Written: {', '.join(stale)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
