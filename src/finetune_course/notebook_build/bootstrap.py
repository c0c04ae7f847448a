"""The cell that brings the course to Colab and Kaggle, which open one notebook and nothing else.

Made from the address and the release tag in pyproject.toml, and put in by ``read_source`` when ``bootstrap_cell`` is
true there. It only fetches the course; everything else is done by ``finetune_course.setting_up.hosted``, which comes
with it and can be tested.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from finetune_course.publication import Publication, PublicationError, load

BEFORE = "## Before you start"

_CODE = """\
# @title Bring the course to Colab or Kaggle
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec

address, release = os.environ.get("FINETUNE_COURSE_REPOSITORY", "{repository}"), "{release}"
on_colab = bool(find_spec("google") and find_spec("google.colab"))
if not (on_colab or "KAGGLE_KERNEL_RUN_TYPE" in os.environ):
    if not find_spec("finetune_course"):
        raise RuntimeError("This kernel lacks the course: choose the one in .venv, or run 'python3 start.py'.")
    print("Not on Colab or Kaggle: the course is here already.")
else:
    if not find_spec("finetune_course"):
        if not address:
            raise RuntimeError("This copy of the course has no public address: the text above says what to do.")
        folder, part = f"finetune-course-{{release}}", "finetune-course.partial"
        if not os.path.isdir(folder):
            shutil.rmtree(part, ignore_errors=True)
            clone = ["git", "clone", "--quiet", "--depth", "1", "--branch", release, address, part]
            if subprocess.run(clone).returncode:
                problem = f"No course at '{{address}}' ({{release}}): check address and internet, then run again."
                raise RuntimeError(problem)
            os.rename(part, folder)
        sys.path.insert(0, os.path.abspath(os.path.join(folder, "src")))
    from finetune_course.setting_up import hosted

    hosted.prepare()
"""
_FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}
"""JupyterLab and Colab fold the code: no learner has to read it before the first page of the course."""

_TEXT = """\
**On Colab or Kaggle, run the next cell first.** These open a notebook without the rest of the course, so the cell
brings code and data, and installs what is missing. Anywhere else it does nothing. Running it twice does no harm."""

_NO_ADDRESS = """\
(This copy of the course has no public address yet. Name that of your own copy in a cell before it:
`%env FINETUNE_COURSE_REPOSITORY=https://github.com/owner/name`. Its release tag has to be the one below.)"""


def bootstrap_code(publication: Publication) -> str:
    """Source of the cell, with address and tag filled in.

    The variable ``FINETUNE_COURSE_REPOSITORY`` names another git address at run time: a fork's, a workshop's mirror.
    """
    return _CODE.format(repository=publication.repository, release=publication.release).rstrip("\n")


def bootstrap_cells(publication: Publication, notebook: str) -> list[NotebookNode]:
    """The text and the code cell for the notebook file ``notebook`` (its name); ids are given by ``read_source``."""
    text = _TEXT
    if publication.repository:
        opens = f"Open it in [Colab]({publication.colab(notebook)}) or [Kaggle]({publication.kaggle(notebook)})."
        text += f"\n\n{opens}"
    else:
        text += f"\n\n{_NO_ADDRESS}"
    cell = nbformat.v4.new_code_cell(bootstrap_code(publication), metadata=_FOLDED)
    return [nbformat.v4.new_markdown_cell(text), cell]


def is_bootstrap(cell: NotebookNode) -> bool:
    """Whether this is the generated code cell, of any address and tag."""
    return cell.cell_type == "code" and cell.source.rstrip().endswith(_CODE.rstrip().splitlines()[-1].strip())


def run_alone(cell: NotebookNode) -> list[NotebookNode]:
    """The cell's outputs here, which is neither Colab nor Kaggle: what it prints. Takes a tenth of a second.

    Raises ``PublicationError`` where it fails.
    """
    done = subprocess.run([sys.executable, "-c", cell.source], capture_output=True, text=True)
    if done.returncode:
        raise PublicationError(f"The cell for Colab and Kaggle fails here: {done.stderr.strip().splitlines()[-1]}")
    return [nbformat.v4.new_output("stream", name="stdout", text=done.stdout)]


def insert_bootstrap(notebook: NotebookNode, source: Path) -> None:
    """Put both cells before the section that runs the first code, if pyproject.toml of the course asks for them.

    ``source`` is the notebook's .py file. Raises ``PublicationError`` where no text cell begins that section.
    """
    publication = load(source.resolve().parents[1])
    if not publication.bootstrap_cell:
        return
    starts = [index for index, cell in enumerate(notebook.cells) if cell.source.startswith(BEFORE)]
    if not starts:
        raise PublicationError(f"{source.name} has no text cell that begins with '{BEFORE}': begin that section there.")
    notebook.cells[starts[0] : starts[0]] = bootstrap_cells(publication, f"{source.stem}.ipynb")
