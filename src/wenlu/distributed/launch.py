"""Start a command as several processes; what starts them, restarts them and forwards signals is torchrun's agent.

A launcher is one function from options and arguments to an exit code, chosen by the first word of `--launch`.
"""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable, Sequence

from wenlu.errors import Interrupted, Preempted, UsageError

_MEETING = ("--standalone", "--nnodes", "--rdzv", "--master", "--node")
"""Options that say where processes meet; without any, they meet on this machine, at a port that is free."""

_ONE_MACHINE_WITHOUT_GPUS = 2


def launch(command: str, arguments: Sequence[str]) -> int:
    """Carry out `wenlu ARGUMENTS` in the processes that `command` asks for, as "torchrun --nproc-per-node 2".

    Returns:
        The exit code of the process that failed first, 0 where none did; 75 or 130 after SIGTERM or SIGINT.
    """
    name, *options = shlex.split(command) or [""]
    if name not in LAUNCHERS:
        raise UsageError(f"--launch {command!r}: no launcher {name!r}; known: {', '.join(LAUNCHERS)}")
    return LAUNCHERS[name](options, arguments)


def torchrun(options: Sequence[str], arguments: Sequence[str]) -> int:
    """In processes of torchrun's agent, which runs in this process."""
    import torch
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    given = list(options)
    if not any(_says(option, "--nproc") for option in given):
        given += [f"--nproc-per-node={torch.cuda.device_count() or _ONE_MACHINE_WITHOUT_GPUS}"]
    if not any(_says(option, prefix) for option in given for prefix in _MEETING):
        given += ["--standalone"]
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # or torchrun would say so at length; training sets its own number
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")  # see `world._store`
    try:
        run(parse_args([*given, "--module", "wenlu", *arguments]))  # type: ignore[no-untyped-call]
    except SystemExit as error:
        raise UsageError(f"--launch: torchrun does not understand {shlex.join(options)!r}") from error
    except SignalException as error:
        stopped = Interrupted if error.sigval == signal.SIGINT else Preempted
        return stopped.exit_code
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return failure.exitcode if failure.exitcode > 0 else 1
    return 0


def _says(option: str, prefix: str) -> bool:
    return option.replace("_", "-").startswith(prefix)


LAUNCHERS: dict[str, Callable[[Sequence[str], Sequence[str]], int]] = {"torchrun": torchrun}
