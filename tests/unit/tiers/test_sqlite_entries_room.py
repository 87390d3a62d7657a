from __future__ import annotations

import itertools

from cache._tier import Address, Record
from cache.testing import FakeClock
from cache.tiers._records import OVERHEAD, Usage
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import SqliteFile
from tests.unit.tiers.conftest import MakeFile
from tests.unit.tiers.files import OTHER_TAG, TAG, A, B, C, do, held, store, write_to

SIZE = OVERHEAD + 2  # of an entry whose key and value have one byte each


def test_the_usage_counts_keys_values_and_what_they_rest_on(file: SqliteFile) -> None:
    store(file, A, b"v")
    usage = do(file, Entries.usage)
    assert usage == Usage(entries=1, size=SIZE, marks=0, file_size=usage.file_size)
    store(file, A, b"value")
    store(file, B, grounds=(TAG,))
    assert do(file, Entries.usage)[:2] == (2, SIZE + 4 + SIZE + len('[["#default","t"]]'))
    do(file, Entries.invalidate, [A, B])
    assert do(file, Entries.usage)[:3] == (0, 0, 2)


def test_what_was_used_least_recently_is_evicted_first(make_file: MakeFile) -> None:
    file = make_file(max_bytes=2 * SIZE)
    for address in (A, B, C):
        store(file, address)
    do(file, Entries.touch, [A])
    assert do(file, Entries.evict) == 1
    assert held(file, A, B, C) == [b"v", None, b"v"]
    assert do(file, Entries.evict) == 0


def test_reading_is_no_use_and_touching_is_one_in_the_order_given(make_file: MakeFile) -> None:
    file = make_file(max_bytes=SIZE)
    for address in (A, B, C):
        store(file, address)
    do(file, Entries.touch, [C, B, Address("users", b"missing")])
    held(file, A)
    assert do(file, Entries.evict, limit=1) == 1
    assert held(file, A, B, C) == [None, b"v", b"v"]
    do(file, Entries.evict)
    assert held(file, A, B, C) == [None, b"v", None]


def test_eviction_stops_at_its_limit_and_goes_on_when_called_again(make_file: MakeFile) -> None:
    file = make_file(max_bytes=SIZE)
    for number in range(10):
        store(file, Address("users", b"%d" % number))
    assert [do(file, Entries.evict, limit=4) for _ in range(4)] == [4, 4, 1, 0]
    assert held(file, Address("users", b"9")) == [b"v"]


def test_a_file_without_a_bound_evicts_nothing(file: SqliteFile) -> None:
    store(file, A, bytes(100_000))
    assert do(file, Entries.evict) == 0


def test_a_sweep_drops_what_can_never_be_read_again(file: SqliteFile, clock: FakeClock) -> None:
    other = Address("posts", b"1")
    store(file, A, expires=clock() + 1)
    store(file, B, grounds=(TAG,))
    store(file, C)
    store(file, other)
    clock.advance(1)
    do(file, Entries.invalidate, [TAG])
    do(file, Entries.invalidate, [], ["posts"])
    assert do(file, Entries.usage).entries == 4
    assert do(file, Entries.sweep)
    assert do(file, Entries.usage).entries == 1
    assert held(file, C) == [b"v"]


def test_a_sweep_goes_on_where_it_stopped_whoever_goes_on(make_file: MakeFile) -> None:
    one, other = make_file(), make_file()
    for number in range(5):
        store(one, Address("users", b"%d" % number))
    do(one, Entries.invalidate, [], ["users"])
    assert not do(one, Entries.sweep, limit=2)
    assert do(one, Entries.usage).entries == 3
    assert not do(other, Entries.sweep, limit=2)
    assert do(other, Entries.usage).entries == 1
    assert do(one, Entries.sweep, limit=2)
    assert do(one, Entries.usage).entries == 0


def test_marks_are_forgotten_when_a_round_that_began_after_them_is_over(file: SqliteFile) -> None:
    for number in range(5):
        store(file, Address("users", b"%d" % number), grounds=(TAG,))
    assert do(file, Entries.sweep)
    do(file, Entries.invalidate, [TAG])
    assert not do(file, Entries.sweep, limit=4)
    do(file, Entries.invalidate, [OTHER_TAG])
    do(file, Entries.sweep, limit=4)
    assert do(file, Entries.usage)[::2] == (0, 2)  # the round had set out before either
    do(file, Entries.sweep)
    assert do(file, Entries.usage)[::2] == (0, 0)


def test_between_two_rounds_a_sweep_rests_and_goes_on_to_forget(file: SqliteFile, clock: FakeClock) -> None:
    before = do(file, Entries.moment)
    do(file, Entries.invalidate, [A, B, C])
    clock.advance(9)
    assert do(file, Entries.sweep, rest=10)
    assert do(file, Entries.write, [(Record(TAG, b"v"), before, False)]) == [True]
    clock.advance(1)
    assert [do(file, Entries.sweep, rest=10) for _ in range(3)] == [True] * 3
    assert do(file, Entries.write, [(Record(TAG, b"v"), before, False)]) == [True]
    clock.advance(10)
    assert do(file, Entries.sweep, 1, rest=10) is False
    assert do(file, Entries.sweep, 1, rest=10)  # a round that was begun does not rest
    assert do(file, Entries.usage).marks == 2
    assert do(file, Entries.sweep, 1, rest=10)
    assert do(file, Entries.usage).marks == 1
    assert do(file, Entries.write, [(Record(TAG, b"v"), before, False)]) == [False]


def test_a_clock_that_was_put_back_does_not_keep_a_sweep_at_rest(make_file: MakeFile) -> None:
    file = make_file()
    do(file, Entries.invalidate, [A])
    times = itertools.count(-1_000_000, -1)
    back = make_file(now=lambda: float(next(times)))
    for _ in range(2):
        do(back, Entries.sweep, rest=10)
    assert do(file, Entries.usage).marks == 0


def test_a_mark_is_not_forgotten_while_an_entry_that_it_ended_may_be_there(file: SqliteFile) -> None:
    for number in range(3):
        store(file, Address("users", b"%d" % number), grounds=(TAG,))
    assert not do(file, Entries.sweep, limit=2)
    do(file, Entries.invalidate, [TAG])  # behind the hand there are two that it has ended
    for _ in range(2):
        do(file, Entries.sweep, limit=2)
        assert held(file, *(Address("users", b"%d" % number) for number in range(3))) == [None] * 3


def test_a_sweep_whose_transaction_is_undone_has_not_moved(file: SqliteFile) -> None:
    for number in range(4):
        store(file, Address("users", b"%d" % number), grounds=(TAG,))
    do(file, Entries.sweep)
    do(file, Entries.invalidate, [TAG])

    def fail(entries: Entries) -> None:
        raise ValueError

    file.run([(Entries.sweep, (), {"limit": 2}), (fail, (), {})])
    assert do(file, Entries.usage).entries == 2


def test_a_sweep_forgets_no_more_marks_at_once_than_its_limit(file: SqliteFile) -> None:
    do(file, Entries.invalidate, [], [f"t{number}" for number in range(10)])
    do(file, Entries.sweep)
    assert [(do(file, Entries.sweep, limit=4), do(file, Entries.usage).marks) for _ in range(3)] == [
        (True, 6),
        (True, 2),
        (True, 0),
    ]


def test_a_sweep_gives_room_back_to_the_file_system(file: SqliteFile) -> None:
    for number in range(50):
        store(file, Address("users", b"%d" % number), bytes(20_000))
    full = do(file, Entries.usage).file_size
    do(file, Entries.invalidate, [], ["users"])
    for _ in range(10):
        do(file, Entries.sweep)
    do(file, Entries.flush)
    assert do(file, Entries.usage).file_size < full / 2


def test_a_scan_gives_what_was_used_last_first_in_slices(file: SqliteFile) -> None:
    addresses = [Address("users", b"%d" % number) for number in range(5)]
    for address in addresses:
        store(file, address)
    do(file, Entries.touch, [addresses[0]])
    seen: list[Record] = []
    after, slices = None, 0
    while slices == 0 or after is not None:
        records, after = do(file, Entries.scan, after=after, limit=2)
        seen += records
        slices += 1
    assert [record.address.key for record in seen] == [b"0", b"4", b"3", b"2", b"1"]
    assert slices == 3


def test_a_scan_gives_only_what_is_valid_and_of_the_spaces_asked_for(file: SqliteFile, clock: FakeClock) -> None:
    post = Address("posts", b"1")
    store(file, A, expires=clock() + 1)
    store(file, B, grounds=(TAG,))
    store(file, C, grounds=(OTHER_TAG, post))
    store(file, post)
    clock.advance(1)
    do(file, Entries.invalidate, [TAG])
    assert [record.address for record in do(file, Entries.scan).records] == [post, C]
    assert do(file, Entries.scan, ["users"]).records == [Record(C, b"v", grounds=(OTHER_TAG, post))]


def test_a_scan_of_an_empty_file_is_over_at_once(file: SqliteFile) -> None:
    assert do(file, Entries.scan) == ([], None)


def test_a_flush_moves_the_log_into_the_file(file: SqliteFile, path: str) -> None:
    store(file, A, bytes(50_000))
    with open(path, "rb") as plain:  # noqa: PTH123 - as another program would
        before = len(plain.read())
    do(file, Entries.flush)
    with open(path, "rb") as plain:  # noqa: PTH123 - as another program would
        assert len(plain.read()) >= before + 50_000


def test_a_check_finds_nothing_in_a_sound_file(file: SqliteFile) -> None:
    store(file, A)
    do(file, Entries.check)
    assert held(file, A) == [b"v"]


def test_a_check_finds_a_value_that_has_changed(file: SqliteFile, path: str) -> None:
    store(file, A)
    store(file, B)
    write_to(path, "UPDATE entries SET value = x'00' WHERE id = 2")
    do(file, Entries.check)
    assert held(file, A, B) == [None, None]


def test_a_sweep_finds_an_entry_whose_grounds_are_none(file: SqliteFile, path: str) -> None:
    store(file, A, grounds=(TAG,))
    store(file, B)
    write_to(path, "UPDATE entries SET grounds = '[' WHERE id = 1")
    do(file, Entries.sweep)
    assert do(file, Entries.usage).entries == 0


def test_a_file_without_its_state_is_damaged(file: SqliteFile, path: str) -> None:
    store(file, A)
    write_to(path, "DELETE FROM state")
    assert held(file, B, A) == [None, None]
    assert store(file, A)
