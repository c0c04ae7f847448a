"""No misspelt word (codespell) in sources and texts, and British spelling in what learners read.

``spelling/words.txt`` lists words that codespell takes for mistakes and that are meant; ``spelling/american.txt`` is a
dictionary in codespell's format for prose alone, as code has its own names (``color=``).
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from notebook_rules import course
from tiny_course import ROOT

from finetune_course.notebook_build.source import read_source

pytest.importorskip("codespell_lib", reason="codespell is not installed: pip install -r tests/requirements.txt")

WORDS, AMERICAN = (ROOT / "tests/spelling" / name for name in ("words.txt", "american.txt"))
SKIPPED = {"american.txt", "test_spelling.py"}  # these hold misspelt words on purpose
# Not prose: code in a text, a link's target, a formula, and words in italics, which are quotations of customers.
NOT_PROSE = re.compile(r"```.*?```|`[^`]*`|\]\([^)]*\)|\$[^$]*\$|<[^>]*>", re.DOTALL)


def sources() -> list[Path]:
    """Every file of code or text that was written for the course, but not the data: customers misspell on purpose."""
    found = [ROOT / name for name in ("README.md", "start.py", "pyproject.toml", "requirements.txt", "LICENSE")]
    for folder, kinds in {
        "src": ("*.py",),
        "tests": ("*.py", "*.txt"),
        "solutions": ("*.py", "*.md"),
        "benchmarks": ("*.py", "*.md"),
        "binder": ("*",),
        ".ci": ("*",),
    }.items():
        found += [path for kind in kinds for path in (ROOT / folder).rglob(kind)]
    found += [*(ROOT / "data").glob("*.py"), *(ROOT / "data").glob("*.md"), *(ROOT / "data").glob("*/*.md")]
    return sorted(path for path in set(found) if path.is_file() and path.name not in SKIPPED)


def misspelt(files: list[Path], *options: str | Path) -> list[str]:
    """codespell's remarks, "file:line: wrong ==> right", with paths relative to the course."""
    command = [sys.executable, "-m", "codespell_lib", "--disable-colors", *options, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 65) and not done.stderr.strip(), done.stderr
    return [line.replace(f"{ROOT}/", "") for line in done.stdout.splitlines()]


def prose(folder: Path) -> list[Path]:
    """What learners read, a file for each notebook and Markdown file, with everything that is not prose left out."""
    texts = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in sources()
        if path.suffix == ".md"
    }
    for edition in course():
        cells = read_source(edition.source).cells
        texts[f"{edition.name}.py"] = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    files = []
    for name, text in texts.items():
        files.append(folder / name.replace("/", " "))
        files[-1].write_text(NOT_PROSE.sub(" ", text), encoding="utf-8")
    return files


def test_no_word_is_misspelt():
    assert len(sources()) > 100
    assert misspelt(sources(), "--ignore-words", WORDS) == []


def test_prose_is_british(tmp_path):
    files = prose(tmp_path)
    assert len(files) > len(course())
    assert misspelt(files, "--dictionary", AMERICAN) == []


def test_mistakes_are_found_and_code_is_left_alone(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("# We recieve teh record.\n")
    assert [remark.split(": ")[1] for remark in misspelt([wrong])] == ["recieve ==> receive", "teh ==> the"]
    text = tmp_path / "text.md"
    text.write_text(NOT_PROSE.sub(" ", "The `color` of [a](color.md) gray cat.\n\n```\ncolor = 1\n```\n"))
    assert len(misspelt([text], "--dictionary", AMERICAN)) == 1


def test_the_word_list_is_no_longer_than_it_must_be():
    """A word that occurs nowhere any more would hide a mistake one day."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources() if path != WORDS).lower()
    listed = WORDS.read_text(encoding="utf-8").split()
    assert [word for word in listed if not re.search(rf"\b{re.escape(word)}\b", text)] == []
