"""`python -m tests.sandbox FOLDER COMMAND…`: runs a command with the rights that the unit of systemd leaves it.

As user nobody, where everything but FOLDER is read-only, without a way to new privileges or to memory that can be
written and executed, and with the one capability that lets it bind ports below 1024. It reads what it likes, unlike
under systemd, since the tests may lie in root's home. To be started as root.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

NOBODY = 65534
CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
SYS_MOUNT_SETATTR = 442
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_RDONLY = 1
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1  # kernels before 6.3 do not know it

_C = ctypes.CDLL(None, use_errno=True)


def main(folder: str, *command: str) -> None:
    """Become it."""
    os.chown(folder, NOBODY, NOBODY)
    _check(_C.unshare(CLONE_NEWNS))
    _check(_C.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    _check(_C.mount(folder.encode(), folder.encode(), None, MS_BIND, None))
    _set_read_only("/", True)
    _set_read_only(folder, False)
    _C.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)
    capabilities = "-all,+net_bind_service,+dac_read_search"
    identity = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    sets = [f"--{kind}={capabilities}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    os.execvp("setpriv", ["setpriv", *identity, *sets, *command])


def _set_read_only(path: str, is_read_only: bool) -> None:
    """All mounts from there on."""
    on, off = (MOUNT_ATTR_RDONLY, 0) if is_read_only else (0, MOUNT_ATTR_RDONLY)
    attributes = struct.pack("QQQQ", on, off, 0, 0)
    _check(_C.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, path.encode(), AT_RECURSIVE, attributes, len(attributes)))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main(*sys.argv[1:])
