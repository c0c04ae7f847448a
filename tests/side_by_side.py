"""How start.py's test processes share out the tests: what stays together, what comes first, how many threads each has.

The hooks that call this are in conftest.py.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

SOURCES = Path(__file__).parents[1] / "solutions"
ALONE = ("tests/test_nbval.py::test_nbval[", "tests/test_student_notebooks.py::")
"""Tests (by the beginning of their ids) that share no fixture with others of their file and take long."""

COSTLY_FILES = (
    "test_browser_widgets",
    "test_browser",
    "test_browser_looks",
    "test_curation",
    "test_recorded_results",
    "test_training",
    "test_triage_data",
    "test_start",
    "test_generation",
    "test_voice_data",
    "test_build_notebooks",
)
"""Files of tests that take longest after those, dearest first. The others are cheap; they fill up the end of a run."""

COMPUTING = re.compile(r"about (\d+|one|two|three) minutes? of computing.*?([\d.]+) GB of memory")
WORDS = {"one": 1, "two": 2, "three": 3}
HUNGRY_GB = 3
"""Two notebooks that need so much memory or more should not run at once on a computer of 8 GB."""
UNKNOWN = (99, HUNGRY_GB)
"""Minutes and GB of a notebook that does not say: it comes first, where it does least harm."""


def unit_of(nodeid: str) -> str:
    """What is given to one process as a whole: the test's file, or the test itself where it stands alone."""
    return nodeid if nodeid.startswith(ALONE) else nodeid.partition("::")[0]


def order_of(nodeid: str, notebooks: list[str]) -> tuple[int, int]:
    """Where a test stands in the run, smallest first; tests of one unit stand in the same place.

    First whole notebooks in the order of the names ``notebooks``, then student notebooks, then files as listed in
    ``COSTLY_FILES``, then all others.
    """
    unit = unit_of(nodeid)
    if "::" in unit:
        name = nodeid.partition("[")[2].rstrip("]")
        place = notebooks.index(name) if name in notebooks else len(notebooks)
        return (0 if unit.startswith(ALONE[0]) else 1), place
    name = unit.rpartition("/")[2].removesuffix(".py")
    return 2, COSTLY_FILES.index(name) if name in COSTLY_FILES else len(COSTLY_FILES)


def costs(folder: Path = SOURCES) -> dict[str, tuple[int, float]]:
    """Minutes of computing and GB of memory that each notebook's source in ``folder`` says it takes, by its name."""
    found = {}
    for path in sorted(folder.glob("[0-9][0-9]_*.py")):
        said = COMPUTING.search(" ".join(path.read_text(encoding="utf-8").replace("\n# ", " ").split()))
        found[path.stem] = (WORDS.get(said[1]) or int(said[1]), float(said[2])) if said else UNKNOWN
    return found


def longest_first(cost: dict[str, tuple[int, float]]) -> list[str]:
    """Names of notebooks, the longest first, but a hungry one in every other place while there are others between.

    xdist gives the first of two processes the first and third unit, the other one the second and fourth: so the two
    hungriest run one after the other.
    """
    hungry = sorted((name for name in cost if cost[name][1] >= HUNGRY_GB), key=lambda name: (-cost[name][1], name))
    others = sorted(cost.keys() - hungry, key=lambda name: (-cost[name][0], name))
    paired = [name for pair in zip(hungry, others, strict=False) for name in pair]
    return paired + hungry[len(others) :] + others[len(hungry) :]


def threads_each(processes: int) -> int:
    """Threads of arithmetic for each of ``processes``, so that together they have as many as there are cores."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count() or 1
    return max(1, cores // processes)


def still_running(begun: dict[str, float], now: float) -> str:
    """One line on the tests that were begun (id: time in seconds) and have not ended, the longest first."""
    tests = [f"{nodeid} ({(now - start) / 60:.0f} min)" for nodeid, start in sorted(begun.items(), key=lambda x: x[1])]
    return "running: " + ", ".join(tests)


def in_order(nodeids: Iterable[str], notebooks: list[str]) -> list[int]:
    """The places of ``nodeids`` in the order in which the units are handed out; within a unit it is as it was."""
    keys = [order_of(nodeid, notebooks) for nodeid in nodeids]
    return sorted(range(len(keys)), key=keys.__getitem__)


class FilesAndLongTests(LoadScopeScheduling):
    """xdist's ``--dist loadfile``, but long tests that stand alone go to whichever process is free."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
