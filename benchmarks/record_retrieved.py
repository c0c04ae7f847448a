"""Record what the search of notebook 09 finds for every question, in both versions of the pages.

    python benchmarks/record_retrieved.py        # a minute on one core; needs lancedb and sentence-transformers

Written to benchmarks/results/kb_retrieved.json: for each question the ids of the first 20 pieces (one sentence each;
vectors and keywords joined by rank, in equal parts: notebook 09's choice on the validation questions), the seconds that
it took to build the table of version 1 and those to bring it to version 2.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import lancedb
from lancedb.index import FTS
from sentence_transformers import SentenceTransformer

from finetune_course.grid_record import GridRecord
from finetune_course.kb_questions import SPLITS, load_kb_questions, load_terms
from finetune_course.knowledge_base import load_pages
from finetune_course.paths import course_root, data_path
from finetune_course.reader import as_row
from finetune_course.retrieval import fused
from finetune_course.retrieval_chunks import by_sentences
from finetune_course.retrieved import DEPTH, NAME, dump
from finetune_course.training import quiet_libraries
from finetune_course.weights import weights

RESULTS = course_root() / "benchmarks" / "results"
SHARE = 0.5
"""How much the vectors count against the keywords."""


def pages_hash() -> str:
    """SHA-256 of the pages and questions."""
    folder = data_path("kb")
    paths = [*sorted(folder.glob("v[12]/*")), *sorted(folder.glob("questions_*.jsonl")), folder / "terms.jsonl"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


class Search:
    """One table of pieces, searched by vectors and keywords, that can be brought from one version to the next."""

    def __init__(self, folder: str, embedder: SentenceTransformer):
        self.database, self.embedder, self.known = lancedb.connect(folder), embedder, {}

    def embed(self, texts: list[str]):
        return self.embedder.encode(texts, normalize_embeddings=True, show_progress_bar=False)

    def rows(self, pages) -> list[dict]:
        pieces = [as_row(piece) for piece in by_sentences(pages, 1)]
        return [row | {"vector": vector} for row, vector in zip(pieces, self.embed_rows(pieces), strict=True)]

    def embed_rows(self, pieces: list[dict]):
        return self.embed([row["searched"] for row in pieces])

    def build(self, pages) -> None:
        self.table = self.database.create_table("pieces", self.rows(pages))
        self.table.create_index("searched", config=FTS())

    def update(self, old, new) -> None:
        """Rows of pages that went or changed go; rows of changed and new pages come."""
        before, after = ({page.id: page for page in pages} for pages in (old, new))
        gone = [name for name, page in before.items() if page != after.get(name)]
        fresh = [page for name, page in after.items() if page != before.get(name)]
        self.table.delete(f"page IN ({', '.join(repr(name) for name in gone)})")
        self.table.add(self.rows(fresh))
        self.table.optimize()

    def find(self, question: str) -> list[str]:
        if question not in self.known:
            self.known[question] = self.embed([question])[0]
        near = self.table.search(self.known[question]).distance_type("cosine").limit(50).to_list()
        words = self.table.search(question, query_type="fts").limit(50).to_list()
        ranked = fused([[row["id"] for row in found] for found in (near, words)], [SHARE, 1 - SHARE])
        return [name for name, _ in ranked[:DEPTH]]


def run(embedder: SentenceTransformer) -> dict:
    questions = [question for split in SPLITS for question in load_kb_questions(split)] + load_terms()
    pages = {name: load_pages(name) for name in ("v1", "v2")}
    found, seconds = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        search = Search(folder, embedder)
        search.embed(["warm up"])
        start = time.perf_counter()
        search.build(pages["v1"])
        seconds["set up"] = time.perf_counter() - start
        found["v1"] = {question.id: search.find(question.question) for question in questions}
        start = time.perf_counter()
        search.update(pages["v1"], pages["v2"])
        seconds["update"] = time.perf_counter() - start
        start = time.perf_counter()
        found["v2"] = {question.id: search.find(question.question) for question in questions}
        seconds["a search"] = (time.perf_counter() - start) / len(questions)
    return dump(found, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    quiet_libraries()
    libraries = {name: version(name) for name in ("lancedb", "sentence-transformers")}
    record = GridRecord(
        options.output / f"{NAME}.json", "python benchmarks/record_retrieved.py",
        pages_sha256=pages_hash(), cut="1 sentence", vectors=SHARE, depth=DEPTH, libraries=libraries,
    )  # fmt: skip
    embedder = SentenceTransformer(weights("all-minilm-l6-v2"), device="cpu")
    record.once(lambda: run(embedder), part="search")


if __name__ == "__main__":
    main()
