from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cache._key import ALL
from cache._namespace import Namespace
from cache._store import Store
from cache._window import Window, mutation
from cache.testing import FakeClock
from tests.unit.stores import end, load, values

pytestmark = pytest.mark.usefixtures("in_step")


# -- setting from outside --------------------------------------------------------------------------------------


def test_what_is_set_is_stored_and_fences_what_began_before(store: Store, clock: FakeClock) -> None:
    lease, outer = load(store), store.tag("k")
    assert store.assign("k", "v", 5.0, ())
    assert not lease.clean
    assert outer.dead
    assert values(store) == {"k": "v"}
    clock.advance(5.0)
    assert store.find("k") is None
    end(lease)


def test_what_is_set_for_no_time_only_drops_what_was_there(store: Store) -> None:
    store.assign("k", "old", None, ())
    assert not store.assign("k", "new", 0.0, ())
    assert not store.data


def test_what_is_set_with_tags_rests_on_them(store: Store) -> None:
    tags = Namespace("n")
    store.assign("k", "v", None, ((tags, "t"),))
    tags.invalidate("t")
    assert store.find("k") is None


@pytest.fixture
def tags() -> Namespace:
    return Namespace("n")


@pytest.fixture
def window(store: Store, clock: FakeClock, in_step: None) -> Iterator[Window]:
    """A mutation of the key in whose body the test is."""
    window = Window(((store, "k"),), clock)
    window.begin()
    token = mutation.set(window)
    yield window
    mutation.reset(token)
    window.end(0, succeeded=False)


def test_what_is_set_during_somebody_elses_mutation_is_not_stored(store: Store, clock: FakeClock) -> None:
    window = Window(((store, "k"),), clock)
    window.begin()
    assert not store.assign("k", "v", None, ())
    window.end(0, succeeded=True)
    assert not store.data


def test_what_the_body_sets_is_stored_when_it_has_succeeded(store: Store, window: Window) -> None:
    assert not store.assign("k", "first", None, ())
    assert not store.assign("k", "last", None, ())
    assert not store.data
    everything = store.tag(ALL)
    assert len(everything.readers) == 1
    window.end(0, succeeded=True)
    assert values(store) == {"k": "last"}
    assert not everything.readers


def test_what_the_body_sets_is_good_for_its_seconds_from_then_on(
    store: Store, window: Window, clock: FakeClock
) -> None:
    store.assign("k", "v", 5.0, ())
    clock.advance(5.0)
    window.end(0, succeeded=True)
    assert not store.data


def test_what_the_body_sets_is_dropped_when_it_has_failed(store: Store, window: Window) -> None:
    store.assign("k", "v", None, ())
    window.end(0, succeeded=False)
    assert not store.data


INVALIDATIONS: dict[str, Callable[[Store, Namespace], object]] = {
    "key": lambda store, _: store.invalidate("k"),
    "everything": lambda store, _: store.invalidate(ALL),
    "tag": lambda _, tags: tags.invalidate("t"),
}


@pytest.mark.parametrize("invalidate", INVALIDATIONS.values(), ids=INVALIDATIONS)
def test_what_the_body_sets_is_dropped_by_whatever_invalidates_it_meanwhile(
    store: Store, window: Window, tags: Namespace, invalidate: Callable[[Store, Namespace], object]
) -> None:
    store.assign("k", "v", None, ((tags, "t"),))
    invalidate(store, tags)
    window.end(0, succeeded=True)
    assert not store.data


def test_what_the_body_sets_is_dropped_if_a_mutation_of_one_of_its_tags_was_made_since_it_began(
    store: Store, window: Window, tags: Namespace, clock: FakeClock
) -> None:
    other = Window(((tags, "t"),), clock)
    other.begin()
    other.end(0, succeeded=True)
    store.assign("k", "v", None, ((tags, "t"),))
    window.end(0, succeeded=True)
    assert not store.data


@pytest.mark.parametrize("succeeded", [True, False])
def test_what_an_inner_body_sets_is_not_stored_while_an_outer_mutation_covers_it(
    store: Store, window: Window, clock: FakeClock, succeeded: bool
) -> None:
    inner = Window(((store, "k"),), clock)
    inner.begin()
    mutation.set(inner)
    store.assign("k", "v", None, ())
    inner.end(0, succeeded=True)
    assert not store.data
    mutation.set(window)
    window.end(0, succeeded=succeeded)
    assert not store.data


def test_what_an_inner_body_sets_is_stored_if_the_outer_mutation_changes_something_else(
    store: Store, window: Window, clock: FakeClock
) -> None:
    inner = Window(((store, "other"),), clock)
    inner.begin()
    mutation.set(inner)
    store.assign("other", "v", None, ())
    inner.end(0, succeeded=True)
    mutation.set(window)
    assert values(store) == {"other": "v"}
