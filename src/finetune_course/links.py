"""Links: write the badges from the one address, and find what is stale or leads nowhere, without any network.

python -m finetune_course.links                                              write the badges of README.md anew
python -m finetune_course.links --set https://github.com/owner/name --release v1.0.0
                                                                             change address and tag, then the same
python -m finetune_course.links --check                                      write nothing; exit with 1 if any is bad
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
from markdown_it import MarkdownIt

from finetune_course.marks import around
from finetune_course.paths import course_root
from finetune_course.publication import Publication, PublicationError, checked, load, save

BEGIN, END = "<!-- badges: written by python -m finetune_course.links -->", "<!-- end of badges -->"
FIRST = "00_start_here.ipynb"
MADE_HOSTS = {"colab.research.google.com", "mybinder.org", "kaggle.com", "www.kaggle.com", "nbviewer.org"}
"""Links to these are made by this module alone; any other is a leftover of another address or tag."""

_PARSER = MarkdownIt("commonmark").enable("table")
_HTML_LINK = re.compile(r"""(?:href|src)\s*=\s*["']([^"']+)["']""")
_HTML_ANCHOR = re.compile(r"""<[^>]*\b(?:id|name)\s*=\s*["']([^"']+)["']""")


def main(arguments: Sequence[str] | None = None, root: Path | None = None) -> int:
    """The command; ``root`` stands in for the course's folder in tests. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m finetune_course.links", description=__doc__.split("\n")[0])
    parser.add_argument("--set", metavar="ADDRESS", help="the repository's GitHub address from now on ('' for none)")
    parser.add_argument("--release", metavar="TAG", help="the release tag from now on, such as v1.0.0")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a link is stale or dead")
    options = parser.parse_args(arguments)
    try:
        root = root or course_root()
        now = load(root)
        if options.check:
            return _report(root)
        changed = checked(
            now.repository if options.set is None else options.set,
            now.release if options.release is None else options.release,
            now.bootstrap_cell,
        )
        text = with_badges((root / "README.md").read_text(encoding="utf-8"), badges(changed, notebook_names(root)))
        if changed != now:  # README.md was seen to have its place for badges: nothing is written by halves
            save(root, changed)
        (root / "README.md").write_text(text, encoding="utf-8", newline="\n")
    except (PublicationError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"README.md: badges for {changed.repository or 'no address yet'}, release {changed.release}.")
    if changed != now and changed.bootstrap_cell:
        print("The notebooks hold the old address: run python -m finetune_course.build_notebooks --no-execute.")
    if changed.repository and not changed.bootstrap_cell:
        print(
            "Notebooks without the cell for Colab and Kaggle: set bootstrap_cell = true in pyproject.toml, then build."
        )
    return 0


def badges(publication: Publication, notebooks: Sequence[str]) -> str:
    """The lines of README.md that open the course elsewhere; one sentence while the course has no address."""
    if not publication.repository:
        command = "python -m finetune_course.links --set https://github.com/owner/name --release"
        return (
            "Binder, Colab and Kaggle can open the course once it has a public address. This puts the links here:\n\n"
            f"```\n{command} {publication.release or 'v0.1.0'}\n```"
        )

    def row(make) -> str:
        return " · ".join(f"[{name[:2]}]({make(name)})" for name in notebooks)

    return "\n".join(
        [
            f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({publication.binder(FIRST)})",
            "",
            f"- Open in Colab: {row(publication.colab)}",
            f"- Open in Kaggle: {row(publication.kaggle)}",
            f"- Read, with all results, on nbviewer: {row(publication.nbviewer)}",
        ]
    )


def with_badges(text: str, lines: str) -> str:
    """``text`` with ``lines`` between the two marks. Raises ``PublicationError`` where the marks are missing."""
    missing = f"README.md has no place for badges: put the lines {BEGIN} and {END} where they belong."
    before, _, after = around(text, BEGIN, END, PublicationError(missing))
    return f"{before}{BEGIN}\n{lines}\n{END}{after}"


def notebook_names(root: Path) -> list[str]:
    """File names of the learners' notebooks, in order."""
    return sorted(path.name for path in (root / "notebooks").glob("*.ipynb"))


def problems(root: Path) -> list[str]:
    """One phrase for each stale or dead link in README.md, the other Markdown files and the notebooks."""
    publication = load(root)
    readme = (root / "README.md").read_text(encoding="utf-8")
    found = []
    if with_badges(readme, badges(publication, notebook_names(root))) != readme:
        found.append("README.md: its badges are stale; run python -m finetune_course.links")
    makers = (publication.colab, publication.kaggle, publication.nbviewer, publication.binder)
    made = {make(name) for make in makers for name in notebook_names(root)} | {"https://mybinder.org/badge_logo.svg"}
    for path in documents(root):
        where = path.relative_to(root).as_posix()
        for link in dict.fromkeys(links_in(_text(path))):
            if what := _problem(link, path, root, made if publication.repository else set()):
                found.append(f"{where}: {link} {what}")
    return found


def documents(root: Path) -> list[Path]:
    """Every Markdown file and notebook of the course that a reader may open, in order."""
    places = [root / "README.md", *(root / "data").rglob("*.md")]
    for folder in ("solutions", "notebooks", "benchmarks"):
        places += [path for pattern in ("*.md", "*.ipynb") for path in (root / folder).glob(pattern)]
    return sorted(path for path in places if ".ipynb_checkpoints" not in path.parts)


def links_in(text: str) -> Iterator[str]:
    """Targets of all links and pictures of a Markdown text, HTML's among them; code is left out."""
    for token in _PARSER.parse(text):
        for part in [token, *(token.children or [])]:
            if part.type in ("link_open", "image"):
                yield str(part.attrGet("href") or part.attrGet("src") or "")
            elif part.type in ("html_block", "html_inline"):
                yield from _HTML_LINK.findall(part.content)


def anchors(text: str, notebook: bool = False) -> set[str]:
    """What ``#…`` may name in a Markdown text: GitHub's slugs, and for a notebook Jupyter's as well."""
    found, tokens = set(_HTML_ANCHOR.findall(text)), _PARSER.parse(text)
    counts: dict[str, int] = {}
    for token, inline in zip(tokens, tokens[1:], strict=False):
        if token.type != "heading_open":
            continue
        heading = "".join(part.content for part in inline.children or [])
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(slug if slug not in counts else f"{slug}-{counts[slug]}")
        counts[slug] = counts.get(slug, 0) + 1
        if notebook:
            found.add(heading.replace(" ", "-"))
    return found


def _problem(link: str, path: Path, root: Path, made: set[str]) -> str:
    """What is wrong with one link of the file ``path``; empty if nothing is."""
    parts = urlsplit(link)
    if parts.scheme in ("http", "https"):
        if parts.hostname in MADE_HOSTS and link not in made:
            return "is not made from the address and tag in pyproject.toml"
        return "is not secure (http)" if parts.scheme == "http" and parts.hostname != "localhost" else ""
    if parts.scheme == "mailto":
        return ""
    if parts.scheme or link.startswith(("/", "\\")):
        return "works on one machine only"
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
    if not target.is_relative_to(root.resolve()):
        return "leads out of the course"
    if not target.exists() or (target.is_file() and target.name not in {item.name for item in target.parent.iterdir()}):
        return "does not exist"  # the second: in another case, which only some systems forgive
    if parts.fragment and target.suffix in (".md", ".ipynb"):
        if unquote(parts.fragment) not in anchors(_text(target), target.suffix == ".ipynb"):
            return f"names the heading #{parts.fragment}, which is not there"
    return ""


def _text(path: Path) -> str:
    """A Markdown file's text, or that of a notebook's text cells."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def _report(root: Path) -> int:
    found = problems(root)
    print("\n".join(found) if found else f"{len(documents(root))} files: no stale and no dead link")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
