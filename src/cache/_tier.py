"""Tiers: the slower store behind a cache, as the cache sees it.

What is kept there outlives the process, and other processes share it. A *truth* is what can be invalidated, and goes
by its `Address`: an entry, a tag, a wildcard. A *space* is all truths of one cache, function or namespace of tags.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from cache.codec import Codec

if TYPE_CHECKING:
    from asyncio import Future


class Address(NamedTuple):
    """What one truth goes by in every process: the shared name of its space, and its canonical bytes in there."""

    space: str
    key: bytes


class Moment(NamedTuple):
    """How many invalidations a tier had seen when somebody looked.

    Taken before a load begins, it proves at the end that nothing which the value rests on was invalidated meanwhile.
    One of another file proves nothing.
    """

    file: int
    number: int


@dataclass(frozen=True, slots=True)
class Covering:
    """A mutation in progress: the addresses and the spaces that it covers, and a number that no other ever has."""

    addresses: tuple[Address, ...]
    spaces: tuple[str, ...]
    number: int


@dataclass(frozen=True, slots=True)
class Record:
    """An entry as a tier keeps it.

    ``expires`` is in seconds of the wall clock, None for ever. ``grounds`` is every truth beside its own address that
    the value rests on, of all levels: tags, wildcards, the entries it was made of. The spaces of all of them, and its
    own, are implied.
    """

    address: Address
    value: bytes
    expires: float | None = None
    grounds: tuple[Address, ...] = ()

    def is_fresh(self, now: float) -> bool:
        """Whether its time is not over."""
        return self.expires is None or now < self.expires


class Slice(NamedTuple):
    """Some of the records of a tier; ``after`` is where the next slice begins, None if there is none."""

    records: list[Record]
    after: int | None


@runtime_checkable
class Tier(Protocol):
    """A store of records that may be used from any thread and any event loop of the process.

    A record that is read was true when it was: whatever it rests on was not invalidated since the load of its value
    began, by any process, and no mutation of it was in progress; and its time is not over. What fails is the tier,
    never the cache: where nothing can be said the cache goes on without it, and only an invalidation that others may
    miss is an error.
    """

    @property
    def codec(self) -> Codec | None:
        """How values become bytes; None: `MsgspecCodec`, made from what each function is annotated to return."""
        ...

    @property
    def compress_above(self) -> int:
        """How many bytes of a value are kept as they are; longer ones are compressed."""
        ...

    @property
    def closed(self) -> bool:
        """Whether its user has closed it."""
        ...

    def clock(self) -> float:
        """The seconds of the wall clock, in which records expire."""
        ...

    def read(self, addresses: Sequence[Address]) -> Awaitable[list[Record | Moment | None]]:
        """For each address its record; if there is none, the moment from which a load may begin.

        None where nothing can be said: whoever asks has to load, and must not write. A record that this process has
        written is found, although it may still be on its way. To be called in an event loop; never raises for what
        is wrong with the tier.
        """
        ...

    def read_blocking(self, addresses: Sequence[Address]) -> list[Record | Moment | None]:
        """As `read`, for a thread that has no event loop."""
        ...

    def release(self, given: Mapping[Address, Moment]) -> None:
        """To a load that `read` has given such a moment nothing will be written: it has failed, say.

        Others may be waiting for its value. It returns at once and never raises for the tier.
        """
        ...

    def moment(self) -> Awaitable[Moment | None]:
        """The moment from which a load may begin that must not read the tier; None where that cannot be said."""
        ...

    def moment_blocking(self) -> Moment | None:
        """As `moment`, for a thread that has no event loop."""
        ...

    def write(self, record: Record, moment: Moment, *, replaces: bool = False) -> None:
        """Store a value that was loaded since ``moment``, soon; it returns at once and never raises for the tier.

        It is refused if anything it rests on was invalidated since, if a mutation of that is in progress in any
        process, or if the moment is so long ago that nobody can tell.
        With ``replaces`` the value is another than the one before, though nobody has invalidated that: if it is
        accepted, everything that rests on its address is invalidated in the same transaction.
        """
        ...

    def assign(self, record: Record, then: Callable[[], object] | None = None) -> Future[None] | None:
        """Invalidate an address at once, and store the value that is true from then on, as one.

        It is not stored as long as a mutation of what it rests on is in progress in any process.
        Done as `invalidate` is, and fails as that does.
        """
        ...

    def invalidate(
        self, addresses: Sequence[Address], spaces: Sequence[str] = (), then: Callable[[], object] | None = None
    ) -> Future[None] | None:
        """These truths, and all in these spaces, have changed: at once, in one transaction, in the order of calls.

        In an event loop it returns a future, which is done when no process can read any more what rests on them; its
        error is logged if nobody asks for it. ``then`` is called before, in whatever thread, also if it has failed.
        Without an event loop it waits for that, and returns None; in the middle of a step nobody waits, and an error is
        logged. Fails with `CacheError` if it may not have become known to other processes. A tier that was given up, of
        which nothing is served any more, is no error.
        """
        ...

    def begin(self, covering: Covering) -> Future[None] | None:
        """A mutation begins: as `invalidate`, and nothing that rests on what it covers is stored until its `end`.

        By no process, and as long as it takes; the tier itself renews what has to be renewed for that. If this process
        dies, until the tier has found that out, and has invalidated all of it once more: when the change was made, if
        it was, nobody knows then. Done as `invalidate` is, and fails as that does; what has failed has not begun.
        """
        ...

    def end(self, covering: Covering, linger: float = 0.0) -> Future[None] | None:
        """It has ended: as `invalidate`, and what rests on it may be stored again, after ``linger`` seconds.

        May be repeated, and asked for as `begin` is still under way, was cancelled or has failed. If it fails, nothing
        that rests on it is stored until the tier knows after all, or has found this process dead, or takes it for that.
        """
        ...

    def flush(self) -> Awaitable[int]:
        """Store what waits to be written; return how many records were stored since the last flush."""
        ...

    def flush_blocking(self) -> int:
        """As `flush`, for a thread that has no event loop."""
        ...

    def scan(self, space: str, after: int | None = None) -> Awaitable[tuple[Moment | None, Slice]]:
        """The next valid records of a space, those used last first, and a moment at which they all were valid.

        None with an empty slice where nothing can be said.
        """
        ...

    def aclose(self, timeout: float = 5.0) -> Awaitable[bool]:
        """Flush and close, within ``timeout`` seconds; False if that took longer. May be repeated."""
        ...

    def close(self, timeout: float = 5.0) -> bool:
        """As `aclose`, for a thread that has no event loop."""
        ...
