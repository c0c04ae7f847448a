"""A sample of the recorded replies for a reader to label: blind, shuffled, drawn without a look at the scores.

    python benchmarks/sample_replies.py draw FILE      # lines of id, customer, text and an empty label, to be filled in
    python benchmarks/sample_replies.py join FILE      # the labels with their places: data/voice/reply_labels.jsonl

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["draw", "join"])
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    rows = drawn()
    if options.what == "draw":
        lines = [{"id": r["id"], "customer": r["customer"], "text": r["text"], "label": None} for r in rows]
        path = options.file
    else:
        read = {row["id"]: row for row in map(json.loads, options.file.read_text(encoding="utf-8").splitlines())}
        for row in rows:
            if read[row["id"]]["text"] != row["text"] or read[row["id"]]["label"] not in LABELS:
                raise SystemExit(f"{row['id']}: not this record's reply, or no label of {', '.join(LABELS)}.")
        kept = ("id", "arm", "seed", "conversation", "turn", "text")
        lines = [{name: row[name] for name in kept} | {"label": read[row["id"]]["label"]} for row in rows]
        path = data_path("voice", "reply_labels.jsonl")
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    print(f"{len(lines)} replies in {path.name}")


if __name__ == "__main__":
    main()
