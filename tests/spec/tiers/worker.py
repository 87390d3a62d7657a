"""A process that uses a file through its thread: it answers for each thing that it has done with a line."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

from cache._tier import Address, Record
from cache.tiers._file_thread import FileThread
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import SqliteFile

KEYS = 12
TAGS = (b"t", b"u", b"v")


def plan(space: str, seed: int) -> Iterator[tuple[str, object]]:
    """What a worker does in its space, the same for everybody who knows the seed."""
    chance = random.Random(seed)
    for count in range(100_000):
        address = Address(space, b"%d" % chance.randrange(KEYS))
        tags = tuple(Address(f"#{space}", tag) for tag in TAGS if chance.random() < 0.2)
        kind = chance.random()
        if kind < 0.7:
            value = b"%d " % count * chance.choice((1, 50, 2_000))
            yield "write", Record(address, value, grounds=tags)
        elif kind < 0.85:
            yield "delete", address
        elif kind < 0.95:
            yield "invalidate", [Address(f"#{space}", chance.choice(TAGS))]
        elif kind < 0.97:
            yield "clear", space
        else:
            yield "sweep", chance.randrange(1, 20)


def foretell(space: str, seed: int, done: int) -> dict[bytes, bytes]:
    """What may be read in a space when the first of the plan are done."""
    held: dict[bytes, Record] = {}
    for (operation, what), _ in zip(plan(space, seed), range(done), strict=False):
        if isinstance(what, Record):
            held[what.address.key] = what
        elif isinstance(what, Address):
            held.pop(what.key, None)
        elif isinstance(what, list):
            held = {key: record for key, record in held.items() if not set(what) & set(record.grounds)}
        elif operation == "clear":
            held = {}
    return {key: record.value for key, record in held.items()}


def do(thread: FileThread, operation: str, what: object) -> None:
    if isinstance(what, Record):
        moment = thread.call(Entries.moment)
        # A sweep of somebody else may have forgotten what would prove that; then it is assigned.
        if thread.call(Entries.write, [(what, moment, False)]) == [False]:
            thread.call(Entries.assign, what)
    elif isinstance(what, Address):
        thread.call(Entries.invalidate, [what])
    elif isinstance(what, list):
        thread.call(Entries.invalidate, what)
    elif isinstance(what, int):
        thread.call(Entries.sweep, what)
    elif operation == "clear":
        thread.call(Entries.invalidate, [], [str(what)])


def main(path: str, space: str, seed: str, limit: str) -> None:
    thread = FileThread(SqliteFile(path, patience=60))
    print("ready", thread.call(Entries.moment).file, flush=True)  # noqa: T201 - to the test
    sys.stdin.readline()
    for number, (operation, what) in zip(range(int(limit)), plan(space, int(seed)), strict=False):
        do(thread, operation, what)
        print(number + 1, flush=True)  # noqa: T201 - to the test
    thread.close(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
