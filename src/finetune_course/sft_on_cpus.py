"""``python -m finetune_course.sft_on_cpus --config FILE``: TRL's own SFT script, for several processes without a card.

It is ``trl sft`` with two differences. The run is told ``use_cpu``, whatever the file says: accelerate's own does not
reach the processes that it starts, and without it each of them trains for itself, as if it were the only one.

And it ends in another way. Processes without a graphics card talk through gloo, whose group of processes waits,
when it is destroyed, for its threads. TRL's script lets go of the trainer while Python's lock is held; the trainer's
DDP wrapper is then the last owner of the group, and a thread of gloo that wants the lock, to free the tensor of its
last message, is waited for without end: the run is over, the adapter saved, and one process stays for good
(https://github.com/pytorch/pytorch/issues/56297). Here this function is the last owner, and torch does give up the
lock before it destroys a group whose last owner is a Python object.
"""

from __future__ import annotations

import gc
import sys

import torch.distributed as dist


def main() -> None:
    """Parse the command line as ``trl sft`` does, train, save, and destroy the group of processes without the lock."""
    from trl.scripts import sft

    on_cpus = [*sys.argv[1:], "--use_cpu", "true"]  # the command line goes before the file
    arguments = sft.make_parser().parse_args_and_config(on_cpus, fail_with_unknown_args=False)
    group = dist.group.WORLD if dist.is_initialized() else None  # made while the arguments were parsed
    sft.main(*arguments)  # ends with dist.destroy_process_group, after which the group has no name, but still owners
    gc.collect()  # the trainer and its DDP wrapper, which refer to each other in circles
    del group


if __name__ == "__main__":
    main()
