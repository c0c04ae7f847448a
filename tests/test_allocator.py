"""What becomes of freed memory, by profile."""

import ctypes
import os
import subprocess
import sys

import pytest

from finetune_course.allocator import set_allocator


@pytest.mark.parametrize("profile", ["standard", "small"])
def test_setting_the_allocator_twice_and_without_glibc(profile, monkeypatch):
    first = set_allocator(profile)
    assert set_allocator(profile) is first
    assert first is (sys.platform == "linux" and bool(os.confstr("CS_GNU_LIBC_VERSION")))

    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert set_allocator(profile) is False


@pytest.mark.skipif(sys.platform != "linux", reason="the process's own memory is read from /proc")
def test_the_small_profile_hands_back_what_is_freed():
    """In a process of its own: of 200 freed blocks of 1 MB the small profile keeps none."""
    code = """
import sys, ctypes
from finetune_course.allocator import set_allocator
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
assert set_allocator(sys.argv[1])
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
before = resident()
blocks = [libc.malloc(1_000_000) for _ in range(200)]
for block in blocks: ctypes.memset(block, 1, 1_000_000)
for block in blocks: libc.free(block)
print(resident() - before)
"""
    kept = [
        float(subprocess.run([sys.executable, "-c", code, profile], capture_output=True, text=True, check=True).stdout)
        for profile in ("small", "standard")
    ]
    assert kept[0] < 20 < 150 < kept[1]
