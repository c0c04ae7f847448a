"""Grading submitted notebooks: ``python -m finetune_course.grading grade SUBMISSIONS/ --out DIR``.

How it works. From each submitted file only the answer cells are taken, by their ids, and put into the pristine notebook
(``submissions.py``, ``transplant.py``). For each submission two processes are started. The *checker* (``checker.py``)
holds the pristine set-up cells, the visible checks and the hidden tests; it never executes a line of the student's. The
*worker* (``worker.py``) holds the student's code and nothing else; on Linux it runs inside bubblewrap (``sandbox.py``):
no network, read-only files, none of solutions/, tests/ or the submissions, its own process space. In the checker the
student's function is a stand-in that sends its inputs to the worker and gets the result back as plain data
(``wire.py``): numbers, text, lists, dictionaries, arrays, tensors, rebuilt as fresh objects. So the verdict is found in
a process that the student's code cannot reach: patched asserts or libraries, a forged ``__eq__``, hooks, handlers and
threads all stay in the worker, and the hidden tests are nowhere in it. The outer process (``runner.py``) holds limits
over both and kills whole process trees.

What remains possible, said honestly:

* An answer sees the inputs that the hidden tests give it, one by one, and may answer from a table. The solutions are
  public too: whoever copies them gets full marks, unless the class works on a variant (``variants.py``).
* An exercise whose answer cannot be carried over as plain data, such as a class of PyTorch layers whose gradients are
  checked, is graded *together* with its test in one worker (``together.py``). Whether that is needed is found by
  grading the course's own solution first. There the hidden test is sent only after the answer has run, changed library
  functions are noticed, and code that reaches for the interpreter's insides is refused; a determined attacker with
  knowledge of this file can still get past that. The summary names these exercises.
* Without bubblewrap (Windows, macOS, some containers) a fence inside Python (``guard.py``) refuses files, network and
  new processes. It stops accidents and simple attempts; code that calls the C library walks round it, and could then
  read whatever the instructor's account can read. The grader says so at its start, and ``--require-sandbox`` refuses to
  go on without.
* The kernel of the operating system is trusted. Grade strangers' code in a virtual machine.
"""
