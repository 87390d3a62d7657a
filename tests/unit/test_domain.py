"""Which mutations cover a name, and for how long."""

from __future__ import annotations

from cache._domain import SWEPT, Domain
from cache._key import ALL
from cache._window import Window
from cache.testing import FakeClock


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
