"""A process that has a bus: each line it reads is an expression of it, and each line it writes the result."""

from __future__ import annotations

import os
import signal
import sys

from cache.tiers._shared_memory import SharedMemoryBus


def fork() -> int:
    """The number of a child that is past its beginning, and waits to be killed."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, b"x")
        while True:
            signal.pause()
    os.read(read, 1)
    return pid


def serve(bus: SharedMemoryBus) -> None:
    print("ready", os.getpid(), flush=True)  # noqa: T201 - to the test
    for line in sys.stdin:
        try:
            result = eval(line, {"bus": bus, "fork": fork})  # noqa: S307 - the test has written it
        except Exception as error:  # noqa: BLE001 - for the test to judge
            result = error
        print(repr(result), flush=True)  # noqa: T201 - to the test


def main(folder: str) -> None:
    serve(SharedMemoryBus("shop", directory=folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
