"""What all tests share: order and progress of a run in several processes, and the course's data read once in each.

``start.py test`` uses pytest-xdist; a plain ``pytest tests/test_x.py`` runs as always.
"""

import os
import pickle
import signal
import threading
import time

import psutil
import pytest

QUIET_SECONDS = 60
"""So long may nothing be heard of a run in several processes before it says which tests are running."""


def is_worker():
    return "PYTEST_XDIST_WORKER" in os.environ


def hands_out_tests(config):
    return not is_worker() and bool(config.getoption("tx", None))


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    if hands_out_tests(config):
        config.pluginmanager.register(FirstProcess(config), "first process")
        return
    if is_worker():
        import side_by_side

        threads = side_by_side.threads_each(int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # before torch is imported; kernels inherit it
    read_data_once()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    if is_worker():
        import side_by_side

        notebooks = side_by_side.longest_first(side_by_side.costs())
        items[:] = [items[place] for place in side_by_side.in_order([item.nodeid for item in items], notebooks)]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    if config.getvalue("dist") != "loadfile":
        return None
    import side_by_side

    config.option.loadscopereorder = False  # by number of tests, which would put one long test last
    return side_by_side.FilesAndLongTests(config, log)


class FirstProcess:
    """What the process that hands the tests out adds: lines for a log, and a clean end when it is stopped.

    It tells of tests that took long, as they end, and after a quiet minute of those that are running.
    """

    def __init__(self, config):
        self.config, self.begun, self.heard = config, {}, time.monotonic()
        self.ended = threading.Event()

    @pytest.hookimpl
    def pytest_sessionstart(self):
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, with which pytest comes to an end
        threading.Thread(target=self.watch, daemon=True).start()

    @pytest.hookimpl
    def pytest_keyboard_interrupt(self):
        """End the other processes and all they have begun: xdist would leave a notebook running that nobody awaits."""
        for process in psutil.Process().children(recursive=True):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                pass

    @pytest.hookimpl
    def pytest_sessionfinish(self):
        self.ended.set()

    @pytest.hookimpl
    def pytest_runtest_logstart(self, nodeid):
        self.begun[nodeid] = time.monotonic()

    @pytest.hookimpl
    def pytest_runtest_logfinish(self, nodeid):
        self.heard = time.monotonic()
        took = self.heard - self.begun.pop(nodeid, self.heard)
        if took >= QUIET_SECONDS:
            self.say(f"{nodeid} took {took / 60:.1f} min")

    def watch(self):
        import side_by_side

        while not self.ended.wait(QUIET_SECONDS / 4):
            now = time.monotonic()
            if self.begun and now - self.heard >= QUIET_SECONDS:
                self.heard = now
                self.say(side_by_side.still_running(dict(self.begun), now))

    def say(self, line):
        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        reporter.ensure_newline()
        reporter.write_line(line)
        reporter.flush()


def read_data_once():
    """Let each process read and check a data file once: 8,700 training messages against their schema take a second.

    A test that puts files of its own in another place gets the real function.
    """
    from finetune_course import kb_questions, knowledge_base, records, triage, voice
    from finetune_course.paths import data_path

    kept = {}

    def load_records(path, schema, unique="id"):
        if data_path() not in path.parents or not path.is_file():
            return records.load_records(path, schema, unique)
        state = path.stat()
        key = (path, state.st_mtime_ns, state.st_size, str(schema), unique)
        if key not in kept:
            kept[key] = pickle.dumps(records.load_records(path, schema, unique))
        return pickle.loads(kept[key])  # each caller may change what it got

    for module in (kb_questions, knowledge_base, triage, voice):
        module.load_records = load_records
