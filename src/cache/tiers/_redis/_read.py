"""Read: what somebody has asked for together, from then until all of it was found, or cannot be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cache._tier import Address, Moment, Record
from cache.tiers._redis._waiting import Waiter


class Read:
    """Addresses that somebody has asked for together, and what was found so far."""

    def __init__(self, addresses: Sequence[Address], waiter: Waiter) -> None:
        self.addresses = addresses
        self._waiter = waiter
        self._found: dict[Address, Record | Moment | None] = {}
        #: How many of them were not found yet.
        self.left = len(set(addresses)) if len(addresses) > 1 else len(addresses)
        #: Whether a lease was got for one of them.
        self.has_lease = False

    @property
    def is_wanted(self) -> bool:
        """Whether anybody still waits for it."""
        return self._waiter.is_there

    def distinct(self) -> Iterable[Address]:
        """The addresses, each once: who asks for one twice would wait for itself."""
        return self.addresses if self.left == len(self.addresses) else dict.fromkeys(self.addresses)

    def settle(self, address: Address, found: Record | Moment | None) -> None:
        """Say, for good, what was found there."""
        if self.left and address not in self._found:
            self._found[address] = found
            self.left -= 1
            if not self.left:
                self._waiter.give([self._found[each] for each in self.addresses])

    def give_up(self) -> int:
        """Nothing can be said of what was not found yet; how many those are."""
        left = self.left
        for address in self.addresses:
            self.settle(address, None)
        return left


class Seat:
    """One address of a read, and how the value there begins that is known to be of no use."""

    __slots__ = ("address", "known", "read", "slots")

    def __init__(self, address: Address, read: Read) -> None:
        self.address = address
        self.read = read
        self.known = b""
        self.slots: list[int] = []
