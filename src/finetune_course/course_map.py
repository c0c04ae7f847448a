"""What each notebook takes, said in its head and in README.md's map: from the notebook and from what was measured.

A notebook's head says in its author's words what it takes on two cores. What it takes in the small profile is measured
(``python -m finetune_course.small_profile``), and this module writes that into the head and both into the map.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from finetune_course.marks import around
from finetune_course.notebook_build.source import Edition, SourceError, editions

BEGIN, END = (
    "<!-- map: the last three columns are written by python -m finetune_course.small_profile -->",
    "<!-- end -->",
)
COMING, UNMEASURED = "coming", "not measured yet"
WIDTH = 118
_TAKES = re.compile(r"^# It takes about .*?(?=\n#\n|\n\n)", re.MULTILINE | re.DOTALL)
_COMPUTING = re.compile(r"It takes about (\d+) minutes? of computing")
_MEMORY = re.compile(r"((?:up to |[\d.]+ to )?[\d.]+) GB of memory")
_SMALL = re.compile(r" ?In the small profile, on one core as on Binder, it took \d+ minutes? and [\d.]+ GB\.")
_ROW = re.compile(r"^\| (\[?(\d\d) [^|]*?) \| ([^|]*?) \|.*$", re.MULTILINE)


@dataclass(frozen=True)
class Took:
    """What one notebook took in the small profile, as it is said: whole minutes, and GB to a tenth."""

    minutes: int
    peak_gb: float

    @classmethod
    def of(cls, row: Mapping[str, float]) -> Took:
        """Rounded from a measured row (``minutes``, ``peak_gb``); GB are rounded up, as a limit is meant."""
        return cls(max(1, round(row["minutes"])), -(-round(row["peak_gb"] * 100) // 10) / 10)

    def sentence(self) -> str:
        plural = "" if self.minutes == 1 else "s"
        took = f"{self.minutes} minute{plural} and {self.peak_gb} GB"
        return f"In the small profile, on one core as on Binder, it took {took}."


def with_head(source: str, took: Took | None, name: str) -> str:
    """A notebook's source with the measured sentence at the end of "It takes about …"; without it for ``None``.

    Raises ``SourceError`` where there is no such paragraph.
    """
    found = _TAKES.search(source)
    if not found:
        raise SourceError(
            f"solutions/{name}.py has no paragraph that begins 'It takes about': say there what it takes."
        )
    words = " ".join(line.removeprefix("#").strip() for line in found[0].split("\n"))
    text = _SMALL.sub("", words)
    if took:
        text = f"{text} {took.sentence()}"
    if text == words:  # lines stay as their author broke them
        return source
    filled = textwrap.fill(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False)
    return source[: found.start()] + filled + source[found.end() :]


def with_map(readme: str, root: Path, measured: Mapping[str, Took]) -> str:
    """README.md's text with the last three columns of its map written anew. ``measured``: by a notebook's name.

    Raises ``SourceError`` where the map's marks or a notebook's own numbers are missing.
    """
    missing = f"README.md has no map: put the lines {BEGIN} and {END} round it."
    before, table, after = around(readme, BEGIN, END, SourceError(missing))
    there = {edition.name[:2]: edition for edition in editions(root)}

    def row(found: re.Match) -> str:
        name, number, ends_with = found.groups()
        takes = columns(there[number], measured) if number in there else (COMING, "", "")
        return f"| {name} | {ends_with} | {' | '.join(takes)} |"

    return f"{before}{BEGIN}{_ROW.sub(row, table)}{END}{after}"


def columns(edition: Edition, measured: Mapping[str, Took]) -> tuple[str, str, str]:
    """A notebook's row of the map: computing and memory as its head says them, and what was measured on Binder's terms.

    Raises ``SourceError`` where the head does not say them.
    """
    text = " ".join(edition.source.read_text(encoding="utf-8").replace("\n# ", " ").split())
    computing, memory = _COMPUTING.search(text), _MEMORY.search(text)
    if not (computing and memory):
        raise SourceError(
            f"solutions/{edition.name}.py does not say 'It takes about N minutes of computing … N GB of memory'."
        )
    took = measured.get(edition.name)
    small = f"{took.minutes} min, {took.peak_gb} GB" if took else UNMEASURED
    return f"{computing[1]} min", f"{memory[1]} GB", small


def write(root: Path, measured: Mapping[str, Took]) -> list[str]:
    """Write the map and every head; returns the files that changed, relative to ``root``. Nothing is half-written."""
    changed = {path: text for path, text in _wanted(root, measured).items() if path.read_text(encoding="utf-8") != text}
    for path, text in changed.items():
        path.write_text(text, encoding="utf-8", newline="\n")
    return [path.relative_to(root).as_posix() for path in changed]


def stale(root: Path, measured: Mapping[str, Took]) -> list[str]:
    """The files, relative to ``root``, whose words differ from what ``write`` would make of them."""
    wanted = _wanted(root, measured)
    return [path.relative_to(root).as_posix() for path in wanted if path.read_text(encoding="utf-8") != wanted[path]]


def _wanted(root: Path, measured: Mapping[str, Took]) -> dict[Path, str]:
    readme = root / "README.md"
    wanted = {readme: with_map(readme.read_text(encoding="utf-8"), root, measured)}
    for edition in editions(root):
        source = edition.source.read_text(encoding="utf-8")
        wanted[edition.source] = with_head(source, measured.get(edition.name), edition.name)
    return wanted
