#!/usr/bin/env python3
"""Set up the course and open it, run its notebooks, or test it.

    python3 start.py                  set up (first time only), then open JupyterLab on notebook 00
    python3 start.py run [06 ...]     execute all notebooks, or those named, without a browser
    python3 start.py test [--quick]   run every test, or only those that need no training

Options after the bare command go to JupyterLab (--no-browser, --port 8890), those after "test" to pytest.
Everything is installed into the folder .venv here; delete that folder to begin anew. setup.log keeps what pip said.
COURSE_TORCH_INDEX names another package index for PyTorch, such as one with builds for your graphics card.
"""
# Only syntax that a very old Python can parse, so that it gets as far as the sentence that says so. The work is done
# by src/finetune_course/setting_up/, which needs nothing but the standard library.

# ruff: noqa: UP031

import os
import signal
import sys

OLDEST, NEWEST = (3, 10), (3, 14)  # PyTorch has builds for these
FIRST_NOTEBOOK = "notebooks/00_start_here.ipynb"


def check_python(version):
    """Return one sentence when the course cannot be installed with this version of Python, otherwise None."""
    version = tuple(version[:2])
    if OLDEST <= version <= NEWEST:
        return None
    fault = "too old" if version < OLDEST else "too new for the course's PyTorch"
    return "This is Python %d.%d, %s: install Python %d.%d or newer, up to %d.%d, and start again with it." % (
        version + (fault,) + OLDEST + NEWEST
    )


def command_line(arguments, root):
    """Arguments for the environment's Python that carry out the command line, or None if it is not understood."""
    command = arguments[0] if arguments else ""
    if command == "run":
        return ["-m", "finetune_course.run_notebooks"] + arguments[1:]
    if command == "test":
        quick = "--quick" in arguments
        processes = "4" if quick else "2"  # a notebook takes up to 2.5 GB, and 8 GB have to do
        # A file's tests share fixtures; tests/side_by_side.py says which come first and which stand alone. nbval is
        # loaded by the tests that need it.
        shared = ["-p", "no:nbval", "-n", "logical", "--maxprocesses", processes, "--dist", "loadfile"]
        chosen = ["-m", "not slow and not nbval"] if quick else []
        return ["-m", "pytest"] + shared + chosen + [argument for argument in arguments[1:] if argument != "--quick"]
    if command == "" or command.startswith("-"):
        where = ["--ServerApp.root_dir=" + root, "--LabApp.default_url=/lab/tree/" + FIRST_NOTEBOOK]
        if hasattr(os, "geteuid") and os.geteuid() == 0:  # in a container; JupyterLab would refuse
            where.append("--allow-root")
        return ["-m", "jupyterlab"] + where + arguments
    return None


def main(arguments, root):
    """Carry out one command line for the course in the folder ``root``; returns the exit code."""
    too_old = check_python(sys.version_info)
    if too_old:
        sys.stderr.write(too_old + "\n")
        return 1
    if set(arguments[:1]) & {"-h", "--help", "help"}:
        print(__doc__.strip())
        return 0
    wanted = command_line(arguments, root)
    if wanted is None:
        sys.stderr.write("start.py knows 'run' and 'test', not '%s': try python3 start.py --help.\n" % arguments[0])
        return 1
    sys.path.insert(0, os.path.join(root, "src"))
    from finetune_course.setting_up import environment, reasons, test_tools

    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # tidy up as after Ctrl-C
        environment.set_up(root)
        if arguments[:1] == ["test"]:
            test_tools.add(root)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if "jupyterlab" in wanted:
            print("Opening JupyterLab in your browser; Ctrl-C here ends it.")
        return environment.hand_over(root, wanted)
    except reasons.Stop as stop:
        sentence = str(stop)
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped; nothing half-done is left: start again whenever you like.\n")
        return 130
    except Exception as error:
        sentence = reasons.explain_exception(error, root)
    if sentence:
        sys.stderr.write(sentence + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.path.dirname(os.path.abspath(__file__))))
