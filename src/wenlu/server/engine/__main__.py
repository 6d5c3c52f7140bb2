"""Run the engine: `python -m wenlu.server.engine FD`, where FD is a connected socket that its parent gave it."""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import socket
import sys

from wenlu.server.engine.channel import Channel, Closed
from wenlu.server.link.frames import BrokenFrame
from wenlu.server.link.opening import Opening

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    parent = os.getppid()
    faulthandler.enable()
    for number in (signal.SIGINT, signal.SIGTERM):  # for the parent, which lets answers come to their end
        signal.signal(number, signal.SIG_IGN)
    _die_with(parent)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.INFO)
    channel = Channel(socket.socket(fileno=int(arguments[1])))
    try:
        return _serve(channel, _opening(channel))
    except Closed:
        return 0
    except BrokenFrame:
        logging.getLogger("wenlu.server.engine").exception("the server does not speak as it should")
        return 1


def _serve(channel: Channel, opening: Opening) -> int:
    import torch  # after the socket is read, so that who asks for nothing does not wait for it

    from wenlu.errors import WenluError
    from wenlu.server.engine.counts import available_bytes
    from wenlu.server.engine.loop import Loop
    from wenlu.server.engine.residents import Residents
    from wenlu.server.link.opening import Refused
    from wenlu.server.settings import EngineConfig

    config = EngineConfig.model_validate_json(opening.config)
    if config.threads != "auto":
        torch.set_num_threads(config.threads)
    gigabytes = config.memory_gigabytes
    budget = available_bytes() // 2 if gigabytes == "auto" else int(gigabytes * 1e9)
    try:
        residents = Residents(opening.models, config, budget, channel.wake)
        Loop(channel, residents, config).run()
    except WenluError as error:
        channel.send(Refused.of(error))
        return error.exit_code
    return 0


def _opening(channel: Channel) -> Opening:
    while True:
        for message in channel.wait(3600.0):
            assert isinstance(message, Opening), "the first message says what to serve"
            return message


def _die_with(parent: int) -> None:
    """End with the parent, however it ends; elsewhere than on Linux the end of the socket tells."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before
            os._exit(1)


if __name__ == "__main__":
    code = main(sys.argv)
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)  # threads that prepare or load are not waited for
