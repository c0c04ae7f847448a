"""Where the course is published: one address and one release tag in pyproject.toml, and every link made from them.

The table ``[tool.finetune-course]`` holds ``repository`` (a GitHub address; empty while the course has none),
``release`` (the tag that links and the bootstrap cell take) and ``bootstrap_cell`` (whether notebooks get that cell).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10; jupytext and JupyterLab bring tomli to it
    import tomli as tomllib

TABLE = "finetune-course"
_GITHUB = re.compile(r"https://github\.com/([A-Za-z0-9-]+/[A-Za-z0-9._-]+?)(?:\.git)?/?")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class PublicationError(ValueError):
    """One sentence: what is wrong with the address or the tag, and what it should look like."""


@dataclass(frozen=True)
class Publication:
    """The course's address (empty while it has none), its release tag, and whether notebooks get the bootstrap cell."""

    repository: str = ""
    release: str = ""
    bootstrap_cell: bool = False

    @property
    def project(self) -> str:
        """``owner/name`` on GitHub; empty while there is no address."""
        return self.repository.removeprefix("https://github.com/")

    def colab(self, notebook: str) -> str:
        """Address that opens ``notebooks/<notebook>`` of the release in Colab."""
        return f"https://colab.research.google.com/github/{self.project}/blob/{self.release}/notebooks/{notebook}"

    def kaggle(self, notebook: str) -> str:
        """Address that opens ``notebooks/<notebook>`` of the release in Kaggle."""
        return f"https://kaggle.com/kernels/welcome?src={self.repository}/blob/{self.release}/notebooks/{notebook}"

    def nbviewer(self, notebook: str) -> str:
        """Address that shows ``solutions/<notebook>``, executed, without running anything."""
        return f"https://nbviewer.org/github/{self.project}/blob/{self.release}/solutions/{notebook}"

    def binder(self, notebook: str) -> str:
        """Address that opens JupyterLab on ``notebooks/<notebook>`` of the release in Binder."""
        place = quote(f"lab/tree/notebooks/{notebook}", safe="")
        return f"https://mybinder.org/v2/gh/{self.project}/{self.release}?urlpath={place}"


def load(root: Path) -> Publication:
    """Read the table from ``root/pyproject.toml``; defaults where there is no such file or table.

    Raises ``PublicationError`` for an address or tag that no link could be made from, or an unknown key.
    """
    path = root / "pyproject.toml"
    if not path.is_file():
        return Publication()
    table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get(TABLE, {})
    if unknown := sorted(set(table) - set(Publication.__dataclass_fields__)):
        raise PublicationError(f"[tool.{TABLE}] in pyproject.toml has the unknown key {unknown[0]!r}: remove it.")
    if not isinstance(table.get("bootstrap_cell", False), bool):
        raise PublicationError(f"bootstrap_cell in [tool.{TABLE}] of pyproject.toml must be true or false.")
    return checked(table.get("repository", ""), table.get("release", ""), table.get("bootstrap_cell", False))


def checked(repository: str, release: str, bootstrap_cell: bool = False) -> Publication:
    """A ``Publication`` with its address in the usual form. Raises ``PublicationError``."""
    if not isinstance(repository, str) or not isinstance(release, str):
        raise PublicationError("The repository's address and the release tag must be texts in quotation marks.")
    match = _GITHUB.fullmatch(repository)
    if repository and not match:
        raise PublicationError(
            f"'{repository}' is not the address of a GitHub repository: Colab and Binder need one like "
            "https://github.com/owner/name (leave it empty while there is none)."
        )
    if (repository or release) and not _TAG.fullmatch(release):
        raise PublicationError(f"'{release}' is not a release tag: give the name of a git tag, such as v0.1.0.")
    return Publication(f"https://github.com/{match[1]}" if match else "", release, bootstrap_cell)


def save(root: Path, publication: Publication) -> None:
    """Write address and tag into ``root/pyproject.toml``, leaving every other line as it is."""
    path = root / "pyproject.toml"
    head, mark, rest = path.read_text(encoding="utf-8").partition(f"[tool.{TABLE}]\n")
    if not mark:
        raise PublicationError(f"pyproject.toml has no table [tool.{TABLE}]: add it, then try again.")
    table, nextmark, tail = rest.partition("\n[")
    for key, value in (("repository", publication.repository), ("release", publication.release)):
        table, found = re.subn(rf'(?m)^{key} = "[^"]*"', f'{key} = "{value}"', table)
        if not found:
            raise PublicationError(f'[tool.{TABLE}] in pyproject.toml has no line {key} = "…": add it, then try again.')
    path.write_text(head + mark + table + nextmark + tail, encoding="utf-8", newline="\n")
