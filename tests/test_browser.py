"""JupyterLab in a real browser, opened as start.py opens it: what a learner does in the first minutes of notebook 00.

What made this reliable: the application is exposed to the page and the notebook's model is asked, not the page, which
draws late; a command's promise is awaited where one is given; sliders are moved with the arrow keys.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest
from tiny_course import ROOT

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
sys.path.insert(0, str(ROOT))
import start  # noqa: E402

pytestmark = pytest.mark.slow

FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split()
FLAGS += ["--disable-component-update", "--disable-sync"]
NAME = Path(start.FIRST_NOTEBOOK).name
SECONDS = 300
"""How long anything may take before the test gives up; nothing here is a measurement."""
# What JupyterLab itself writes: it asks for a language server, and forgets a debugger, where nobody uses either.
NOT_OURS = ("/lsp/status", "Could not restore the debugger state")

# ``panel()`` is the notebook's widget in JupyterLab, once it is there.
PANEL = f"""
window.panel = () => [...(window.jupyterapp?.shell.widgets('main') ?? [])]
    .find(widget => widget.context?.path.endsWith('{NAME}'))
"""
READY = """cells => {
    const found = window.panel && window.panel()
    return found && found.context.isReady && found.content.model?.cells.length === cells
        && found.sessionContext.session?.kernel?.status === 'idle'
}"""
RUN_ALL = """async () => {
    window.jupyterapp.shell.activateById(window.panel().id)
    await window.jupyterapp.commands.execute('notebook:run-all-cells')
}"""
RUN_CELL = """async index => {
    window.jupyterapp.shell.activateById(window.panel().id)
    window.panel().content.activeCellIndex = index
    await window.jupyterapp.commands.execute('notebook:run-cell')
}"""
SHOW_CELL = """async index => {
    window.panel().content.activeCellIndex = index
    await window.panel().content.scrollToItem(index, 'start')
}"""
EDIT_CELL = """async index => {
    const content = window.panel().content
    window.jupyterapp.shell.activateById(window.panel().id)
    content.activeCellIndex = index
    await content.scrollToItem(index, 'start')
    await content.activeCell.ready
    content.mode = 'edit'
    content.activeCell.editor.focus()
}"""
CELL = "index => window.panel().content.model.cells.get(index).toJSON()"


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, or another on the path, or Playwright's own."""
    with sync_api.sync_playwright() as playwright:
        names = ("chromium", "chromium-browser", "google-chrome")
        place = next((found for name in names if (found := shutil.which(name))), None)
        try:
            chromium = playwright.chromium.launch(executable_path=place, args=FLAGS)
        except sync_api.Error as error:
            pytest.skip(f"no browser could be started (install chromium): {str(error).splitlines()[0]}")
        yield chromium
        chromium.close()


@pytest.fixture
def server(tmp_path):
    """JupyterLab with start.py's own arguments on a copy of the notebooks; yields its address with the token."""
    course = tmp_path / "course"
    shutil.copytree(ROOT / "notebooks", course / "notebooks", ignore=shutil.ignore_patterns(".*"))
    labconfig = tmp_path / "config/labconfig"  # what start.py puts into .venv
    labconfig.mkdir(parents=True)
    shutil.copy(ROOT / "binder/overrides.json", labconfig / "default_setting_overrides.json")
    (labconfig / "page_config.json").write_text('{"disabledExtensions": {"@jupyter/nbgrader": true}}')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    extra = ["--no-browser", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    extra += ["--IdentityProvider.token=course", "--LabApp.expose_app_in_browser=True"]
    env = {k: v for k, v in os.environ.items() if k not in ("COURSE_HEADLESS", "COURSE_PROFILE", "COURSE_MODEL")}
    env |= {"JUPYTER_CONFIG_DIR": str(tmp_path / "config"), "FINETUNE_COURSE_PROGRESS": str(tmp_path / "progress")}
    env |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}", "JUPYTER_PREFER_ENV_PATH": "1"}
    command = [sys.executable, *start.command_line(extra, str(course))]
    with open(tmp_path / "server.log", "w") as log:
        process = subprocess.Popen(command, cwd=course, env=env, stdout=log, stderr=subprocess.STDOUT)
        try:
            address = f"http://127.0.0.1:{port}/"
            end = time.monotonic() + SECONDS
            while not _answers(f"{address}api"):
                assert process.poll() is None and time.monotonic() < end, (tmp_path / "server.log").read_text()[-3000:]
                time.sleep(0.5)
            yield f"{address}?token=course"
        finally:
            process.terminate()
            process.wait(60)


def _answers(address: str) -> bool:
    with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
        return urllib.request.urlopen(address, timeout=5).status == 200
    return False


class Learner:
    """One page with notebook 00 open in it."""

    def __init__(self, browser, address: str) -> None:
        self.notebook = nbformat.read(ROOT / start.FIRST_NOTEBOOK, as_version=4)
        self.faults: list[str] = []
        self.page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(1000 * SECONDS)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("console", self._note)
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.page.add_init_script(PANEL)
        self.page.goto(address)
        self.wait()

    def _note(self, message) -> None:
        text = f"{message.text} {message.location.get('url', '')}"
        if message.type == "error" and not any(words in text for words in NOT_OURS):
            self.faults.append(f"console: {message.text} ({message.location.get('url', '')})")

    def wait(self) -> None:
        self.page.wait_for_function(READY, arg=len(self.notebook.cells))

    def index(self, text: str) -> int:
        """Index of the only code cell with this id or this line."""
        (found,) = [
            index
            for index, cell in enumerate(self.notebook.cells)
            if cell.cell_type == "code" and text in (cell.id, *cell.source.split("\n"))
        ]
        return found

    def run(self, text: str) -> str:
        """Run that cell and return what it shows, as JSON text."""
        self.page.evaluate(RUN_CELL, self.index(text))
        return self.outputs(text)

    def outputs(self, text: str) -> str:
        return json.dumps(self.page.evaluate(CELL, self.index(text))["outputs"], ensure_ascii=False)

    def show(self, text: str) -> None:
        self.page.evaluate(SHOW_CELL, self.index(text))


@pytest.fixture
def learner(browser, server):
    opened = Learner(browser, server)
    yield opened
    opened.page.close()


CLAIMS = "claims = load_claims()"
SLIDERS = "display(panel)"
FIGURE = "mine = load_predictions()"


def saved(folder: Path) -> dict[str, float]:
    """The predictions in the learner's file; none before there is one."""
    with contextlib.suppress(FileNotFoundError):
        return json.loads((folder / "progress/predictions.json").read_text())["confidence"]
    return {}


def until(condition, what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.5)


def test_first_minutes_with_notebook_00(learner, tmp_path):
    page = learner.page
    # Run All stops at the first exercise, on purpose and with one sentence; everything before it has run.
    page.evaluate(RUN_ALL)
    assert "Exercise 0.1 is not done yet" in learner.outputs("ex-0-1-test")
    before = [cell for cell in learner.notebook.cells[: learner.index("ex-0-1")] if cell.cell_type == "code"]
    for cell in before:
        shown = page.evaluate(CELL, learner.notebook.cells.index(cell))
        assert shown["execution_count"] and not [out for out in shown["outputs"] if out["output_type"] == "error"]

    # The exercise is typed in, and its check turns green.
    answer = "def weights_gb(parameters, bits):\n    return parameters * bits / 8 / 1e9"
    page.evaluate(EDIT_CELL, learner.index("ex-0-1"))
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(answer)
    until(lambda: page.evaluate(CELL, learner.index("ex-0-1"))["source"] == answer, "the answer was not typed in")
    page.evaluate(RUN_CELL, learner.index("ex-0-1"))
    assert "✓" in learner.run("ex-0-1-test")

    # A prediction is made with a slider, and saved at once.
    learner.run(CLAIMS)
    assert "42 claims to predict" in learner.run(SLIDERS)
    learner.show(SLIDERS)
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
    assert page.evaluate(CELL, learner.index("ex-0-1"))["source"] == answer
    learner.show(SLIDERS)
    slider = page.locator("[role=slider]").first
    slider.wait_for()
    assert float(slider.get_attribute("aria-valuenow")) == 55
    page.screenshot(path=tmp_path / "reloaded.png")
    assert learner.faults == []

    # And a restart of the kernel, once the cell has been run again. (Until then JupyterLab misses the old sliders.)
    page.evaluate("async () => { await window.panel().sessionContext.restartKernel() }")
    learner.wait()
    learner.run(CLAIMS)
    learner.run(SLIDERS)
    page.get_by_text("1 of 42 claims predicted").first.wait_for()
    assert float(page.locator("[role=slider]").first.get_attribute("aria-valuenow")) == 55
    assert saved(tmp_path) == {claim: 55}
    assert [fault for fault in learner.faults if "widget model not found" not in fault] == []
