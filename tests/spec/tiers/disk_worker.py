"""A process that loads, writes and invalidates through a backend, while others do the same and any of them may die.

What all of them share beside the file is the truth: two numbers for each key, its version, and the version up to which
whoever changed it was told that the invalidation is in the file. Nobody may read less than that from the file.
"""

from __future__ import annotations

import asyncio
import mmap
import random
import sys
from pathlib import Path

from cache._tier import Address, Moment, Record
from cache.tiers._disk import DiskBackend

KEYS = 8
WORKERS = 2
INNER = [Address("inner", b"%d" % key) for key in range(KEYS)]
OUTER = [Address("outer", b"%d" % key) for key in range(KEYS)]
TAGS = [Address("#tags", b"%d" % key) for key in range(KEYS)]


class Truth:
    """The versions, in memory that the processes share."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._numbers = memoryview(self._map).cast("q")

    @staticmethod
    def create(path: Path) -> Truth:
        path.write_bytes(bytes(16 * KEYS))
        return Truth(path)

    def version(self, key: int) -> int:
        return self._numbers[key]

    def known(self, key: int) -> int:
        return self._numbers[KEYS + key]

    def change(self, key: int) -> int:
        self._numbers[key] += 1
        return self._numbers[key]

    def tell(self, key: int, version: int) -> None:
        self._numbers[KEYS + key] = version


def is_stale(address: Address, record: Record, known: list[int]) -> bool:
    """Whether a record is of a version that everybody knows to be over; an outer one has those of two keys."""
    key = int(address.key)
    keys = (key,) if address.space == "inner" else (key, (key + 1) % KEYS)
    versions = [int(version) for version in record.value.split(b",")]
    return any(version < known[key] for key, version in zip(keys, versions, strict=True))


async def work(path: str, truth: Truth, number: int, chance: random.Random) -> None:
    backend = DiskBackend(path, patience=60)
    loads: list[tuple[Record, Moment]] = []
    while True:
        key, kind = chance.randrange(KEYS), chance.random()
        if kind < 0.4:  # begin a load, which ends some time
            known = [truth.known(key) for key in range(KEYS)]
            address = chance.choice((INNER, OUTER))[key]
            (found,) = await backend.read([address])
            if isinstance(found, Record):
                print("stale" if is_stale(address, found, known) else "hit", flush=True)  # noqa: T201 - to the test
            elif found is not None and address.space == "inner":
                loads.append((Record(address, b"%d" % truth.version(key), grounds=(TAGS[key],)), found))
            elif found is not None:
                inner = (key, (key + 1) % KEYS)
                value = b",".join(b"%d" % truth.version(key) for key in inner)
                grounds = (*(INNER[key] for key in inner), *(TAGS[key] for key in inner))
                loads.append((Record(address, value, grounds=grounds), found))
        elif kind < 0.8 and loads:
            record, moment = loads.pop(chance.randrange(len(loads)))
            backend.write(record, moment, replaces=chance.random() < 0.2)
        elif kind >= 0.8 and key % WORKERS == number:  # each key has one who changes it
            version = truth.change(key)
            way = chance.randrange(3)
            if way:
                done = backend.invalidate([(INNER, TAGS)[way - 1][key]])
            else:
                done = backend.assign(Record(INNER[key], b"%d" % version, grounds=(TAGS[key],)))
            assert done is not None
            await done
            truth.tell(key, version)
            print("changed", flush=True)  # noqa: T201 - to the test
        await asyncio.sleep(0)


if __name__ == "__main__":
    _, path, memory, number, seed = sys.argv
    asyncio.run(work(path, Truth(Path(memory)), int(number), random.Random(int(seed))))
