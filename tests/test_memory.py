"""The memory watch against processes whose memory is known, and the cap against one that grows."""

import subprocess
import sys
import time

import psutil
import pytest

from finetune_course import memory

MB = 1_000_000
HOLD = """
import sys, time
block = bytearray({size})
for at in range(0, len(block), 4096): block[at] = 1
print("ready", flush=True)
{then}
sys.stdin.readline()
"""


def start(size, then=""):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(size=size, then=then)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def processes():
    started = []
    yield started
    for process in started:
        memory.kill_tree(process.pid)
        process.communicate(timeout=30)


def test_the_peak_is_what_the_process_holds(processes):
    processes.append(start(200 * MB))
    with memory.MemoryWatch(processes[0].pid) as watch:
        time.sleep(0.3)
    assert 195 * MB < watch.peak < 260 * MB


@pytest.mark.slow
def test_a_peak_that_has_passed_is_remembered(processes):
    processes.append(start(300 * MB, "sys.stdin.readline(); del block; print('freed', flush=True)"))
    with memory.MemoryWatch(processes[0].pid) as watch:
        while not watch.peak:
            time.sleep(0.05)
        processes[0].stdin.write("\n")
        processes[0].stdin.flush()
        assert processes[0].stdout.readline() == "freed\n"
        time.sleep(0.2)
        assert memory.pss([processes[0].pid]) < 100 * MB
    assert watch.peak > 295 * MB


def test_a_spike_between_two_looks_is_seen(processes):
    """Taken and given back before the next look, which is the last: the system's own mark has kept it."""
    if not memory.ON_LINUX:
        pytest.skip("only Linux keeps the highest mark of each process where others can read it")
    spike = "sys.stdin.readline(); more = bytearray(b'1') * (150 * 10**6); del more; print('freed', flush=True)"
    processes.append(start(50 * MB, spike))
    with memory.MemoryWatch(processes[0].pid, cap=150 * MB, interval=30) as watch:
        time.sleep(0.2)
        assert memory.pss([processes[0].pid]) < 100 * MB
        processes[0].stdin.write("\n")
        processes[0].stdin.flush()
        assert processes[0].stdout.readline() == "freed\n"
    assert watch.killed and 195 * MB < watch.peak < 260 * MB


def test_children_count_and_shared_pages_count_once(processes):
    """A forked child shares its parent's block: RSS counts it twice, PSS once; the child's own block comes on top."""
    if not memory.ON_LINUX:
        pytest.skip("PSS and fork are Linux's")
    fork = "import os\nif os.fork() == 0:\n    own = bytearray(b'1') * (100 * 10**6)\nprint('forked', flush=True)"
    processes.append(start(200 * MB, fork))
    for _ in range(2):
        assert processes[0].stdout.readline() == "forked\n"
    members = memory.tree(processes[0].pid)
    assert len(members) == 2
    assert 290 * MB < memory.pss(members) < 360 * MB
    assert memory.rss(members) > 480 * MB
    assert sorted(members) == sorted(
        [processes[0].pid, *(child.pid for child in psutil.Process(processes[0].pid).children(recursive=True))]
    )


def test_the_cap_kills_the_whole_tree(processes):
    """A child that grows by 10 MB every 20 ms is ended soon after the cap, and its parent with it."""
    grow = (
        "import subprocess\nsubprocess.run([sys.executable, '-c', '''import time\nkept = []\n"
        "while len(kept) < 200: kept.append(bytearray(b'1') * 10**7); time.sleep(0.02)''' ])"
    )
    processes.append(start(10 * MB, grow))
    watch = memory.MemoryWatch(processes[0].pid, cap=200 * MB).start()
    processes[0].wait(timeout=30)
    assert watch.stop() < 350 * MB
    assert watch.killed and watch.peak > 200 * MB
    assert memory.tree(processes[0].pid) in ([], [processes[0].pid])


def test_below_the_cap_nothing_is_killed(processes):
    processes.append(start(50 * MB))
    with memory.MemoryWatch(processes[0].pid, cap=200 * MB) as watch:
        time.sleep(0.2)
    assert not watch.killed and processes[0].poll() is None


def test_without_pss_the_sum_of_rss_stands_in(processes, monkeypatch):
    monkeypatch.setattr(memory, "ON_LINUX", False)
    processes.append(start(50 * MB))
    assert memory.pss([processes[0].pid]) == pytest.approx(memory.rss([processes[0].pid]), rel=0.02)


def test_a_process_that_is_gone_ends_the_watch():
    process = start(1 * MB)
    watch = memory.MemoryWatch(process.pid).start()
    process.communicate("\n", timeout=30)
    assert watch.stop() >= 0 and memory.tree(process.pid) == []
