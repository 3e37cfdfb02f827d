"""Descriptors that connections leave free: whoever opens many may not keep the source from being loaded."""

from __future__ import annotations

import errno
import os
import resource
import socket

# Enough for a compile process, its pipes, tables and the history.
FOR_LOADING = 32
# Enough for an operator and a monitor to look at a program that is full of routers.
FOR_HTTP = 32


def require_spare(sock: socket.socket, count: int) -> None:
    """See to it that `count` descriptors are left once another one is taken; `sock` is any that is open.

    Raises:
        OSError: EMFILE, as `accept` raises it once none is left.
    """
    lowest_free = os.dup(sock.fileno())
    os.close(lowest_free)
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if lowest_free >= limit - count:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
