"""What becomes of memory that is freed: kept for the next step, which is fast, or handed back, which is small."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # parameters of mallopt, from glibc's malloc.h


def set_allocator(profile: str) -> bool:
    """Freed memory is handed back at once in the "small" profile, kept for the next step otherwise; True if agreed."""
    return hand_back_freed_memory() if profile == "small" else keep_freed_memory()


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory for the next step instead of handing it back to the system; True if it agreed.

    A training step frees and takes the same blocks again and again; each hand-back costs page faults. Linux only.
    """
    return _mallopt({_TRIM_THRESHOLD: 2**31 - 1, _MMAP_THRESHOLD: 2**25})


def hand_back_freed_memory() -> bool:
    """Ask glibc to hand freed blocks of 128 kB and more back to the system at once; True if it agreed.

    Left to itself it raises that limit to 32 MB as a program goes along, and a model that was let go leaves holes that
    the next one does not fit into. Slower, in less memory. Linux only.
    """
    return _mallopt({_TRIM_THRESHOLD: 2**17, _MMAP_THRESHOLD: 2**17, _ARENA_MAX: 2})


def _mallopt(settings: dict[int, int]) -> bool:
    """Set parameters of glibc's allocator; False where there is no glibc (macOS, Windows, musl) or it refuses."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except OSError:
        return False
    return all(mallopt(parameter, value) for parameter, value in settings.items())
