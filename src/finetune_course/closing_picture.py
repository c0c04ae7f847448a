"""The picture of README.md: the manager's figure of notebook 10, taken from its executed copy.

    python -m finetune_course.closing_picture            write data/closing_comparison.png and the line of README.md
    python -m finetune_course.closing_picture --check    write nothing; exit 1 where one of them is stale

The figure's cell has the tag ``readme-picture``; its alternative text goes into README.md with it.
"""

from __future__ import annotations

import argparse
import base64
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat

from .marks import around
from .paths import course_root

BEGIN, END = "<!-- picture: written by python -m finetune_course.closing_picture -->", "<!-- end of the picture -->"
TAG, NOTEBOOK, FILE = "readme-picture", "solutions/10_rag_or_finetune.ipynb", "data/closing_comparison.png"


class PictureError(ValueError):
    """There is no such figure, or README.md has no place for it; one sentence says which."""


@dataclass(frozen=True)
class Picture:
    """PNG bytes and the alternative text."""

    png: bytes
    alt: str


def taken(notebook: Path) -> Picture:
    """The only PNG among the outputs of the cell with TAG. Raises ``PictureError`` where there is none or several."""
    if not notebook.is_file():
        raise PictureError(f"There is no {notebook.name}: build it with 'python -m finetune_course.build_notebooks'.")
    outputs = [
        output
        for cell in nbformat.read(notebook, as_version=4).cells
        if cell.cell_type == "code" and TAG in cell.metadata.get("tags", [])
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    if len(outputs) != 1:
        raise PictureError(
            f"{notebook.name} has {len(outputs)} figures in cells with the tag '{TAG}': it should be one."
        )
    (output,) = outputs
    return Picture(base64.b64decode(output["data"]["image/png"]), output["metadata"]["image/png"]["alt"])


def with_picture(readme: str, alt: str) -> str:
    """README.md's text with the picture between BEGIN and END. Raises ``PictureError`` where the marks are missing."""
    missing = f"README.md has no place for the picture: put the lines {BEGIN} and {END} where it belongs."
    before, _, after = around(readme, BEGIN, END, PictureError(missing))
    told = alt.replace("[", "(").replace("]", ")")  # brackets would end the text
    return f"{before}{BEGIN}\n![{told}]({FILE})\n{END}{after}"


def wanted(root: Path) -> dict[Path, bytes]:
    """What the picture's file and README.md should hold."""
    picture, readme = taken(root / NOTEBOOK), root / "README.md"
    text = with_picture(readme.read_text(encoding="utf-8"), picture.alt)
    return {root / FILE: picture.png, readme: text.encode("utf-8")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where something is stale")
    check = parser.parse_args().check
    try:
        files = wanted(course_root())
    except PictureError as error:
        print(error, file=sys.stderr)
        return 1
    stale = [path for path, content in files.items() if not path.is_file() or path.read_bytes() != content]
    if check and stale:
        print(f"Stale: {', '.join(path.name for path in stale)}. Run 'python -m finetune_course.closing_picture'.")
        return 1
    for path in stale:
        path.write_bytes(files[path])
    print(f"Written: {', '.join(path.name for path in stale)}." if stale else "The picture is current.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
