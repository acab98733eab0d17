"""Ports of 127.0.0.1 to listen on."""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"
SERVERS = range(20_000, 32_768)
"""Where a port is chosen: below those that systems give to outgoing connections (Linux: from 32768 on).

One of those may be taken by any connection while its server is down, and the next start would need another.
"""


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        # As servers do it: connections of a stopped one that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return not listens(port)


def listens(port: int) -> bool:
    """Whether a server answers there."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def any_free() -> int:
    """A free port, another one at each call as far as can be."""
    while not is_free(port := random.choice(SERVERS)):  # noqa: S311 no secret
        pass
    return port
