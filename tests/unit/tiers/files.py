"""A file, asked one thing at a time; and a thread that is asked by many."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from cache._tier import Address, Moment, Record
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import Call, Failed, SqliteFile

P = ParamSpec("P")
T = TypeVar("T")

A, B, C = (Address("users", key) for key in (b"a", b"b", b"c"))
TAG, OTHER_TAG = (Address("#default", key) for key in (b"t", b"u"))


def do(file: SqliteFile, operation: Callable[Concatenate[Entries, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    result: Any = file.run([(operation, args, kwargs)])[0]
    if isinstance(result, Failed):
        raise result.error
    answer: T = result
    return answer


def moment(file: SqliteFile) -> Moment:
    return do(file, Entries.moment)


def store(file: SqliteFile, address: Address, value: bytes = b"v", **options: Any) -> bool:
    """As a load would that begins and ends now."""
    return do(file, Entries.write, [(Record(address, value, **options), moment(file), False)])[0]


def held(file: SqliteFile, *addresses: Address) -> list[bytes | None]:
    """The values that may be read."""
    found = do(file, Entries.read, addresses)
    return [each.value if isinstance(each, Record) else None for each in found]


class Recording(SqliteFile):
    """Keeps what it was asked to do together."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hops: list[list[Callable[..., Any]]] = []

    def run(self, calls: Sequence[Call]) -> list[Any]:
        self.hops.append([operation for operation, _, _ in calls])
        return super().run(calls)


def let_go(file: SqliteFile) -> None:
    """What a mutation that was left in progress would keep to the end of the process."""
    file._owners.inherited()


def rows(path: str, query: str) -> list[Any]:
    """What another program sees in the file."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def write_to(path: str, *statements: str) -> None:
    """What another program does to the file."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in statements:
            connection.execute(statement)
    finally:
        connection.close()


def write_number(path: str, at: int, number: int) -> None:
    """Change the item at this place of a file of stamps."""
    with Path(path).open("r+b") as file:
        file.seek(8 * at)
        file.write(number.to_bytes(8, sys.byteorder))


def descriptors() -> set[str]:
    """Those that this process has open."""
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}
