from __future__ import annotations

import math
import weakref
from contextvars import copy_context

import pytest

from cache._key import ALL
from cache._keyspace import Keyspace
from cache._lease import DONE, QUEUED, RUNNING, Lease, current_frame, frame, running
from cache._namespace import Namespace
from cache._step import step
from cache.testing import FakeClock
from tests.unit.leases import FINE, SPOILED, Begin, answers, mutate


class Launched(Lease):
    launches = 0

    def launch(self) -> None:
        self.launches += 1


def test_a_load_is_launched_when_the_step_in_which_it_begins_is_over(space: Keyspace) -> None:
    lease = Launched(space, "k")
    assert (lease.state, lease.joinable) == (QUEUED, False)
    with step:
        lease.begin()
        assert (lease.state, lease.joinable) == (RUNNING, True)
        assert lease.launches == 0
    assert lease.launches == 1
    lease.close()
    assert lease.state == DONE


def test_a_load_that_begins_while_nothing_changes_is_clean_and_may_be_joined(begin: Begin) -> None:
    assert answers(begin()) == FINE


@pytest.mark.parametrize("name", ["k", ALL])
def test_a_load_that_begins_during_a_mutation_of_its_key_is_spoiled(
    space: Keyspace, begin: Begin, clock: FakeClock, name: object
) -> None:
    window = mutate(space, name, clock)
    assert answers(begin("k")) == SPOILED
    window.end(0, succeeded=True)
    assert answers(begin("k")) == FINE


def test_a_load_that_begins_during_a_mutation_of_one_of_its_tags_is_spoiled(begin: Begin, clock: FakeClock) -> None:
    tags = Namespace("n")
    window = mutate(tags, "b", clock)
    assert answers(begin(names=((tags, "a"), (tags, "b")))) == SPOILED
    assert answers(begin(names=((tags, "a"),))) == FINE
    window.end(0, succeeded=True)


def test_a_tracked_load_is_among_those_in_progress_until_it_ends(begin: Begin) -> None:
    tracked, untracked = begin(), begin(tracked=False)
    assert tracked in running
    assert untracked not in running
    tracked.close()
    assert not running


def test_a_load_that_has_ended_rests_on_nothing_and_keeps_nobody(begin: Begin) -> None:
    tags = Namespace("n")
    reader, parent = begin("reader"), begin("parent")
    lease = begin(names=((tags, "t"),), parent=parent)
    tag = tags.tag("t")
    lease.above["waiter"] = reader
    gone = weakref.ref(reader)
    lease.close()
    lease.close()
    assert not tag.readers
    assert not lease.tags
    assert (lease.above, lease.parent) == ({}, None)
    tags.kill("t")
    assert lease.clean
    assert gone() is reader


def test_what_a_load_reads_when_it_has_ended_does_not_count(begin: Begin, clock: FakeClock) -> None:
    lease, other = begin(), Keyspace("other", clock)
    lease.close()
    lease.rest_on((other.tag("t"),), 5.0)
    lease.rest_on_key(other, "k")
    assert not lease.tags
    assert lease.deadline == math.inf


def test_the_frame_of_a_context_is_its_load_until_that_ends(begin: Begin) -> None:
    lease = begin()

    def look() -> None:
        assert current_frame() is None
        frame.set(lease)
        assert current_frame() is lease
        lease.close()
        assert current_frame() is None

    copy_context().run(look)
    assert current_frame() is None
