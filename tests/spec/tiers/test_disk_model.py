"""A backend, asked by two processes' views of it anything in any order, against a dict that knows what may be read."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
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

from cache._tier import Address, Moment, Record
from cache.testing import FakeClock
from cache.tiers import _behind
from cache.tiers._disk import DiskBackend

ADDRESSES = [Address(space, key) for space in ("one", "two") for key in (b"a", b"b")]
TAGS = [Address("#default", b"t"), Address("#default", b"u")]
SPACES = ["one", "two", "#default"]

addresses = st.sampled_from(ADDRESSES)
truths = st.sampled_from([*ADDRESSES, *TAGS])
users = st.integers(0, 1)
lives = st.sampled_from([None, None, 0.0, 1.0, 5.0])


class Model:
    """Every mark there ever was, and the last value of each address with the number that it is valid from."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.number = self.horizon = self.set_out = 0
        self.rested = clock()
        self.marks: dict[object, int] = {}
        self.rows: dict[Address, tuple[Record, int]] = {}

    def mark(self, truth: object) -> None:
        self.number += 1
        self.marks[truth] = self.number

    def stands(self, record: Record, begun: int) -> bool:
        on: list[object] = []
        for address in (record.address, *record.grounds):
            on += [address, address.space]
        return record.is_fresh(self.clock()) and all(self.marks.get(truth, 0) <= begun for truth in on)

    def read(self, address: Address) -> Record | None:
        record, begun = self.rows.get(address, (None, 0))
        return record if record is not None and self.stands(record, begun) else None

    def write(self, record: Record, moment: int, replaces: bool) -> bool:
        if moment < self.horizon or not self.stands(record, moment):
            return False
        if replaces:
            self.mark(record.address)
        self.rows[record.address] = (record, self.number if replaces else moment)
        return True

    def assign(self, record: Record) -> None:
        self.mark(record.address)
        self.rows[record.address] = (record, self.number)

    def sweep(self) -> None:
        if self.clock() - self.rested >= _behind.REST:
            self.horizon, self.set_out, self.rested = self.set_out, self.number, self.clock()


class BackendMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock(1_000.0)
        self.model = Model(self.clock)
        self.users = [self.user(), self.user()]
        #: What each has written and not sent, and how many it has stored since it was flushed.
        self.waiting: list[list[tuple[Record, Moment, bool]]] = [[], []]
        self.stored = [0, 0]
        self.moments: list[Moment] = []
        self.values = 0

    def user(self) -> DiskBackend:
        return DiskBackend(Path(self.folder.name) / "cache.db", clock=self.clock)

    def record(self, address: Address, grounds: list[Address], life: float | None) -> Record:
        self.values += 1
        return Record(
            address, b"%d" % self.values, None if life is None else self.clock() + life, tuple(dict.fromkeys(grounds))
        )

    def sent(self, user: int) -> None:
        """What it has written is in the file by now, which was swept."""
        waiting, self.waiting[user] = self.waiting[user], []
        if waiting:
            self.stored[user] += sum(self.model.write(record, at.number, replaces) for record, at, replaces in waiting)
            self.model.sweep()
            while self.users[user]._behind._tidying:
                self.users[user].usage_blocking()

    def read(self, user: int, several: list[Address]) -> None:
        found = self.users[user].read_blocking(several)
        if any(record.address in several for record, _, _ in self.waiting[user]):
            self.sent(user)
        expected = [self.model.read(address) for address in several]
        assert [each if isinstance(each, Record) else None for each in found] == expected
        assert {each.number for each in found if isinstance(each, Moment)} <= {self.model.number}

    @rule(user=users)
    def look(self, user: int) -> None:
        moment = self.users[user].moment_blocking()
        assert moment is not None
        assert moment.number == self.model.number
        self.moments.append(moment)

    @precondition(lambda self: self.moments)
    @rule(
        user=users,
        address=addresses,
        ago=st.integers(1, 3),
        replaces=st.booleans(),
        grounds=st.lists(truths, max_size=2),
        life=lives,
    )
    def write(
        self, *, user: int, address: Address, ago: int, replaces: bool, grounds: list[Address], life: float | None
    ) -> None:
        moment = self.moments[-min(ago, len(self.moments))]
        record = self.record(address, grounds, life)
        self.users[user].write(record, moment, replaces=replaces)
        self.waiting[user].append((record, moment, replaces))
        if replaces:  # it goes at once, and all that waits with it; this is asked after it
            self.users[user].usage_blocking()
            self.sent(user)

    @rule(user=users, address=addresses, grounds=st.lists(truths, max_size=1), life=lives)
    def assign(self, user: int, address: Address, grounds: list[Address], life: float | None) -> None:
        record = self.record(address, grounds, life)
        self.users[user].assign(record)
        self.model.assign(record)

    @rule(user=users, several=st.lists(truths, max_size=3), spaces=st.lists(st.sampled_from(SPACES), max_size=1))
    def invalidate(self, user: int, several: list[Address], spaces: list[str]) -> None:
        self.users[user].invalidate(several, spaces)
        for truth in (*several, *spaces):
            self.model.mark(truth)

    @rule(user=users, several=st.lists(addresses, unique=True, min_size=1))
    def ask(self, user: int, several: list[Address]) -> None:
        self.read(user, several)

    @rule(user=users)
    def flush(self, user: int) -> None:
        count = self.users[user].flush_blocking()
        self.sent(user)
        assert count == self.stored[user]
        self.stored[user] = 0

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(user=users, politely=st.booleans())
    def restart(self, user: int, politely: bool) -> None:
        if politely:
            self.flush(user)
        else:  # what waits is lost with the process
            self.users[user]._behind.forget()
        assert self.users[user].close()
        self.waiting[user], self.stored[user] = [], 0
        self.users[user] = self.user()

    @precondition(lambda self: not any(self.waiting))
    @invariant()
    def both_read_what_may_be_read(self) -> None:
        for user in (0, 1):
            self.read(user, ADDRESSES)

    def teardown(self) -> None:
        for user in self.users:
            assert user.close()
            assert user.metrics().unanswered == user.metrics().dropped == user.metrics().warnings == 0
        self.folder.cleanup()


def test_a_backend_serves_what_a_dict_would_whatever_is_asked_of_it_and_by_whom(
    deep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_behind, "DELAY", 3_600.0)
    monkeypatch.setattr(_behind, "REST", 3.0)
    examples = 400 if deep else 60
    run_state_machine_as_test(BackendMachine, settings=settings(max_examples=examples, stateful_step_count=40))
