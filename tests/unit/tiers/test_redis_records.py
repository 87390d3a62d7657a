"""Records as bytes at a server, and the names and slots under which they are there."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache._key import ALL, ANY
from cache._stable import encode
from cache._tier import Address, Record
from cache.tiers._redis._layout import SLOTS, Layout, Names
from cache.tiers._redis._records import IDENTITY, Stored, pack, unpack

A = Address("users", b"a")
TAG = Address("#default", b"t")

addresses = st.builds(Address, st.text(max_size=5), st.binary(max_size=5))
records = st.builds(
    Record,
    addresses,
    st.binary(max_size=20),
    st.none() | st.floats(0, 1e12),
    st.lists(addresses, max_size=3).map(tuple),
)


@given(records, st.lists(st.integers(0, 2**64 - 1), max_size=6))
def test_what_is_packed_is_unpacked_as_it_was(record: Record, stamps: list[int]) -> None:
    assert unpack(pack(record, stamps)) == Stored(record, tuple(stamps))


def test_names_need_not_be_texts_that_can_be_encoded() -> None:
    record = Record(Address("\ud800", b"\xff"), b"v", grounds=(Address("ü\udfff", b""),))
    assert unpack(pack(record, [])) == Stored(record, ())


def test_two_records_of_the_same_begin_differently() -> None:
    record = Record(A, b"v")
    assert pack(record, [1])[:IDENTITY] != pack(record, [1])[:IDENTITY]


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda rest: b"\xacR\x01\x00" + rest))
def test_whatever_is_no_record_is_refused_and_not_believed(data: bytes) -> None:
    found = unpack(data)
    assert found is None or len(found.record.value) <= len(data)


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_record_of_another_version_or_kind_is_refused(at: int) -> None:
    data = bytearray(pack(Record(A, b"v"), [1, 2]))
    data[at] ^= 1
    assert unpack(bytes(data)) is None


def test_a_record_that_ends_too_soon_is_refused() -> None:
    data = pack(Record(A, b"", grounds=(TAG,)), [1, 2, 3])
    assert all(unpack(data[:end]) is None for end in range(len(data)))


def test_lengths_that_are_too_large_cost_nothing() -> None:
    head = struct.pack("<4s12sdIIII", b"\xacR\x01\x00", bytes(12), 0.0, 2**32 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1)
    assert unpack(head + bytes(100)) is None


@pytest.mark.parametrize("layout", [Layout(), Layout(1024, 64)], ids=["plain", "buckets"])
@given(space=st.text(max_size=3), code=st.binary(max_size=3))
def test_a_slot_is_that_of_a_truth_and_never_that_of_a_base(layout: Layout, space: str, code: bytes) -> None:
    slot = layout.slot(space, code)
    assert 0 < slot < layout.size == SLOTS
    assert slot % layout.width != 0
    assert layout.bucket(slot) == slot // layout.width


def test_a_value_rests_on_its_truths_and_on_everything_in_each_of_their_spaces() -> None:
    layout = Layout()
    everything = [layout.slot(space, encode(ALL)) for space in ("users", "#default")]
    assert layout.grounds(A, ()) == [layout.slot(*A), everything[0]]
    assert layout.grounds(A, (TAG, Address("users", b"b"), Address("#default", b"u"))) == [
        layout.slot(*A),
        everything[0],
        layout.slot(*TAG),
        everything[1],
        layout.slot("users", b"b"),
        layout.slot("#default", b"u"),
    ]


def test_what_has_changed_shows_in_its_slots_and_in_that_of_anything_in_order() -> None:
    layout = Layout()
    changed = layout.changed([A, TAG, A], ["posts"])
    anything = {layout.slot(space, encode(ANY)) for space in ("users", "#default", "posts")}
    assert set(changed) == {layout.slot(*A), layout.slot(*TAG), layout.slot("posts", encode(ALL))} | anything
    assert list(changed) == sorted(set(changed))


@given(addresses, addresses)
def test_two_addresses_have_two_keys_of_which_no_part_is_theirs(one: Address, other: Address) -> None:
    names = Names("shop:0", 0, b"f00")
    assert (names.value(one) == names.value(other)) == (one == other)
    for key in (*names.pair(one), names.stamps, names.windows, names.channel, names.marker):
        assert key.startswith(b"{shop:0:0}:")
        assert key.count(b"{") == key.count(b"}") == 1


def test_all_names_of_a_bucket_differ() -> None:
    names = Names("shop:0", 0, b"f00")
    assert len({names.stamps, names.windows, names.marker, names.channel, names.heartbeats(b""), *names.pair(A)}) == 7
