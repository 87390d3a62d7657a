"""Who may be given a result, and whom a write reaches."""

from __future__ import annotations

from itertools import product
from typing import Any
from uuid import UUID

import pytest

from agent_cache._audience import EVERYBODY, NOBODY, Audience, Partition, tags_read, tags_written


def whose() -> None:
    """Say whose it is."""


def partition(value: Any, by: Any = "user") -> Partition:
    found = Partition.of(value, whose, by)
    assert found is not None
    return found


ANN, BOB = partition("ann"), partition("bob")
AUDIENCES = [Audience(session, part) for session in (None, "1", "2") for part in (None, ANN, BOB)]


@pytest.mark.parametrize(("written", "read"), list(product(AUDIENCES, AUDIENCES)))
def test_a_write_reaches_a_result_exactly_if_it_changes_what_that_was_made_from(
    written: Audience, read: Audience
) -> None:
    session = read.session is None or written.session is None or read.session == written.session
    part = read.partition is None or written.partition is None or read.partition == written.partition
    assert bool(set(tags_read(["n"], read)) & set(tags_written(["n"], written))) == (session and part)


def test_names_are_kept_apart() -> None:
    assert not set(tags_read(["a"], EVERYBODY)) & set(tags_written(["b"], EVERYBODY))


@pytest.mark.parametrize(("mine", "other"), list(product(AUDIENCES, AUDIENCES)))
def test_what_was_made_for_others_may_be_used_if_they_are_no_fewer(mine: Audience, other: Audience) -> None:
    fewer = (other.session is not None and other.session != mine.session) or (
        other.partition is not None and other.partition != mine.partition
    )
    assert mine.includes(other) == (not fewer)
    assert not mine.includes(NOBODY)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, True), (1, 1.0), (7, "7"), ((1,), (True,)), ((1, ("a", 1)), (1, ("a", 1.0))), ("a", b"a")],
    ids=repr,
)
def test_the_type_of_an_identity_counts_at_any_depth(one: Any, other: Any) -> None:
    assert partition(one) != partition(other)
    assert partition(one) == partition(one)


def test_so_does_what_was_asked() -> None:
    assert partition(7, "user") != partition(7, "tenant")
    assert Partition.of(7, whose) == Partition.of(7, whose)
    assert Partition.of(7, whose) != Partition.of(7, print)


def test_none_is_no_partition() -> None:
    assert Partition.of(None, whose) is None


def test_what_is_not_hashable_is_refused() -> None:
    unhashable: Any = [1]
    with pytest.raises(TypeError, match=r"vary=<function whose.*> returned \[1\], which is not hashable"):
        Partition.of(unhashable, whose)


@pytest.mark.parametrize("value", [-1, "a|b", UUID(int=7), (1, 2), frozenset({1})], ids=repr)
def test_a_write_reaches_the_partition_of_an_equal_identity(value: Any) -> None:
    audience = Audience(None, partition(value))
    assert set(tags_read(["n"], audience)) & set(tags_written(["n"], audience))
    assert all(tag.count("|") == 3 for tag in tags_read(["n"], audience))
