"""Record how vector search grows, for notebook 09: time and recall of an index against exact search, and more pages.

    python benchmarks/record_vector_search.py growth      # 1,000 to 1,000,000 vectors; needs 4 GB of disk
    python benchmarks/record_vector_search.py pages       # the shop's pages among 100 times as many

Written to benchmarks/results/vector_search.json, one run at a time; a run that stands there for the same data and
settings is not made again. ``growth`` takes vectors that lie between those of real pieces (``vector_growth``),
``pages`` real texts of the course that are about something else. ``--largest`` stops earlier and wants an --output of
its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import FTS, IvfPq
from lancedb.rerankers import RRFReranker
from sentence_transformers import SentenceTransformer

from finetune_course.grid_record import GridRecord
from finetune_course.kb_questions import load_kb_questions
from finetune_course.knowledge_base import load_pages
from finetune_course.paths import course_root, data_path
from finetune_course.retrieval import pages_in_order
from finetune_course.retrieval_chunks import by_sentences, split_sentences, windows
from finetune_course.training import quiet_libraries
from finetune_course.triage import load_split
from finetune_course.vector_growth import batches_between, share_found, timed_searches
from finetune_course.weights import weights

RESULT = course_root() / "benchmarks" / "results" / "vector_search.json"
SIZES = (1_000, 5_000, 10_000, 50_000, 100_000, 300_000, 1_000_000)
PROBES = (1, 2, 5, 10, 20, 40)
TIMES_AS_MANY = (1, 3, 10, 30, 100)
INDEXED, PER_PARTITION, NPROBES = 10_000, 4096, 10
SENTENCES, OVERLAP, FIRST, REFINE = 1, 0, 10, 10
"""The notebook's pieces; how many neighbours are asked for; how many times as many the index looks at again exactly."""


def embedder() -> SentenceTransformer:
    return SentenceTransformer(weights("all-minilm-l6-v2"), device="cpu")


def embed(model: SentenceTransformer, texts: list[str]) -> np.ndarray:
    return model.encode(texts, normalize_embeddings=True, show_progress_bar=False, batch_size=64)


def growth(model: SentenceTransformer, size: int, folder: Path) -> dict:
    """A table of ``size`` made-up vectors: seconds to write and to index, searches exact and with the index."""
    real = embed(model, [chunk.searched for chunk in by_sentences(load_pages(), SENTENCES, OVERLAP)])
    questions = embed(model, [question.question for question in load_kb_questions("validation")])
    numbers = real.shape[1]

    def batches():
        first = 0
        for made in batches_between(real, size):
            column = pa.FixedSizeListArray.from_arrays(pa.array(made.ravel()), numbers)
            yield pa.record_batch({"row": pa.array(np.arange(first, first + len(made))), "vector": column})
            first += len(made)

    schema = pa.schema({"row": pa.int64(), "vector": pa.list_(pa.float32(), numbers)})
    start = time.perf_counter()
    table = lancedb.connect(folder).create_table(f"v{size}", batches(), schema=schema)
    run = {"write_seconds": round(time.perf_counter() - start, 2)}

    def rows(search) -> list[int]:
        return search.distance_type("cosine").limit(FIRST).to_arrow()["row"].to_pylist()

    exact = timed_searches(lambda vector: rows(table.search(vector)), questions)
    run["exact_ms"] = [round(each, 2) for each in exact.milliseconds]
    start = time.perf_counter()
    partitions = index_vectors(table, size, numbers)
    run |= {"index_seconds": round(time.perf_counter() - start, 2), "partitions": partitions, "index": []}
    for probes in (probes for probes in PROBES if probes <= partitions):

        def indexed(vector, probes=probes):
            return rows(table.search(vector).nprobes(probes).refine_factor(REFINE))

        timed = timed_searches(indexed, questions)
        entry = {"probes": probes, "ms": [round(each, 2) for each in timed.milliseconds]}
        run["index"].append(entry | {"recall": [round(each, 2) for each in share_found(timed.found, exact.found)]})
    stored = sum(file.stat().st_size for file in (folder / f"v{size}.lance").rglob("*") if file.is_file())
    return run | {"megabytes": round(stored / 1e6, 1)}


def index_vectors(table, rows: int, numbers: int) -> int:
    """Index a table of ``rows`` vectors with a byte for each 8 of their ``numbers``; returns how many groups it has."""
    partitions = max(1, rows // PER_PARTITION)
    table.create_index("vector", config=IvfPq("cosine", num_partitions=partitions, num_sub_vectors=numbers // 8))
    return partitions


def other_documents(count: int) -> list[str]:
    """``count`` real texts about other things: other organisations' pages, customers' messages, the general corpus.

    Half are customers' messages, since they speak of the shop's goods. Raises ValueError where there are fewer texts.
    """
    folder = data_path("kb", "reader_sources")
    pages = [
        json.loads(line)["text"] for file in sorted(folder.glob("*.jsonl")) for line in file.open(encoding="utf-8")
    ]
    words = data_path("corpus", "general_train.txt").read_text(encoding="utf-8").split()
    passages = [" ".join(words[first : first + 75]) for first in range(0, len(words) - 75, 75)]
    messages = [row["message"] for row in load_split("train")]
    mixed = pages + [text for pair in zip(passages, messages, strict=False) for text in pair]
    mixed += messages[len(passages) :]
    if count > len(mixed):
        raise ValueError(f"There are {len(mixed)} other documents, fewer than the {count} that are asked for.")
    return mixed[:count]


def among_more(model: SentenceTransformer, times: int, folder: Path) -> dict:
    """The questions asked of a table with ``times`` as many documents: is a right page among the first five?

    All documents are cut into pieces of the same number of sentences. Three ways to search: exact vectors, hybrid with
    exact vectors, and, from ``INDEXED`` pieces on, hybrid with an index of the vectors.
    """
    pages = load_pages()
    rows = [(chunk.page, chunk.searched) for chunk in by_sentences(pages, SENTENCES, OVERLAP)]
    for number, text in enumerate(other_documents((times - 1) * len(pages))):
        rows += [(f"other-{number}", " ".join(piece)) for piece in windows(split_sentences(text), SENTENCES, OVERLAP)]
    names, texts = zip(*rows, strict=True)
    start = time.perf_counter()
    vectors = embed(model, list(texts))
    run = {
        "documents": times * len(pages),
        "pieces": len(texts),
        "embed_seconds": round(time.perf_counter() - start, 1),
    }
    data = [{"page": p, "text": t, "vector": v} for p, t, v in zip(names, texts, vectors, strict=True)]
    table = lancedb.connect(folder).create_table(f"p{times}", data)
    table.create_index("text", config=FTS())
    asked = {}
    for split in ("validation", "test"):
        questions = [question for question in load_kb_questions(split) if question.gold["v1"].pages]
        asked[split] = list(zip(questions, embed(model, [question.question for question in questions]), strict=True))
        run[split] = {way: ask(table, asked[split], way) for way in ("vector", "hybrid")}
    if len(texts) >= INDEXED:
        index_vectors(table, len(texts), vectors.shape[1])
        for split, pairs in asked.items():
            run[split]["hybrid, index"] = ask(table, pairs, "hybrid, index")
    return run


def ask(table, asked: list[tuple], way: str) -> dict:
    """For each question a 1 where a right page is among the first five; median and 95th percentile of the ms."""
    first, spent = "", []
    for question, vector in asked:
        if way == "vector":
            search = table.search(vector).distance_type("cosine")
        else:
            search = table.search(query_type="hybrid").vector(vector).text(question.question).distance_type("cosine")
            if way == "hybrid, index":
                search = search.nprobes(NPROBES).refine_factor(REFINE)
            search = search.rerank(RRFReranker())
        start = time.perf_counter()
        ranked = pages_in_order(row["page"] for row in search.limit(50).to_list())
        spent.append(1000 * (time.perf_counter() - start))
        first += str(int(any(page in question.gold["v1"].pages for page in ranked[:5])))
    return {
        "right_among_five": first,
        "median_ms": round(statistics.median(spent), 1),
        "ms_95": round(float(np.percentile(spent, 95)), 1),
    }


def data_hash() -> str:
    """SHA-256 of all that the runs read: pages, questions, other documents."""
    files = [*sorted(data_path("kb").rglob("*.md")), *sorted(data_path("kb").rglob("*.jsonl"))]
    files += [data_path("corpus", "general_train.txt"), data_path("triage", "train.jsonl")]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(data_path()).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["growth", "pages"])
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--largest", type=int, help="no table with more vectors, no more times as many pages")
    options = parser.parse_args()
    if options.largest and options.output == RESULT:
        parser.error("--largest gives no complete record: name a file with --output.")
    quiet_libraries()
    settings = {"data_sha256": data_hash(), "pieces": [SENTENCES, OVERLAP], "first": FIRST, "refine": REFINE}
    database = {name: version(name) for name in ("lancedb", "sentence-transformers")}
    record = GridRecord(options.output, "python benchmarks/record_vector_search.py", database=database, **settings)
    model = embedder()
    sizes, run = {"growth": (SIZES, growth), "pages": (TIMES_AS_MANY, among_more)}[options.part]
    for size in sizes:
        if options.largest and size > options.largest:
            break
        with tempfile.TemporaryDirectory() as folder:
            record.once(lambda size=size, folder=folder: run(model, size, Path(folder)), part=options.part, size=size)


if __name__ == "__main__":
    main()
