"""A model server as a process of its own, and how long its answers take when several clients ask at once.

The server is the library's: ``transformers serve`` (the packages of transformers' extra ``serving``). Asking is left to
the caller, so that a notebook shows the client's call itself.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

NEEDED = ("fastapi", "openai", "pydantic", "uvicorn")
"""What ``transformers serve`` imports beside the course's other packages."""

HOST = "127.0.0.1"  # this computer alone: nobody else on the network can reach the server


class ServerError(RuntimeError):
    """The server could not be started; shown in a notebook as its one sentence, without traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython's hook for exceptions that explain themselves
        return [f"ServerError: {self}"]


def serve_command(model: str, port: int, *options: str) -> list[str]:
    """The command line of ``transformers serve`` for a model (folder or hub id), on this computer alone.

    Raises ServerError, in one sentence, where a package that the server needs is not installed.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ServerError(f"'transformers serve' needs {', '.join(missing)}: run 'pip install -r requirements.txt'.")
    start = "from transformers.cli.transformers import main; main()"
    return [sys.executable, "-c", start, "serve", model, "--host", HOST, "--port", str(port), *options]


def free_port() -> int:
    """A TCP port of this computer that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class Server:
    """``Server(folder).start()`` starts the server and waits until it is healthy; ``stop`` ends it.

    ``with Server(folder) as server:`` does both. A server that was not stopped ends with this process.

    Args:
        folder: the folder with the model (safetensors, config and tokenizer). The server runs in the folder above it,
            so that the folder's bare name, ``server.model``, is the model's name for clients.
        options: further options of ``transformers serve``.
        environment: further environment variables. Whatever happens, the server never asks the model hub.
        command: builds another command line from (model, port, *options), for tests.
        patience: seconds to wait for the first healthy answer.

    Raises ServerError where the folder holds no model, and where the server does not start, with its last line.
    """

    def __init__(
        self,
        folder: str | Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
        command: Callable[..., list[str]] = serve_command,
        patience: float = 300,
    ):
        self.folder = Path(folder).resolve()
        self.model, self.options = self.folder.name, options
        self.environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", **(environment or {})}
        self.command, self.patience = command, patience
        self.process: subprocess.Popen | None = None
        self.seconds_to_start = float("nan")

    @property
    def address(self) -> str:
        """The base address that an OpenAI client takes, such as http://127.0.0.1:8000/v1."""
        return f"http://{HOST}:{self.port}/v1"

    def start(self) -> Server:
        """Start it and wait until it is healthy; returns itself, with ``seconds_to_start``."""
        if not (self.folder / "config.json").is_file():
            raise ServerError(
                f"The folder '{self.model}' holds no model (no config.json): save the merged model there."
            )
        self.port = free_port()
        command = self.command(self.model, self.port, *self.options)
        self._log = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")
        start = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            cwd=self.folder.parent,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        atexit.register(self.stop)
        try:
            while not self._healthy():
                self._give_up_if_dead(time.perf_counter() - start)
                time.sleep(0.1)
        except BaseException:
            self.stop()
            raise
        self.seconds_to_start = time.perf_counter() - start
        return self

    def stop(self) -> None:
        """End it and wait until it is gone; nothing happens where it does not run."""
        atexit.unregister(self.stop)
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        self._log.close()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _healthy(self) -> bool:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy stands before this computer
        try:
            with direct.open(f"http://{HOST}:{self.port}/health", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def _give_up_if_dead(self, waited: float) -> None:
        if self.process.poll() is not None:
            raise ServerError(f"The model server ended at once (code {self.process.returncode}): {self._last_line()}")
        if waited > self.patience:
            raise ServerError(f"The model server did not answer within {self.patience:.0f} s: {self._last_line()}")

    def _last_line(self) -> str:
        self._log.seek(0)
        lines = [line.strip() for line in self._log if line.strip()]
        return lines[-1][:300] if lines else "it wrote nothing."


@dataclass(frozen=True)
class Load:
    """What several clients met: the answers in the order of the questions, seconds of each, and of all together."""

    clients: int
    answers: list[Any]
    latencies: list[float]
    seconds: float

    @property
    def row(self) -> dict[str, float]:
        """clients, median and 95th percentile of the seconds that an answer took, and answers a second."""
        middle, late = np.percentile(self.latencies, [50, 95])
        return {
            "clients": self.clients,
            "median, s": middle,
            "95th percentile, s": late,
            "answers a second": len(self.answers) / self.seconds,
        }


def under_load(ask: Callable[[Any], Any], questions: Sequence[Any], clients: int) -> Load:
    """Ask all ``questions``, up to ``clients`` at a time: each client asks the next one when it has its answer.

    A latency counts from the client's call to its answer, so a queue in the server is part of it. Raises ValueError for
    no questions or fewer than one client, and whatever ``ask`` raises.
    """
    if not questions or clients < 1:
        raise ValueError(f"{len(questions)} questions and {clients} clients: give at least one of each.")

    def timed(question: Any) -> tuple[Any, float]:
        start = time.perf_counter()
        return ask(question), time.perf_counter() - start

    begin = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        pairs = list(pool.map(timed, questions))
    answers, latencies = (list(part) for part in zip(*pairs, strict=True))
    return Load(clients, answers, latencies, time.perf_counter() - begin)
