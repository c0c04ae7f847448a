"""Rules for notebooks; each returns one phrase per offence.

Those in ``ALL`` say how a notebook is written and take an unexecuted one with its number; those in ``SAVED`` say what
GitHub, nbviewer and VS Code need of a saved one. ``test_notebook_text.py`` applies them to every notebook and proves,
on a small one broken on purpose, that each rule can fail.
"""

import ast
import re
import statistics
from pathlib import Path

from finetune_course import closing_picture, plots
from finetune_course.checking import STUB
from finetune_course.notebook_build.bootstrap import is_bootstrap
from finetune_course.notebook_build.outputs import ABSOLUTE_PATH, WIDGET_VIEW
from finetune_course.notebook_build.source import Edition, SourceError, editions, grading, visible_lines
from finetune_course.notebook_build.student import student_edition
from finetune_course.paths import course_root

FIRST_SECTIONS = ["What you will be able to do", "Before you start"]
LAST_SECTIONS = ["In a nutshell", "What to read next"]
LONGEST_CELL, MEDIAN_CELL, FEWEST_EXERCISES = 30, 8, 3
EXERCISE = re.compile(r"### Exercise (\d+)\.(\d+) — \S.*")
RATING = re.compile(r"Difficulty [●○]{3} · importance [●○]{3} · about \d+ minutes?")
HINT = re.compile(r"<details><summary>Hint (\d)</summary>\n\n(.+?)\n?</details>", re.DOTALL)
PICTURE = re.compile(r"!\[([^\]]*)\]\(")
HTML_PICTURE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
HTML_ALT = re.compile(r"""\balt\s*=\s*["']\s*\S""", re.IGNORECASE)
NEUTRAL = {"black", "white", "none", "grey", "gray"}
EVEN_MAPS = {"viridis", "cividis", "Greys", "Blues"}  # one direction of lightness, so read without telling hues apart
# The package's own widgets, by their classes, and those of ipywidgets.
OWN_WIDGETS = sorted(
    name
    for path in Path(plots.__file__).parent.rglob("*.py")
    for name in re.findall(r"^class (\w+)\(widgets\.\w+\):", path.read_text(encoding="utf-8"), re.MULTILINE)
)
WIDGET = re.compile(rf"\b(?:interact|interactive|interactive_output|{'|'.join(OWN_WIDGETS)})\(|\bwidgets\.\w+\(")
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
    # The generated cell for Colab is folded away, and nobody learns from it: it may be long, and is not counted here.
    taught = [length for index, length in lengths.items() if not is_bootstrap(notebook.cells[index])]
    if taught and statistics.median(taught) > MEDIAN_CELL:
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
    known = {"exercise-setup", "nbval-check-output", closing_picture.TAG}
    offences = []
    for index, cell in code_cells(notebook):
        tags = set(cell.metadata.get("tags", []))
        offences += [f"cell {index + 1} has the unknown tag {tag!r}" for tag in sorted(tags - known)]
        if "exercise-setup" in tags and (heavy := HEAVY.search(cell.source)):
            offences.append(f"cell {index + 1} is exercise-setup and yet heavy: {heavy[0]}")
    return offences


def pictures_in_text_have_alternatives(notebook, number):
    offences = []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            bare = sum(not alt.strip() for alt in PICTURE.findall(cell.source))
            bare += sum(not HTML_ALT.search(tag) for tag in HTML_PICTURE.findall(cell.source))
            offences += [f"cell {index + 1} shows a picture without alternative text"] * bool(bare)
    return offences


def colours_of_the_palette(notebook, number):
    """No colour by name or number but the palette's, black, white and greys; no map of colours that needs hues."""
    offences = []
    for index, cell in code_cells(notebook):
        for call in (node for node in ast.walk(tree_of(cell)) if isinstance(node, ast.Call)):
            for keyword in call.keywords:
                name, value = keyword.arg or "", getattr(keyword.value, "value", None)
                if not isinstance(value, str):
                    continue
                grey = re.fullmatch(r"0?\.\d+|[01](\.0*)?", value)
                if name.endswith("color") and not grey and value not in NEUTRAL | set(plots.COLOURS):
                    offences.append(f"cell {index + 1} draws in {value!r}; take it from plots.COLOURS")
                if name == "cmap" and value not in EVEN_MAPS:
                    offences.append(f"cell {index + 1} has the colour map {value!r}; take one of {sorted(EVEN_MAPS)}")
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
    pictures_in_text_have_alternatives,
    colours_of_the_palette,
]


def ids_good(notebook):
    """Each cell has an id of its own of the form that nbformat 4.5 asks for."""
    ids = [cell.get("id", "") for cell in notebook.cells]
    offences = [
        f"cell {place + 1} has no valid id" for place, name in enumerate(ids) if not re.fullmatch(r"[\w-]{1,64}", name)
    ]
    return offences + [
        f"the id {name!r} occurs twice" for name in sorted({name for name in ids if ids.count(name) > 1})
    ]


def kernel_named(notebook):
    """VS Code and nbviewer take the language from here; a private kernel would ask for what is not there."""
    spec, language = notebook.metadata.get("kernelspec", {}), notebook.metadata.get("language_info", {})
    if (spec.get("name"), language.get("name")) != ("python3", "python") or "version" in language:
        return ["its metadata do not name the kernel python3, or name a version"]
    return []


def no_live_parts(notebook):
    """No widget state or view, no script, no frame: GitHub and nbviewer show none of them."""
    offences = ["it holds widget state"] if "widgets" in notebook.metadata else []
    for place, output in _outputs(notebook):
        data = output.get("data", {})
        html = data.get("text/html", "")
        if WIDGET_VIEW in data:
            offences.append(f"cell {place + 1} holds a live widget view")
        if "application/javascript" in data or re.search(r"<(script|iframe)\b", html, re.IGNORECASE):
            offences.append(f"cell {place + 1} needs a script or a frame")
    return offences


def pictures_have_alternatives(notebook):
    offences = []
    for place, output in _outputs(notebook):
        data = output.get("data", {})
        kinds = [kind for kind in data if kind.startswith("image/")]
        bare = [kind for kind in kinds if not output.metadata.get(kind, {}).get("alt", "").strip()]
        in_html = HTML_PICTURE.findall(data.get("text/html", ""))
        if bare or not all(HTML_ALT.search(tag) for tag in in_html):
            offences.append(f"cell {place + 1} shows a picture without alternative text")
        elif any(len(output.metadata[kind]["alt"].split()) < 5 for kind in kinds):
            offences.append(f"cell {place + 1} has an alternative text of fewer than five words")
    return offences


def widgets_have_a_static_twin(notebook):
    """A reader without a kernel sees something: the widget's cell has another output, or the next cell has one."""
    offences, code = [], code_cells(notebook)
    for place, (index, cell) in enumerate(code):
        if not WIDGET.search(cell.source):
            continue
        beside = [cell, *(after for _, after in code[place + 1 : place + 2] if not grading(after))]
        if not any(WIDGET_VIEW not in output.get("data", {}) for part in beside for output in part.get("outputs", [])):
            offences.append(f"cell {index + 1} has a widget and nothing to see without a kernel")
    return offences


def _outputs(notebook):
    return [(place, output) for place, cell in code_cells(notebook) for output in cell.get("outputs", [])]


SAVED = [ids_good, kernel_named, no_live_parts, pictures_have_alternatives, widgets_have_a_static_twin]
