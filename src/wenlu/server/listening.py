"""Where the server listens, and whether that is only this machine."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address

from wenlu.errors import ResourceError, UsageError

_BACKLOG = 1024


def is_public(host: str) -> bool:
    """Whether other machines can reach it there."""
    if host == "localhost":
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there, at a free port where `port` is 0; raises UsageError, ResourceError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(f"--host {host}: is no address of this machine; 127.0.0.1 is only for itself") from error
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        match error.errno:
            case errno.EADDRINUSE:
                message = (
                    f"port {port} is taken by another program; choose one with --port, or any free one with --port 0"
                )
            case errno.EACCES:
                message = f"port {port} needs more rights; choose one above 1023 with --port"
            case _:
                message = f"cannot listen at {host}: {error.strerror}; 127.0.0.1 is this machine"
        raise ResourceError(message) from error
    listening.setblocking(False)
    return listening


def url_of(listening: socket.socket) -> str:
    """What to write in a browser of this machine."""
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
