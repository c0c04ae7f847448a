"""Rules for how a notebook is written; each takes an unexecuted notebook and returns one phrase per offence.

``test_notebook_text.py`` applies them to every source and proves, on a small notebook broken on purpose, that each rule
can fail.
"""

import ast
import re
import statistics

from finetune_course.checking import STUB
from finetune_course.notebook_build.outputs import ABSOLUTE_PATH
from finetune_course.notebook_build.source import Edition, SourceError, editions, grading, visible_lines
from finetune_course.notebook_build.student import student_edition
from finetune_course.paths import course_root

FIRST_SECTIONS = ["What you will be able to do", "Before you start"]
LAST_SECTIONS = ["In a nutshell", "What to read next"]
LONGEST_CELL, MEDIAN_CELL, FEWEST_EXERCISES = 30, 8, 3
EXERCISE = re.compile(r"### Exercise (\d+)\.(\d+) — \S.*")
RATING = re.compile(r"Difficulty [●○]{3} · importance [●○]{3} · about \d+ minutes?")
HINT = re.compile(r"<details><summary>Hint (\d)</summary>\n\n(.+?)\n?</details>", re.DOTALL)
HEAVY = re.compile(r"from_pretrained|\.train\(|\.generate\(|\bweights\(")


def course() -> list[Edition]:
    """The course's notebooks; none where solutions/ is empty (a test of its own then fails)."""
    try:
        return editions(course_root())
    except SourceError:
        return []


def headings(notebook):
    """(level, text, cell index) of every heading outside code fences."""
    found = []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "markdown":
            continue
        fenced = False
        for line in cell.source.split("\n"):
            fenced ^= line.lstrip().startswith("```")
            if not fenced and (match := re.match(r"(#{1,6}) (\S.*)", line)):
                found.append((len(match[1]), match[2].strip(), index))
    return found


def code_cells(notebook):
    return [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]


def tree_of(cell):
    """The cell's syntax tree, without lines that only IPython understands."""
    lines = [line for line in cell.source.split("\n") if not line.lstrip().startswith(("%", "!"))]
    return ast.parse("\n".join(lines))


def headings_in_order(notebook, number):
    found = headings(notebook)
    if not found or found[0][0] != 1 or found[0][2] != 0:
        return ["the first cell does not begin with a # heading"]
    offences = [f"a second # heading: {text}" for level, text, _ in found[1:] if level == 1]
    for (above, _, _), (level, text, _) in zip(found, found[1:], strict=False):
        if level > above + 1:
            offences.append(f"the heading {text!r} skips a level")
    return offences


def sections_there(notebook, number):
    texts = [text for level, text, _ in headings(notebook) if level == 2]
    offences = []
    if texts[:2] != FIRST_SECTIONS:
        offences.append(f"the first sections are {texts[:2]}, not {FIRST_SECTIONS}")
    if texts[-2:] != LAST_SECTIONS:
        offences.append(f"the last sections are {texts[-2:]}, not {LAST_SECTIONS}")
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    promise = text.split(f"## {FIRST_SECTIONS[0]}")[-1].split(f"## {LAST_SECTIONS[0]}")[0].split("\n## ")
    opening = "\n".join(promise[:2])
    if not re.search(r"\d+ minutes?\b", opening) or not re.search(r"\d GB\b", opening):
        offences.append("minutes and memory (… minutes, … GB) are not stated at the start")
    return offences


def text_before_code(notebook, number):
    offences = []
    for index, cell in code_cells(notebook):
        before = notebook.cells[index - 1] if index else None
        check_of_answer = before and grading(cell).get("grade") and grading(before).get("solution")
        if not check_of_answer and (before is None or before.cell_type != "markdown"):
            offences.append(f"cell {index + 1} has no text before it")
    return offences


def short_cells(notebook, number):
    lengths = {
        index: sum(bool(line.strip()) for line in cell.source.split("\n")) for index, cell in code_cells(notebook)
    }
    offences = [f"cell {index + 1} has {length} lines" for index, length in lengths.items() if length > LONGEST_CELL]
    if lengths and statistics.median(lengths.values()) > MEDIAN_CELL:
        offences.append(f"half of the code cells have more than {MEDIAN_CELL} lines")
    return offences


def no_absolute_path(notebook, number):
    return [
        f"cell {index + 1} holds an absolute path: {found[0]}"
        for index, cell in enumerate(notebook.cells)
        if (found := ABSOLUTE_PATH.search(cell.source))
    ]


def enough_exercises(notebook, number):
    count = sum(bool(grading(cell).get("grade")) for cell in notebook.cells)
    return [] if count >= FEWEST_EXERCISES else [f"{count} exercises, fewer than {FEWEST_EXERCISES}"]


def exercises_well_formed(notebook, number):
    """Statement, solution cell and check cell, in this order, under ids that say which exercise they belong to."""
    offences, expected = [], 0
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "markdown" or "### Exercise" not in cell.source:
            continue
        expected += 1
        name = f"exercise {number}.{expected}"
        heading = EXERCISE.match(cell.source)
        if not heading or (int(heading[1]), int(heading[2])) != (number, expected):
            offences.append(f"{name}: its cell does not begin with '### Exercise {number}.{expected} — title'")
        if not RATING.search(cell.source):
            offences.append(f"{name}: no line 'Difficulty ●●○ · importance ●●● · about 5 minutes'")
        if "**Expected output**" not in cell.source:
            offences.append(f"{name}: no **Expected output**")
        hints = HINT.findall(cell.source)
        if [hint for hint, _ in hints] != ["1", "2", "3"] or not all(text.strip() for _, text in hints):
            offences.append(f"{name}: not three folding hints 'Hint 1' to 'Hint 3' with text")
        answer, test = (notebook.cells[index + 1 : index + 3] + [None, None])[:2]
        ids = [grading(part).get("grade_id") if part else None for part in (answer, test)]
        if ids != [f"ex-{number}-{expected}", f"ex-{number}-{expected}-test"]:
            offences.append(f"{name}: the two cells after it have the grade ids {ids}")
            continue
        if not grading(answer).get("solution") or grading(answer).get("grade"):
            offences.append(f"{name}: its answer cell is not a pure solution cell")
        if not (grading(test).get("grade") and grading(test).get("locked") and grading(test).get("points", 0) > 0):
            offences.append(f"{name}: its test cell is not graded, locked and worth points")
        if not re.match(r"\w+(\.\w+)?\(", test.source):
            offences.append(f"{name}: its test cell does not begin with the visible check")
        if "### BEGIN HIDDEN TESTS" not in test.source or "assert" not in test.source:
            offences.append(f"{name}: no hidden tests with an assert")
        if len("".join(visible_lines(test)).strip()) == len(test.source.strip()):
            offences.append(f"{name}: nothing of its test cell is hidden")
    graded = sum(bool(grading(cell).get("grade")) for cell in notebook.cells)
    if graded != expected:
        offences.append(f"{graded} graded cells for {expected} exercise headings")
    return offences


def answers_are_functions(notebook, number):
    """The student's answer cell runs without an error as it is: only definitions and imports, the stub inside one."""
    allowed = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    offences = []
    for index, cell in code_cells(student_edition(notebook)):
        if not grading(cell).get("solution"):
            continue
        stray = [node for node in tree_of(cell).body if not isinstance(node, allowed)]
        if stray or STUB not in cell.source:
            offences.append(f"cell {index + 1}: the solution region does not stand inside a function")
    return offences


def later_cells_do_not_need_answers(notebook, number):
    """A learner who skips an exercise can go on: no ordinary cell after it uses a name from an answer cell."""
    offences, answers = [], set()
    for index, cell in code_cells(notebook):
        tree = tree_of(cell)
        if grading(cell).get("solution"):
            answers |= {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        elif not grading(cell):
            answers -= _bound(tree)
            used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & answers
            offences += [f"cell {index + 1} uses {name!r}, a learner's answer" for name in sorted(used)]
    return offences


def _bound(tree):
    """Names that a cell defines or imports at its top level."""
    names = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return names


def tags_known(notebook, number):
    known = {"exercise-setup", "nbval-check-output"}
    offences = []
    for index, cell in code_cells(notebook):
        tags = set(cell.metadata.get("tags", []))
        offences += [f"cell {index + 1} has the unknown tag {tag!r}" for tag in sorted(tags - known)]
        if "exercise-setup" in tags and (heavy := HEAVY.search(cell.source)):
            offences.append(f"cell {index + 1} is exercise-setup and yet heavy: {heavy[0]}")
    return offences


ALL = [
    headings_in_order,
    sections_there,
    text_before_code,
    short_cells,
    no_absolute_path,
    exercises_well_formed,
    enough_exercises,
    answers_are_functions,
    later_cells_do_not_need_answers,
    tags_known,
]
