"""JupyterLab in a real browser, opened as start.py opens it: what a learner does in notebook 00, and all of it run."""

import contextlib
import json
from pathlib import Path

import lab_page
import nbformat
import pytest
from lab_page import EDIT_CELL, RUN_ALL, RUN_CELL, SET_CELL, OpenNotebook, until
from tiny_course import ROOT

from finetune_course.notebook_build.source import grading

pytestmark = pytest.mark.slow

FIRST = ROOT / lab_page.start.FIRST_NOTEBOOK
CLAIMS = "claims = load_claims()"
SLIDERS = "display(panel)"
FIGURE = "mine = load_predictions()"


@pytest.fixture
def learner(tmp_path):
    with lab_page.chromium() as browser, lab_page.jupyterlab(tmp_path, [FIRST]) as address:
        opened = OpenNotebook(browser, address, FIRST)
        opened.wait()
        yield opened


def saved(folder: Path) -> dict[str, float]:
    """The predictions in the learner's file; none before there is one."""
    with contextlib.suppress(FileNotFoundError):
        return json.loads((folder / "progress/predictions.json").read_text())["confidence"]
    return {}


def code_cells(notebook) -> list[int]:
    return [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]


def test_first_minutes_with_notebook_00(learner, tmp_path):
    page = learner.page
    # Run All stops at the first exercise, on purpose and with one sentence; everything before it has run.
    page.evaluate(RUN_ALL)
    assert "Exercise 0.1 is not done yet" in learner.outputs("ex-0-1-test")
    before = [index for index in code_cells(learner.notebook) if index < learner.index("ex-0-1")]
    assert before and learner.errors(before) == []

    # The exercise is typed in, and its check turns green.
    answer = "def weights_gb(parameters, bits):\n    return parameters * bits / 8 / 1e9"
    page.evaluate(EDIT_CELL, learner.index("ex-0-1"))
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(answer)
    until(lambda: learner.cell(learner.index("ex-0-1"))["source"] == answer, "the answer was not typed in")
    page.evaluate(RUN_CELL, learner.index("ex-0-1"))
    assert "✓" in learner.run("ex-0-1-test")

    # A prediction is made with a slider, and saved at once.
    learner.run(CLAIMS)
    assert "42 claims to predict" in learner.run(SLIDERS)
    learner.show(learner.index(SLIDERS))
    handle = page.locator("[role=slider]").first
    handle.focus()
    handle.press("ArrowRight")
    until(lambda: saved(tmp_path), "the move of a slider was never saved")
    ((claim, sure),) = saved(tmp_path).items()
    assert sure == 55
    page.get_by_text("1 of 42 claims predicted").first.wait_for()
    assert f"{claim} 55%" in learner.run(FIGURE)
    page.screenshot(path=tmp_path / "predicted.png")

    # Both survive a reload of the page: the kernel still has the sliders.
    page.evaluate("async () => { await window.panel().context.save() }")
    page.reload()
    learner.wait()
    assert learner.cell(learner.index("ex-0-1"))["source"] == answer
    learner.show(learner.index(SLIDERS))
    slider = page.locator("[role=slider]").first
    slider.wait_for()
    assert float(slider.get_attribute("aria-valuenow")) == 55
    page.screenshot(path=tmp_path / "reloaded.png")
    assert learner.faults == []

    # And a restart of the kernel, once the cell has been run again. (Until then JupyterLab misses the old sliders.)
    # With the other exercises done too, Run All comes to the end, and every cell on the way has run without an error.
    page.evaluate("async () => { await window.panel().sessionContext.restartKernel() }")
    learner.wait()
    solution = nbformat.read(ROOT / "solutions" / FIRST.name, as_version=4)
    for cell in solution.cells:
        if cell.cell_type == "code" and grading(cell).get("solution") and cell.id != "ex-0-1":
            page.evaluate(SET_CELL, [learner.index(cell.id), cell.source])
    page.evaluate(RUN_ALL)
    assert learner.errors(code_cells(learner.notebook)) == []
    assert all("✓" in learner.outputs(f"ex-0-{number}-test") for number in (1, 2, 3, 4))
    assert f"{claim} 55%" in learner.outputs(FIGURE)
    learner.show(learner.index(SLIDERS))
    page.get_by_text("1 of 42 claims predicted").first.wait_for()
    assert float(page.locator("[role=slider]").first.get_attribute("aria-valuenow")) == 55
    assert saved(tmp_path) == {claim: 55}
    assert [fault for fault in learner.faults if "widget model not found" not in fault] == []


def test_sliders_of_an_ended_kernel_say_so_and_come_back(learner):
    """A row of the README's table: their cell shows one sentence until it is run again."""
    learner.run(CLAIMS)
    learner.run(SLIDERS)
    learner.page.evaluate("async () => { await window.panel().context.save() }")
    learner.page.evaluate("async () => { await window.panel().sessionContext.restartKernel() }")
    learner.page.reload()
    learner.wait()
    learner.show(learner.index(SLIDERS))
    learner.page.get_by_text("Error displaying widget: model not found").first.wait_for()
    learner.run(CLAIMS)
    learner.run(SLIDERS)
    learner.page.locator("[role=slider]").first.wait_for()
