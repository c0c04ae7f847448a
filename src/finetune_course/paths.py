"""Where things are: the course's root, its data files and the cache for weights."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

_PACKAGE = Path(__file__).resolve().parent


def course_root() -> Path:
    """The folder that holds README.md, data/ and notebooks/ (the package is installed from it in editable form)."""
    root = _PACKAGE.parents[1]
    if not (root / "data").is_dir():
        raise FileNotFoundError(
            f"The course's data folder is not beside the package ({root.name}/data is missing): "
            "install the package from the course folder with 'pip install -e .'."
        )
    return root


def data_path(*parts: str) -> Path:
    """Path of a file under data/, such as ``data_path("triage", "train.jsonl")``."""
    return course_root().joinpath("data", *parts)


def own_models_dir() -> Path:
    """Where what was trained on this machine is kept: ``FINETUNE_COURSE_OWN_MODELS``, else the cache folder.

    Saved notebooks are executed with an empty folder here: what their author once trained is not what they show.
    """
    chosen = os.environ.get("FINETUNE_COURSE_OWN_MODELS", "").strip()
    return Path(chosen).expanduser() if chosen else cache_dir()


def cache_dir() -> Path:
    """The cache folder: ``FINETUNE_COURSE_CACHE`` if set, otherwise the platform's cache place. Not created here."""
    chosen = os.environ.get("FINETUNE_COURSE_CACHE", "").strip()
    return (
        Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("finetune-course", appauthor=False))
    )
