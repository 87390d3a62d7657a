from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache._tier import Address, Record
from cache.tiers._records import (
    Damaged,
    checksum,
    name_of_entry,
    name_of_space,
    packed_grounds,
    rests_on,
    unpacked_grounds,
    verify,
)

texts = st.text(st.characters(), max_size=5)
addresses = st.builds(Address, texts, st.binary(max_size=5))


@given(st.lists(addresses).map(tuple))
def test_what_a_record_rests_on_comes_back_as_it_was(grounds: tuple[Address, ...]) -> None:
    record = Record(Address("s", b"k"), b"v", grounds=grounds)
    assert unpacked_grounds(packed_grounds(record)) == grounds


def test_a_record_that_rests_on_nothing_else_takes_no_room_for_it() -> None:
    assert packed_grounds(Record(Address("s", b"k"), b"v")) is None


@given(addresses, addresses)
def test_two_entries_have_one_name_only_if_they_have_one_address(one: Address, other: Address) -> None:
    assert (name_of_entry(one) == name_of_entry(other)) == (one == other)


def test_a_space_and_a_key_cannot_be_shifted_into_each_other() -> None:
    assert name_of_entry(Address("ab", b"c")) != name_of_entry(Address("a", b"bc"))
    assert name_of_entry(Address("1", b"1:x")) != name_of_entry(Address("11", b":x"))


def test_a_space_is_not_a_truth_of_the_same_name() -> None:
    assert len({name_of_space("x"), name_of_entry(Address("x", b"")), name_of_entry(Address("", b"x"))}) == 3


def test_a_name_may_have_characters_that_are_half_of_one() -> None:
    assert name_of_space("\ud800") != name_of_space("\ud801")


def test_a_record_rests_on_its_space_and_on_all_its_grounds_and_their_spaces() -> None:
    tag, inner = Address("#tags", b"t"), Address("inner", b"i")
    record = Record(Address("outer", b"o"), b"v", grounds=(tag, inner))
    assert set(rests_on(record)) == {
        name_of_space("outer"),
        name_of_entry(tag),
        name_of_space("#tags"),
        name_of_entry(inner),
        name_of_space("inner"),
    }


def test_a_record_is_fresh_until_the_second_at_which_it_expires() -> None:
    record = Record(Address("s", b"k"), b"v", expires=10.0)
    assert record.is_fresh(9.9)
    assert not record.is_fresh(10.0)
    assert Record(Address("s", b"k"), b"v").is_fresh(1e18)


@pytest.mark.parametrize("place", range(5))
def test_a_row_of_which_anything_has_changed_is_refused(place: int) -> None:
    address, name = Address("s", b"k"), b"of it"
    sound = [3, checksum(name, 3, 10.0, "[]", b"v"), 10.0, "[]", b"v"]
    verify(address, name, sound)
    damaged = [*sound]
    damaged[place] = [4, 0, 11.0, "[[1]]", b"w"][place]
    with pytest.raises(Damaged, match=r"'s' under the key b'k'"):
        verify(address, name, damaged)
    with pytest.raises(Damaged):
        verify(address, b"another", sound)
