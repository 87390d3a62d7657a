"""Behind: what is written to a file without anybody waiting for it, and the room that is made for it.

write -> waiting, a batch at most, or for DELAY seconds -> one operation -> evict, slice by slice -> sweep one slice

It is bounded: of what a slow file leaves waiting the oldest is dropped. Nothing here decides what is true: a value
whose grounds were invalidated while it waited is refused by the file, for its moment was before that.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any

from cache._step import step
from cache._tier import Address
from cache.tiers._file_errors import FileBusy
from cache.tiers._file_thread import FileThread
from cache.tiers._file_worker import Then
from cache.tiers._sqlite_entries import SLICE, Entries, Write
from cache.tiers._sqlite_file import Call, Failed
from cache.tiers._sqlite_operations import changes
from cache.tiers._tally import Tally

#: For how many seconds a record waits for others to come along.
DELAY = 0.05
#: For how many seconds a file that another process is holding is left alone.
PAUSE = 1.0
#: Records that are written together.
BATCH = 128
#: For how many seconds a sweep rests after each round: a load that takes longer may be refused.
REST = 60.0
#: Records and bytes that may wait.
MOST = 4096
MOST_BYTES = 64 * 2**20
#: Addresses whose use is remembered, until something is written.
USES = 1024


class Waiting:
    """The writes that wait, and the addresses that were used; from any thread."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Know of nothing, as the child of a process that was forked."""
        self._writes: deque[Write] = deque()
        self._addresses: Counter[Address] = Counter()
        self._size = 0
        self._used: dict[Address, None] = {}

    def __len__(self) -> int:
        return len(self._writes)

    def holds_any(self, addresses: Iterable[Address]) -> bool:
        """Whether one of these is about to be written."""
        return any(address in self._addresses for address in addresses)

    def add(self, write: Write) -> int:
        """Take this as the last; return how many of the oldest had to go for it."""
        with step.lock:
            self._writes.append(write)
            self._count(write, 1)
            return self._bound()

    def put_back(self, writes: Sequence[Write]) -> int:
        """Take these as the first; return how many of the oldest had to go."""
        with step.lock:
            self._writes.extendleft(reversed(writes))
            for write in writes:
                self._count(write, 1)
            return self._bound()

    def take(self) -> list[Write]:
        """The first of them, a batch at most."""
        with step.lock:
            writes = [self._writes.popleft() for _ in range(min(BATCH, len(self._writes)))]
            for write in writes:
                self._count(write, -1)
            return writes

    def use(self, addresses: Iterable[Address]) -> int:
        """These were used, in this order; return how many are remembered."""
        with step.lock:
            for address in addresses:
                self._used.pop(address, None)
                self._used[address] = None
            return len(self._used)

    def take_used(self) -> list[Address]:
        """What was used since it was last asked for."""
        with step.lock:
            used, self._used = self._used, {}
            return list(used)

    def _count(self, write: Write, one: int) -> None:
        record = write[0]
        self._size += one * len(record.value)
        self._addresses[record.address] += one
        if not self._addresses[record.address]:
            del self._addresses[record.address]

    def _bound(self) -> int:
        dropped = 0
        while len(self._writes) > MOST or (self._size > MOST_BYTES and len(self._writes) > 1):
            self._count(self._writes.popleft(), -1)
            dropped += 1
        return dropped


class Behind:
    """Writes to a file behind the back of whoever asks for it."""

    def __init__(self, thread: FileThread, tally: Tally) -> None:
        self._thread = thread
        self._tally = tally
        self._waiting = Waiting()
        self.forget()
        thread.when_forked(self.forget)

    def forget(self) -> None:
        """Begin with nothing: what waits in a process that is forked is that one's to write."""
        self._waiting.reset()
        #: Batches that the thread has been asked to write.
        self._under_way = 0
        #: Whether another process was holding the file when something was to be written.
        self._held_up = False
        #: Whether room is being made, and whether something was written since that began.
        self._tidying = self._untidy = False
        #: How many truths were invalidated that no sweep was made for.
        self._marks = 0

    def __bool__(self) -> bool:
        """Whether anything waits or is being written."""
        return bool(self._waiting or self._under_way)

    def write(self, write: Write) -> None:
        """Have it written, soon."""
        self._tally.add(dropped=self._waiting.add(write))
        self._go_on()

    def use(self, addresses: Sequence[Address]) -> None:
        """Have it written, some time, that these were used."""
        if self._waiting.use(addresses) >= USES and not self._under_way:
            self._send([])

    def changed(self, count: int) -> None:
        """So many truths were invalidated, in the thread of the file: now and then it has to be swept."""
        self._marks += count
        if self._marks >= SLICE and not self._tidying:
            self._make_room()

    def let_pass(self, addresses: Sequence[Address]) -> None:
        """See to it that what was written to these is found by what is asked from now on, unless that would wait."""
        if not self._held_up and self._waiting.holds_any(addresses):
            self.send()

    def send(self) -> None:
        """Ask the thread to write all that waits, now."""
        while writes := self._waiting.take():
            self._send(writes)

    def _go_on(self) -> None:
        """A batch at once, one at a time; less than that when it has waited."""
        if self._held_up or 0 < len(self._waiting) < BATCH:
            self._wait()
        elif self._waiting and not self._under_way:
            self._send(self._waiting.take())

    def _wait(self) -> None:
        if not self._thread.set_alarm(PAUSE if self._held_up else DELAY, self._alarm):
            self.send()  # which drops them

    def _alarm(self) -> None:
        if not self._under_way:  # else what is under way goes on with it
            self._send(self._waiting.take())

    def _send(self, writes: list[Write]) -> None:
        used = self._waiting.take_used()
        if not (writes or used):
            return
        self._count(1)
        if not self._thread.post((_write, (writes, used), {}), Then(lambda result: self._written(writes, result))):
            self._count(-1)
            self._tally.add(dropped=len(writes))

    def _written(self, writes: list[Write], result: Any) -> None:
        self._count(-1)
        self._held_up = isinstance(result, Failed) and isinstance(result.error, FileBusy)
        if not isinstance(result, Failed):
            stored = sum(result)
            self._tally.add(written=stored, refused=len(writes) - stored)
            self._untidy = True
            if not self._tidying:
                self._make_room()
        elif self._held_up:
            self._tally.add(dropped=self._waiting.put_back(writes))
        else:
            self._tally.warn(result.error)
            self._tally.add(dropped=len(writes))
        self._go_on()

    def _make_room(self) -> None:
        self._untidy = False
        self._tidy((Entries.evict, (), {}))

    def _tidy(self, call: Call) -> None:
        """Evict, or sweep a little, with whatever else is asked for in between."""
        self._tidying = self._thread.post(call, Then(lambda result: self._tidied(call, result)))

    def _tidied(self, call: Call, result: Any) -> None:
        self._tidying = False
        if isinstance(result, Failed):
            return  # there is another time, or no file to be tidied
        if call[0] is Entries.evict:
            self._tidy(call if result else (Entries.sweep, (), {"rest": REST}))
            return
        self._marks = max(0, self._marks - SLICE)
        if self._untidy or self._marks >= SLICE:
            self._make_room()

    def _count(self, one: int) -> None:
        with step.lock:
            self._under_way += one


@changes
def _write(entries: Entries, writes: Sequence[Write], used: Sequence[Address]) -> list[bool]:
    entries.touch(used)
    return entries.write(writes) if writes else []
