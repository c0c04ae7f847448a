"""A sample of the recorded replies for two readers to label: blind, shuffled, drawn without a look at the scores.

    python benchmarks/sample_replies.py draw FILE            # lines of id, customer, text and an empty label
    python benchmarks/sample_replies.py join FILE SECOND     # both readers' files: data/voice/reply_labels.jsonl

Within each arm and each half of the conversation (turns 1 to 4, 5 to 8) as many replies are drawn at random: 20 of the
trained model, 10 of each persona. Both commands draw with the same seed, so no key has to lie beside the blind file.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from finetune_course.grid_record import load_record
from finetune_course.paths import data_path
from finetune_course.voice import LABELS, load_conversations

EACH = {"trained": 20, "persona": 10, "persona with examples": 10}
HALVES = (range(1, 5), range(5, 9))


def drawn(seed: int = 0) -> list[dict]:
    """The sample in shuffled order: id, arm, seed, conversation, turn (from 1), customer, text."""
    talks, rng, rows = load_conversations(), random.Random(seed), []
    runs = load_record("voice_turns")["runs"]
    for arm, count in EACH.items():
        for half in HALVES:
            places = [(run, c, t) for run in runs if run["arm"] == arm for c in range(len(talks)) for t in half]
            for run, c, t in rng.sample(places, count):
                place = {"arm": arm, "seed": run["seed"], "conversation": talks[c]["id"], "turn": t}
                rows.append(place | {"customer": talks[c]["turns"][t - 1], "text": run["replies"][c][t - 1]})
    rng.shuffle(rows)
    return [{"id": f"voice-reply-{number:03d}"} | row for number, row in enumerate(rows, 1)]


def labels(path: Path, rows: list[dict]) -> list[str]:
    """A reader's labels in the order of ``rows``. Ends the script, in one sentence, at the first line that is amiss."""
    read = {row["id"]: row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    for row in rows:
        line = read.get(row["id"], {})
        if line.get("text") != row["text"] or line.get("label") not in LABELS:
            raise SystemExit(f"{path.name}, {row['id']}: not this record's reply, or no label of {', '.join(LABELS)}.")
    return [read[row["id"]]["label"] for row in rows]


def write(path: Path, lines: list[dict]) -> None:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    print(f"{len(lines)} replies in {path.name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["draw", "join"])
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    options = parser.parse_args()
    if len(options.files) != {"draw": 1, "join": 2}[options.what]:
        parser.error("draw takes one file, join takes two.")
    rows = drawn()
    if options.what == "draw":
        lines = [{"id": r["id"], "customer": r["customer"], "text": r["text"], "label": None} for r in rows]
        write(options.files[0], lines)
        return
    first, second = (labels(path, rows) for path in options.files)
    kept = ("id", "arm", "seed", "conversation", "turn", "text")
    lines = [
        {name: row[name] for name in kept} | {"label": one, "second_label": two}
        for row, one, two in zip(rows, first, second, strict=True)
    ]
    write(data_path("voice", "reply_labels.jsonl"), lines)


if __name__ == "__main__":
    main()
