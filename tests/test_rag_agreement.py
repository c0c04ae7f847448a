"""Notebook 09, the record of its search and the arms of notebook 10 do the same: prompts, room, pieces, weights."""

import ast
import re

import nbformat
import pytest
import yaml

from finetune_course import reader
from finetune_course.grid_record import load_record
from finetune_course.kb_bench import kb_settings
from finetune_course.notebook_build.source import read_source
from finetune_course.paths import course_root, data_path
from finetune_course.qa_arms import ARMS, arm

NOTEBOOK = course_root() / "solutions" / "09_rag.py"
WANTED = {"SHORT", "LONG", "CLOSED", "ROOM", "ANSWER", "prompt"}
there = pytest.mark.skipif(not NOTEBOOK.is_file(), reason="notebook 09 is not there yet")


def said(source: str) -> dict:
    """The notebook's own prompts and sizes, executed: assignments and the function of the names in WANTED."""
    kept = [
        node
        for node in ast.parse(source).body
        if (isinstance(node, ast.FunctionDef) and node.name in WANTED)
        or (isinstance(node, ast.Assign) and {getattr(target, "id", "") for target in node.targets} & WANTED)
    ]
    names: dict = {}
    exec(compile(ast.Module(kept, []), "09", "exec"), names)
    return names


@pytest.fixture(scope="module")
def notebook():
    cells = read_source(NOTEBOOK).cells
    return said("\n\n".join(cell.source for cell in cells if cell.cell_type == "code"))


def differences(names: dict) -> list[str]:
    """What of the notebook's prompts and sizes is not that of ``reader``, the arms and data/kb/training.yaml."""
    piece = {"page": "opening-hours", "searched": "Opening hours. We open at 9 am.", "heading": "x", "text": "y"}
    asked = "When do you open?", [piece, piece | {"page": "store-hobart"}]
    pairs = {
        "SHORT": (names["SHORT"], reader.SHORT),
        "LONG": (names["LONG"], reader.LONG),
        "CLOSED": (names["CLOSED"], reader.CLOSED),
        "prompt": (names["prompt"](*asked), reader.documents_prompt(*asked)),
        "ROOM": (names["ROOM"], kb_settings()["room"]),
        "ANSWER": ({names["ANSWER"]}, {way.new_tokens for way in ARMS if way.adapter is None}),
    }
    return [name for name, (ours, theirs) in pairs.items() if ours != theirs]


@there
def test_prompts_and_sizes_are_the_notebooks(notebook):
    assert differences(notebook) == []


def test_a_difference_is_seen():
    source = (
        f"SHORT = {reader.SHORT!r}\nLONG = SHORT + '!'\nCLOSED = {reader.CLOSED!r}\nROOM = 100\nANSWER = 40\n"
        "def prompt(question, found):\n    return question\nother = [][0]\n"
    )
    assert differences(said(source)) == ["LONG", "prompt", "ROOM"]


def test_the_arms_use_the_readers_prompts():
    assert {arm("RAG, short rules").system, arm("LoRA reader + RAG").system} == {reader.SHORT}
    assert {arm("RAG, long rules").system, arm("RAG, few-shot").system} == {reader.LONG}
    settings = yaml.safe_load(data_path("kb", "training.yaml").read_text(encoding="utf-8"))
    assert settings == kb_settings() and settings["room"] > 0


def choice(notebook) -> tuple[str, float]:
    """(cut, weight of the vectors) that the executed notebook printed."""
    printed = ["".join(output.get("text", "")) for cell in notebook.cells for output in cell.get("outputs", [])]
    (found,) = re.findall(r"chosen on validation: (.+), both, (\d+)% vectors$", "\n".join(printed), re.MULTILINE)
    return found[0], int(found[1]) / 100


@there
def test_the_recorded_search_is_the_notebooks_choice():
    settings = load_record("kb_retrieved")["settings"]
    executed = nbformat.read(NOTEBOOK.with_suffix(".ipynb"), as_version=4)
    assert choice(executed) == (settings["cut"], settings["vectors"])


def test_a_choice_is_read_from_what_a_cell_printed():
    cell = nbformat.v4.new_code_cell(
        outputs=[nbformat.v4.new_output("stream", text="chosen on validation: 1 sentence, both, 50% vectors\nx\n")]
    )
    assert choice(nbformat.v4.new_notebook(cells=[cell])) == ("1 sentence", 0.5)
