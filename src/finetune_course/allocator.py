"""What becomes of memory that is freed: kept for the next step, which is fast, or handed back, which is small."""

from __future__ import annotations

import ctypes
import gc
import os
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # parameters of mallopt, from glibc's malloc.h
_KERNEL_CACHES = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "LRU_CACHE_CAPACITY": "64"}


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory for the next step instead of handing it back to the system; True if it agreed.

    A training step frees and takes the same blocks again and again; each hand-back costs page faults. Linux only.
    """
    return _mallopt({_TRIM_THRESHOLD: 2**31 - 1, _MMAP_THRESHOLD: 2**25})


def free_memory() -> bool:
    """Collect garbage and hand all that is free back to the system, whatever is kept else; True where that is possible.

    For the moment before something large that comes once (Linux only; elsewhere the garbage is collected).
    """
    gc.collect()
    malloc_trim = _glibc("malloc_trim")
    if malloc_trim:
        malloc_trim(0)
    return bool(malloc_trim)


def spare_memory() -> bool:
    """For the small profile, before the first matrix product: freed blocks go back, few kernels are kept; True if so.

    Left to itself glibc raises the size from which it hands a freed block back to 32 MB as a program goes along, and a
    model that was let go leaves holes that the next one does not fit into: here the limit stays at 128 kB (Linux only).
    On a CPU, oneDNN and torch's interface to it write machine code for each shape of a product and keep that of the
    last 1,024 shapes each, half a megabyte a shape. Texts of every length make every shape, so it is 64 here. Both
    numbers are environment variables that the libraries read once, and what a learner has set is left alone.
    """
    for name, shapes in _KERNEL_CACHES.items():
        os.environ.setdefault(name, shapes)
    return _mallopt({_TRIM_THRESHOLD: 2**17, _MMAP_THRESHOLD: 2**17, _ARENA_MAX: 2})


def _mallopt(settings: dict[int, int]) -> bool:
    """Set parameters of glibc's allocator; False where there is no glibc or it refuses."""
    mallopt = _glibc("mallopt")
    return bool(mallopt) and all(mallopt(parameter, value) for parameter, value in settings.items())


def _glibc(name: str) -> Any:
    """A function of glibc; None where there is none (macOS, Windows, musl)."""
    try:
        return getattr(ctypes.CDLL("libc.so.6"), name)
    except (OSError, AttributeError):
        return None
