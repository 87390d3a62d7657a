"""A file, asked by two of its users anything in any order, against a dict that knows what must be there."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cache._tier import Address, Covering, Moment, Record
from cache.testing import FakeClock
from cache.tiers._records import OVERHEAD
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import Failed, SqliteFile

ADDRESSES = [Address(space, key) for space in ("one", "two") for key in (b"a", b"b", b"c")]
SPACES = ["one", "two"]
#: Room for about five of the small values.
MAX_BYTES = 5 * (OVERHEAD + 40)

addresses = st.sampled_from(ADDRESSES)
users = st.integers(0, 1)
grounds = st.one_of(addresses, st.sampled_from([Address("#tags", b"t"), Address("#tags", b"u")]))
some_spaces = st.lists(st.sampled_from([*SPACES, "#tags"]), unique=True, max_size=1)


@dataclass
class Row:
    record: Record
    begun: int
    id: int
    size: int


class Model:
    """What the file should hold: every mark it was ever given, and its rows in the order of their use."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.number = self.horizon = self.set_out = self.hand = 0
        self.marks: dict[object, int] = {}
        self.rows: dict[Address, Row] = {}
        #: What is covered by whom, and the dead.
        self.covered: list[tuple[object, int, list[object]]] = []
        self.dead: set[object] = set()

    def mark(self, truth: object) -> None:
        self.number += 1
        self.marks[truth] = self.number

    def stands(self, record: Record, begun: int) -> bool:
        truths: list[object] = []
        for address in (record.address, *record.grounds):
            truths += [address, ("space", address.space)]
        fresh = record.expires is None or self.clock() < record.expires
        return fresh and all(self.marks.get(truth, 0) <= begun for truth in truths)

    def read(self, address: Address) -> Record | None:
        row = self.rows.get(address)
        return row.record if row is not None and self.stands(row.record, row.begun) else None

    def cover(self, owner: object, number: int, truths: list[object]) -> None:
        self.covered.append((owner, number, list(dict.fromkeys(truths))))

    def uncover(self, owner: object, number: int) -> None:
        self.covered = [each for each in self.covered if each[:2] != (owner, number)]

    def is_covered(self, record: Record) -> bool:
        truths: list[object] = [record.address, ("space", record.address.space)]
        for address in record.grounds:
            truths += [address, ("space", address.space)]
        return any(self._is_covered(truth) for truth in truths)

    def _is_covered(self, truth: object) -> bool:
        owners = {owner for owner, _, truths in self.covered if truth in truths}
        for owner in owners & self.dead:
            self.bury(owner)
        return not owners <= self.dead

    def bury(self, *dead: object) -> None:
        for owner in dead:
            for truth in {truth for each, _, truths in self.covered if each == owner for truth in truths}:
                self.mark(truth)
        self.covered = [each for each in self.covered if each[0] not in dead]

    def assign(self, record: Record) -> bool:
        covered = self.is_covered(record)
        self.mark(record.address)
        old = self.rows.pop(record.address, None)
        if covered or not self.stands(record, self.number):
            return False
        self._put(record, self.number, old)
        return True

    def write(self, record: Record, begun: int, replaces: bool) -> bool:
        if begun < self.horizon or self.is_covered(record) or not self.stands(record, begun):
            return False
        if replaces:
            self.mark(record.address)
            begun = self.number
        self._put(record, begun, self.rows.pop(record.address, None))
        return True

    def _put(self, record: Record, begun: int, old: Row | None) -> None:
        id_ = old.id if old else max((row.id for row in self.rows.values()), default=0) + 1
        self.rows[record.address] = Row(record, begun, id_, size_of(record))

    def evict(self, limit: int) -> int:
        evicted = 0
        while self.size() > MAX_BYTES and evicted < limit:
            self.rows.pop(next(iter(self.rows)))
            evicted += 1
        return evicted

    def sweep(self, limit: int) -> bool:
        self.bury(*self.dead)
        following = sorted((row for row in self.rows.values() if row.id > self.hand), key=lambda row: row.id)[:limit]
        for row in following:
            if not self.stands(row.record, row.begun):
                del self.rows[row.record.address]
        if len(following) == limit:
            self.hand = following[-1].id
            return False
        self.hand, self.horizon, self.set_out = 0, self.set_out, self.number
        return True

    def size(self) -> int:
        return sum(row.size for row in self.rows.values())


def die(user: SqliteFile) -> None:
    """As the kernel sees to it."""
    user._owners.inherited()
    user.release()


def size_of(record: Record) -> int:
    return len(record.value) + len(record.address.key) + grounds_of(record) + OVERHEAD


def grounds_of(record: Record) -> int:
    if not record.grounds:
        return 0
    return len("[" + ",".join(f'["{address.space}","{address.key.decode()}"]' for address in record.grounds) + "]")


class FileMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.model = Model(self.clock)
        self.users = [self.user(), self.user()]
        self.gone: list[SqliteFile] = []
        self.moments: list[Moment] = []
        self.coverings: list[Covering] = []
        self.values = 0

    def user(self) -> SqliteFile:
        path = Path(self.folder.name) / "cache.db"
        return SqliteFile(path, max_bytes=MAX_BYTES, now=self.clock, boot=lambda: "monday")

    def do(self, user: int, operation: Any, *args: Any, **kwargs: Any) -> Any:
        result = self.users[user].run([(operation, args, kwargs)])[0]
        if isinstance(result, Failed):
            raise result.error
        return result

    @rule(user=users)
    def look(self, user: int) -> None:
        moment = self.do(user, Entries.moment)
        assert moment.number == self.model.number
        self.moments.append(moment)

    @rule(
        user=users,
        address=addresses,
        chosen=st.integers(0, 3),
        replaces=st.booleans(),
        grounds=st.lists(grounds, unique=True, max_size=2),
        life=st.sampled_from([None, None, 0.0, 1.0, 5.0]),
    )
    def write(
        self,
        *,
        user: int,
        address: Address,
        chosen: int,
        replaces: bool,
        grounds: list[Address],
        life: float | None,
    ) -> None:
        self.values += 1
        expires = None if life is None else self.clock() + life
        record = Record(address, b"%d" % self.values, expires, tuple(grounds))
        moment = self.moments[-chosen] if 0 < chosen <= len(self.moments) else None
        if moment is None:
            assert self.do(user, Entries.assign, record) == self.model.assign(record)
        else:
            stored = self.model.write(record, moment.number, replaces)
            assert self.do(user, Entries.write, [(record, moment, replaces)]) == [stored]

    @rule(user=users, several=st.lists(grounds, unique=True, max_size=3), spaces=some_spaces)
    def invalidate(self, user: int, several: list[Address], spaces: list[str]) -> None:
        there = 0
        for address in several:
            self.model.mark(address)
            there += self.model.rows.pop(address, None) is not None
        for space in spaces:
            self.model.mark(("space", space))
        assert self.do(user, Entries.invalidate, several, spaces) == there

    @rule(user=users, several=st.lists(grounds, max_size=3), spaces=some_spaces)
    def cover(self, user: int, several: list[Address], spaces: list[str]) -> None:
        self.coverings.append(self.covering(several, spaces))
        self.do(user, Entries.cover, self.coverings[-1])
        self.model.cover(self.users[user], self.coverings[-1].number, [*several, *(("space", one) for one in spaces)])

    @precondition(lambda self: self.coverings)
    @rule(user=users, chosen=st.integers(0, 3))
    def uncover(self, user: int, chosen: int) -> None:
        covering = self.coverings[-1 - chosen % len(self.coverings)]
        self.invalidated(covering)
        self.do(user, Entries.uncover, covering)
        self.model.uncover(self.users[user], covering.number)

    @rule(several=st.lists(grounds, max_size=2), spaces=some_spaces)
    def cover_and_die(self, several: list[Address], spaces: list[str]) -> None:
        dying = self.user()
        self.model.bury(*self.model.dead)  # for it opens the file
        covering = self.covering(several, spaces)
        assert dying.run([(Entries.cover, (covering,), {})]) == [None]
        self.model.cover(dying, covering.number, [*several, *(("space", one) for one in spaces)])
        die(dying)
        self.model.dead.add(dying)

    def covering(self, several: list[Address], spaces: list[str]) -> Covering:
        self.values += 1
        covering = Covering(tuple(several), tuple(spaces), self.values)
        self.invalidated(covering)
        return covering

    def invalidated(self, covering: Covering) -> None:
        for address in covering.addresses:
            self.model.mark(address)
            self.model.rows.pop(address, None)
        for space in covering.spaces:
            self.model.mark(("space", space))

    @rule(user=users, several=st.lists(addresses, unique=True, max_size=3))
    def touch(self, user: int, several: list[Address]) -> None:
        for address in several:
            if address in self.model.rows:
                self.model.rows[address] = self.model.rows.pop(address)
        self.do(user, Entries.touch, several)

    @rule(user=users, limit=st.integers(1, 3))
    def evict(self, user: int, limit: int) -> None:
        assert self.do(user, Entries.evict, limit) == self.model.evict(limit)

    @rule(user=users, limit=st.integers(1, 8))
    def sweep(self, user: int, limit: int) -> None:
        assert self.do(user, Entries.sweep, limit) == self.model.sweep(limit)

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(user=users, politely=st.booleans())
    def restart(self, user: int, politely: bool) -> None:
        if politely:  # what it covers then stays covered
            self.users[user].close()
            self.gone.append(self.users[user])
            self.users[user] = self.user()
        else:
            self.users[user].release()
        self.model.bury(*self.model.dead)  # by whoever opens the file next, which is the next to happen

    @rule(user=users, of=st.sampled_from([None, ["one"], ["two", "one"]]), limit=st.integers(1, 4))
    def scan(self, user: int, of: list[str] | None, limit: int) -> None:
        found, after = self.do(user, Entries.scan, of, None, limit)
        while after is not None:
            more, after = self.do(user, Entries.scan, of, after, limit)
            found += more
        valid = [self.model.read(address) for address in self.model.rows if of is None or address.space in of]
        assert found == [record for record in reversed(valid) if record is not None]

    @precondition(lambda self: hasattr(self, "users"))
    @invariant()
    def what_is_read_is_what_must_be_there(self) -> None:
        for user in (0, 1):
            found = self.do(user, Entries.read, ADDRESSES)
            for address, each in zip(ADDRESSES, found, strict=True):
                assert (each if isinstance(each, Record) else None) == self.model.read(address)
        usage = self.do(0, Entries.usage)
        assert usage[:2] == (len(self.model.rows), self.model.size())
        assert usage.marks <= len(self.model.marks)

    def teardown(self) -> None:
        if hasattr(self, "users"):
            for user in (*self.users, *self.gone):
                die(user)
                user.close()
            self.folder.cleanup()


def test_a_file_holds_what_a_dict_would_whatever_is_asked_of_it_and_by_whom(deep: bool) -> None:
    examples = 400 if deep else 60
    run_state_machine_as_test(FileMachine, settings=settings(max_examples=examples, stateful_step_count=40))
