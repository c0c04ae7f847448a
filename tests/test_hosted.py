"""Colab and Kaggle: the bootstrap cell and what it calls, run for real in an environment that looks like Colab's.

The slow tests make a virtual environment with ``google.colab`` in it, an empty working folder and a git repository on
this disk, and run the generated cell there. One has stand-ins for the installed libraries and a package index on
this machine, so that what pip may and may not touch is seen; the other stands on the libraries of these very tests.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import packaging
import pytest
from notebook_rules import LONGEST_CELL, course, text_before_code
from tiny_course import ROOT, Index, closed_port, make_wheel

from finetune_course import build_notebooks, publication
from finetune_course.notebook_build.bootstrap import BEFORE, bootstrap_cells, bootstrap_code, is_bootstrap
from finetune_course.notebook_build.source import SourceError, read_source
from finetune_course.publication import Publication
from finetune_course.setting_up import hosted
from finetune_course.setting_up.hosted import HostedProblem

PUBLISHED = Publication("https://github.com/owner/some-course", "v1.2.0", True)
COLAB_LIKE = {name: "99.0" for name in ("accelerate", "datasets", "filelock", "gguf", "jsonschema", "llguidance")}
COLAB_LIKE |= {name: "99.0" for name in ("matplotlib", "numpy", "pandas", "peft", "platformdirs", "psutil", "pyyaml")}
COLAB_LIKE |= {name: "99.0" for name in ("lancedb", "sentence-transformers")}
COLAB_LIKE |= {name: "99.0" for name in ("rich", "safetensors", "scikit-learn", "scipy", "transformers", "trl")}
COLAB_LIKE |= {name: "99.0" for name in ("fastapi", "openai", "pydantic", "uvicorn")}
COLAB_LIKE |= {"torch": "2.9.0+cu126", "torchvision": "0.24.0+cu126", "datasketch": "99.0"}
COLAB_LIKE |= {"ipykernel": "6.17.1", "ipywidgets": "7.7.1", "nbformat": "5.1"}


def test_nothing_is_installed_when_nothing_is_missing():
    assert hosted.to_install(ROOT, COLAB_LIKE) == []  # the old front end is the host's own affair


def test_what_is_missing_or_too_old_is_installed_as_pinned():
    installed = {name: version for name, version in COLAB_LIKE.items() if name != "trl"} | {"transformers": "4.57.1"}
    pins = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = hosted.to_install(ROOT, installed)
    assert [pin.partition("==")[0] for pin in wanted] == ["transformers", "trl"]
    assert all(any(line.split(";")[0] == pin for line in pins) for pin in wanted)
    assert "transformers==5" in wanted[0]


@pytest.mark.parametrize("version", [None, "2.5.1+cu124"])
def test_torch_is_never_installed(version):
    installed = COLAB_LIKE | {"torch": version} if version else {k: v for k, v in COLAB_LIKE.items() if k != "torch"}
    with pytest.raises(HostedProblem, match="the course needs torch>=2.6: choose the host's newest"):
        hosted.to_install(ROOT, installed)


def test_pip_is_told_to_leave_alone_what_is_loaded_and_what_is_the_hosts_own():
    kept = hosted.constraints(COLAB_LIKE, {"numpy", "not-installed"})
    assert kept == [
        "ipykernel==6.17.1",
        "ipywidgets==7.7.1",
        "nbformat==5.1",
        "numpy==99.0",
        "torch==2.9.0+cu126",
        "torchvision==0.24.0+cu126",
    ]
    loaded = hosted.loaded_distributions()
    assert "pytest" in loaded and "accelerate-but-invented" not in loaded
    assert {"pytest", "torch"} <= set(hosted.installed_versions())


def test_the_gpu_is_named_or_its_lack_explained_for_each_host(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hosted.gpu_names() == []
    tool.write_text("#!/bin/sh\necho 'GPU 0: Tesla T4 (UUID: GPU-1)'\n")
    tool.chmod(0o755)
    assert hosted.gpu_names() == ["Tesla T4"]
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")  # a driver's files without a card
    assert hosted.gpu_names() == []
    assert hosted.gpu_sentence("Colab", ["Tesla T4"]) == "GPU: Tesla T4."
    for host, words in {"Colab": "Runtime → Change runtime type", "Kaggle": "Settings → Accelerator"}.items():
        sentence = hosted.gpu_sentence(host, [])
        assert "has no GPU" in sentence and "runs without one" in sentence and words in sentence


@pytest.mark.parametrize(
    ("output", "host", "words"),
    [
        ("ERROR: ResolutionImpossible: for help visit", "Colab", "Restart session"),
        ("ERROR: Cannot install a because these package versions have conflicting dependencies.", "Kaggle", "Restart"),
        ("Failed to establish a new connection: [Errno -3] Temporary failure", "Kaggle", "Settings → Internet"),
        ("ERROR: No matching distribution found for x (from versions: none)", "Colab", "cannot be reached"),
        ("OSError: [Errno 28] No space left on device", "Colab", "disk is full"),
        ("ERROR: something new", "Colab", "(ERROR: something new)"),
    ],
)
def test_a_failed_pip_becomes_one_sentence(output, host, words):
    sentence = hosted.why_pip_failed(output, host)
    assert words in sentence and sentence.endswith(".") and "\n" not in sentence
    assert HostedProblem(sentence)._render_traceback_() == [sentence]


def test_the_cell_is_short_and_made_from_one_place():
    code = bootstrap_code(PUBLISHED)
    compile(code, "bootstrap", "exec")
    assert sum(bool(line.strip()) for line in code.split("\n")) <= LONGEST_CELL
    assert max(map(len, code.split("\n"))) <= 120
    assert PUBLISHED.repository in code and '"v1.2.0"' in code and "torch" not in code
    text, cell = bootstrap_cells(PUBLISHED, "00_start_here.ipynb")
    assert cell.source == code and PUBLISHED.colab("00_start_here.ipynb") in text.source


def tiny_source(folder: Path, bootstrap_cell: str) -> Path:
    (folder / "solutions").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        f'[tool.finetune-course]\nrepository = "{PUBLISHED.repository}"\nrelease = "v1.2.0"\n'
        f"bootstrap_cell = {bootstrap_cell}\n"
    )
    source = folder / "solutions/90_tiny.py"
    text = (ROOT / "tests/fixtures/solutions/90_tiny.py").read_text(encoding="utf-8")
    source.write_text(text.replace(f"#\n# {BEFORE}", f"\n# %% [markdown]\n# {BEFORE}"), encoding="utf-8")
    return source


def test_one_line_switches_the_cell_on(tmp_path):
    without = read_source(tiny_source(tmp_path / "off", "false"))
    with_cell = read_source(tiny_source(tmp_path / "on", "true"))
    added = [cell.id for cell in with_cell.cells if cell.id not in {cell.id for cell in without.cells}]
    assert len(added) == 2 and [cell.id for cell in with_cell.cells if cell.id not in added] == [
        cell.id for cell in without.cells
    ]
    first_code = next(cell for cell in with_cell.cells if cell.cell_type == "code")
    assert first_code.source == bootstrap_code(PUBLISHED)
    following = with_cell.cells[with_cell.cells.index(first_code) + 1]
    assert following.source.startswith(BEFORE) and text_before_code(with_cell, 90) == []


@pytest.mark.parametrize("edition", course(), ids=lambda edition: edition.name)
def test_every_notebook_has_a_place_for_the_cell(edition):
    notebook = read_source(edition.source)
    if publication.load(ROOT).bootstrap_cell:
        assert sum(cell.source == bootstrap_code(publication.load(ROOT)) for cell in notebook.cells) == 1
    starts = [index for index, cell in enumerate(notebook.cells) if cell.source.startswith(BEFORE)]
    assert len(starts) == 1
    own = [cell for cell in notebook.cells[: starts[0]] if cell.cell_type == "code"]
    assert [cell.source for cell in own] in ([], [bootstrap_code(publication.load(ROOT))])  # nothing needs it before


def test_a_notebook_without_that_section_is_refused(tmp_path):
    source = tiny_source(tmp_path, "true")
    source.write_text(source.read_text().replace(BEFORE, "## Prerequisites"))
    with pytest.raises(SourceError, match="no text cell that begins with '## Before you start'"):
        read_source(source)
    (tmp_path / "pyproject.toml").write_text('[tool.finetune-course]\nrelease = "no tag"\n')
    with pytest.raises(SourceError, match="is not a release tag"):
        read_source(source)


@pytest.mark.slow
def test_a_notebook_with_the_cell_is_built_and_the_cell_says_what_it_did(tmp_path, capsys):
    tiny_source(tmp_path, "true")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/words.txt").write_text("one two three\n", encoding="utf-8")
    assert build_notebooks.main(["90"], tmp_path) == 0, "".join(capsys.readouterr())
    built = nbformat.read(tmp_path / "solutions/90_tiny.ipynb", as_version=4)
    (cell,) = [cell for cell in built.cells if cell.source == bootstrap_code(PUBLISHED)]
    assert cell.outputs[0].text == "Not on Colab or Kaggle: the course is here already.\n"
    assert build_notebooks.main(["90", "--check"], tmp_path) == 0
    # Another tag, then no cell, then the cell again: nothing else is run, and all is current each time.
    before = without_cell(built)
    pyproject = tmp_path / "pyproject.toml"
    for old, new in (("v1.2.0", "v1.3.0"), ("cell = true", "cell = false"), ("cell = false", "cell = true")):
        pyproject.write_text(pyproject.read_text().replace(old, new))
        assert build_notebooks.main(["90", "--check"], tmp_path) == 1
        assert build_notebooks.main(["90", "--no-execute"], tmp_path) == 0
        assert build_notebooks.main(["90", "--check"], tmp_path) == 0, "".join(capsys.readouterr())
        again = nbformat.read(tmp_path / "solutions/90_tiny.ipynb", as_version=4)
        assert without_cell(again) == before
        said = [output.text for cell in again.cells if is_bootstrap(cell) for output in cell.outputs]
        assert said == ([] if "false" in new else [cell.outputs[0].text])


def without_cell(notebook) -> list:
    """The outputs of all code cells but the generated one, without their counts."""
    kept = [cell for cell in notebook.cells if cell.cell_type == "code" and not is_bootstrap(cell)]
    return [[{**output, "execution_count": None} for output in cell.outputs] for cell in kept]


# ---- an environment like Colab's


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> str:
    """Address of a git repository on this disk with what the course needs, tagged v1.2.0."""
    if not shutil.which("git"):
        pytest.skip("git is not installed, and the bootstrap cell clones with it")
    folder = tmp_path_factory.mktemp("published")
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", "corpus", "adapters", "models")
    for name in ("src", "data"):
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "-m", "x"],
        ["tag", "v1.2.0"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder.as_uri()


class Runtime:
    """A virtual environment in which ``google.colab`` can be imported, and an empty working folder."""

    def __init__(self, folder: Path, address: str, lines: list[str]) -> None:
        self.venv, self.work, self.address = folder / "venv", folder / "content", address
        self.work.mkdir(parents=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.venv], check=True)
        (self.site,) = self.venv.glob("lib/python*/site-packages")
        (self.site / "google/colab").mkdir(parents=True)
        (self.site / "google/colab/__init__.py").write_text("")
        (self.site / "preinstalled.pth").write_text("\n".join(lines) + "\n")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON", "COURSE_"))}
        self.env |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "PIP_NO_INDEX": "1"}

    def run(self, after: str = "", release: str = "v1.2.0", **env: str) -> subprocess.CompletedProcess:
        """The generated cell, then ``after``, in a fresh Python with the working folder as its own."""
        code = bootstrap_code(Publication(self.address, release)) + "\n" + after
        command = [self.venv / "bin/python", "-c", code]
        return subprocess.run(command, cwd=self.work, env=self.env | env, capture_output=True, text=True, timeout=300)


def pip_alone(folder: Path) -> Path:
    """A folder with pip and packaging, and nothing else of the environment that runs the tests."""
    places = {"pip": Path(sysconfig.get_path("purelib")) / "pip", "packaging": Path(packaging.__file__).parent}
    for (
        name,
        place,
    ) in places.items():  # pip is not imported: that would bring setuptools' own distutils into this process
        shutil.copytree(place, folder / name)
    return folder


def preinstall(site: Path, name: str, version: str) -> None:
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(
        f"{name.replace('-', '_')}/__init__.py,,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n"
    )
    (info / "INSTALLER").write_text("the host")
    (site / name.replace("-", "_")).mkdir()
    (site / name.replace("-", "_") / "__init__.py").write_text(f"__version__ = {version!r}\n")


def snapshot(site: Path, *names: str) -> dict[str, str]:
    return {
        path.relative_to(site).as_posix(): path.read_text()
        for name in names
        for path in sorted(site.glob(f"{name}*/*"))
        if path.is_file()
    }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Colab runs Linux")
def test_only_what_is_missing_is_installed_and_torch_is_not_touched(tmp_path, published):
    pins = {re.match(r"[\w-]+", line)[0]: line for line in hosted.to_install(ROOT, COLAB_LIKE | {"trl": "0.1"})}
    version = pins["trl"].partition("==")[2]
    wheels = tmp_path / "wheels"
    metadata = f"Metadata-Version: 2.1\nName: trl\nVersion: {version}\nRequires-Dist: torch>=2.6\n"
    make_wheel(wheels, "trl", version, {"trl.py": "new = True\n", f"trl-{version}.dist-info/METADATA": metadata})
    make_wheel(wheels, "torch", "99.0", {"torch/__init__.py": "newer = True\n"})
    index = Index(wheels)
    colab = Runtime(tmp_path, published, [str(pip_alone(tmp_path / "pip"))])
    for name, installed in COLAB_LIKE.items():
        if name != "trl":
            preinstall(colab.site, name, installed)
    before = snapshot(colab.site, "torch", "numpy", "ipywidgets")
    network = {"PIP_NO_INDEX": "", "PIP_INDEX_URL": index.url}
    try:
        first = colab.run("import trl, torch; print(trl.new, torch.__version__)", **network)
        assert first.returncode == 0, first.stderr
        assert "Installing trl (" in first.stdout and first.stdout.splitlines()[-1] == "True 2.9.0+cu126"
        assert snapshot(colab.site, "torch", "numpy", "ipywidgets") == before and before
        # Again, and now without a package index: nothing is missing, so nothing is asked for.
        index.close()
        again = colab.run("print('again')", **network)
        assert again.returncode == 0, again.stderr
        assert "Installing" not in again.stdout and again.stdout.endswith("again\n")
        # The disk's repository is gone as well: the clone is there.
        assert colab.run(FINETUNE_COURSE_REPOSITORY="file:///nowhere").returncode == 0
        # Something is missing and no index answers: one sentence, and all is as it was.
        shutil.rmtree(next(colab.site.glob("trl-*.dist-info")))
        (colab.site / "trl.py").unlink()
        nowhere = f"http://127.0.0.1:{closed_port()}/simple/"
        failed = colab.run(PIP_NO_INDEX="", PIP_INDEX_URL=nowhere, PIP_RETRIES="0")
        assert failed.returncode == 1 and "The package index cannot be reached" in failed.stderr.splitlines()[-1]
        assert snapshot(colab.site, "torch", "numpy", "ipywidgets") == before
    finally:
        index.close()


@pytest.fixture(scope="module")
def real(tmp_path_factory, published) -> Runtime:
    """A run-time with the libraries of these tests, which are seen but not changed."""
    import torch

    return Runtime(tmp_path_factory.mktemp("real"), published, [str(Path(torch.__file__).parents[1])])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Colab runs Linux")
def test_code_and_data_are_there_and_an_exercise_can_be_checked(real):
    after = """
import json, os, subprocess, time
import finetune_course, torch
from finetune_course import triage, checks_00
from finetune_course.paths import course_root
rows = triage.load_split("validation_handwritten")
checks_00.weights_gb(lambda parameters, bits: parameters * bits / 8 / 1e9)
child = subprocess.run([sys.executable, "-c", "import finetune_course; print(finetune_course.__file__)"],
                       capture_output=True, text=True).stdout.strip()
print(json.dumps({"rows": len(rows), "file": finetune_course.__file__, "child": child, "root": str(course_root())}))
"""
    done = real.run(bootstrap_code(Publication(real.address, "v1.2.0")) + after)  # the cell twice in one kernel
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    found = json.loads(lines[-1])
    clone = real.work / "finetune-course-v1.2.0"
    assert found["rows"] > 0 and Path(found["root"]) == clone
    assert Path(found["file"]).is_relative_to(clone) and found["child"] == found["file"]
    assert "Installing" not in done.stdout and done.stdout.count("The course is here") == 2
    assert any("has no GPU" in line or line.startswith("GPU: ") for line in lines)
    assert not (real.work / "finetune-course.partial").exists()
    kaggle = real.run(KAGGLE_KERNEL_RUN_TYPE="Interactive")
    assert kaggle.returncode == 0, kaggle.stderr
    assert "GPU: " in kaggle.stdout or "Settings → Accelerator" in kaggle.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Colab runs Linux")
def test_a_wrong_address_or_tag_and_a_half_made_clone(real, tmp_path):
    real.work = tmp_path / "content"
    real.work.mkdir()
    wrong = real.run(release="v9")
    assert wrong.returncode == 1 and "(v9): check address and internet" in wrong.stderr.splitlines()[-1]
    assert not (real.work / "finetune-course-v9").exists()
    (real.work / "finetune-course.partial/src").mkdir(parents=True)  # what a kill leaves
    done = real.run()
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in real.work.iterdir()) == ["finetune-course-v1.2.0"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Colab runs Linux")
def test_without_an_address_the_cell_says_so_and_takes_one_from_the_environment(real, tmp_path, monkeypatch):
    text, _ = bootstrap_cells(Publication("", "v1.2.0"), "00_start_here.ipynb")
    assert "%env FINETUNE_COURSE_REPOSITORY=" in text.source
    real.work = tmp_path / "content"
    real.work.mkdir()
    address = real.address
    monkeypatch.setattr(real, "address", "")
    without = real.run()
    assert without.returncode == 1 and "no public address" in without.stderr.splitlines()[-1]
    assert not list(real.work.iterdir())
    assert real.run(FINETUNE_COURSE_REPOSITORY=address).returncode == 0
    assert sorted(path.name for path in real.work.iterdir()) == ["finetune-course-v1.2.0"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the paths are those of Linux")
def test_on_ones_own_machine_it_installs_nothing(real, tmp_path):
    """Without google.colab: the course's own environment is told so, and any other kernel what to choose."""
    real.work = tmp_path / "own"
    real.work.mkdir()
    shutil.rmtree(real.site / "google")
    other = real.run()
    assert other.returncode == 1 and "choose the one in .venv" in other.stderr.splitlines()[-1]
    own = real.run(PYTHONPATH=str(ROOT / "src"))
    assert own.returncode == 0 and "the course is here already" in own.stdout
    assert list(real.work.iterdir()) == []
