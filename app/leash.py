"""`python -m app.leash PARENT_PID COMMAND…`: run a command that the kernel kills when its parent dies.

A supervisor that is killed cannot stop its children. On Linux the kernel does it, if a child asked for that itself:
this module asks, and becomes the command. Elsewhere the command runs without a leash.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("The supervisor died before its child had started.")
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
