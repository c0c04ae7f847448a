"""README.md's picture is the manager's figure of notebook 10."""

import base64

import nbformat
import pytest

from finetune_course import closing_picture
from finetune_course.closing_picture import BEGIN, END, FILE, NOTEBOOK, TAG, PictureError, taken, wanted, with_picture
from finetune_course.paths import course_root


def course(folder, figures=1, readme=f"# Course\n\n{BEGIN}\nold\n{END}\n\nText.\n"):
    """A folder with README.md and a notebook whose tagged cell shows so many figures."""
    data = {"image/png": base64.b64encode(b"PNG").decode()}
    output = nbformat.v4.new_output("display_data", data=data, metadata={"image/png": {"alt": "Bars, 9% [5, 13]."}})
    cells = [nbformat.v4.new_code_cell("plot()", outputs=[output])]
    cells += [nbformat.v4.new_code_cell("show()", outputs=[output] * figures, metadata={"tags": [TAG]})]
    (folder / "solutions").mkdir()
    (folder / "data").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / NOTEBOOK)
    (folder / "README.md").write_text(readme)
    return folder


@pytest.mark.skipif(not (course_root() / NOTEBOOK).is_file(), reason="notebook 10 is not there yet")
def test_the_committed_picture_is_the_notebook_s():
    for path, content in wanted(course_root()).items():
        assert path.read_bytes() == content, f"{path.name}: run 'python -m finetune_course.closing_picture'"


def test_the_picture_and_its_text_are_written_once(tmp_path, monkeypatch, capsys):
    root = course(tmp_path)
    monkeypatch.setattr(closing_picture, "course_root", lambda: root)
    monkeypatch.setattr("sys.argv", ["closing_picture", "--check"])
    assert closing_picture.main() == 1 and "Stale: closing_comparison.png, README.md" in capsys.readouterr().out
    assert not (root / FILE).exists()
    monkeypatch.setattr("sys.argv", ["closing_picture"])
    assert closing_picture.main() == 0 and (root / FILE).read_bytes() == b"PNG"
    told = (root / "README.md").read_text()
    assert told == f"# Course\n\n{BEGIN}\n![Bars, 9% (5, 13).]({FILE})\n{END}\n\nText.\n"
    monkeypatch.setattr("sys.argv", ["closing_picture", "--check"])
    assert closing_picture.main() == 0 and "current" in capsys.readouterr().out


@pytest.mark.parametrize("figures", [0, 2])
def test_there_must_be_one_figure(tmp_path, figures):
    with pytest.raises(PictureError, match=f"has {figures} figures in cells with the tag"):
        taken(course(tmp_path, figures) / NOTEBOOK)


def test_what_is_missing_is_told_in_a_sentence(tmp_path, monkeypatch, capsys):
    with pytest.raises(PictureError, match="There is no 10_rag_or_finetune.ipynb: build it"):
        taken(tmp_path / NOTEBOOK)
    with pytest.raises(PictureError, match="no place for the picture"):
        with_picture("# Course\n", "Bars.")
    root = course(tmp_path, readme="# Course\n")
    monkeypatch.setattr(closing_picture, "course_root", lambda: root)
    monkeypatch.setattr("sys.argv", ["closing_picture"])
    assert closing_picture.main() == 1 and "no place for the picture" in capsys.readouterr().err
    assert not (root / FILE).exists(), "nothing is half-written"
