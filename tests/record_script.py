"""A script of benchmarks/ as a module, for the tests of what it records."""

import importlib.util
import sys

from finetune_course.paths import course_root


def script(name):
    """The module made from benchmarks/``name``.py, executed anew at each call."""
    spec = importlib.util.spec_from_file_location(name, course_root() / "benchmarks" / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module
