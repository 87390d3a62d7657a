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
from collections.abc import Iterable, Sequence
from functools import partial
from time import monotonic
from typing import Any, Final

from cache.errors import BusError
from cache.tiers._redis._change import Change
from cache.tiers._redis._ledger import BEGUN, ENDED, Ledger, Window
from cache.tiers._redis._line import PATIENCE, Elsewhere, LineLost, Refused, Unknown
from cache.tiers._redis._link import Link
from cache.tiers._redis._mutations import Mutations
from cache.tiers._redis._tally import Tally
from cache.tiers._redis._telling import Notice, Telling

#: Slots that are told of in one message.
MOST: Final = 4096


class Changes:
    """The changes of which the server is being told; in the thread of the engine."""

    def __init__(self, link: Link, ledger: Ledger, tally: Tally, *, lease: float, proceeds: bool) -> None:
        self._link = link
        self._ledger = ledger
        self._tally = tally
        self._telling = Telling(link, ledger)
        self._mutations = Mutations(ledger, self._telling, lease)
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
        change.was_sent = True
        answers = self._telling.send(change, self._told(change))
        change.unanswered = change.unheard = len(answers)
        self._sent[change.stamp] = change
        for answer, slots in zip(answers, self._telling.parts(change.slots), strict=True):
            answer.add_done_callback(partial(self._answered, change, change.stamp, slots))

    def _told(self, change: Change) -> Notice:
        if change.told is None:
            change.told = self._mutations.take(change)
        return Notice(*change.told)

    def _answered(self, change: Change, stamp: int, slots: Sequence[int], answer: asyncio.Future[Any]) -> None:
        error = answer.exception()
        if self._sent.get(stamp) is not change or isinstance(error, LineLost):
            return  # what becomes of those is seen to where the line was lost
        if error is None:
            change.unanswered -= 1
            if not answer.result():  # what it rests on has changed, of which we are to hear yet
                self._ledger.unsend(slots, stamp)
                change.unheard -= 1
                change.result = False
            self._finish(change)
            return
        if not isinstance(error, Unknown | Elsewhere):
            del self._sent[stamp]
            self._refuse(change, error)
        # It is sent once more. Those behind it may find the script, and would overtake it; and what was sent after it
        # takes it for done. So everything begins anew, over other lines.
        self._link.give_up(f"{error}")

    def _heard(self, stamp: int) -> None:
        change = self._sent.get(stamp)
        if change is not None:
            change.unheard -= 1
            self._finish(change)

    def _finish(self, change: Change) -> None:
        if not change.unanswered and not change.unheard:
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
            self._mutations.forget(change.mutation)
            if change.was_sent:
                self._owe_end(change)
        else:
            self._owed.update(change.slots)
            if self._told(change).kind == ENDED:
                self._owe_end(change)
        self._tally.add(owed=1)
        if self._is_open or self._is_opening:
            self._link.give_up("something could not be told, and is owed")
        if self._proceeds:
            change.settle(change.result)
            return
        away = f"{self._link.server} cannot be used: {f'{error}'.rstrip('.')}"
        if begins:
            refusal = (
                f"the mutation was not run, for other processes cannot be told of it: {away}. Try again when it can "
                f"be, or pass on_bus_error='proceed'"
            )
        else:
            refusal = (
                f"other processes may go on to serve what is old, for they were not told of a change: {away}. They are "
                f"told as soon as it can be, if this process is still there; with on_bus_error='proceed' nothing is "
                f"raised"
            )
        change.refuse(BusError(refusal))

    def _owe_end(self, change: Change) -> None:
        # When the window has lapsed others may have stored what they had read in it: the stamps are owed all the same.
        self._owed.update(change.slots)
        self._ends[change.mutation] = Window(frozenset(change.slots), monotonic() + self._lease)

    def _lost(self, error: Exception) -> None:  # noqa: ARG002 - what is to be done is the same
        self._is_open = self._is_opening = False
        sent, self._sent = self._sent, {}
        again = []
        for change in sent.values():
            if not change.unanswered:
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
            answers = [each for part in _parts(sorted(owed)) for each in self._telling.stamp(part, Notice())]
            for mutation, window in ends.items():
                if window.deadline > now:
                    answers += self._telling.stamp(sorted(window.slots), Notice(ENDED, mutation))
            answers += self._mutations.begin_again(but=waiting)
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
        if self._is_open:
            self._watch(self._mutations.renew())

    def _begin_again(self) -> None:
        """A server has dropped its stamps, and perhaps what mutations cover with them."""
        if self._is_open:
            self._watch(self._mutations.begin_again())

    def _watch(self, answers: Iterable[asyncio.Future[Any]]) -> None:
        for answer in answers:
            answer.add_done_callback(self._renewed)

    def _renewed(self, answer: asyncio.Future[Any]) -> None:
        # A mutation that was refused would lapse though its process is there: over new lines it is begun again.
        if isinstance(error := answer.exception(), Refused):
            self._link.give_up(f"{error}")


def _parts(slots: Sequence[int]) -> Iterable[Sequence[int]]:
    return (slots[at : at + MOST] for at in range(0, len(slots), MOST))
