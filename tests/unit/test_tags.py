from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from cache._key import ALL, ANY
from cache._lease import Lease
from cache._tags import SWEPT, Domain, Keyspace, Namespace, epoch, named_namespace
from cache._window import Window
from cache.testing import FakeClock


@pytest.fixture
def load(clock: FakeClock) -> Iterator[Lease]:
    """A load in progress."""
    lease = Lease(Keyspace("cache", clock), "k")
    lease.start()
    yield lease
    lease.close()


# -- tags ------------------------------------------------------------------------------------------------------


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


# -- windows ---------------------------------------------------------------------------------------------------


def window_on(domain: Domain, *names: object, clock: FakeClock) -> Window:
    window = Window(tuple((domain, name) for name in names), clock)
    window.begin()
    return window


def test_a_mutation_covers_its_names_from_its_beginning_to_its_end(clock: FakeClock) -> None:
    domain = Domain()
    assert not domain.is_changing()
    window = window_on(domain, "a", "b", clock=clock)
    assert domain.windows_on("a") == domain.windows_on("b") == [window]
    assert domain.windows_on("c") == []
    assert domain.is_changing()
    window.end(0, succeeded=True)
    assert domain.windows_on("a") == []
    assert not domain.is_changing()
    assert not domain.windows


def test_a_mutation_of_everything_covers_every_name(clock: FakeClock) -> None:
    domain = Domain()
    everything = window_on(domain, ALL, clock=clock)
    one = window_on(domain, "a", clock=clock)
    assert domain.windows_on("a") == [one, everything]
    assert domain.windows_on("b") == [everything]
    assert domain.windows_on(ALL) == [everything]
    one.end(0, succeeded=True)
    everything.end(0, succeeded=True)
    assert not domain.windows


def test_nested_and_concurrent_mutations_of_one_name_add_up(clock: FakeClock) -> None:
    domain = Domain()
    first, second = (window_on(domain, "a", clock=clock) for _ in range(2))
    assert domain.windows_on("a") == [first, second]
    first.end(0, succeeded=True)
    assert domain.windows_on("a") == [second]
    second.end(0, succeeded=True)
    assert not domain.windows


def test_a_mutation_that_lingers_covers_its_names_until_its_time_is_over(clock: FakeClock) -> None:
    domain = Domain()
    window = window_on(domain, "a", clock=clock)
    window.end(1.0, succeeded=False)
    clock.advance(0.999)
    assert domain.windows_on("a") == [window]
    assert domain.is_changing()
    clock.advance(0.001)
    assert domain.windows_on("a") == []
    assert not domain.is_changing()
    assert not domain.windows


def test_names_that_nobody_asks_for_again_do_not_pile_up(clock: FakeClock) -> None:
    domain = Domain()
    for name in range(1_000):
        window_on(domain, name, clock=clock).end(1.0, succeeded=False)
        clock.advance(0.5)
    assert len(domain.windows) <= SWEPT
    assert len(domain.lingering) <= SWEPT


def test_names_that_linger_at_once_are_all_forgotten_in_the_end(clock: FakeClock) -> None:
    domain = Domain()
    for name in range(1_000):
        window_on(domain, name, clock=clock).end(1.0, succeeded=False)
    assert len(domain.windows) == 1_000
    clock.advance(1.0)
    for _ in range(-(-1_000 // SWEPT)):
        window_on(domain, "another", clock=clock).end(0, succeeded=True)
    assert not domain.windows
    assert not domain.lingering


# -- namespaces ------------------------------------------------------------------------------------------------


def test_a_namespace_is_shared_by_all_who_ask_for_it_and_forgotten_with_the_last() -> None:
    space = named_namespace("shared")
    assert named_namespace("shared") is space
    assert named_namespace("other") is not space
    space.tag("t")
    address = id(space)
    del space
    gc.collect()
    assert named_namespace("shared").name == "shared"
    assert not named_namespace("shared").tags
    assert address


def test_threads_that_name_a_namespace_at_once_get_one() -> None:
    for turn in range(40):
        found: list[Namespace] = []
        barrier = threading.Barrier(4)

        def ask(name: str, found: list[Namespace] = found, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            found.append(named_namespace(name))

        threads = [threading.Thread(target=ask, args=(f"race {turn}",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(map(id, found))) == 1


def test_to_invalidate_tags_says_whether_any_was_in_use() -> None:
    space = Namespace("n")
    tags = [space.tag("a"), space.tag("b")]
    assert space.invalidate_each(("x", "b", "a"))
    assert all(tag.dead for tag in tags)
    assert not space.invalidate_each(("x", "b", "a"))


def test_a_load_whose_tags_are_not_known_yet_suspects_every_tag_that_is_invalidated(clock: FakeClock) -> None:
    space = Namespace("n")
    for name, is_clean in (("mine", False), ("other", True)):
        lease = Lease(Keyspace("cache", clock), "k", undecided_in=space)
        lease.start()
        assert lease.joinable
        space.invalidate(name)
        assert not lease.joinable
        lease.decide(["mine"])
        assert lease.clean is is_clean
        lease.close()
    assert not space.undecided


def test_the_names_that_stand_for_many_say_so() -> None:
    assert (repr(ALL), repr(ANY)) == ("<everything>", "<anything>")
