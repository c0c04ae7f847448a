"""Execute a notebook in a real kernel of this very Python, with the course's environment, cell by cell."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from finetune_course.memory import kill_tree

CELL_TIMEOUT = 1800
"""Seconds; only there so that a cell which hangs ends some day."""

QUIET = {
    "COURSE_HEADLESS": "1",  # a live display may show one static figure instead
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
}
"""Environment of every headless run: no progress bars and no fork warning. It silences no warning."""

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)


@dataclass
class CellProgress:
    """What a callback learns before each code cell: its number among the code cells, their total, its index of all."""

    code_cell: int
    code_cells: int
    cell_index: int


@dataclass
class Execution:
    """How a run went: ``failure`` is empty when all cells ran, otherwise one sentence (``failed_cell``: its index)."""

    notebook: NotebookNode
    seconds: float = 0.0
    failure: str = ""
    failed_cell: int | None = None
    kernel_died: bool = False
    read_data: list[str] = field(default_factory=list)


class _ThisPython(KernelSpecManager):
    """Whatever kernels are installed, ``python3`` is the interpreter that runs this module."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(resource_dir="", **get_kernel_dict())


class _Client(NotebookClient):
    def create_kernel_manager(self):  # noqa: ANN201 - nbclient's own signature
        manager = super().create_kernel_manager()
        manager.kernel_spec_manager = _ThisPython()
        return manager


def headless_environment(extra: Mapping[str, str] | None = None, *, forget: tuple[str, ...] = ()) -> dict[str, str]:
    """This process's environment with ``QUIET`` and ``extra`` on top, without the names in ``forget``."""
    kept = {name: value for name, value in os.environ.items() if name not in forget}
    return {**kept, **QUIET, **(extra or {})}


def execute(
    notebook: NotebookNode,
    folder: Path,
    environment: Mapping[str, str],
    *,
    allow_errors: bool = False,
    on_cell: Callable[[CellProgress], None] | None = None,
    on_kernel: Callable[[int], None] | None = None,
    record: tuple[Path, Path] | None = None,
    cell_timeout: float = CELL_TIMEOUT,
) -> Execution:
    """Run a copy of ``notebook`` from top to bottom in a fresh kernel with ``folder`` as its working directory.

    Stops at the first failing cell unless ``allow_errors``. ``on_cell`` is told before each code cell, ``on_kernel``
    the kernel's process id once. With ``record`` (a file to write, the course root) the data files that the
    kernel opened are listed in ``Execution.read_data``, relative to that root. Never raises for a failing cell;
    Ctrl-C (or SIGTERM) ends the kernel and raises ``KeyboardInterrupt``.
    """
    run = nbformat.from_dict(notebook)
    code_cells = [index for index, cell in enumerate(run.cells) if cell.cell_type == "code" and cell.source.strip()]
    result = Execution(run)
    at = {"cell": None, "interrupted": False}

    def started(cell: NotebookNode, cell_index: int) -> None:
        if cell_index in code_cells:
            at["cell"] = cell_index
            if on_cell:
                on_cell(CellProgress(code_cells.index(cell_index) + 1, len(code_cells), cell_index))

    def interrupted() -> None:
        at["interrupted"] = True
        kill_tree(client.km.provisioner.pid)

    def kernel_started(notebook: NotebookNode) -> None:
        # nbclient's own handlers end the kernel and swallow the signal: the next notebook would start.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows; not the main thread
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, interrupted)
        if on_kernel:
            on_kernel(client.km.provisioner.pid)

    environment = dict(environment)
    # The kernel listens on this machine only: its remark that the traffic is not encrypted is noise in a terminal.
    arguments = ["--HistoryManager.hist_file=:memory:", "--IPKernelApp.log_level=ERROR"]
    if record is not None:
        record[0].write_text("")
        environment["COURSE_RECORD_READS"], environment["COURSE_RECORD_ROOT"] = map(str, record)
        arguments.append("--IPKernelApp.exec_lines=import finetune_course.notebook_build.record_reads")
    client = _Client(
        run,
        timeout=cell_timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        allow_errors=allow_errors,
        record_timing=False,
        store_widget_state=True,  # without it nbclient fails at a widget that holds an output
        extra_arguments=arguments,
        on_cell_start=started,
        on_notebook_start=kernel_started,
    )
    start = time.perf_counter()
    try:
        client.execute(env=environment)
    except CellExecutionError as error:
        result.failure = f"{error.ename}: {_first_line(error.evalue)}"
    except CellTimeoutError:
        result.failure = f"the cell took longer than {cell_timeout:.0f} seconds"
    except DeadKernelError:
        result.failure, result.kernel_died = "the kernel died (out of memory?)", True
    except RuntimeError as error:  # the kernel never answered
        result.failure, result.kernel_died = f"the kernel did not start: {_first_line(str(error))}", True
    if at["interrupted"]:
        raise KeyboardInterrupt
    result.seconds = time.perf_counter() - start
    result.failed_cell = at["cell"] if result.failure else None
    run.metadata.pop("widgets", None)
    for cell in run.cells:
        if cell.cell_type == "code":
            cell.outputs = _joined_streams(cell.outputs)
    if record is not None:
        result.read_data = sorted(set(record[0].read_text(encoding="utf-8").split("\n")) - {""})
    return result


def warm_font_cache() -> None:
    """Let matplotlib build its font cache now: on a new machine it says so on stderr, in whichever cell is first."""
    subprocess.run(
        [sys.executable, "-c", "import matplotlib.font_manager"], capture_output=True, check=False, timeout=300
    )


def cell_name(notebook: NotebookNode, index: int) -> str:
    """A cell as a person finds it: its number counted from 1, and the heading it stands under."""
    headings = [
        line.lstrip("# ").strip()
        for cell in notebook.cells[: index + 1]
        if cell.cell_type == "markdown"
        for line in cell.source.split("\n")
        if line.startswith("#")
    ]
    return f"cell {index + 1}" + (f" (under “{headings[-1]}”)" if headings else "")


def _joined_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring pieces of one stream as one output: how they were cut depends on timing alone."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == "stream" and last.output_type == "stream" and last.name == output.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def _first_line(text: str) -> str:
    return next((line.strip() for line in str(text).split("\n") if line.strip()), "no message")
