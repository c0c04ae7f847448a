"""How the executed notebooks look in JupyterLab: at 1280 and 800 pixels, light and dark, nothing cut off, all readable.

The saved outputs are shown; nothing is run. With FINETUNE_COURSE_PICTURES=FOLDER a screenshot of each page of each
notebook is put there, to be looked at.
"""

import base64
import io
import os
from pathlib import Path

import lab_page
import matplotlib.image
import nbformat
import pytest
from lab_page import OpenNotebook, until
from notebook_rules import course

pytestmark = pytest.mark.slow

WIDTHS = (1280, 800)
THEMES = ("JupyterLab Light", "JupyterLab Dark")
LEAST_CONTRAST = 4.5
"""Of text against what is behind it: WCAG 2, level AA."""
# Every cell is drawn at once; as a learner has it, only those in sight are. It changes no width and no colour.
ALL_DRAWN = {"@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"}}
# What sticks out to the right of its place, where no scroll bar leads to it; and code, whose scroll bar shows late.
CUT_OFF = """() => {
    const found = []
    window.panel().content.widgets.forEach((cell, index) => {
        for (const code of cell.node.querySelectorAll('.cm-scroller'))
            if (code.scrollWidth > code.clientWidth + 1) found.push(`cell ${index + 1}: code wider than the page`)
        for (const area of cell.node.querySelectorAll('.jp-OutputArea-output, .jp-MarkdownOutput')) {
            const scrolls = node => ['auto', 'scroll'].includes(getComputedStyle(node).overflowX)
            const edge = area.getBoundingClientRect().right
            if (area.scrollWidth > area.clientWidth + 1 && !scrolls(area))
                found.push(`cell ${index + 1}: ${area.scrollWidth} wide in ${area.clientWidth}`)
            for (const node of area.querySelectorAll('img, table, svg, pre, mjx-container')) {
                let parent = node.parentElement
                while (parent !== area.parentElement && !scrolls(parent)) parent = parent.parentElement
                if (parent === area.parentElement && node.getBoundingClientRect().right > edge + 1)
                    found.push(`cell ${index + 1}: its ${node.tagName.toLowerCase()} sticks out`)
            }
        }
    })
    return found
}"""
# The notebook has the whole place between the list of files and the right edge, whatever a restored layout would open.
ALONE = """async () => {
    await window.jupyterapp.commands.execute('application:set-mode', {mode: 'single-document'})
    window.jupyterapp.shell.collapseRight()
}"""
# Where the notebook lies and how wide everything in it is, with what has still to come: fonts and pictures.
LAYOUT = """() => {
    const {left, right} = window.panel().node.getBoundingClientRect(), node = window.panel().content.node
    const parts = [...node.querySelectorAll('.jp-OutputArea-output, .jp-MarkdownOutput, table, img, mjx-container')]
    const waiting = [...document.images].filter(picture => !picture.complete).length
    return {
        left, to_the_right: window.innerWidth - right, widths: parts.map(part => [part.clientWidth, part.scrollWidth]),
        waiting: waiting + (document.fonts.status === 'loaded' ? 0 : 1),
    }
}"""
AS_OPENED = 300
"""Pixels at most that JupyterLab's list of files and the bars beside the notebook take on the left."""
# What can only be seen by scrolling sideways.
WIDE = """() => {
    const found = []
    window.panel().content.widgets.forEach((cell, index) => {
        for (const area of cell.node.querySelectorAll('.jp-OutputArea-output, .jp-MarkdownOutput'))
            for (const node of [area, ...area.querySelectorAll('*')])
                if (node.scrollWidth > node.clientWidth + 1 && node.clientWidth > 0
                    && ['auto', 'scroll'].includes(getComputedStyle(node).overflowX))
                    found.push(`cell ${index + 1}: ${node.tagName} ${node.scrollWidth} wide in ${node.clientWidth}`)
    })
    return found
}"""
# As a learner has it who ran the cells: HTML with its styles, which JupyterLab strips from a notebook it does not know.
TRUST = "() => { for (const cell of window.panel().content.model.cells) cell.trusted = true }"
# Contrast of each piece of text with the colours behind it, painted from the outside in.
FAINT = """least => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true})
    const paint = colours => {
        canvas.clearRect(0, 0, 1, 1)
        for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1) }
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3)
    }
    const light = colour => {
        const [r, g, b] = colour.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
    }
    const found = new Set()
    window.panel().content.widgets.forEach((cell, index) => {
        for (const area of cell.node.querySelectorAll('.jp-OutputArea-output, .jp-MarkdownOutput')) {
            const walker = document.createTreeWalker(area, NodeFilter.SHOW_TEXT)
            while (walker.nextNode()) {
                const text = walker.currentNode.textContent.trim(), node = walker.currentNode.parentElement
                const not_ours = 'mjx-assistive-mml, style, .jp-RenderedMarkdown pre span'  // the last: colours of code
                if (!text || !node.getClientRects().length || node.closest(not_ours)) continue
                const behind = []
                for (let up = node; up; up = up.parentElement) behind.unshift(getComputedStyle(up).backgroundColor)
                const back = paint(behind), front = paint([...behind, getComputedStyle(node).color])
                const [low, high] = [light(back), light(front)].sort((a, b) => a - b)
                const contrast = (high + 0.05) / (low + 0.05)
                const where = `cell ${index + 1}: "${text.slice(0, 30)}"`
                if (contrast < least) found.add(`${where} has ${contrast.toFixed(1)}, ${front} on ${back}`)
            }
        }
    })
    return [...found]
}"""


SCROLL = """step => {
    const content = window.panel().content.node
    const node = [content, ...content.querySelectorAll('.jp-WindowedPanel-outer')]
        .find(node => node.scrollHeight > node.clientHeight + 1)
    const before = node.scrollTop
    node.scrollTop = step * (node.clientHeight - 40)
    return step === 0 || node.scrollTop > before
}"""


def take_pictures(opened: OpenNotebook, name: str) -> None:
    """Screenshots of the notebook from its top to its end, where somebody wants them."""
    if folder := os.environ.get("FINETUNE_COURSE_PICTURES"):
        step = 0
        while opened.page.evaluate(SCROLL, step):
            opened.page.wait_for_timeout(200)
            opened.page.screenshot(path=Path(folder) / f"{name}_{step:02}.png")
            step += 1


def settle(opened: OpenNotebook) -> None:
    """Wait until the notebook fills its place and nothing in it changes any more; on a busy machine that takes long."""
    seen = []

    def still() -> bool:
        seen.append(opened.page.evaluate(LAYOUT))
        at_rest = seen[-1] == seen[-2] == seen[-3] if len(seen) > 2 else False
        return at_rest and seen[-1]["waiting"] == 0 and 0 <= seen[-1]["to_the_right"] < 80

    until(still, "the page did not come to rest")
    assert seen[-1]["left"] < AS_OPENED, f"something takes the notebook's place: it begins at {seen[-1]['left']:.0f}"


def faults_of_width(opened: OpenNotebook, width: int) -> list[str]:
    """What is cut off in a window of ``width`` pixels; in a wide one also what can only be seen by scrolling sideways.

    (On a narrow page a scroll bar under a wide table is what a reader expects.)
    """
    opened.page.set_viewport_size({"width": width, "height": 900})
    settle(opened)
    scripts = [CUT_OFF, WIDE] if width == WIDTHS[0] else [CUT_OFF]
    return [fault for script in scripts for fault in opened.page.evaluate(script)]


def put_on(opened: OpenNotebook, theme: str) -> None:
    """JupyterLab keeps it for the next page, too."""
    opened.page.evaluate(
        "async theme => { await window.jupyterapp.commands.execute('apputils:change-theme', {theme}) }", theme
    )
    opened.page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=theme)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A browser and the address of a server that has the executed notebooks, and one with faults."""
    folder = tmp_path_factory.mktemp("looks")
    notebooks = [*(edition.solution for edition in course()), write_faults(folder / "faults.ipynb")]
    with lab_page.chromium() as browser, lab_page.jupyterlab(folder, notebooks, ALL_DRAWN) as address:
        yield browser, address


def write_faults(path: Path) -> Path:
    """A notebook with a table too wide for the page, and text that is nearly white.

    And with a line of code that is too long for the page, which JupyterLab has to wrap.
    """
    table = f"<table><tr>{'<td>incomprehensibilities</td>' * 20}</tr></table>"
    outputs = [
        nbformat.v4.new_output("display_data", data={"text/html": html})
        for html in ("<p>Fine.</p>", table, "<p style='color:#eee'>Faint.</p>")
    ]
    cells = [nbformat.v4.new_code_cell("x", outputs=[output]) for output in outputs]
    cells[0].source = f"x = [{', '.join(f'long_name_{number}' for number in range(30))}]"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}  # without one JupyterLab would ask
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


def open_for_looking(lab, path: Path) -> OpenNotebook:
    opened = OpenNotebook(*lab, path)
    opened.wait()
    opened.page.evaluate(ALONE)
    opened.page.evaluate(TRUST)
    return opened


@pytest.mark.parametrize("edition", course(), ids=lambda edition: edition.name)
def test_nothing_is_cut_off_or_faint(lab, edition):
    opened = open_for_looking(lab, edition.solution)
    offences = []
    for theme in THEMES:
        put_on(opened, theme)
        for width in WIDTHS:
            offences += [f"{theme}, {width} pixels: {fault}" for fault in faults_of_width(opened, width)]
            take_pictures(opened, f"{edition.name}_{theme.split()[1].lower()}_{width}")
        offences += [f"{theme}: {fault}" for fault in opened.page.evaluate(FAINT, LEAST_CONTRAST)]
    assert offences == []
    assert opened.faults == []
    opened.page.close()


def test_each_fault_is_found(lab, tmp_path):
    opened = open_for_looking(lab, write_faults(tmp_path / "faults.ipynb"))
    put_on(opened, THEMES[0])
    found = faults_of_width(opened, WIDTHS[0])
    assert {fault.split(":")[0] for fault in found} == {"cell 2"} and "wide in" in found[0], found
    assert [fault.split(":")[0] for fault in opened.page.evaluate(FAINT, LEAST_CONTRAST)] == ["cell 3"]
    # Without the scroll bar that JupyterLab gives to the table, and without wrapped lines.
    opened.page.add_style_tag(content=".jp-OutputArea-output { overflow: visible !important }")
    opened.page.add_style_tag(content=".cm-content { white-space: pre !important; flex-shrink: 0 !important }")
    settle(opened)
    found = opened.page.evaluate(CUT_OFF)
    assert any("cell 2: its table sticks out" in fault for fault in found), found
    assert any("cell 1: code wider" in fault for fault in found), found
    opened.page.close()


@pytest.mark.parametrize("edition", course(), ids=lambda edition: edition.name)
def test_pictures_are_readable_on_a_dark_page(edition):
    """Their own background is opaque and light, so that their dark lines and letters do not lie on a dark page."""
    notebook = nbformat.read(edition.solution, as_version=4)
    offences = []
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if png := output.get("data", {}).get("image/png"):
                picture = matplotlib.image.imread(io.BytesIO(base64.b64decode(png)))
                if picture.shape[-1] == 4 and picture[..., 3].min() < 1:
                    offences.append(f"cell {index + 1}: a picture can be seen through")
                elif picture[0, 0, :3].min() < 0.9:
                    offences.append(f"cell {index + 1}: a picture's corner is not light")
    assert offences == []
