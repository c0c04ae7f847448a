"""The scoreboard: what the executed solutions say of all claims of the ledger, and a learner's predictions beside it.

    python -m finetune_course.scoreboard            # writes data/scoreboard.csv from solutions/*.ipynb
    python -m finetune_course.scoreboard --check    # writes nothing; exit 1 when the file is stale

Nothing is typed in: a row's words are those that a cell printed in a table with the columns id (or claim) and verdict,
its number is one that a cell published (data/scoreboard.yaml says which).
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import yaml
from bs4 import BeautifulSoup

from .claims import Claim, load_claims
from .keynumbers import KeyNumber, collect
from .paths import course_root, data_path
from .predictions import Predictions, brier_score

NOT_MEASURED = "not measured yet"
OUTCOMES = {"holds": 1.0, "holds in part": 0.5, "fails here": 0.0}
"""Verdicts that can be scored, and what a prediction of 100% should have been."""

_CLAIM_ID = re.compile(r"C\d\d")


@dataclass(frozen=True)
class Entry:
    """What one cell says of one claim: notebook ("03"), the cell's id, the heading above it, and its words."""

    claim: str
    notebook: str
    cell: str
    heading: str
    measured: str
    said: str

    @property
    def verdict(self) -> str:
        return verdict_of(self.said)


def verdict_of(said: str) -> str:
    """``holds``, ``fails here``, ``holds in part``, ``not decided`` or ``not measured yet``, from a cell's words.

    A cell may give one verdict for each of several comparisons, with semicolons between them: where all agree it is
    theirs, where some hold and some fail the claim holds in part, and where one is open the whole is not decided.
    """
    found = {_one_verdict(part) for part in said.split(";")}
    if len(found) == 1:
        return found.pop()
    if "not decided" in found or NOT_MEASURED in found:
        return "not decided"
    return "holds in part"


def _one_verdict(part: str) -> str:
    words = part.strip()
    label, colon, rest = words.partition(": ")
    if colon and not label.startswith(("holds", "fails", "not")):
        words = rest
    for verdict in ("holds in part", "fails here", "holds", "not decided"):
        if re.match(rf"{verdict}\b", words):
            return verdict
    return NOT_MEASURED


def entries(path: Path) -> list[Entry]:
    """Every claim's row in the tables of one executed notebook, in their order."""
    notebook, heading, found = path.name[:2], "", []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            heading = next(iter(reversed(re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE))), heading)
            continue
        for output in cell.get("outputs", []):
            html = "".join(output.get("data", {}).get("text/html", ""))
            found += [Entry(row[0], notebook, cell.id, heading, *row[1:]) for row in _ledger_rows(html)]
    return found


def _ledger_rows(html: str) -> list[tuple[str, str, str]]:
    """(claim, measured, verdict) of a table that pandas drew, if it has claims' ids at its side and a verdict."""
    if "verdict" not in html or not _CLAIM_ID.search(html):
        return []
    rows = []
    for table in BeautifulSoup(html, "html.parser").find_all("table"):
        lines = [[cell.get_text() for cell in line.find_all(["th", "td"])] for line in table.find_all("tr")]
        if not lines or "verdict" not in lines[0]:
            continue
        place = lines[0].index("verdict")
        rows += [(line[0], line[place - 1], line[place]) for line in lines[1:] if _CLAIM_ID.fullmatch(line[0])]
    return rows


def key_numbers(path: Path) -> dict[str, KeyNumber]:
    """The key numbers that an executed notebook published, by name."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    return {number.name: number for cell in cells for number in collect(cell.get("outputs", []))}


def build(folder: Path | None = None, claims: Sequence[Claim] | None = None) -> pd.DataFrame:
    """One row per claim of the ledger; index id; columns claim, verdict, said, measured, number, low, high, unit,
    notebook, cell, heading, asked (the number asked for in notebook 00, in its unit).

    ``folder`` holds the executed notebooks. A later notebook's verdict replaces an earlier one's, unless it is none.
    """
    paths = {path.name[:2]: path for path in sorted((folder or course_root() / "solutions").glob("[0-9][0-9]_*.ipynb"))}
    numbers = {name: key_numbers(path) for name, path in paths.items()}
    final: dict[str, Entry] = {}
    for path in paths.values():
        for entry in entries(path):
            if entry.verdict != NOT_MEASURED or final.get(entry.claim) is None:
                final[entry.claim] = entry
    rows = {}
    for claim in claims if claims is not None else load_claims():
        entry = final.get(claim.id) or Entry(claim.id, "", "", "", "", NOT_MEASURED)
        number = _number(claim.id, "numbers", numbers) or KeyNumber("", float("nan"))
        said = asdict(entry) | {"claim": claim.text, "verdict": entry.verdict}
        figures = {"number": number.value, "low": number.low, "high": number.high, "unit": number.unit}
        rows[claim.id] = said | figures | {"asked": _asked(claim.id, numbers)}
    columns = ["claim", "verdict", "said", "measured", "number", "low", "high", "unit"]
    table = pd.DataFrame.from_dict(rows, orient="index")[[*columns, "notebook", "cell", "heading", "asked"]]
    return table.rename_axis("id")


def load_scoreboard(path: Path | None = None) -> pd.DataFrame:
    """The committed scoreboard. Raises FileNotFoundError, in one sentence, where it was never built."""
    path = path or data_path("scoreboard.csv")
    if not path.is_file():
        raise FileNotFoundError(
            "data/scoreboard.csv is missing: build it with 'python -m finetune_course.scoreboard' once the solutions "
            "are executed."
        )
    text = ("claim", "verdict", "said", "measured", "unit", "notebook", "cell", "heading")
    table = pd.read_csv(path, index_col="id", dtype=dict.fromkeys(text, str), keep_default_na=False, na_values={
        name: [""] for name in ("number", "low", "high", "asked")
    })  # fmt: skip
    return table


def with_predictions(table: pd.DataFrame, predictions: Predictions) -> pd.DataFrame:
    """The scoreboard for reading: claim, predicted (how sure, %), verdict, measured, and ``distance``.

    ``distance`` is the squared distance of the prediction from the outcome, 0 (right and sure) to 1; missing where
    there is no prediction or no verdict that can be scored. Its mean is the Brier score.
    """
    sure = pd.Series(predictions.confidence, dtype=float).reindex(table.index)
    outcome = table["verdict"].map(OUTCOMES)
    shown = table[["claim", "verdict", "measured"]].copy()
    shown.insert(1, "predicted", sure)
    shown["distance"] = (sure / 100 - outcome) ** 2
    return shown


def calibration(table: pd.DataFrame, predictions: Predictions) -> float:
    """The Brier score of the predictions over the claims with a verdict (``predictions.brier_score``): 0 is perfect,
    always saying 50% gets 0.25 where claims hold or fail. Raises PredictionError where nothing can be scored."""
    return brier_score(predictions.confidence, outcomes(table))


def outcomes(table: pd.DataFrame) -> dict[str, float]:
    """Claim id → 1 (holds), 0.5 (in part) or 0 (fails), for the claims that have such a verdict."""
    return table["verdict"].map(OUTCOMES).dropna().to_dict()


def reliability(table: pd.DataFrame, predictions: Predictions, edges: Sequence[float] = (0, 20, 40, 60, 80, 100)):
    """How often claims came true, by how sure the learner was: columns said (mean, %), came true (%), claims.

    One row for each range between two ``edges`` (per cent, the upper edge included, the lowest one too) that has a
    scored prediction. Murphy (1973) splits the Brier score into this and two other parts.
    """
    scored = with_predictions(table, predictions).dropna(subset=["distance"])
    scored["outcome"] = table["verdict"].map(OUTCOMES)
    bins = pd.cut(scored["predicted"], list(edges), include_lowest=True)
    groups = scored.groupby(bins, observed=True)
    return pd.DataFrame(
        {"said": groups["predicted"].mean(), "came true": 100 * groups["outcome"].mean(), "claims": groups.size()}
    )


def _number(claim: str, part: str, numbers: Mapping[str, Mapping[str, KeyNumber]]) -> KeyNumber | None:
    """The published number of a claim; None where its notebook is not there. Raises ValueError where the notebook is
    there and published no such number: its cell was renamed."""
    place = places()[part].get(claim)
    if not place or place["notebook"] not in numbers:
        return None
    found = numbers[place["notebook"]].get(place["name"])
    if found is None:
        raise ValueError(
            f"data/scoreboard.yaml wants the key number '{place['name']}' for {claim}, and notebook "
            f"{place['notebook']} published none of that name."
        )
    return found


def _asked(claim: str, numbers: Mapping[str, Mapping[str, KeyNumber]]) -> float:
    found = _number(claim, "asked", numbers)
    return float("nan") if found is None else found.value * places()["asked"][claim]["times"]


def places() -> dict[str, dict[str, Any]]:
    """data/scoreboard.yaml: ``numbers`` and ``asked``, claim id → where the number was published."""
    return yaml.safe_load(data_path("scoreboard.yaml").read_text(encoding="utf-8"))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m finetune_course.scoreboard", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file is stale")
    check = parser.parse_args(arguments).check
    text = io.StringIO()
    build().to_csv(text, lineterminator="\n")
    path, content = data_path("scoreboard.csv"), text.getvalue().encode("utf-8")
    current = path.is_file() and path.read_bytes() == content
    if check and not current:
        print("Stale: data/scoreboard.csv. Run 'python -m finetune_course.scoreboard' and commit the result.")
        return 1
    if not current:
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(content)
        temporary.replace(path)
    print("The scoreboard is current." if current else "Written: data/scoreboard.csv.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
