"""start.py in a tiny course: each way in which a set-up fails is brought about for real, with real pip.

Where a failure is expected: exit code 1, one plain sentence and no traceback, nothing left behind, and a next try that
succeeds. Those that let pip install are slow but for a few; the sentences are tested in test_setup_parts.py too.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from tiny_course import PARTS, ROOT, Index, TinyCourse, closed_port, make_wheel, refusing_proxy

from finetune_course.setting_up.computer import fingerprint
from finetune_course.setting_up.environment import discard, is_ready

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the tiny course's stand-ins are shell scripts")


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A virtual environment to copy. Its pip is a copy of this Python's: installing one takes ten times as long."""
    folder = tmp_path_factory.mktemp("template") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/*/site-packages")
    pip = distribution("pip")
    for name in ("pip", f"pip-{pip.version}.dist-info"):
        shutil.copytree(pip.locate_file(name), packages / name)
    return folder


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    make_wheel(folder, "torch", "2.13.0", {"torch.py": "build = 'default'\n"})
    make_wheel(folder, "course_parts", "1.0", PARTS)
    return folder


@pytest.fixture
def index(wheels):
    server = Index(wheels)
    yield server
    server.close()


@pytest.fixture
def course(tmp_path, index, template) -> TinyCourse:
    return TinyCourse(tmp_path / "the course", index.url, template)


def assert_stopped(course: TinyCourse, result: subprocess.CompletedProcess, *words: str) -> None:
    """One sentence with ``words`` on stderr, exit code 1, no trace of a half-made environment."""
    assert result.returncode == 1, result.stdout + result.stderr
    sentences = result.stderr.strip().splitlines()
    assert len(sentences) == 1, result.stderr
    assert sentences[0].endswith(".") and sentences[0].count(". ") == 0
    for word in words:
        assert word in sentences[0]
    assert "Traceback" not in result.stdout + result.stderr
    assert course.leftovers == []


def assert_next_try_succeeds(course: TinyCourse) -> None:
    result = course.start("run", "06")
    assert result.returncode == 0, result.stderr
    assert course.complete and "run 06" in result.stdout


@pytest.mark.slow
def test_first_start_installs_and_second_start_does_not(course, tmp_path):
    make_wheel(tmp_path / "cpu", "torch", "2.13.0+cpu", {"torch.py": "build = 'cpu'\n"})
    cpu_index = Index(tmp_path / "cpu")
    first = course.start("--no-browser", COURSE_TORCH_INDEX=cpu_index.url)
    cpu_index.close()
    assert first.returncode == 0, first.stderr
    steps = [line[:11] for line in first.stdout.splitlines() if line.startswith("Step")]
    assert steps == [f"Step {n} of 4" for n in (1, 2, 3, 4)]
    opened = first.stdout.splitlines()[-1]
    assert opened.startswith("lab ") and opened.endswith("--no-browser") and "notebooks/00_start_here.ipynb" in opened
    assert (course.root / ".venv/share/jupyter/lab/settings/overrides.json").exists()
    assert "@jupyter/nbgrader" in (course.root / ".venv/etc/jupyter/labconfig/page_config.json").read_text()
    assert "cpu" in course.installed("torch.py").read_text()  # step 3 did not swap it for the default index's build

    log = (course.root / "setup.log").read_text()
    second = course.start(PIP_INDEX_URL="http://127.0.0.1:1/", COURSE_TORCH_INDEX="http://127.0.0.1:1/")
    assert second.returncode == 0 and "Step" not in second.stdout and "lab " in second.stdout
    assert (course.root / "setup.log").read_text() == log
    tests = course.start("test", "--quick", "-x")
    assert tests.stdout.splitlines()[-1].startswith(
        "pytest -p no:nbval -n logical --maxprocesses 4 --dist loadfile -m "
    )
    assert tests.stdout.splitlines()[-1].endswith(" -m not slow and not nbval -x")
    assert tests.returncode == 3  # pytest's own exit code
    without = course.start("run", NO_WEIGHTS="1")
    assert without.returncode == 1 and "run" not in without.stdout
    assert without.stderr.splitlines() == ["weights", "The weights could not be fetched: try later."]


@pytest.mark.slow
def test_changed_requirements_are_installed(course, wheels):
    assert_next_try_succeeds(course)
    make_wheel(wheels, "newcomer", "1.0", {"newcomer.py": ""})
    with open(course.root / "requirements.txt", "a") as file:
        file.write("newcomer==1.0\n")
    assert_next_try_succeeds(course)
    assert course.installed("newcomer.py").exists()


@pytest.mark.slow
def test_tools_for_the_tests_come_with_the_first_test(course, wheels):
    """Installed once, by ``test`` alone, at the course's own versions; without them the tests still start."""
    make_wheel(wheels, "speller", "1.0", {"speller.py": ""})
    make_wheel(wheels, "course_parts", "2.0", {"newer.py": ""})
    wanted = course.root / "tests/requirements.txt"
    wanted.parent.mkdir()
    wanted.write_text("speller==2.0\n")
    assert_next_try_succeeds(course)
    missing = course.start("test")
    assert missing.returncode == 3 and "pytest -p" in missing.stdout  # pytest's own exit code
    assert "the tests that need them are skipped. The package index has no speller" in missing.stdout
    wanted.write_text("speller==1.0\ncourse-parts\n")
    done = course.start("test", "--quick")
    assert done.returncode == 3 and "Tools for the tests" in done.stdout and "skipped" not in done.stdout
    assert course.installed("speller.py").exists() and not list(course.root.glob(".venv/lib/*/site-packages/newer.py"))
    nowhere = f"http://127.0.0.1:{closed_port()}/simple/"
    again = course.start("test", PIP_INDEX_URL=nowhere)
    assert again.returncode == 3 and "Tools for the tests" not in again.stdout


@pytest.mark.slow
def test_torch_falls_back_to_the_default_index(course):
    result = course.start("run", COURSE_TORCH_INDEX=f"http://127.0.0.1:{closed_port()}/simple/")
    assert result.returncode == 0, result.stderr
    assert "taking the default index" in result.stdout
    assert "default" in course.installed("torch.py").read_text()


@pytest.mark.slow
def test_no_network(course):
    nowhere = f"http://127.0.0.1:{closed_port()}/simple/"
    result = course.start(PIP_INDEX_URL=nowhere, COURSE_TORCH_INDEX=nowhere)
    assert_stopped(course, result, "cannot be reached", "check the network")


@pytest.mark.slow
def test_proxy_refuses(course):
    with refusing_proxy() as proxy:
        secure = "https://index.invalid/simple/"
        result = course.start(HTTPS_PROXY=proxy, PIP_INDEX_URL=secure, COURSE_TORCH_INDEX=secure)
    assert_stopped(course, result, "The proxy 127.0.0.1:", "HTTPS_PROXY", "403 Forbidden")
    assert "secret" not in result.stdout + result.stderr


@pytest.fixture
def small_disk(tmp_path, template):
    """A mounted disk of 30 MB; skips where mounting is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("filled_by", ["venv", "pip"])
def test_full_disk(small_disk, index, template, wheels, filled_by):
    course = TinyCourse(small_disk / "course", index.url, template)
    if filled_by == "venv":
        ballast = small_disk / "ballast"
        with open(ballast, "wb") as file:
            file.write(bytes(26 << 20))
    else:
        ballast = make_wheel(wheels, "ballast", "1.0", {"ballast.bin": os.urandom(28 << 20)})
        with open(course.root / "requirements.txt", "a") as file:
            file.write("ballast==1.0\n")
    result = course.start("run", "06", TMPDIR=str(wheels))  # pip downloads to another disk, unpacks on this one
    ballast.unlink()
    assert_stopped(course, result, "The disk is full", "GB")


def test_disk_too_small_is_told_before_anything_is_downloaded(course):
    result = course.start(needed_gb=10.0**9)
    assert_stopped(course, result, "needs 1000000000.0 GB", "GB are free")
    assert "Step" not in result.stdout


def test_log_cannot_be_written(course):
    (course.root / "setup.log").symlink_to("/dev/full")
    assert_stopped(course, course.start(), "The disk is full")


def test_read_only_folder(course, request):
    if os.geteuid():
        course.root.chmod(0o555)
        request.addfinalizer(lambda: course.root.chmod(0o755))
    else:  # root may write everywhere but on a read-only disk
        place = str(course.root)
        if subprocess.run(["mount", "--bind", place, place], capture_output=True).returncode:
            pytest.skip("making a read-only disk needs more rights")
        request.addfinalizer(lambda: subprocess.run(["umount", "-l", place], check=True))
        subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
    assert_stopped(course, course.start(), "cannot be written", "folder of your own")


def test_venv_module_missing(course):
    message = (
        "The virtual environment was not created successfully because ensurepip is not available.  On Debian/Ubuntu\n"
        "systems, you need to install the python3-venv package using the following command.\n\n    apt install it"
    )
    course.fake_python(f"cat <<'END'\n{message}\nEND\nexit 1")
    assert_stopped(course, course.start(), "lacks its venv module", "apt install python3.")


@pytest.mark.slow
def test_package_missing_from_the_index(course):
    (course.root / "requirements.txt").write_text("torch==2.13.0\nnever-heard-of-it==1.0\n")
    assert_stopped(course, course.start(), "never-heard-of-it", "Python 3.")


@pytest.mark.slow
def test_killed_install(course, index):
    index.stall = True
    killed = course.begin()
    assert index.stalled.wait(60)
    course.wait_for_log("Downloading")  # pip says no more now: a later word would show it that its reader is gone
    killed.kill()
    killed.communicate(timeout=60)
    assert (course.root / ".venv/.course-begun").exists() and not course.complete
    index.stall = False
    again = course.begin("run", "06")  # the killed one's pip still holds the folder
    assert "waiting for it" in again.stdout.readline()
    index.release.set()
    output, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert course.complete and "run 06" in output and course.leftovers == [".venv"]


@pytest.mark.slow
def test_interrupted_install(course, index):
    index.stall = True
    interrupted = course.begin()
    assert index.stalled.wait(60)
    os.killpg(interrupted.pid, signal.SIGINT)
    _, errors = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130
    assert errors.strip().startswith("Stopped; nothing half-done is left") and "Traceback" not in errors
    assert course.leftovers == []


@pytest.mark.slow
def test_two_at_once(course):
    both = [course.begin("run", "06"), course.begin("run", "06")]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    waited = sorted("waiting for it" in output for output, _ in outputs)
    assert waited == [False, True]
    assert sum("Step 1 of 4" in output for output, _ in outputs) == 1


@pytest.mark.parametrize("state", ["begun", "empty", "stamp of another folder", "stamp cut short", "removal cut short"])
def test_half_finished_install_is_cleared(course, state):
    venv = course.root / ".venv"
    venv.mkdir()
    if state == "begun":
        (venv / ".course-begun").touch()
        (venv / "bin").mkdir()
    elif state == "stamp of another folder":
        (venv / ".course-ready").write_text(json.dumps({"folder": "/elsewhere"}))
    elif state == "stamp cut short":
        (venv / ".course-ready").write_text("{")
    elif state == "removal cut short":
        (course.root / ".venv.partial/lib").mkdir(parents=True)
    assert not is_ready(course.root)
    discard(course.root)
    assert course.leftovers == []


def test_complete_only_for_these_pins_with_a_python(course):
    venv = course.root / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python").symlink_to(sys.executable)
    (venv / ".course-ready").write_text(json.dumps(fingerprint(course.root)))
    assert is_ready(course.root)
    (course.root / "requirements.txt").write_text("torch==2.14.0\n")
    assert not is_ready(course.root)
    (venv / ".course-ready").write_text(json.dumps(fingerprint(course.root)))
    (venv / "bin/python").unlink()
    (venv / "bin/python").symlink_to("/no/such/python")  # what an upgrade of the system's Python leaves
    assert not is_ready(course.root)


def test_someone_elses_environment_is_put_aside(course):
    (course.root / ".venv").mkdir()
    (course.root / ".venv/precious.txt").write_text("mine")
    discard(course.root)
    assert (course.root / ".venv-earlier-1/precious.txt").read_text() == "mine"


def old_pythons() -> list[Path]:
    """Real Pythons too old for the course, where this computer has some."""
    places = [*Path.home().glob(".pyenv/versions/*/bin/python"), *Path("/usr/bin").glob("python?.[0-9]")]
    asked = "import sys; sys.exit(sys.version_info[:2] < (3, 10))"
    return sorted(place for place in places if subprocess.run([place, "-c", asked]).returncode == 1)


def test_real_old_python_gets_one_sentence(tmp_path):
    if not old_pythons():
        pytest.skip("no Python older than 3.10 on this computer")
    shutil.copy(ROOT / "start.py", tmp_path)  # without the rest, so that nothing can be installed by mistake
    for python in old_pythons():
        result = subprocess.run([python, "start.py"], cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 1 and result.stdout == ""
        assert "too old: install Python 3.10 or newer" in result.stderr and result.stderr.count("\n") == 1
