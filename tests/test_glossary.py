"""data/glossary.md: alphabetical, plain, and each term stands in the text of the notebook that it names."""

import re

import notebook_rules
import pytest

from finetune_course.notebook_build.source import read_source
from finetune_course.paths import data_path

ENTRY = re.compile(r"- \*\*(.+?)\*\* \(\[(\d\d)\]\(\.\./notebooks/(\w+)\.ipynb\)\): (.+)")


def entries() -> list[tuple[str, str, str, str]]:
    """(term, notebook's number, notebook's name, meaning) of each line of the list."""
    lines = [line for line in data_path("glossary.md").read_text(encoding="utf-8").splitlines() if line.startswith("-")]
    found = [ENTRY.fullmatch(line) for line in lines]
    assert all(found), [line for line, entry in zip(lines, found, strict=True) if not entry]
    return [entry.groups() for entry in found]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """The text cells of each notebook by its name, on one line."""
    return {
        edition.name: " ".join(
            " ".join(cell.source.split()) for cell in read_source(edition.source).cells if cell.cell_type == "markdown"
        )
        for edition in notebook_rules.course()
    }


def word(term: str) -> str:
    """A pattern for the term in any of its simple forms (merge, merged, merging; property, properties)."""
    return rf"(?<![\w-]){re.escape(term).replace(chr(92) + ' ', ' ')}(?:s|es|d|ed)?(?![\w-])"


def misplaced(term: str, name: str, texts: dict[str, str]) -> str:
    """What is wrong with the notebook that an entry names; empty if it uses the term and no earlier one sets it off."""
    if not re.search(word(term), texts[name].replace("*", ""), re.IGNORECASE):
        return f"{name} does not use the term"
    set_off = rf"\*\*?{word(term)}\*\*?"
    earlier = [other for other in sorted(texts) if other < name and re.search(set_off, texts[other], re.IGNORECASE)]
    return f"{earlier[0]} introduces it before {name}" if earlier else ""


def test_alphabetical_and_no_term_twice():
    terms = [term.lower() for term, *_ in entries()]
    assert len(terms) > 80 and terms == sorted(terms) and len(set(terms)) == len(terms)


def test_every_meaning_is_one_or_two_plain_sentences():
    for term, _, _, meaning in entries():
        assert meaning.endswith("."), term
        assert len(re.findall(r"[.;](?= |$)", meaning)) <= 3 and len(meaning.split()) <= 45, term
        assert not re.match(rf"{re.escape(term)}\b", meaning, re.IGNORECASE), f"{term} is explained by itself"


def test_each_term_stands_in_the_notebook_that_introduces_it(texts):
    wrong = {}
    for term, number, name, _ in entries():
        assert name[:2] == number
        if problem := misplaced(term, name, texts):
            wrong[term] = problem
    assert wrong == {}


def test_both_faults_are_found():
    texts = {"00_a": "The **token** is a word.", "01_b": "Tokens, and a loss."}
    assert misplaced("token", "00_a", texts) == misplaced("loss", "01_b", texts) == ""
    assert misplaced("token", "01_b", texts) == "00_a introduces it before 01_b"
    assert misplaced("adapter", "01_b", texts) == "01_b does not use the term"
