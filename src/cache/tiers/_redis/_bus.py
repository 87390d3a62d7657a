"""RedisBus: the stamps that other machines change, as the cache looks at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cache._bus import Stamps
from cache.errors import BusError

if TYPE_CHECKING:
    from cache.tiers._redis._engine import Engine


class RedisBus:
    """The bus of a `RedisBackend`, for caches that have that as their tier, too.

    The tier is what tells others of mutations; the bus is what they hear. So a look at it costs no more than one at
    memory, and shows nothing that could be served while nobody knows whether something was missed.
    """

    def __init__(self, tier: object, engine: Callable[[], Engine], server: str, prefix: str) -> None:
        self._engine = engine
        #: What tells others.
        self.tier = tier
        self.name = prefix
        self.address: str = f"{server} {prefix}"

    def __repr__(self) -> str:
        return f"<RedisBus of {self.address}>"

    @property
    def stamps(self) -> Stamps:
        """The numbers that change with what others invalidate, or with all when that is not known."""
        return self._engine().ledger.stamps

    @property
    def closed(self) -> bool:
        """Whether the backend was closed."""
        return self._engine().is_closed

    def slot(self, space: str, code: bytes) -> int:
        """The slot of a truth, the same in every process. Who asks is about to need the server, so it is looked for."""
        engine = self._engine()
        engine.begin()
        return engine.layout.slot(space, code)

    def stamp(self, slots: Sequence[int]) -> int:
        """Invalidate here what rests on these; others are told by the tier."""
        return self._engine().ledger.stamp(slots)

    def begin(self, slots: Sequence[int]) -> None:  # noqa: ARG002 - the tier tells of them
        """Nothing but a refusal if nobody could be told; the tier tells.

        Raises:
            BusError: the backend was closed.

        """
        if self.closed:
            raise BusError(f"other processes cannot be told of a mutation: {self.address} was closed by this one")

    def end(self, slots: Sequence[int], linger: float) -> None:
        """Nothing: the tier tells."""

    def forget(self, slots: Sequence[int]) -> None:
        """Nothing: the tier of a forked process begins anew."""

    def is_changing(self, slots: Sequence[int]) -> bool:
        """Whether a mutation of another process covers one of these; True if that is not known."""
        engine = self._engine()
        engine.begin()
        # The windows first: if the proof holds after that, none was missed.
        return engine.ledger.is_changing(slots) or not engine.ledger.stamps.are_proven

    def declare(self, space: str, bits: int) -> None:
        """Nothing: an invalidation by a wildcard is one of its whole space for others."""

    def declared(self, space: str) -> int:  # noqa: ARG002 - the same for all
        """None of them."""
        return 0

    def mark(self) -> bytes:
        """How much was heard of; empty if that proves nothing."""
        ledger = self._engine().ledger
        mark = ledger.number.to_bytes(8, "big")
        return mark if ledger.stamps.are_proven else b""

    def unchanged(self, mark: bytes, slots: Sequence[int]) -> bool:
        """Whether none of these has another number since."""
        stamps = self._engine().ledger.stamps
        since = int.from_bytes(mark, "big")
        return bool(mark) and all(stamps.numbers[slot] <= since for slot in slots) and stamps.are_proven
