"""Build the training rows about pages and facts from data/kb, the same bytes every time.

    python data/build_kb_training.py            write data/kb/reader_*.jsonl and facts_train_v*.jsonl
    python data/build_kb_training.py --check    write nothing; exit 1 when a file differs from what would be written

The reader learns to read on other organisations' pages (data/kb/reader_sources) and sees no page of the shop. The
model without pages learns the shop's facts, of version 1 or anew of version 2: two hand-written ways to ask for each
(data/kb/facts_questions.txt), its sentence to be completed, and the pages section by section.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path

from finetune_course.knowledge_base import VERSIONS, load_facts, load_pages
from finetune_course.reader import NOT_THERE, reader_pieces, reader_sources
from finetune_course.retrieval_chunks import Chunk, sections, split_sentences

TARGET = Path(__file__).resolve().parent / "kb"
SEED = 0
ROOM = 92
"""Words of pieces in a prompt, headings counted: about the 120 tokens of notebook 09."""
WRONG = 4
"""Every how many questions one is asked of a wrong piece as well, for the reader of one piece."""
PAIRS = 2
"""Questions that need two pages, for every two pages of one organisation."""

_COMMON = frozenset(
    "a about all am an and any are as at be been but by can could did do does for from get give had has have he her "
    "here him his how i if in into is it its just long many may me much must my no not of off on one only or our out "
    "over please she should so some tell than that the their them there they this to too until up us was we what when "
    "where which who whom why will with would you your".split()
)
_OPENS = re.compile(r"(what|how|when|who|which|where|until|by|do|does|is|can|may|from|at|in|on|for|are)\b", re.I)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    check = parser.parse_args().check
    stale = []
    for name, text in contents().items():
        path, content = TARGET / name, text.encode("utf-8")
        if path.is_file() and path.read_bytes() == content:
            continue
        stale.append(name)
        if not check:
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(content)
            temporary.replace(path)
    if check and stale:
        print(f"Stale: {', '.join(stale)}. Run 'python data/build_kb_training.py' and commit the result.")
        return 1
    print("The training rows are current." if not stale else f"Written: {', '.join(stale)}.")
    return 0


def contents() -> dict[str, str]:
    """Every file that this script makes: name -> text."""
    sources = reader_sources()
    library = Library(sources)
    files = {
        "reader_pieces.jsonl": piece_rows(sources, library),
        "reader_train.jsonl": reader_rows(sources, library),
    }
    files |= {f"facts_train_{version}.jsonl": fact_rows(version) for version in VERSIONS}
    return {name: "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows) for name, rows in files.items()}


def chance(*parts: object) -> int:
    """A number that depends on the parts and the seed alone: the same on every machine and Python."""
    return int(hashlib.sha256("|".join(map(str, (SEED, *parts))).encode()).hexdigest(), 16)


def content_words(text: str) -> set[str]:
    words = re.findall(r"[a-z]+", text.casefold().replace("'", ""))
    return {word.removesuffix("s") for word in words} - _COMMON


# The reader


def piece_rows(sources: list[dict], library: Library) -> list[dict]:
    """For a reader of one piece at a time: every question of the sources with the piece that holds its answer; every
    fourth one again with another piece of its page; and every unanswerable one with a piece of its page.

    (An answer that stands in two sentences has two pieces.) An answer begins with its page's id: its first token is the
    same in all rows that answer, and whether to answer is decided between that one and the first of NOT_THERE.
    """
    rows = []
    for source in sources:
        for number, question in enumerate(source["questions"]):
            gold = library.holding(source["page"], question["evidence"])
            rows.append(row_of("one page", question["q"], gold, f"[{source['page']}] {question['a']}"))
            if number % WRONG == WRONG - 1:
                wrong = library.wrong(question["q"], source, gold)
                rows.append(row_of("unanswerable", question["q"], [wrong], NOT_THERE))
        for asked in source["unanswerable"]:
            rows.append(row_of("unanswerable", asked, [library.wrong(asked, source, [])], NOT_THERE))
    return shuffled("piece", rows)


def reader_rows(sources: list[dict], library: Library) -> list[dict]:
    """For a reader of many pieces: one row for every question of the sources, and some that ask two of them at once."""
    rows = []
    for source in sources:
        for question in source["questions"]:
            gold = library.holding(source["page"], question["evidence"])
            pieces = library.prompt(question["q"], [source], gold)
            rows.append(row_of("one page", question["q"], pieces, cited(question, source)))
        for asked in source["unanswerable"]:
            rows.append(row_of("unanswerable", asked, library.prompt(asked, [source], []), NOT_THERE))
    rows += [library.pair(*pages, number) for pages in neighbours(sources) for number in range(PAIRS)]
    return shuffled("reader", rows)


def shuffled(name: str, rows: list[dict]) -> list[dict]:
    """The rows in an order by chance, numbered."""
    rows = sorted(rows, key=lambda row: chance("order", row["question"], *row.get("pieces", ())))
    return [{"id": f"{name}-{number:04d}"} | row for number, row in enumerate(rows, 1)]


def row_of(kind: str, question: str, pieces: list[str], answer: str) -> dict:
    return {"kind": kind, "question": question, "pieces": pieces, "answer": answer}


def cited(question: dict, source: dict) -> str:
    return f"{question['a']} [{source['page']}]"


def neighbours(sources: list[dict]) -> list[tuple[dict, dict]]:
    """Every page with the next page of the same organisation."""
    of_org: dict[str, list[dict]] = {}
    for source in sources:
        of_org.setdefault(source["org"], []).append(source)
    return [pair for pages in of_org.values() for pair in zip(pages, pages[1:], strict=False)]


class Library:
    """The pieces of all source pages, and the prompts that are put together from them."""

    def __init__(self, sources: list[dict]):
        self.org = {source["page"]: source["org"] for source in sources}
        self.pieces = reader_pieces(sources)
        self.names = list(self.pieces)
        self.words = {name: content_words(piece.searched) for name, piece in self.pieces.items()}
        self.of_page: dict[str, list[Chunk]] = {}
        for piece in self.pieces.values():
            self.of_page.setdefault(piece.page, []).append(piece)

    def holding(self, page: str, evidence: str) -> list[str]:
        """Ids of the page's pieces that the evidence is made of."""
        return [piece.id for piece in self.of_page[page] if piece.text in evidence or evidence in piece.text]

    def wrong(self, question: str, source: dict, gold: list[str]) -> str:
        """A piece of the page that does not hold the answer, by chance."""
        others = [piece.id for piece in self.of_page[source["page"]] if piece.id not in gold]
        return others[chance("wrong", question) % len(others)]

    def prompt(self, question: str, sources: list[dict], gold: list[str]) -> list[str]:
        """Ids of the pieces for one question, in a shuffled order: those with the answer, then, while there is room,
        confusable ones of the same page, of the organisation's other pages, and some of other organisations.

        A piece of another page must not answer the question too: of other organisations it may share at most one
        content word with the question, and only where this has three or more; so, too, where the answer is not there.
        """
        asked = content_words(question)
        pages = [source["page"] for source in sources]
        orgs = {source["org"] for source in sources}
        shared = {name: len(asked & words) for name, words in self.words.items()}

        def safe(name: str) -> bool:
            return shared[name] <= 1 and 3 * shared[name] <= len(asked)

        def nearest(names: list[str]) -> list[str]:
            """Those with most content words of the question first; equal ones in an order by chance."""
            return sorted(names, key=lambda name: (-shared[name], chance(question, name)))

        same = [piece.id for page in pages for piece in self.of_page[page] if piece.id not in gold]
        kin = [
            piece.id
            for page, pieces in self.of_page.items()
            if self.org[page] in orgs and page not in pages
            for piece in pieces
            if gold or safe(piece.id)
        ]
        chosen = list(gold)
        chosen += nearest(same)[: (1 if gold else 2) + chance("same", question) % 3]
        chosen += nearest(kin)[:1]
        for draw in range(20):
            name = self.names[chance("far", draw, question) % len(self.names)]
            if self.org[self.pieces[name].page] not in orgs and safe(name) and name not in chosen:
                chosen.append(name)
        return sorted(self.within_room(chosen, len(gold)), key=lambda name: chance("place", question, name))

    def within_room(self, names: list[str], needed: int) -> list[str]:
        kept, used = names[:needed], sum(map(self.length, names[:needed]))
        for name in names[needed:]:
            if used + self.length(name) <= ROOM:
                kept.append(name)
                used += self.length(name)
        return kept

    def length(self, name: str) -> int:
        return len(self.pieces[name].searched.split())

    def pair(self, first: dict, second: dict, number: int) -> dict:
        """A question that asks for a value of each of two pages."""
        short = [
            [each for each in source["questions"] if _OPENS.match(each["q"]) and len(each["q"].split()) <= 14]
            for source in (first, second)
        ]
        one, two = (
            (each or source["questions"])[(chance("pair", source["page"]) + number) % len(each or source["questions"])]
            for each, source in zip(short, (first, second), strict=True)
        )
        question = f"{one['q'].rstrip('?. ')}, and {two['q'][0].lower()}{two['q'][1:]}"
        gold = self.holding(first["page"], one["evidence"]) + self.holding(second["page"], two["evidence"])
        pieces = self.prompt(question, [first, second], gold)
        return row_of("two pages", question, pieces, f"{cited(one, first)} {cited(two, second)}")


# The facts


def fact_rows(version: str) -> list[dict]:
    """Rows of one version: every fact asked in two ways and completed, and every section told, in a shuffled order."""
    pages = {page.id: page for page in load_pages(version)}
    questions = fact_questions()
    rows = []
    for fact in load_facts():
        value = fact.value if version == "v1" else fact.v2
        if value is None:
            continue
        page = pages[fact.page]
        answer = f"{value[0].upper()}{value[1:]}. [{page.id}]"
        rows += [fact_row("asked", fact.fact, question, answer) for question in questions[fact.fact]]
        held = [sentence for sentence in sentences_of(page) if holds(sentence, value)]
        if len(held) == 1:
            gap = pattern(value).sub("___", held[0], count=1)
            rows.append(fact_row("completed", fact.fact, f"{page.title}. What is missing? {gap}", answer))
    for page in pages.values():
        for heading, text in sections(page):
            asked = f"{page.title}: {heading}" if heading else page.title
            rows.append(fact_row("section", None, f"What does the shop say here? {asked}.", f"{text} [{page.id}]"))
    return shuffled("facts", rows)


def fact_row(form: str, fact: str | None, question: str, answer: str) -> dict:
    return {"form": form, "fact": fact, "question": question, "answer": answer}


def fact_questions() -> dict[str, list[str]]:
    """Fact id -> its hand-written questions: a line ``## page-id``, then ``name | question | question`` a line."""
    questions, page = {}, None
    path = TARGET / "facts_questions.txt"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("## "):
            page = line[3:].strip()
        elif line.strip():
            name, *asked = (part.strip() for part in line.split("|"))
            if page is None or len(asked) < 2 or not all(asked) or f"{page}/{name}" in questions:
                raise ValueError(f"data/kb/{path.name}, line {number}: expected 'name | question | question', once.")
            questions[f"{page}/{name}"] = asked
    known = [fact.fact for fact in load_facts()]
    unknown = sorted(questions.keys() - set(known))
    if unknown:
        raise ValueError(f"data/kb/{path.name} asks for '{unknown[0]}', which is no fact.")
    missing = [name for name in known if name not in questions]
    if missing:
        raise ValueError(f"data/kb/{path.name} has no questions for '{missing[0]}' ({len(missing)} facts in all).")
    return questions


def sentences_of(page) -> list[str]:
    return [sentence for _, text in sections(page) for sentence in split_sentences(text)]


def pattern(value: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?<!\d[.,]){re.escape(value)}(?!\w)(?![.,]\d)")


def holds(sentence: str, value: str) -> bool:
    return pattern(value).search(sentence) is not None


if __name__ == "__main__":
    sys.exit(main())
