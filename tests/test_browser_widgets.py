"""What moves, in a real browser: the widgets of each notebook that has some, and the progress of the training in 06.

Only what a widget (or the training) needs is run before it, found by the names that cells and imports define: no widget
has to wait for minutes of training.
"""

import ast
import re
import symtable
from collections.abc import Iterable

import lab_page
import nbformat
import pytest
from lab_page import BEGIN_CELL, OpenNotebook, until
from notebook_rules import WIDGET, course, tree_of
from tiny_course import ROOT

from finetune_course.notebook_build.source import grading, read_source

pytestmark = pytest.mark.slow

PLANNED = {"00", "01", "05", "08", "09", "10"}
"""Numbers of the notebooks that are meant to have a widget."""
GIVEN = {
    "08": """
from pandas import DataFrame
from finetune_course.adapters import recorded_runs
waiting = DataFrame({"answers a second": [0.7, 1.9]})
tokens_in_rules, tokens_out = 412.0, 36.0
run, made = recorded_runs("triage").runs[0], recorded_runs("triage").settings
"""
}
"""What a notebook measures for minutes, with trainings and a server, and where its sliders only start from."""
TRAINING = "    outcome = trainer.train()"
PROGRESS = re.compile(r"step (\d+) of (\d+), loss [\d.]+")
# What a cell shows besides its controls: those change when they are moved, whether or not anything listens.
SHOWN = """index => {
    const node = window.panel().content.widgets[index].node.cloneNode(true)
    const controls = '.widget-slider, .widget-dropdown, .widget-text, .jp-InputArea, .jp-OutputPrompt'
    node.querySelectorAll(controls).forEach(control => control.remove())
    const pictures = [...node.querySelectorAll('img')].map(picture => picture.src)
    return [node.textContent, ...pictures].join('\\n')
}"""


def with_widgets() -> list[str]:
    """Numbers of the notebooks that are there with a widget. (By their lines: to parse all would take seconds.)"""
    code = {edition.name[:2]: edition.source.read_text(encoding="utf-8").splitlines() for edition in course()}
    return [number for number in code if any(WIDGET.search(line) for line in code[number] if line[:1] != "#")]


def widget_cells(notebook) -> list[int]:
    return [
        index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code" and WIDGET.search(cell.source)
    ]


@pytest.fixture
def opened(tmp_path):
    """Opens the notebook of a number in a browser, with a kernel."""
    with lab_page.chromium() as browser:

        def open_one(number: str):
            (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
            server = lab_page.jupyterlab(tmp_path, [path])
            servers.append(server)
            notebook = OpenNotebook(browser, server.__enter__(), path)
            notebook.wait()
            return notebook

        servers = []
        yield open_one
        for server in servers:
            server.__exit__(None, None, None)


def names(cell) -> tuple[set[str], dict[str, str], set[str]]:
    """Names that a cell defines at its top level, those it imports (each with its line), those it needs from before."""
    bound, imported, needed = set(), {}, set()
    for statement in tree_of(cell).body:
        tables = [symtable.symtable(ast.unparse(statement), "cell", "exec")]
        own = {symbol.get_name() for symbol in tables[0].get_symbols() if symbol.is_assigned() or symbol.is_imported()}
        used = {symbol.get_name() for symbol in tables[0].get_symbols() if symbol.is_referenced()}
        for table in tables:  # grows while it is walked: functions and comprehensions inside
            used |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
            tables += table.get_children()
        first_used = isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign))  # as in x = x + 1
        needed |= used - bound - set(imported) - (set() if first_used else own)
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            imported |= dict.fromkeys(own, ast.unparse(statement))
        else:
            bound |= own
    return bound, imported, needed


def what_is_needed(notebook, *last: int, given: Iterable[str] = ()) -> tuple[list[int], list[str]]:
    """Indices of the code cells that define what the cells ``last`` use, and what these use, with ``last``; in order.

    And the import lines from other cells that they need. ``given``: names that no cell has to define.
    """
    cells = {index: cell for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"}
    found = {index: names(cell) for index, cell in cells.items() if index in last or not grading(cell)}
    needed, imports = list(last), {}
    for index in needed:  # grows while it is walked
        for name in found[index][2] - set(given):
            before = [place for place in found if place < index and name in found[place][0] | found[place][1].keys()]
            if before and name in found[before[-1]][1]:
                imports[found[before[-1]][1][name]] = None
            elif before and before[-1] not in needed:
                needed.append(before[-1])
    return sorted(needed), list(imports)


def run_needed(opened, number: str, *last: int, but: int | None = None) -> list[int]:
    """Run what the cells ``last`` need, and these cells, all but the cell ``but``; returns the indices of what ran."""
    given = GIVEN.get(number, "")
    cells, imports = what_is_needed(opened.notebook, *last, given=names(nbformat.v4.new_code_cell(given))[0])
    assert opened.page.evaluate(lab_page.IN_THE_KERNEL, "\n".join([*imports, given])) == "ok"
    cells = [index for index in cells if index != but]
    for index in cells:
        opened.page.evaluate(lab_page.RUN_CELL, index)
    assert opened.errors(cells) == []
    return cells


def shows_something_else(opened, index):
    """A condition: the cell shows something else than it does now."""
    before = opened.page.evaluate(SHOWN, index)
    return lambda: opened.page.evaluate(SHOWN, index) != before


def test_what_a_cell_needs_is_found():
    """In notebook 01 the slider needs the model, which is made in other cells, and not its training."""
    (edition,) = [edition for edition in course() if edition.name.startswith("01")]
    notebook = read_source(edition.source)
    (last,) = widget_cells(notebook)
    cells, imports = what_is_needed(notebook, last)
    text = "\n".join([*imports, *(notebook.cells[index].source for index in cells)])
    assert "import continue_text" in text and "model = " in text and "import math" in imports
    assert "optimiser.step()" in "\n".join(cell.source for cell in notebook.cells) and "optimiser.step()" not in text
    without = what_is_needed(notebook, last, given={"model"})[0]
    assert len(without) < len(cells) and not any("model = " in notebook.cells[index].source for index in without)


def test_the_planned_notebooks_have_their_widgets():
    assert PLANNED.intersection(edition.name[:2] for edition in course()) <= set(with_widgets())


@pytest.mark.parametrize("number", with_widgets())
def test_widgets_move_and_what_they_show_changes(opened, number, tmp_path):
    learner = opened(number)
    widgets = widget_cells(learner.notebook)
    assert widgets
    for index in widgets:
        needed = run_needed(learner, number, index)
        learner.show(index)
        output = learner.page.locator(".jp-Notebook .jp-Cell").nth(index)
        sliders, choices = output.locator("[role=slider]"), output.locator("select")
        buttons = output.locator(".widget-toggle-buttons button:not(.mod-active)")
        output.locator("[role=slider], select").first.wait_for()
        for place in range(min(sliders.count(), 3)):
            changed = shows_something_else(learner, index)
            sliders.nth(place).focus()
            sliders.nth(place).press("ArrowRight")
            until(changed, f"cell {index + 1} shows the same after its slider {place + 1} was moved")
        if choices.count():
            changed = shows_something_else(learner, index)
            choices.first.select_option(index=choices.first.evaluate("list => list.selectedIndex ? 0 : 1"))
            until(changed, f"cell {index + 1} shows the same after another choice")
        if buttons.count():
            changed = shows_something_else(learner, index)
            buttons.first.click()
            until(changed, f"cell {index + 1} shows the same after another of its buttons was pressed")
        learner.page.screenshot(path=tmp_path / f"widget_{number}_{index}.png")
        assert learner.errors(needed) == []
    assert learner.faults == []


def test_the_training_of_06_is_seen_moving(opened, tmp_path):
    """The line of progress and the loss curve change while trainer.train() runs; then the learner stops it."""
    learner = opened("06")
    train = learner.index(TRAINING)
    run_needed(learner, "06", train, learner.index("loss_curve = LiveLoss()"), but=train)
    learner.show(train)
    learner.page.evaluate(BEGIN_CELL, train)
    seen, pictures = [], set()

    def moved() -> bool:
        outputs = learner.cell(train)["outputs"]
        assert not [out for out in outputs if out["output_type"] == "error"], outputs
        for out in outputs:
            data = out.get("data", {})
            if found := PROGRESS.search("".join(data.get("text/html", ""))):
                seen.append(int(found[1]))
                assert seen[-1] <= int(found[2])
            if "image/png" in data:
                pictures.add("".join(data["image/png"]))
        return len(set(seen)) >= 3 and len(pictures) >= 3

    until(moved, "the training showed no progress")
    assert seen == sorted(seen)
    shown = learner.page.locator(".jp-Notebook .jp-Cell").nth(train)
    shown.locator("progress").wait_for()
    shown.locator("img").wait_for()
    learner.page.screenshot(path=tmp_path / "training_06.png")
    assert learner.faults == []
    learner.page.evaluate("async () => { await window.panel().sessionContext.session.kernel.interrupt() }")
    until(lambda: "KeyboardInterrupt" in str(learner.cell(train)["outputs"]), "the training could not be stopped")
