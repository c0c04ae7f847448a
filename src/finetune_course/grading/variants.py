"""Variants of the exercises: other numbers and names in task, check, hidden tests and solution together.

What may vary stands beside each notebook's source, in ``solutions/NN_name.variants.yaml``: for each exercise (by its
``grade_id``) a mapping with these keys. Texts may hold ``«name»``, a value of the chosen option (a Jinja expression).

=============  =========================================================================================================
``vary``       list of options, each a mapping of names to values; the seed takes one
``change``     what the task says about this variant; it stands before "Expected output"
``solution``   pairs [old, new] of texts in the answer's cell: signature, docstring and solution
``text``       pairs [old, new] of texts in the task's cell (may be left out)
``examples``   calls of the answer; their results are worked out with the variant's own solution, and shown and checked
``as_public``  an expression: the answer in the public edition's terms. With it the public check and the public hidden
               tests are asked too. Left out where no translation exists
``hidden``     hidden tests of the variant, Python with expected values that do not come from its solution
``view``       an expression: a function that makes a result comparable, such as ``json.loads`` (may be left out)
``tolerance``  how far a number may be from an example's, where chance decides (may be left out)
=============  =========================================================================================================

A pair's old text must stand in its cell, or ``SourceError`` says that the notebook has changed; each place of it is
replaced, all pairs in one pass. Nothing is matched by pattern, so a changed source cannot silently leave half of a
variant behind.
"""

from __future__ import annotations

import ast
import hashlib
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml
from nbformat import NotebookNode

from finetune_course.grading.examples import expected_output, results
from finetune_course.notebook_build.source import (
    Edition,
    SourceError,
    exercise_cells,
    grading,
    hidden_regions,
    read_source,
    visible_lines,
)

KEYS = frozenset("vary change solution text examples as_public hidden view tolerance".split())
SEED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MARK = "finetune-course variant"
IMPORT = "from finetune_course.checks_variant import given, variant_check"
EXPECTED = "**Expected output**"
_MARKED = re.compile(rf"{MARK} ([0-9a-f]{{12}})\b")
# Blocks and comments get marks that stand nowhere, as {% and {# may stand in a task.
_SYNTAX = jinja2.Environment(
    variable_start_string="«",
    variable_end_string="»",
    block_start_string="«%",
    block_end_string="%»",
    comment_start_string="«#",
    comment_end_string="#»",
    undefined=jinja2.StrictUndefined,
    autoescape=False,
)


@dataclass(frozen=True)
class Variant:
    """One variant of the whole course, named by the instructor's seed."""

    seed: str

    def __post_init__(self) -> None:
        if not SEED.fullmatch(self.seed):
            raise SourceError(
                f"{self.seed!r} is not a seed: give letters, digits, '.', '_' and '-' only, 64 at most, such as "
                "autumn-4711."
            )

    @property
    def mark(self) -> str:
        """What every check cell and the title of a variant's notebooks carry; the seed cannot be read from it."""
        return f"{MARK} {hashlib.sha256(f'{MARK}:{self.seed}'.encode()).hexdigest()[:12]}"

    def option(self, exercise: str, options: list[dict]) -> dict:
        """The option that the seed takes for an exercise; the same on every machine and in every version of Python."""
        digest = hashlib.sha256(f"{self.seed}:{exercise}".encode()).digest()
        return options[int.from_bytes(digest[:8], "big") % len(options)]


def stranger(texts: Iterable[str], variant: Variant | None) -> str:
    """Why a notebook with these cells is not of ``variant`` (None: the public edition), in one sentence; or nothing."""
    found = sorted({name for text in texts for name in _MARKED.findall(text)})
    own = variant.mark.removeprefix(f"{MARK} ") if variant else ""
    if own in found or not (found or own):
        return ""
    if not own:
        return f"It belongs to variant {found[0]} of the course: grade it with the --variant that it was released with."
    if not found:
        return f"It belongs to the public edition, and variant {own} is graded here: no mark of a variant is in it."
    return f"It belongs to variant {found[0]}, and variant {own} is graded here."


def read_variants(edition: Edition) -> dict[str, dict]:
    """What may vary in a notebook, by exercise. Raises ``SourceError`` for a missing file or an entry that is wrong."""
    path = sheet(edition)
    if not path.is_file():
        raise SourceError(f"There is no {path.name} beside {edition.source.name}: it says what a variant changes.")
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SourceError(f"{path.name} is not valid YAML: {' '.join(str(error).split())}") from error
    for exercise, entry in entries.items():
        where = f"{path.name}, {exercise}"
        if unknown := sorted(set(entry) - KEYS):
            raise SourceError(f"{where} has the unknown key {unknown[0]!r}; there are {', '.join(sorted(KEYS))}.")
        for key in ("vary", "change", "solution"):
            if not entry.get(key):
                raise SourceError(f"{where} has no {key!r}.")
        if not (entry.get("as_public") or entry.get("hidden")):
            raise SourceError(f"{where} needs 'as_public' or 'hidden': something has to refuse the public answer.")
        if not (entry.get("as_public") or entry.get("examples")):
            raise SourceError(f"{where} needs 'as_public' or 'examples' for its visible check.")
    return entries


def sheet(edition: Edition) -> Path:
    """The file that says what may vary in a notebook."""
    return edition.source.with_name(f"{edition.name}.variants.yaml")


def source_of(edition: Edition, variant: Variant | None) -> NotebookNode:
    """The source notebook of a variant: solutions, checks, hidden tests and tasks as the seed has them.

    None stands for the public edition. Raises ``SourceError`` where an exercise has no entry, or an entry does not fit
    the notebook.
    """
    source = read_source(edition.source)
    if variant is None:
        return source
    entries = read_variants(edition)
    return with_options(
        source,
        entries,
        {name: variant.option(name, entry["vary"]) for name, entry in entries.items()},
        variant.mark,
    )


def described(course: list[Edition], variant: Variant) -> str:
    """A page for the instructor: the variant's mark and seed, and for each exercise what it changes."""
    lines = [f"# Variant `{variant.mark.removeprefix(MARK).strip()}`", ""]
    lines += [f"Seed: `{variant.seed}`. Keep it and this archive to yourself: they lead to the solutions.", ""]
    lines += ["| exercise | in this variant |", "|---|---|"]
    for edition in course:
        for name, entry in read_variants(edition).items():
            change = _filled(name, entry, variant.option(name, entry["vary"]))["change"]
            lines.append(f"| {name} | {change} |".replace("\n", " "))
    return "\n".join(lines) + "\n"


def with_options(source: NotebookNode, entries: dict[str, dict], chosen: dict[str, dict], mark: str) -> NotebookNode:
    """``source`` with every exercise changed as its entry says for the chosen option. ``source`` itself is changed."""
    exercises = [at for at, cell in enumerate(source.cells) if grading(cell).get("solution")]
    names = [grading(source.cells[at])["grade_id"] for at in exercises]
    if missing := sorted(set(names) ^ set(entries)):
        raise SourceError(f"{missing[0]} stands either in the notebook or in its variants.yaml, and not in both.")
    filled = {name: _filled(name, entries[name], chosen[name]) for name in names}
    for at, name in zip(exercises, names, strict=True):
        _replace(source.cells[at], filled[name]["solution"], f"{name}, solution")
        _replace(source.cells[at - 1], filled[name].get("text", []), f"{name}, text")
    shown = results(source, {name: entry.get("examples", []) for name, entry in filled.items()}, filled)
    for at, name in zip(exercises, names, strict=True):
        task, answer, test = source.cells[at - 1 : at + 2]
        _tell(task, filled[name]["change"], expected_output(shown[name]), name)
        test.source = _test(test, answer, filled[name], shown[name], mark)
    setup = next((cell for cell in exercise_cells(source).cells if not grading(cell)), None)
    if setup is None:
        raise SourceError("A variant needs a cell tagged exercise-setup in the notebook, for its check's import.")
    next(cell for cell in source.cells if cell.id == setup.id).source = f"{IMPORT}\n{setup.source}"
    source.cells[0].source += (
        f"\n\nThis is a **variant** of the notebook ({mark}): in each exercise a paragraph “In this variant” says what "
        "is asked for here. It differs from the public edition, and so do the checks."
    )
    return source


def _filled(name: str, entry: dict, option: dict) -> dict[str, Any]:
    """The entry with the option's values put in."""

    def fill(value: Any) -> Any:
        if isinstance(value, list):
            return [fill(part) for part in value]
        if not isinstance(value, str):
            return value
        try:
            return _SYNTAX.from_string(value).render(option).strip("\n")
        except jinja2.TemplateError as error:
            raise SourceError(f"{name}: {value.strip()!r} cannot be filled in: {error}.") from error

    return {key: fill(value) for key, value in entry.items() if key != "vary"}


def _replace(cell: NotebookNode, pairs: list[list[str]], where: str) -> None:
    for old, _ in pairs:
        if old not in cell.source:
            raise SourceError(f"{where}: the text {old!r} is not in the cell; has the notebook changed?")
    # In one pass, the longest old text first, so that no new text is replaced again.
    new_of = {old: new for old, new in pairs}
    olds = "|".join(re.escape(old) for old in sorted(new_of, key=len, reverse=True))
    cell.source = re.sub(olds or "(?!)", lambda found: new_of[found[0]], cell.source)


def _tell(task: NotebookNode, change: str, block: str, name: str) -> None:
    """Put the change before the expected output, and the variant's own examples in place of the public ones."""
    before, found, after = task.source.partition(EXPECTED)
    if not found:
        raise SourceError(f"{name}: its task has no {EXPECTED}.")
    if block:
        head, fence, rest = after.partition("```\n")
        old, closing, rest = rest.partition("\n```")
        if not fence or not closing or "<details>" in head:
            raise SourceError(f"{name}: no block of code follows {EXPECTED}.")
        after = f"\n\n```\n{block}\n```{rest}"
    told = f"**In this variant:** {change}"
    hints = "The text above and the hints are the public edition's; where they differ, this paragraph counts."
    task.source = f"{before}{told}\n{hints}\n\n{found}{after}"


def _test(test: NotebookNode, answer: NotebookNode, entry: dict, shown: list, mark: str) -> str:
    """The variant's test cell: its own check, then the public hidden tests in its terms, then its own."""
    (call,) = ast.parse("\n".join(visible_lines(test)).strip()).body
    function = defined(answer)
    parts = [ast.unparse(call.value.func), function]
    if shown:
        rows = "\n".join(f"        (given({one.inputs}), {one.expected!r})," for one in shown)
        parts.append(f"examples=[\n{rows}\n    ]")
    parts += [f"{key}={entry[key]}" for key in ("as_public", "view", "tolerance") if key in entry]
    lines = [f"# {mark}", "variant_check(", *(f"    {part}," for part in parts), ")", "### BEGIN HIDDEN TESTS"]
    if "as_public" in entry:
        public = "\n".join("\n".join(region) for region in hidden_regions(test))
        lines += [f"def public_tests({function}):", textwrap.indent(public, "    ")]
        lines += [f"public_tests({entry['as_public']})"]
    if "hidden" in entry:
        lines.append(entry["hidden"].strip("\n"))
    return "\n".join([*lines, "### END HIDDEN TESTS"])


def defined(answer: NotebookNode) -> str:
    """The name that an answer's cell defines (the last one at its top level)."""
    return [part.name for part in ast.parse(answer.source).body if hasattr(part, "name")][-1]
