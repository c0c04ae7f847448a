"""What moves, in a real browser: the widgets of each notebook that has some, and the progress of the training in 06.

Only the cells that a widget (or the training) needs are run before it, found by the names that they define: no widget
has to wait for minutes of training.
"""

import ast
import os
import re
import symtable

import lab_page
import pytest
from lab_page import BEGIN_CELL, OpenNotebook, until
from notebook_rules import WIDGET, course, tree_of
from tiny_course import ROOT

from finetune_course.notebook_build.source import read_source

pytestmark = pytest.mark.slow

WITH_WIDGETS = ("00", "01", "05", "08", "09", "10")
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


def student_notebook(number: str):
    """The learner's file of that notebook; skips, and so lists it, where the notebook is not written yet."""
    found = sorted((ROOT / "notebooks").glob(f"{number}_*.ipynb"))
    if not found:
        pytest.skip(f"notebook {number} is not there yet: its widgets have not been tried")
    return found[0]


@pytest.fixture
def opened(tmp_path):
    """Opens the notebook of a number in a browser, with a kernel."""
    with lab_page.chromium() as browser:

        def open_one(number: str):
            path = student_notebook(number)
            server = lab_page.jupyterlab(tmp_path, [path])
            servers.append(server)
            notebook = OpenNotebook(browser, server.__enter__(), path)
            notebook.wait()
            return notebook

        servers = []
        yield open_one
        for server in servers:
            server.__exit__(None, None, None)


def names(cell) -> tuple[set[str], set[str]]:
    """The names that a cell gives a value to at its top level, and those that it takes from earlier cells."""
    bound, needed = set(), set()
    for statement in tree_of(cell).body:
        tables = [symtable.symtable(ast.unparse(statement), "cell", "exec")]
        own = {symbol.get_name() for symbol in tables[0].get_symbols() if symbol.is_assigned() or symbol.is_imported()}
        used = {symbol.get_name() for symbol in tables[0].get_symbols() if symbol.is_referenced()}
        for table in tables:  # grows while it is walked: functions and comprehensions inside
            used |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
            tables += table.get_children()
        first_used = isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign))  # as in x = x + 1
        needed |= used - bound - (set() if first_used else own)
        bound |= own
    return bound, needed


def cells_needed(notebook, last: int) -> list[int]:
    """Indices of the code cells that define what cell ``last`` uses, and what these use, in order, with ``last``."""
    found = {index: names(cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"}
    needed = [last]
    for index in needed:  # grows while it is walked
        for name in found[index][1]:
            before = [place for place in found if place < index and name in found[place][0]]
            needed += before[-1:] if before and before[-1] not in needed else []
    return sorted(needed)


def widget_cells(notebook) -> list[int]:
    return [
        index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code" and WIDGET.search(cell.source)
    ]


def run_cells(opened, indices) -> None:
    for index in indices:
        opened.page.evaluate(lab_page.RUN_CELL, index)
    assert opened.errors(indices) == []


def shows_something_else(opened, index):
    """A condition: the cell shows something else than it does now."""
    before = opened.page.evaluate(SHOWN, index)
    return lambda: opened.page.evaluate(SHOWN, index) != before


def test_what_a_cell_needs_is_found():
    """In notebook 01 the slider needs the model, which is made in other cells, and not its training."""
    (edition,) = [edition for edition in course() if edition.name.startswith("01")]
    notebook = read_source(edition.source)
    (last,) = widget_cells(notebook)
    text = "\n".join(notebook.cells[index].source for index in cells_needed(notebook, last))
    assert "import continue_text" in text and "model = " in text and "import torch" in text
    assert "optimiser.step()" in "\n".join(cell.source for cell in notebook.cells) and "optimiser.step()" not in text


def test_every_notebook_with_a_widget_is_tried_below():
    found = {edition.name[:2] for edition in course() if widget_cells(read_source(edition.source))}
    assert found <= set(WITH_WIDGETS)


@pytest.mark.parametrize("number", WITH_WIDGETS)
def test_widgets_move_and_what_they_show_changes(opened, number, tmp_path):
    learner = opened(number)
    widgets = widget_cells(learner.notebook)
    assert widgets, f"notebook {number} has no widget any more: take it from the list"
    for index in widgets:
        needed = cells_needed(learner.notebook, index)
        run_cells(learner, needed)
        learner.show(index)
        output = learner.page.locator(".jp-Notebook .jp-Cell").nth(index)
        sliders, choices = output.locator("[role=slider]"), output.locator("select")
        output.locator("[role=slider], select").first.wait_for()
        assert sliders.count() + choices.count() > 0
        for place in range(min(sliders.count(), 3)):
            changed = shows_something_else(learner, index)
            sliders.nth(place).focus()
            sliders.nth(place).press("ArrowRight")
            until(changed, f"cell {index + 1} shows the same after its slider {place + 1} was moved")
        if not sliders.count():
            changed = shows_something_else(learner, index)
            choices.first.select_option(index=1)
            until(changed, f"cell {index + 1} shows the same after another choice")
        learner.page.screenshot(path=tmp_path / f"widget_{number}_{index}.png")
        assert learner.errors(needed) == []
    assert learner.faults == []


@pytest.mark.skipif(
    os.environ.get("FINETUNE_COURSE_BROWSER_TRAINING") != "1",
    reason="trains in a browser for minutes, never yet seen to pass: set FINETUNE_COURSE_BROWSER_TRAINING=1",
)
def test_the_training_of_06_is_seen_moving(opened, tmp_path):
    """The line of progress and the loss curve change while trainer.train() runs; then the learner stops it."""
    learner = opened("06")
    train = learner.index(TRAINING)
    curve = learner.index("loss_curve = LiveLoss()")
    needed = sorted({*cells_needed(learner.notebook, train), *cells_needed(learner.notebook, curve)} - {train})
    run_cells(learner, needed)
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
