"""A course folder of a few kilobytes for testing start.py: real pip, real wheels, a package index on this machine."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = "torch==2.13.0\ncourse-parts==1.0\n"
# Stand-ins for what start.py calls: each prints its arguments.
PARTS = {
    "finetune_course/__init__.py": "",
    "finetune_course/weights.py": "import os, sys\nprint('weights', file=sys.stderr)\n"
    "if os.environ.get('NO_WEIGHTS'): sys.exit('The weights could not be fetched: try later.')\n",
    "finetune_course/run_notebooks.py": "import sys\nprint('run', *sys.argv[1:])\n",
    "jupyterlab/__init__.py": "",
    "jupyterlab/__main__.py": "import sys\nprint('lab', *sys.argv[1:])\n",
    "pytest.py": "import sys\nprint('pytest', *sys.argv[1:])\nsys.exit(3)\n",
}


def make_wheel(folder: Path, name: str, version: str, files: dict[str, str | bytes]) -> Path:
    """Write a wheel with ``files`` (path in site-packages -> content)."""
    info = f"{name}-{version}.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in files) + f"{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(path, content)
    return wheel


class Index:
    """A package index on 127.0.0.1; ``stall`` makes it send half of each wheel and then wait for ``release``."""

    def __init__(self, wheels: Path) -> None:
        self.stall, self.stalled, self.release = False, threading.Event(), threading.Event()
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.strip("/").split("/")[-1]
                if self.path.startswith("/simple/"):
                    found = [w.name for w in wheels.glob("*.whl") if w.name.split("-")[0].replace("_", "-") == name]
                    body = "".join(f'<a href="/files/{w}">{w}</a>' for w in found).encode()
                    self._send(body if found else b"", "text/html", 200 if found else 404)
                else:
                    self._send((wheels / name.replace("%2B", "+")).read_bytes(), "application/octet-stream", 200)

            def _send(self, body: bytes, kind: str, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if index.stall and kind.startswith("application"):
                    self.wfile.write(body[: len(body) // 2])
                    self.wfile.flush()
                    index.stalled.set()
                    index.release.wait(60)
                    return
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple/"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def refusing_proxy(answer: str = "403 Forbidden") -> Iterator[str]:
    """A proxy that answers every request with ``answer``; yields its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            code, _, reason = answer.partition(" ")
            self.send_response_only(int(code), reason)
            self.end_headers()

        do_GET = do_CONNECT

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://user:secret@127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def closed_port() -> int:
    """A port on 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class TinyCourse:
    """A folder with start.py, the set-up code and tiny requirements, and the environment to run it in."""

    def __init__(self, root: Path, index_url: str, template: Path | None) -> None:
        self.root, self.template = root, template
        (root / "src/finetune_course").mkdir(parents=True)
        (root / "binder").mkdir()
        shutil.copy(ROOT / "start.py", root)
        shutil.copy(ROOT / "binder/overrides.json", root / "binder")
        shutil.copy(ROOT / "src/finetune_course/__init__.py", root / "src/finetune_course")
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(
            ROOT / "src/finetune_course/setting_up", root / "src/finetune_course/setting_up", ignore=unwanted
        )
        (root / "requirements.txt").write_text(REQUIREMENTS)
        if template:  # a copy of a ready virtual environment instead of 3 seconds of making one
            self.fake_python(f'mkdir -p "$3" && cp -Rp "{template}/." "$3"')
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PIP_") and "proxy" not in k.lower()}
        self.env = kept | {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_INDEX_URL": index_url,
            "COURSE_TORCH_INDEX": index_url,
        }

    def fake_python(self, venv_command: str) -> None:
        """Make start.py's ``python -m venv FOLDER`` run this shell command instead ($3 is FOLDER)."""
        fake = self.root / "fake-python"
        fake.write_text(f"#!/bin/sh\n{venv_command}\n")
        fake.chmod(0o755)

    def command(self, *arguments: str, needed_gb: float = 0.0) -> list[str]:
        """The command line of start.py; the disk space it asks for is lowered to what these tests need."""
        fake = self.root / "fake-python"
        executable = f"sys.executable = {str(fake)!r}; " if fake.exists() else ""
        code = (
            f"import sys; sys.path[:0] = [{str(self.root)!r}, {str(self.root / 'src')!r}]; {executable}"
            "import start; import finetune_course.setting_up.environment as e; "
            f"e.NEEDED_GB, e.RETRIES = {needed_gb}, 1; "
            f"sys.exit(start.main(sys.argv[1:], {str(self.root)!r}))"
        )
        return [sys.executable, "-c", code, *arguments]

    def start(self, *arguments: str, needed_gb: float = 0.0, **env: str) -> subprocess.CompletedProcess:
        """Run start.py to its end."""
        command = self.command(*arguments, needed_gb=needed_gb)
        return subprocess.run(command, env=self.env | env, capture_output=True, text=True, timeout=120)

    def begin(self, *arguments: str) -> subprocess.Popen:
        """Run start.py in a process group of its own, so that a test can interrupt it."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(self.command(*arguments), env=self.env, start_new_session=True, **pipes)

    def wait_for_log(self, word: str, seconds: float = 60) -> None:
        """Return when setup.log holds ``word``."""
        end = time.monotonic() + seconds
        while word not in (self.root / "setup.log").read_text():
            assert time.monotonic() < end, f"setup.log never said {word}"
            time.sleep(0.05)

    def installed(self, file: str) -> Path:
        """Where a file of a package is in .venv."""
        (path,) = (self.root / ".venv").glob(f"lib/*/site-packages/{file}")
        return path

    @property
    def complete(self) -> bool:
        return (self.root / ".venv/.course-ready").exists()

    @property
    def leftovers(self) -> list[str]:
        """What a failed set-up left in the folder, apart from its log and lock."""
        return sorted(p.name for p in self.root.glob(".venv*") if p.name != ".venv.lock")
