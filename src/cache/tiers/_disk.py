"""DiskBackend: a tier in one SQLite file, which outlives the process and which processes of one machine share."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty
from types import TracebackType
from typing import Any, Self, TypeVar

from cache._tier import Address, Covering, Moment, Record, Slice
from cache.codec import Codec
from cache.tiers._behind import Behind
from cache.tiers._changes import Changes, Ended
from cache.tiers._disk_arguments import check_codec, check_count, check_path, check_patience
from cache.tiers._file_errors import FileBusy, FileClosed
from cache.tiers._file_thread import FileThread
from cache.tiers._file_worker import Seat
from cache.tiers._records import Usage
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import SqliteFile
from cache.tiers._tally import Metrics, Tally

T = TypeVar("T")

#: For how many seconds, at most, one operation waits for another process, and all behind it wait too.
ATTEMPT = 0.25


class DiskBackend:
    """Keeps entries in the SQLite file at ``path``, for the caches of any number of processes of one machine.

    It is opened when first needed, by a thread of its own, and may be used from any thread and any event loop. What it
    cannot do, because the disk is full or the file damaged, costs hits and one warning, and raises nothing but what
    `invalidate` says.

    ``max_bytes`` bounds the sum of the entries, of which those used least recently go first. ``codec`` is how values
    become bytes: None for plain values and annotated classes (needs msgspec), or `PickleCodec`; values of more than
    ``compress_above`` bytes are compressed. For ``patience`` seconds an invalidation waits for other processes.
    ``clock`` tells the seconds since the epoch.

    To close it stores what waits. Afterwards nothing is read or written here, but the file is there for others: so an
    invalidation after that fails with `FileClosed`, for it would be lost.

    Raises:
        TypeError, ValueError: an argument that makes no sense.
        ImportError: there is no codec, and msgspec is not installed.

    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int | None = None,
        codec: Codec | None = None,
        compress_above: int = 1024,
        patience: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_path(path)
        check_count("max_bytes", max_bytes, 1)
        check_count("compress_above", compress_above, 0)
        check_patience(patience)
        check_codec(codec)
        if not callable(clock):
            raise TypeError(f"clock={clock!r} is no clock: give a callable that returns the seconds since the epoch")
        self.codec = codec
        self.clock = clock
        self._closed = False
        self.compress_above = compress_above
        self._patience = patience
        file = SqliteFile(path, max_bytes=max_bytes, now=clock, patience=min(patience, ATTEMPT))
        self.path: str = file.path
        self._thread = thread = FileThread(file)
        self._tally = Tally(file.path)
        self._behind = Behind(thread, self._tally)
        self._changes = Changes(thread, file.path, patience, self._behind.changed)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r})"

    @property
    def closed(self) -> bool:
        """Whether it was closed; a file that was given up is not."""
        return self._closed

    async def read(self, addresses: Sequence[Address]) -> list[Record | Moment | None]:
        """For each address its record, or the moment from which a load may begin, or None; see `Tier.read`."""
        self._behind.let_pass(addresses)
        return self._found(addresses, await self._ask(self._read, addresses))

    def read_blocking(self, addresses: Sequence[Address]) -> list[Record | Moment | None]:
        """As `read`, for a thread that has no event loop."""
        self._behind.let_pass(addresses)
        return self._found(addresses, self._call(self._read, addresses))

    def release(self, given: Mapping[Address, Moment]) -> None:
        """Nothing: nobody waits here for what another process loads."""

    async def moment(self) -> Moment | None:
        """The moment from which a load may begin; None where that cannot be said."""
        return await self._ask(Entries.moment)

    def moment_blocking(self) -> Moment | None:
        """As `moment`, for a thread that has no event loop."""
        return self._call(Entries.moment)

    def write(self, record: Record, moment: Moment, *, replaces: bool = False) -> None:
        """Store a value that was loaded since ``moment``, within a fraction of a second; see `Tier.write`.

        If the file is so slow that too many wait, the oldest of them is dropped.
        """
        self._behind.write((record, moment, replaces))
        if replaces:  # nobody here may find what rests on the value of before
            self._behind.send()

    def assign(self, record: Record, then: Callable[[], object] | None = None) -> asyncio.Future[None] | None:
        """Invalidate an address, and give it a value; when it is done, and how it fails, is as with `invalidate`."""
        return self._changes.make(record, then)

    def invalidate(
        self, addresses: Sequence[Address], spaces: Sequence[str] = (), then: Callable[[], object] | None = None
    ) -> asyncio.Future[None] | None:
        """These truths, and all in these spaces, have changed, for every process and every later one.

        In an event loop it returns a future, which is done when the file knows, and ``then`` has been called, in
        whatever thread; a failure of which nobody asks is logged. Without an event loop it waits, and returns None.

        Raises:
            FileBusy: another process has held the file for more than ``patience`` seconds; nothing was done.
            FileClosed: it was closed here, and others may go on to serve what it holds; or it can neither be opened nor
                be set aside. A file that was given up is no error otherwise: nothing of it is served any more.

        """
        return self._changes.make((tuple(addresses), tuple(spaces)), then)

    def begin(self, covering: Covering) -> asyncio.Future[None] | None:
        """A mutation begins: as `invalidate`, and nobody stores what rests on what it covers until its `end`.

        Nor if this process dies, until somebody has discovered that and invalidated all of it once more.
        """
        return self._changes.make(covering)

    def end(self, covering: Covering, linger: float = 0.0) -> asyncio.Future[None] | None:
        """It has ended: as `invalidate`, and what rests on it may be stored again, after ``linger`` seconds.

        If it fails with `FileBusy`, the file is told as soon as it is to be had. If that is closed here before or as it
        lingers, nobody stores what rests on it until this process ends.
        """
        ended = Ended(covering)
        lingers = linger > 0 and self._thread.set_alarm(
            min(linger, threading.TIMEOUT_MAX), partial(self._changes.make, ended)
        )
        return self._changes.make((covering.addresses, covering.spaces) if lingers else ended)

    async def flush(self) -> int:
        """Write what waits, keep to ``max_bytes``, and return how many records were stored since the last flush.

        It tries for ``patience`` seconds; what then still waits goes on to do so.
        """
        return await self._flush(self._patience)

    def flush_blocking(self) -> int:
        """As `flush`, for a thread that has no event loop."""
        return self._flush_blocking(self._patience)

    async def scan(self, space: str, after: int | None = None) -> tuple[Moment | None, Slice]:
        """The next valid records of a space, those used last first, and a moment at which they all were valid."""
        return await self._ask(_scan, space, after) or (None, Slice([], None))

    async def usage(self) -> Usage | None:
        """How full the file is; None where that cannot be said."""
        return await self._ask(Entries.usage)

    def usage_blocking(self) -> Usage | None:
        """As `usage`, for a thread that has no event loop."""
        return self._call(Entries.usage)

    def metrics(self) -> Metrics:
        """What it has done so far, in this process."""
        return self._tally.metrics()

    async def aclose(self, timeout: float = 5.0) -> bool:  # noqa: ASYNC109 - an end must be bounded by itself
        """Flush, close the file and end the thread, within ``timeout`` seconds; False if that took longer.

        May be repeated, from anywhere.
        """
        self._closed = True
        deadline = time.monotonic() + timeout
        with suppress(TimeoutError):
            await asyncio.wait_for(self._flush(timeout), timeout)
        return await self._thread.aclose(max(0.0, deadline - time.monotonic()))

    def close(self, timeout: float = 5.0) -> bool:
        """As `aclose`, for a thread that has no event loop."""
        self._closed = True
        deadline = time.monotonic() + timeout
        self._flush_blocking(timeout)
        return self._thread.close(max(0.0, deadline - time.monotonic()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _read(self, entries: Entries, addresses: Sequence[Address]) -> list[Record | Moment] | None:
        # As long as the file was not told of a change, what it holds may be what that is to end.
        return None if self._changes.held_up else entries.read(addresses)

    def _found(
        self, addresses: Sequence[Address], found: Sequence[Record | Moment] | None
    ) -> list[Record | Moment | None]:
        if found is None:
            self._tally.add(reads=len(addresses), unanswered=len(addresses))
            return [None] * len(addresses)
        hits = [each.address for each in found if isinstance(each, Record)]
        self._tally.add(reads=len(addresses), hits=len(hits))
        if hits:
            self._behind.use(hits)
        return [*found]

    async def _ask(self, operation: Callable[..., T], *args: Any) -> T | None:
        """The result of an operation; None if there is no file to ask, or not in time."""
        try:
            return await self._thread.submit(operation, *args)
        except (FileBusy, FileClosed) as error:
            self._tally.warn(error)
            return None

    def _call(self, operation: Callable[..., T], *args: Any) -> T | None:
        try:
            return self._thread.call(operation, *args)
        except (FileBusy, FileClosed) as error:
            self._tally.warn(error)
            return None

    async def _flush(self, patience: float) -> int:
        deadline = time.monotonic() + patience
        while self._thread.begin() and self._thread.closed is None and time.monotonic() < deadline:
            self._behind.send()
            self._changes.send()
            evicted = await self._ask(Entries.evict)
            if evicted == 0 and not self._behind and not self._changes:
                break
        return self._tally.since_last_flush()

    def _flush_blocking(self, patience: float) -> int:
        deadline = time.monotonic() + patience
        while self._thread.closed is None and time.monotonic() < deadline:
            self._behind.send()
            self._changes.send()
            seat = Seat()
            if not self._thread.post((Entries.evict, (), {}), seat):
                break
            try:
                evicted = seat.take(max(0.0, deadline - time.monotonic()))
            except Empty:
                break
            except (FileBusy, FileClosed) as error:
                self._tally.warn(error)
                continue
            if evicted == 0 and not self._behind and not self._changes:
                break
        return self._tally.since_last_flush()


def _scan(entries: Entries, space: str, after: int | None) -> tuple[Moment, Slice]:
    return entries.moment(), entries.scan([space], after)
