"""What becomes of freed memory, by profile."""

import ctypes
import os
import subprocess
import sys

import pytest

from finetune_course.allocator import free_memory, keep_freed_memory, spare_memory

KERNEL_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")


@pytest.mark.parametrize("choose", [keep_freed_memory, spare_memory, free_memory])
def test_choosing_twice_and_without_glibc(choose, monkeypatch):
    for name in KERNEL_CACHES:
        monkeypatch.setenv(name, "1024")  # set already, so left alone; and taken away again after the test
    first = choose()
    assert choose() is first
    assert first is (sys.platform == "linux" and bool(os.confstr("CS_GNU_LIBC_VERSION")))

    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert choose() is False and [os.environ[name] for name in KERNEL_CACHES] == ["1024", "1024"]


@pytest.mark.skipif(sys.platform != "linux", reason="the process's own memory is read from /proc")
@pytest.mark.slow
def test_a_process_that_spares_memory_hands_back_what_is_freed():
    """In a process of its own: of 200 freed blocks of 1 MB a process that spares memory keeps none."""
    code = """
import sys, ctypes
from finetune_course import allocator
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
assert getattr(allocator, sys.argv[1])()
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
before = resident()
blocks = [libc.malloc(1_000_000) for _ in range(200)]
for block in blocks: ctypes.memset(block, 1, 1_000_000)
for block in blocks: libc.free(block)
kept = resident() - before
allocator.free_memory()
print(kept, resident() - before)
"""
    spared, kept = [
        [
            float(number)
            for number in subprocess.run(
                [sys.executable, "-c", code, choice], capture_output=True, text=True, check=True
            ).stdout.split()
        ]
        for choice in ("spare_memory", "keep_freed_memory")
    ]
    assert spared[0] < 20 < 150 < kept[0] and kept[1] < 20, "what was kept is handed back when asked"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the process's own memory is read from /proc")
def test_a_process_that_spares_memory_does_not_keep_a_kernel_for_every_shape():
    """In a process of its own: products of 150 shapes in bfloat16; by default each leaves about half a megabyte."""
    code = """
import sys
from finetune_course import allocator
if sys.argv[1] == "spare":
    allocator.spare_memory()
import torch
weights = [torch.ones(n, 576, dtype=torch.bfloat16) for n in (192, 576, 1536)]
rows = torch.ones(300, 576, dtype=torch.bfloat16)
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
before = resident()
for count in range(1, 300, 2):
    for weight in weights:
        torch.nn.functional.linear(rows[:count], weight)
print(resident() - before)
"""
    environment = {name: value for name, value in os.environ.items() if name not in KERNEL_CACHES}
    kept = [
        float(
            subprocess.run(
                [sys.executable, "-c", code, choice], capture_output=True, text=True, check=True, env=environment
            ).stdout
        )
        for choice in ("spare", "default")
    ]
    if kept[1] < 100:
        pytest.skip("this machine's bfloat16 products keep no kernels worth sparing")
    assert kept[0] < kept[1] / 2
