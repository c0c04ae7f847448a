"""JupyterLab as start.py opens it, in a real browser: the server, the browser, and a notebook that a test works in.

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
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import nbformat
import pytest
from tiny_course import ROOT

from finetune_course.memory import kill_tree

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install -r tests/requirements.txt"
)
sys.path.insert(0, str(ROOT))
import start  # noqa: E402

FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split()
FLAGS += ["--disable-component-update", "--disable-sync"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 600
"""How long anything may take before a test gives up; nothing here is a measurement."""
# What JupyterLab itself writes: it asks for a language server, and forgets a debugger, where nobody uses either.
NOT_OURS = ("/lsp/status", "Could not restore the debugger state")

# ``panel()`` is the notebook's widget in JupyterLab, once it is there.
PANEL = """
window.panel = () => [...(window.jupyterapp?.shell.widgets('main') ?? [])]
    .find(widget => widget.context?.path.endsWith('NAME'))
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
BEGIN_CELL = RUN_CELL.replace("await window.jupyterapp", "void window.jupyterapp")
# Code that is no cell; "ok", or what went wrong.
IN_THE_KERNEL = """async code => {
    const kernel = window.panel().sessionContext.session.kernel
    const {content} = await kernel.requestExecute({code, store_history: false}).done
    return content.status === 'ok' ? 'ok' : `${content.ename}: ${content.evalue}`
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
SET_CELL = "([index, text]) => window.panel().content.model.cells.get(index).sharedModel.setSource(text)"
CELL = "index => window.panel().content.model.cells.get(index).toJSON()"


@contextlib.contextmanager
def chromium() -> Iterator:
    """Debian's Chromium, or another on the path, or Playwright's own; the test is skipped where there is none."""
    with sync_api.sync_playwright() as playwright:
        place = next((found for name in BROWSERS if (found := shutil.which(name))), None)
        try:
            browser = playwright.chromium.launch(executable_path=place, args=FLAGS)
        except sync_api.Error as error:
            reason = str(error).splitlines()[0]
            pytest.skip(f"no browser could be started (apt install chromium, or playwright install chromium): {reason}")
        yield browser
        browser.close()


@contextlib.contextmanager
def jupyterlab(folder: Path, notebooks: Iterable[Path], settings: dict | None = None) -> Iterator[str]:
    """JupyterLab with start.py's own arguments on copies of ``notebooks``, at work in ``folder``; yields its address.

    ``settings`` come on top of what start.py sets. The learner's predictions are kept in ``folder``/progress.
    """
    course, config = folder / "course", folder / "config"
    (course / "notebooks").mkdir(parents=True)
    for path in notebooks:
        shutil.copy(path, course / "notebooks")
    labconfig = config / "labconfig"  # what start.py puts into .venv
    labconfig.mkdir(parents=True)
    overrides = json.loads((ROOT / "binder/overrides.json").read_text())
    for plugin, changed in (settings or {}).items():
        overrides[plugin] = overrides.get(plugin, {}) | changed
    (labconfig / "default_setting_overrides.json").write_text(json.dumps(overrides))
    (labconfig / "page_config.json").write_text('{"disabledExtensions": {"@jupyter/nbgrader": true}}')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    extra = ["--no-browser", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    extra += ["--IdentityProvider.token=course", "--LabApp.expose_app_in_browser=True"]
    env = {k: v for k, v in os.environ.items() if k not in ("COURSE_HEADLESS", "COURSE_PROFILE", "COURSE_MODEL")}
    env |= {"JUPYTER_CONFIG_DIR": str(config), "FINETUNE_COURSE_PROGRESS": str(folder / "progress")}
    env |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}", "JUPYTER_PREFER_ENV_PATH": "1"}
    command = [sys.executable, *start.command_line(extra, str(course))]
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen(command, cwd=course, env=env, stdout=log, stderr=subprocess.STDOUT)
        try:
            address = f"http://127.0.0.1:{port}/"
            end = time.monotonic() + SECONDS
            while not _answers(f"{address}api"):
                assert process.poll() is None and time.monotonic() < end, (folder / "server.log").read_text()[-3000:]
                time.sleep(0.5)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:  # on a busy machine it may wait for a kernel that long
                kill_tree(process.pid)
                process.wait()


def _answers(address: str) -> bool:
    with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
        return urllib.request.urlopen(address, timeout=5).status == 200
    return False


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for ``condition()``; fails with the sentence ``what`` when it never holds."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.5)


class OpenNotebook:
    """A page of the browser with one notebook in it; what goes wrong in the page is collected in ``faults``.

    ``path`` is the file whose copy the server at ``address`` has. The page that start.py opens has notebook 00;
    any other has a JupyterLab workspace to itself. A shared one brings back what was open before, and gives the list of
    files the share of the window that it had then: its 250 of 800 pixels become 400 of 1280, and more each time.
    """

    def __init__(self, browser, address: str, path: Path, width: int = 1280) -> None:
        self.notebook = nbformat.read(path, as_version=4)
        self.faults: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.page.set_default_timeout(1000 * SECONDS)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("console", self._note)
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.page.add_init_script(PANEL.replace("NAME", path.name))
        first = path.name == Path(start.FIRST_NOTEBOOK).name
        own = f"lab/workspaces/{path.stem}/tree/notebooks/{path.name}"
        self.page.goto(f"{address}{'' if first else own}?token=course")

    def _note(self, message) -> None:
        text = f"{message.text} {message.location.get('url', '')}"
        if message.type == "error" and not any(words in text for words in NOT_OURS):
            self.faults.append(f"console: {message.text} ({message.location.get('url', '')})")

    def wait(self) -> None:
        """Until the notebook is there and its kernel idle."""
        self.page.wait_for_function(READY, arg=len(self.notebook.cells))

    def index(self, text: str) -> int:
        """Index of the only code cell with this id or this line."""
        (found,) = [
            index
            for index, cell in enumerate(self.notebook.cells)
            if cell.cell_type == "code" and text in (cell.id, *cell.source.split("\n"))
        ]
        return found

    def cell(self, index: int) -> dict:
        """The cell as it is now, in nbformat's form."""
        return self.page.evaluate(CELL, index)

    def errors(self, indices: Iterable[int]) -> list[str]:
        """The errors that these code cells show, as "cell 4: ValueError: …"; cells that have not run count too."""
        found = []
        for index in indices:
            cell = self.cell(index)
            outputs = [out for out in cell["outputs"] if out["output_type"] == "error"]
            found += [f"cell {index + 1}: {out['ename']}: {out['evalue']}" for out in outputs]
            found += [] if cell["execution_count"] else [f"cell {index + 1} has not run"]
        return found

    def run(self, text: str) -> str:
        """Run that cell and return what it shows, as JSON text."""
        self.page.evaluate(RUN_CELL, self.index(text))
        return self.outputs(text)

    def outputs(self, text: str) -> str:
        return json.dumps(self.cell(self.index(text))["outputs"], ensure_ascii=False)

    def show(self, index: int) -> None:
        self.page.evaluate(SHOW_CELL, index)
