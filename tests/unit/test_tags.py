from __future__ import annotations

from collections.abc import Iterator

import pytest

from cache._domain import Domain
from cache._key import ANY
from cache._keyspace import Keyspace
from cache._lease import Lease
from cache._tags import epoch
from cache.testing import FakeClock


@pytest.fixture
def load(clock: FakeClock) -> Iterator[Lease]:
    """A load in progress."""
    lease = Lease(Keyspace("cache", clock), "k")
    lease.start()
    yield lease
    lease.close()


def test_a_name_has_one_tag_as_long_as_something_holds_it() -> None:
    domain = Domain()
    tag = domain.tag("user:7")
    assert domain.tag("user:7") is tag
    assert domain.tag("user:8") is not tag
    assert (tag.home, tag.name, tag.dead) == (domain, "user:7", False)


def test_a_tag_lives_no_longer_than_what_rests_on_it() -> None:
    domain = Domain()
    tag = domain.tag("t")
    assert list(domain.tags) == ["t"]
    del tag
    assert not domain.tags


def test_to_kill_a_name_is_to_kill_its_tag_and_the_next_use_of_the_name_has_another() -> None:
    domain = Domain()
    tag, other = domain.tag("t"), domain.tag("other")
    assert domain.kill("t")
    assert tag.dead
    assert not other.dead
    renewed = domain.tag("t")
    assert renewed is not tag
    assert not renewed.dead


def test_to_kill_a_name_that_nothing_rests_on_finds_nothing() -> None:
    domain = Domain()
    assert not domain.kill("t")
    tag = domain.tag("other")
    assert not domain.kill("t")
    assert not tag.dead
    assert domain.kill("other")
    assert not domain.kill("other")


def test_the_epoch_changes_with_every_tag_that_dies_and_with_nothing_else() -> None:
    domain = Domain()
    tag = domain.tag("t")
    before = epoch.now
    domain.kill("other")
    assert epoch.now is before
    domain.kill("t")
    assert tag.dead
    assert epoch.now is not before


def test_what_rests_on_anything_in_a_domain_dies_with_whatever_dies_there() -> None:
    domain, elsewhere = Domain(), Domain()
    anything = domain.tag(ANY)
    elsewhere.kill("t")
    assert not anything.dead
    domain.kill("t")
    assert anything.dead


def test_a_load_that_rests_on_a_tag_is_dirty_when_it_dies(load: Lease) -> None:
    domain = Domain()
    load.rest_on([domain.tag("t")])
    domain.kill("other")
    assert load.clean
    domain.kill("t")
    assert not load.clean
