"""A cache folder as on a new machine: the course's weights, and nothing that a learner trained.

A notebook prefers the learner's own models and keeps what it trained in the cache. So a test that executes one in the
learner's cache would depend on what ran before it or runs beside it, and would overwrite the learner's work.
"""

import shutil
from pathlib import Path

from finetune_course.paths import cache_dir
from finetune_course.wheel_source import SOURCES


def fresh_cache(folder: Path) -> Path:
    """Fill the empty ``folder`` with links to the weights in this machine's cache; returns it."""
    for name in SOURCES:
        kept = cache_dir() / name
        if kept.is_dir():
            try:
                (folder / name).symlink_to(kept.resolve(), target_is_directory=True)
            except OSError:  # Windows lets few users make links
                shutil.copytree(kept, folder / name)
    return folder
