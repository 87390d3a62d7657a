"""Changes: what others are told at once, in order: invalidations, assignments, and mutations from begin to end.

asked for -> sent -> the answer and the echo have both come: done
          -> waits for a connection that is being made -> sent
          -> there is no server: refused, or done all the same; and owed in either case

A change is done when its echo has come, because by then this process judges values by it; and when the answer has,
though no echo ever will, for then all stamps are read anew before anything is served.

What is owed is made up for before anything is served again, however long that takes: stamps for what has changed, an
end for each mutation whose window may still be there, and then a beginning for each mutation that is still open. So
whenever something comes to be owed over a line that is up, the line is given up.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import struct
from collections.abc import Iterable, Sequence
from functools import partial
from time import monotonic
from typing import Any, Final, NamedTuple

from cache._tier import Address
from cache.errors import BusError
from cache.tiers._redis._change import Change
from cache.tiers._redis._ledger import BEGUN, CHANGED, ENDED, HEAD, Ledger, Window
from cache.tiers._redis._line import PATIENCE, Elsewhere, LineLost, Unknown
from cache.tiers._redis._link import Link
from cache.tiers._redis._records import pack
from cache.tiers._redis._scripts import CHANGE
from cache.tiers._redis._tally import Tally

#: Slots that are told of in one message.
MOST: Final = 4096
#: A slot and its stamp.
KNOWN: Final = struct.Struct("<IQ")


class Value(NamedTuple):
    """What is stored with a change, for so many milliseconds, if these slots have these stamps at the server.

    Otherwise it is not; and ``or_nothing``, then nothing is changed at all.
    """

    data: bytes = b""
    lives: int = 1
    known: bytes = b""
    or_nothing: int = 0


NOTHING: Final = Value()


class Changes:
    """The changes of which the server is being told; in the thread of the engine."""

    def __init__(self, link: Link, ledger: Ledger, tally: Tally, *, lease: float, proceeds: bool) -> None:
        self._link = link
        self._ledger = ledger
        self._tally = tally
        self._lease = lease
        #: Whether what cannot be told is done all the same.
        self._proceeds = proceeds
        #: Those that were sent, by their stamps, in order; and those that wait for a connection.
        self._sent: dict[int, Change] = {}
        self._waiting: list[Change] = []
        #: Whether there is a connection for them; and whether what is owed is being made up for, and more has to wait.
        self._is_open = False
        self._is_opening = False
        #: What is owed: slots to be stamped, and mutations to be ended, with their slots and until when.
        self._owed: set[int] = set()
        self._ends: dict[bytes, Window] = {}
        #: When the mutations of this process have to be renewed.
        self._renewals: dict[bytes, float] = {}
        link.when_connected.append(self._connected)
        link.when_synced.append(self._synced)
        link.when_heard.append(self._heard)
        link.when_reset.append(self._begin_again)
        link.when_lost.append(self._lost)
        link.when_away.append(self._away)
        link.when_ticking.append(self._renew)

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._sent or self._waiting)

    def take(self, change: Change) -> None:
        """Tell the server of this, behind all others."""
        change.overdue = asyncio.get_running_loop().call_later(PATIENCE, self._overdue, change)
        if self._is_open:
            self._send(change)
        elif self._link.settled.is_set() and not self._is_opening:
            self._refuse(change, self._link.error)
        else:
            change.give_up_value()
            self._waiting.append(change)

    def close(self, error: Exception) -> None:
        """Whatever waits has failed."""
        self._is_open = False
        for change in (*self._sent.values(), *self._waiting):
            change.refuse(error)
        self._sent.clear()
        self._waiting.clear()

    # -- on its way --------------------------------------------------------------------------------------------

    def _send(self, change: Change) -> None:
        kind, left = self._cover(change)
        change.was_sent = True
        change.is_answered = change.is_heard = False
        change.stamp = secrets.randbits(64)
        self._sent[change.stamp] = change
        known = self._known(change)
        # From here on, for what is sent after it: so it is in force for this process before anybody else hears of it.
        self._ledger.send(change.slots, change.stamp)
        told = kind, change.stamp, change.slots, change.mutation, left
        answer = self._tell(*told, addresses=change.addresses, value=self._value(change, known))
        answer.add_done_callback(partial(self._answered, change, change.stamp))

    def _cover(self, change: Change) -> tuple[bytes, float]:
        """Take notice of a mutation that begins or ends; what the server is to be told, and its seconds."""
        if change.told is None:
            change.told = self._covered(change)
        return change.told

    def _covered(self, change: Change) -> tuple[bytes, float]:
        own, mutation = self._ledger.own, change.mutation
        if change.kind == BEGUN:
            own[mutation] = Window(frozenset(change.slots), math.inf)
            self._renewals[mutation] = monotonic() + self._lease / 3
            return BEGUN, self._lease
        if change.kind == ENDED and mutation in own:
            self._renewals.pop(mutation, None)
            if change.linger > 0:
                own[mutation] = Window(frozenset(change.slots), monotonic() + change.linger)
                return BEGUN, change.linger
            del own[mutation]
            return ENDED, 0.0
        # It was ended before, or begun by another process, which is to end it.
        return CHANGED, 0.0

    def _known(self, change: Change) -> bytes:
        """The slots that a value rests on, and their stamps; empty if there is none that may be stored."""
        record, ledger = change.record, self._ledger
        if record is None:
            return b""
        slots = ledger.layout.grounds(record.address, record.grounds)
        if ledger.is_covered(slots) or ledger.has_changed(slots, change.number):
            change.give_up_value()
            return b""
        return b"".join(map(KNOWN.pack, slots, ledger.current(slots)))

    def _value(self, change: Change, known: bytes) -> Value:
        """The value that is stored with a change, with the stamp that it gives."""
        record, ledger = change.record, self._ledger
        if record is None:
            return NOTHING
        slots = ledger.layout.grounds(record.address, record.grounds)
        return Value(pack(record, ledger.current(slots)), change.lives, known, int(change.replaces))

    def _tell(
        self,
        kind: bytes,
        stamp: int,
        slots: Sequence[int],
        mutation: bytes = bytes(8),
        left: float = 0.0,
        *,
        addresses: Sequence[Address] = (),
        value: Value = NOTHING,
    ) -> asyncio.Future[Any]:
        link = self._link
        line, names = link.line, link.names
        if line is None:
            raise LineLost("there is no connection")
        packed = struct.pack(f"<{len(slots)}I", *slots)
        milliseconds = int(min(left, 1e9) * 1000)
        return line.run(
            CHANGE,
            [*link.state_keys(), *(key for address in addresses for key in names.pair(address))],
            [
                *link.prepared(),
                HEAD.pack(kind, link.me, mutation, stamp, milliseconds) + packed,
                stamp.to_bytes(8, "little"),
                packed,
                mutation + packed if kind != CHANGED else b"",
                milliseconds,
                *value,
            ],
        )

    def _answered(self, change: Change, stamp: int, answer: asyncio.Future[Any]) -> None:
        error = answer.exception()
        if self._sent.get(stamp) is not change or isinstance(error, LineLost):
            return  # what becomes of those is seen to where the line was lost
        if error is None and not answer.result():  # what it rests on has changed, of which we are to hear yet
            del self._sent[stamp]
            self._ledger.unsend(change.slots, stamp)
            change.settle(False)
            return
        if error is None:
            change.is_answered = True
            self._finish(change)
            return
        if not isinstance(error, Unknown | Elsewhere):
            del self._sent[stamp]
            self._refuse(change, error)
        # It is sent once more. Those behind it may find the script, and would overtake it; and what was sent after it
        # takes it for done. So everything begins anew, over another line.
        if self._link.line is not None:
            self._link.line.give_up(error if isinstance(error, Exception) else LineLost(f"{error}"))

    def _heard(self, stamp: int) -> None:
        change = self._sent.get(stamp)
        if change is not None:
            change.is_heard = True
            self._finish(change)

    def _finish(self, change: Change) -> None:
        if change.is_answered and change.is_heard:
            del self._sent[change.stamp]
            self._done(change)

    def _done(self, change: Change) -> None:
        self._tally.add(changes=1)
        change.settle(change.result)

    # -- what cannot be told -----------------------------------------------------------------------------------

    def _overdue(self, change: Change) -> None:
        if self._sent.get(change.stamp) is change:
            del self._sent[change.stamp]
        elif change in self._waiting:
            self._waiting.remove(change)
        else:
            return
        self._refuse(change, TimeoutError(f"it has not answered for {PATIENCE:g} seconds"))

    def _refuse(self, change: Change, error: BaseException | None) -> None:
        """It cannot be told now, or nobody knows whether it was: owe what others have to know."""
        begins = change.kind == BEGUN
        if begins and not self._proceeds:
            # Its body will not run, so nothing has changed; but if it was sent, it may have begun.
            self._ledger.own.pop(change.mutation, None)
            self._renewals.pop(change.mutation, None)
            if change.was_sent:
                self._owe_end(change)
        else:
            self._owed.update(change.slots)
            if self._cover(change) == (ENDED, 0.0):
                self._owe_end(change)
        self._tally.add(owed=1)
        if (self._is_open or self._is_opening) and self._link.line is not None:
            self._link.line.give_up(LineLost("something could not be told, and is owed"))
        if self._proceeds:
            change.settle(change.result)
            return
        what = "they cannot be told of a mutation, so it was not run" if begins else "they were not told of a change"
        change.refuse(
            BusError(
                f"other processes may go on to serve what is old: {what}, for {self._link.server} cannot be used: "
                f"{error}. They are told as soon as it can be; try again then, or pass on_bus_error='proceed'"
            )
        )

    def _owe_end(self, change: Change) -> None:
        # When the window has lapsed others may have stored what they had read in it: the stamps are owed all the same.
        self._owed.update(change.slots)
        self._ends[change.mutation] = Window(frozenset(change.slots), monotonic() + self._lease)

    def _lost(self, error: Exception) -> None:  # noqa: ARG002 - what is to be done is the same
        self._is_open = self._is_opening = False
        sent, self._sent = self._sent, {}
        again = []
        for change in sent.values():
            if change.is_answered:
                self._done(change)
            else:
                change.give_up_value()
                again.append(change)
        self._waiting = again + self._waiting

    def _away(self, error: Exception) -> None:
        now = monotonic()
        # The windows of the others have lapsed; what they covered is owed.
        self._ends = {each: end for each, end in self._ends.items() if end.deadline > now}
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            self._refuse(change, error)

    async def _connected(self) -> None:
        """Make up for what is owed, over a new line."""
        self._is_opening = True
        now = monotonic()
        owed, self._owed = self._owed, set()
        ends, self._ends = self._ends, {}
        waiting = {change.mutation for change in self._waiting}
        try:
            answers = [self._tell(CHANGED, secrets.randbits(64), part) for part in _parts(sorted(owed))]
            for mutation, window in ends.items():
                if window.deadline > now:
                    answers.append(self._tell(ENDED, secrets.randbits(64), sorted(window.slots), mutation))
            for mutation, window in tuple(self._ledger.own.items()):
                if mutation not in waiting:
                    answers.append(self._tell_again(mutation, window))
            await asyncio.gather(*answers)
        except BaseException:  # whatever it is, it is owed still
            self._owed |= owed
            self._ends = {**ends, **self._ends}
            raise

    def _synced(self) -> None:
        """Go on with what waits: not sooner, for a value is assigned with the stamps of what it rests on."""
        self._is_open, self._is_opening = True, False
        waits, self._waiting = self._waiting, []
        for change in waits:
            self._send(change)

    # -- mutations that go on ----------------------------------------------------------------------------------

    def _renew(self) -> None:
        now = monotonic()
        for mutation, due in tuple(self._renewals.items()):
            if due <= now and self._is_open:
                self._again(mutation)

    def _begin_again(self) -> None:
        """The server has dropped its stamps, and perhaps what mutations cover with them."""
        if self._is_open:
            for mutation, window in tuple(self._ledger.own.items()):
                self._tell_again(mutation, window).add_done_callback(_ignore)

    def _again(self, mutation: bytes) -> None:
        self._renewals[mutation] = monotonic() + self._lease / 3
        self._tell_again(mutation, self._ledger.own[mutation]).add_done_callback(_ignore)

    def _tell_again(self, mutation: bytes, window: Window) -> asyncio.Future[Any]:
        """As it began: it may have lapsed meanwhile, and others have stored what it is changing."""
        left = self._lease if window.deadline == math.inf else max(0.001, window.deadline - monotonic())
        stamp, slots = secrets.randbits(64), sorted(window.slots)
        self._ledger.send(slots, stamp)
        return self._tell(BEGUN, stamp, slots, mutation, left)


def _parts(slots: Sequence[int]) -> Iterable[Sequence[int]]:
    return (slots[at : at + MOST] for at in range(0, len(slots), MOST))


def _ignore(answer: asyncio.Future[Any]) -> None:
    """What ended the line is told elsewhere; and it is tried again."""
    answer.exception()
