"""Every link leads somewhere and every badge is current; on a small course broken on purpose, each fault is found."""

import shutil
from pathlib import Path

import nbformat
import pytest

from finetune_course import links, publication
from finetune_course.paths import course_root
from finetune_course.publication import Publication, PublicationError

ADDRESS = "https://github.com/owner/some-course"
README = f"""# A course

{links.BEGIN}
{links.END}

## Two words, here

See [the second](notebooks/01_next.ipynb#What-comes), [its end](#two-words-here), `[no](link.md)` and [data](data/).
"""


def test_no_stale_and_no_dead_link():
    assert links.problems(course_root()) == []


def test_the_readme_leads_to_every_notebook():
    text = (course_root() / "README.md").read_text(encoding="utf-8")
    wanted = {f"notebooks/{name}" for name in links.notebook_names(course_root())}
    assert wanted and wanted <= set(links.links_in(text))


@pytest.fixture
def course(tmp_path) -> Path:
    """A course of two notebooks with an address; its badges are written."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\n\n[tool.finetune-course]\nrepository = ""\nrelease = "v0.1.0"\n'
        'bootstrap_cell = false\n\n[tool.ruff]\nrelease = "kept"\n'
    )
    (tmp_path / "README.md").write_text(README)
    for folder in ("notebooks", "solutions", "data"):
        (tmp_path / folder).mkdir()
    for name in (links.FIRST, "01_next.ipynb"):
        cells = [nbformat.v4.new_markdown_cell(f"# {name}\n\n## What comes\n\n[on](01_next.ipynb)")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / name)
    shutil.copytree(tmp_path / "notebooks", tmp_path / "solutions", dirs_exist_ok=True)
    assert links.main(["--set", ADDRESS + ".git", "--release", "v1.2.0"], tmp_path) == 0
    return tmp_path


def test_one_command_changes_address_and_tag_everywhere(course, capsys):
    assert links.problems(course) == []
    assert publication.load(course) == Publication(ADDRESS, "v1.2.0")
    assert 'release = "kept"' in (course / "pyproject.toml").read_text()
    text = (course / "README.md").read_text()
    assert "https://colab.research.google.com/github/owner/some-course/blob/v1.2.0/notebooks/01_next.ipynb" in text
    assert "https://mybinder.org/v2/gh/owner/some-course/v1.2.0?urlpath=lab%2Ftree%2Fnotebooks%2F00_start" in text
    assert links.main(["--release", "v2.0.0"], course) == 0
    again = (course / "README.md").read_text()
    assert "v1.2.0" not in again and again.count("v2.0.0") == 1 + 3 * 2 and links.problems(course) == []
    assert links.main(["--set", ""], course) == 0  # withdrawn
    text = (course / "README.md").read_text()
    assert "owner/some-course" not in text and "once it has a public address" in text
    assert links.main(["--check"], course) == 0 and "no dead link" in capsys.readouterr().out


FAULTS = {
    "[x](notebooks/07_gone.ipynb)": "does not exist",
    "[x](Notebooks/01_next.ipynb)": "does not exist",
    "[x](notebooks/01_next.ipynb#what-went)": "which is not there",
    "[x](#nowhere)": "which is not there",
    "[x](../../elsewhere.md)": "leads out of the course",
    "[x](/etc/hosts)": "works on one machine only",
    "[x](http://example.com/)": "is not secure",
    '<a href="gone.md">x</a>': "does not exist",
    "![x](picture.png)": "does not exist",
    "| a |\n|---|\n| [x](gone.md) |": "does not exist",
    "[x](https://mybinder.org/v2/gh/owner/some-course/v1.1.0)": "is not made from the address",
    "[x](https://colab.research.google.com/github/another/course/blob/v1.2.0/notebooks/01_next.ipynb)": "is not made",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("file", ["README.md", "solutions/README.md"])
def test_each_fault_is_found(course, fault, file):
    text = README if file == "README.md" else "# Guide\n"
    (course / file).write_text(f"{text}\n{fault}\n")
    links.main([], course)
    found = links.problems(course)
    assert found and all(FAULTS[fault] in problem or "otebooks/01" in fault for problem in found), found
    assert any(problem.startswith(file) for problem in found)


def test_a_dead_link_in_a_notebook_and_a_badge_edited_by_hand_are_found(course):
    cells = [nbformat.v4.new_markdown_cell("# x\n\n[gone](02_gone.ipynb)")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), course / "notebooks/01_next.ipynb")
    readme = course / "README.md"
    readme.write_text(readme.read_text().replace("blob/v1.2.0", "blob/main", 1))
    found = links.problems(course)
    assert "README.md: its badges are stale; run python -m finetune_course.links" in found
    assert any(problem.startswith("notebooks/01_next.ipynb: 02_gone.ipynb does not exist") for problem in found)
    assert any("blob/main" in problem for problem in found)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "git@github.com:a/b"], "is not the address of a GitHub repository"),
        (["--set", "https://gitlab.com/a/b"], "is not the address of a GitHub repository"),
        (["--release", "v1 final"], "is not a release tag"),
        (["--release", ""], "is not a release tag"),
    ],
)
def test_a_bad_address_or_tag_changes_nothing(course, capsys, arguments, words):
    before = [(course / name).read_text() for name in ("README.md", "pyproject.toml")]
    assert links.main(arguments, course) == 1
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert [(course / name).read_text() for name in ("README.md", "pyproject.toml")] == before


def test_a_readme_without_a_place_for_badges_is_left_as_it_is(course, capsys):
    (course / "README.md").write_text("# x\n")
    before = (course / "pyproject.toml").read_text()
    assert links.main(["--release", "v3"], course) == 1
    assert "has no place for badges" in capsys.readouterr().err
    assert (course / "README.md").read_text() == "# x\n" and (course / "pyproject.toml").read_text() == before


def test_the_table_in_pyproject_is_checked(tmp_path):
    assert publication.load(tmp_path) == Publication()
    for line, words in {
        'repositry = "x"': "unknown key 'repositry'",
        'bootstrap_cell = "yes"': "must be true or false",
        "release = 1": "must be texts",
    }.items():
        (tmp_path / "pyproject.toml").write_text(f"[tool.finetune-course]\n{line}\n")
        with pytest.raises(PublicationError, match=words):
            publication.load(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    with pytest.raises(PublicationError, match="has no table"):
        publication.save(tmp_path, Publication(ADDRESS, "v1"))
