"""Bus: what tells processes of one another's invalidations.

Every truth that processes share has a slot, and every slot a stamp, which is replaced by one that was never used
before whenever the truth is invalidated. Whatever rests on the truth remembers the stamp that it found, and is good as
long as it finds the same. That a mutation is going on is told apart from it, and as long as it does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

#: The stamps by slot. That of slot 0 is replaced after any other.
Stamps: TypeAlias = "Sequence[int]"


@runtime_checkable
class Bus(Protocol):
    """What a cache asks of a bus. It is asked by one thread at a time.

    A mutation calls ``begin`` and ``stamp``, makes its write, and calls ``stamp`` and ``end``. A load looks at the
    stamps, asks ``is_changing``, reads, and looks at the stamps again; what it has read is served as long as they are
    the same. So a read that begins after a mutation has ended, in whatever way, gets nothing that is older.
    """

    @property
    def name(self) -> str:
        """How its users call it."""
        ...

    @property
    def stamps(self) -> Stamps:
        """The stamps of the present; another object when all that was known is forgotten, and then the old differ."""
        ...

    @property
    def address(self) -> str:
        """Where all who use it meet: two of one address tell the same to the same."""
        ...

    @property
    def closed(self) -> bool:
        """Whether its user has closed it."""
        ...

    @property
    def tier(self) -> object | None:
        """The tier by which others are told, and which caches on this bus must have; None: the bus tells them."""
        ...

    def slot(self, space: str, code: bytes) -> int:
        """The slot, above 0, of a truth; two may share one, and are then invalidated together."""
        ...

    def stamp(self, slots: Sequence[int]) -> int:
        """Give these a new stamp, then slot 0, and return it."""
        ...

    def begin(self, slots: Sequence[int]) -> None:
        """A mutation in this process covers these from now on; its ``end`` is owed.

        Raises:
            BusError: nobody can be told, so the mutation must not run.

        """
        ...

    def end(self, slots: Sequence[int], linger: float) -> None:
        """It covers them for ``linger`` seconds more, and then no longer."""
        ...

    def forget(self, slots: Sequence[int]) -> None:
        """In a process that was forked, and has just begun: the mutation that covers these is its parent's alone."""
        ...

    def is_changing(self, slots: Sequence[int]) -> bool:
        """Whether a mutation in another process covers one of these; True if nobody can tell."""
        ...

    def declare(self, space: str, bits: int) -> None:
        """Set these of the 64 bits that all processes see of a space; none is ever cleared."""
        ...

    def declared(self, space: str) -> int:
        """The bits of a space that any process has set; others may be set as well."""
        ...

    def mark(self) -> bytes:
        """What `unchanged` compares with: to be taken before a load whose tags are not known yet."""
        ...

    def unchanged(self, mark: bytes, slots: Sequence[int]) -> bool:
        """Whether none of these was stamped since the mark was taken; False in doubt."""
        ...


class Alone:
    """The bus of what no other process uses."""

    name = address = "alone"
    stamps: Stamps = (0,)
    closed = False
    tier = None

    def slot(self, space: str, code: bytes) -> int:  # noqa: ARG002 - nobody else has any
        return 0

    def stamp(self, slots: Sequence[int]) -> int:  # noqa: ARG002 - there is nobody to tell
        return 0

    def begin(self, slots: Sequence[int]) -> None:
        """There is nobody to tell."""

    def end(self, slots: Sequence[int], linger: float) -> None:
        """There is nobody to tell."""

    def forget(self, slots: Sequence[int]) -> None:
        """There is nobody to tell."""

    def is_changing(self, slots: Sequence[int]) -> bool:  # noqa: ARG002 - nobody else changes anything
        return False

    def declare(self, space: str, bits: int) -> None:
        """There is nobody to tell."""

    def declared(self, space: str) -> int:  # noqa: ARG002 - nobody else declares anything
        return 0

    def mark(self) -> bytes:
        return b""

    def unchanged(self, mark: bytes, slots: Sequence[int]) -> bool:  # noqa: ARG002 - nobody else changes anything
        return True


alone = Alone()

#: What is told of a bus that its user has just closed.
when_closed: list[Callable[[Bus], object]] = []
