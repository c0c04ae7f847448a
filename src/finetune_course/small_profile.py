"""Measure the notebooks as Binder runs them, and write what they took into their heads and README.md.

python -m finetune_course.small_profile              measure those that are new or whose code has changed, then write
python -m finetune_course.small_profile 03 06        measure these
python -m finetune_course.small_profile --all        measure every one
python -m finetune_course.small_profile --check      measure and write nothing; exit with 1 if anything is stale

As Binder runs them: small-memory profile, one core, killed above 1.8 GB (of Binder's 2 GB, the rest is JupyterLab's).
The record is benchmarks/results/small_profile.json; a notebook that fails or is killed changes nothing in it. Then
``python -m finetune_course.build_notebooks --no-execute`` brings the new heads into the notebooks.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from finetune_course import course_map, run_notebooks
from finetune_course.notebook_build.bootstrap import is_bootstrap
from finetune_course.notebook_build.source import Edition, SourceError, editions, read_source
from finetune_course.paths import course_root


def main(arguments: Sequence[str] | None = None, root: Path | None = None) -> int:
    """The command; ``root`` stands in for the course's folder in tests. Returns the exit code."""
    title, _, rest = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(prog="python -m finetune_course.small_profile", description=title)
    parser.add_argument("numbers", nargs="*", metavar="NN", help="notebooks by number; those that changed by default")
    parser.add_argument("--all", action="store_true", help="measure every notebook")
    parser.add_argument("--check", action="store_true", help="measure and write nothing; exit with 1 if any is stale")
    options = parser.parse_args(arguments)
    root = root or course_root()
    try:
        if options.check:
            return _report(root)
        chosen = editions(root, options.numbers) if options.numbers or options.all else unmeasured(root)
        failed = sum(_measure(root, edition) for edition in chosen)
        changed = course_map.write(root, measured(root))
    except (SourceError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Written: {', '.join(changed) or 'nothing new'}.")
    if any(name.startswith("solutions/") for name in changed):
        print("Next: python -m finetune_course.build_notebooks --no-execute")
    return 1 if failed else 0


def record_path(root: Path) -> Path:
    return root / "benchmarks" / "results" / "small_profile.json"


def record(root: Path) -> dict:
    """What was measured: ``cap_gb``, ``system``, and ``notebooks`` (name -> minutes, peak_gb, code). Empty before."""
    try:
        return json.loads(record_path(root).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"notebooks": {}}


def measured(root: Path) -> dict[str, course_map.Took]:
    """What each notebook that is still there took, by its name."""
    rows, names = record(root)["notebooks"], {edition.name for edition in editions(root)}
    return {name: course_map.Took.of(row) for name, row in rows.items() if name in names}


def unmeasured(root: Path) -> list[Edition]:
    """The notebooks that were never measured, or whose code has changed since."""
    rows = record(root)["notebooks"]
    return [edition for edition in editions(root) if rows.get(edition.name, {}).get("code") != code_hash(edition)]


def code_hash(edition: Edition) -> str:
    """SHA-256 of the source's code cells, but not of the generated one: an address or a tag changes no measurement."""
    cells = [cell for cell in read_source(edition.source).cells if cell.cell_type == "code" and not is_bootstrap(cell)]
    return hashlib.sha256("\n".join(cell.source for cell in cells).encode()).hexdigest()


def _measure(root: Path, edition: Edition) -> int:
    """Run one notebook and put its row into the record at once: a stop loses nothing. Returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "table.json")
        code = code_hash(edition)
        failed = run_notebooks.main([edition.name[:2], "--small", "--json", str(table)], root)
        if failed:
            return failed
        result = json.loads(table.read_text(encoding="utf-8"))
    (row,) = result["notebooks"]
    kept = record(root)
    kept["notebooks"][edition.name] = {"minutes": row["minutes"], "peak_gb": row["peak_gb"], "code": code}
    kept["notebooks"] = dict(sorted(kept["notebooks"].items()))
    kept |= {"cap_gb": result["cap_gb"], "system": result["system"]}
    path = record_path(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)
    return 0


def _report(root: Path) -> int:
    problems = [f"{name} does not say what was measured" for name in course_map.stale(root, measured(root))]
    problems += [f"{edition.name} is new or has changed since it was measured" for edition in unmeasured(root)]
    for problem in problems:
        print(f"{problem}: run python -m finetune_course.small_profile", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
