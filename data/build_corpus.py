"""Build the texts of notebooks 01 and 02 from data/corpus/sources/, the same bytes every time.

    python data/build_corpus.py            write data/corpus/*.txt and *.jsonl
    python data/build_corpus.py --check    write nothing; exit 1 when a file differs from what would be written

A text file holds documents with an empty line between two of them. Each module named in ``TEXTS`` has a function
``documents(split)`` that returns the split's documents (no empty line inside one); each in ``ROWS`` a function
``rows(split)`` that returns dictionaries. Standard library only.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parent / "corpus"
TEXTS = {"general": "general", "shop": "shop_text"}
"""File name part -> module in data/corpus/sources."""
ROWS = {"qa": "shop_qa", "probes": "probes"}
SPLITS = {"general": ("train", "validation", "test"), "shop": ("train", "validation", "test")}
SPLITS |= {"qa": ("train", "validation", "test"), "probes": ("test",)}


def contents() -> dict[str, str]:
    """Every file that this script makes: name -> text."""
    sys.path.insert(0, str(TARGET))
    try:
        files = {}
        for part, module in TEXTS.items():
            if (TARGET / "sources" / f"{module}.py").is_file():
                make = importlib.import_module(f"sources.{module}").documents
                files |= {f"{part}_{split}.txt": _text(make(split)) for split in SPLITS[part]}
        for part, module in ROWS.items():
            if (TARGET / "sources" / f"{module}.py").is_file():
                make = importlib.import_module(f"sources.{module}").rows
                files |= {f"{part}_{split}.jsonl": _lines(make(split)) for split in SPLITS[part]}
        return files
    finally:
        sys.path.remove(str(TARGET))


def _text(documents: list[str]) -> str:
    for text in documents:
        if "\n\n" in text or text != text.strip():
            raise ValueError(f"A document has an empty line in it or blanks around it: {text[:60]!r}")
    return "\n\n".join(documents) + "\n"


def _lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    check = parser.parse_args().check
    stale = []
    for name, text in contents().items():
        path, content = TARGET / name, text.encode("utf-8")
        if path.is_file() and path.read_bytes() == content:
            continue
        stale.append(name)
        if not check:
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(content)
            temporary.replace(path)
    if check and stale:
        print(f"Stale: {', '.join(stale)}. Run 'python data/build_corpus.py' and commit the result.")
        return 1
    print("All files of the corpus are current." if not stale else f"Written: {', '.join(stale)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
