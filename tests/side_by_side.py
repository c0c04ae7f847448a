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

COMPUTING = re.compile(r"about (\d+|one|two|three) minutes? of computing")
WORDS = {"one": 1, "two": 2, "three": 3}
UNKNOWN = 99
"""Minutes of a notebook that does not say: it comes first, where it does least harm."""


def unit_of(nodeid: str) -> str:
    """What is given to one process as a whole: the test's file, or the test itself where it stands alone."""
    return nodeid if nodeid.startswith(ALONE) else nodeid.partition("::")[0]


def order_of(nodeid: str, minutes: dict[str, int]) -> tuple[int, int]:
    """Where a test stands in the run, smallest first; tests of one unit stand in the same place.

    First whole notebooks, the longest of them first (``minutes`` by name), then student notebooks, then files as listed
    in ``COSTLY_FILES``, then all others.
    """
    unit = unit_of(nodeid)
    if "::" in unit:
        notebook = nodeid.partition("[")[2].rstrip("]")
        return (0 if unit.startswith(ALONE[0]) else 1), -minutes.get(notebook, 0)
    name = unit.rpartition("/")[2].removesuffix(".py")
    return 2, COSTLY_FILES.index(name) if name in COSTLY_FILES else len(COSTLY_FILES)


def minutes_of_notebooks(folder: Path = SOURCES) -> dict[str, int]:
    """Minutes of computing that each notebook's source in ``folder`` says it takes, by the notebook's name."""
    found = {}
    for path in sorted(folder.glob("[0-9][0-9]_*.py")):
        said = COMPUTING.search(" ".join(path.read_text(encoding="utf-8").replace("\n# ", " ").split()))
        found[path.stem] = (WORDS.get(said[1]) or int(said[1])) if said else UNKNOWN
    return found


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


def in_order(nodeids: Iterable[str], minutes: dict[str, int]) -> list[int]:
    """The places of ``nodeids`` in the order in which the units are handed out; within a unit it is as it was."""
    keys = [order_of(nodeid, minutes) for nodeid in nodeids]
    return sorted(range(len(keys)), key=keys.__getitem__)


class FilesAndLongTests(LoadScopeScheduling):
    """xdist's ``--dist loadfile``, but long tests that stand alone go to whichever process is free."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
