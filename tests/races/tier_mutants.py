"""The rules of the way to a tier, switched off one at a time: see `tests.races.mutants`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from cache import _change, _mutation, _share, _telling
from cache._backing import Backing
from cache._domain import Domain
from cache._flight import Flight
from cache._mutation import Mutating
from cache._namespace import Namespace
from cache._store import Store
from cache._telling import TierWindow
from cache._tier import Covering
from tests.races.mutants import mutant, nothing
from tests.races.shelf import Shelf, View
from tests.races.shelf_windows import Windows


def told_of_nothing(*_: Any) -> tuple[()]:
    """Nobody is told."""
    return ()


def told_and_forgotten(_: Any, then: Any = None) -> tuple[()]:
    """Nobody is told, and who asks is told that everybody knows."""
    if then is not None:
        then()
    return ()


# -- what a record rests on ---------------------------------------------------------------------------------------


def learning(change: Callable[[Callable[..., bool], Any], bool]) -> AbstractContextManager[Any]:
    """Learn otherwise: ``change`` is given the way in which it should be, and the arguments."""
    original = Backing.learn
    return patch.object(Backing, "learn", lambda *args: change(original, args))


def at_once(learn: Callable[..., bool], args: Any) -> bool:
    """Rest on what was learned, and take the answer all the same."""
    learn(*args)
    return False


@mutant("a_page_in_the_tier_and_a_mutation_of_what_it_was_computed_from", shows="stuck")
def a_record_is_taken_by_who_has_just_learned_what_it_rests_on() -> AbstractContextManager[Any]:
    return learning(at_once)


@mutant("a_page_in_the_tier_and_a_mutation_there", shows="stuck")
def a_record_is_taken_by_who_has_just_learned_what_another_process_may_change() -> AbstractContextManager[Any]:
    return learning(at_once)


@mutant("a_page_in_the_tier_and_a_mutation_of_what_it_was_computed_from", shows="stuck")
def a_load_does_not_rest_on_what_its_record_rests_on() -> AbstractContextManager[Any]:
    return learning(lambda _, __: False)


@mutant("a_page_is_preloaded_during_a_mutation", shows="stuck")
def what_is_preloaded_rests_on_nothing() -> AbstractContextManager[Any]:
    return learning(lambda _, __: False)


@mutant("three_levels_of_which_the_middle_is_in_the_tier", shows="stuck")
def a_record_rests_on_nothing() -> AbstractContextManager[Any]:
    return patch.object(Backing, "_grounds", told_of_nothing)


@mutant("a_process_dies_there_after_its_commit_under_a_page", shows="stuck")
def a_record_is_kept_although_another_process_is_changing_what_it_rests_on() -> AbstractContextManager[Any]:
    return patch.object(_share.Share, "is_changing_in", lambda self, slots: False)


@mutant("a_page_in_the_tier_and_a_clear_of_what_it_was_computed_from", shows="stuck")
def a_record_does_not_rest_on_the_spaces_of_its_grounds() -> AbstractContextManager[Any]:
    def grounds_at(self: Domain, share: Any, code: bytes) -> Any:
        tags, covered = original(self, share, code)
        return tags[:1], covered

    original = Domain.grounds_at
    return patch.object(Domain, "grounds_at", grounds_at)


@mutant("a_page_in_the_tier_and_a_wildcard_of_what_it_was_computed_from", shows="stuck")
def a_record_does_not_go_with_the_wildcards_of_its_grounds() -> AbstractContextManager[Any]:
    return patch.object(Domain, "_implied", told_of_nothing)


# -- what is written ----------------------------------------------------------------------------------------------


@mutant("a_load_here_and_a_mutation_there_with_nothing_but_a_tier", shows="stuck")
def the_moment_of_a_load_is_its_end() -> AbstractContextManager[Any]:
    def keep(self: Any, kept: Any, value: Any) -> None:
        original(self, kept._replace(moment=self.tier.shelf.moment()), value)

    original = Backing.keep
    return patch.object(Backing, "keep", keep)


@mutant("a_value_in_the_tier_and_a_commit_that_lands_after_its_error", shows="stuck")
@contextmanager
def a_load_that_may_not_be_stored_is_given_to_a_tier_that_does_not_know_why() -> Iterator[None]:
    """Either alone is enough: the tier refuses what is covered there, too, as long as it lingers."""

    def finish(self: Store, lease: Any, *args: Any, **options: Any) -> float | None:
        exp = original(self, lease, *args, **options)
        return lease.deadline if exp is None and isinstance(lease, Flight) else exp

    original = Store.finish
    with patch.object(Store, "finish", finish), a_mutation_does_not_linger_in_the_tier():
        yield


@mutant("a_refresh_that_sees_what_nobody_declared_and_a_tier", shows="stuck")
def a_refresh_replaces_nothing_in_the_tier() -> AbstractContextManager[Any]:
    def keep(self: Backing, kept: Any, value: Any) -> None:
        original(self, kept._replace(replaces=False), value)

    original = Backing.keep
    return patch.object(Backing, "keep", keep)


@mutant("a_refresh_that_sees_what_nobody_declared_and_a_tier", shows="stuck")
def a_refresh_takes_what_the_tier_has() -> AbstractContextManager[Any]:
    def converse(self: Backing, flights: Any) -> Any:
        for flight in flights:
            flight.anew = False
        return original(self, flights)

    original = Backing._converse
    return patch.object(Backing, "_converse", converse)


# -- what is told -------------------------------------------------------------------------------------------------


@mutant("a_process_dies_after_its_commit_and_another_goes_on", shows="stuck")
def a_tier_is_not_told_before_the_body() -> AbstractContextManager[Any]:
    async def enter(self: Mutating) -> None:
        self._open()

    return patch.object(Mutating, "__aenter__", enter)


@mutant("a_mutation_of_which_the_tier_cannot_be_told", shows="stuck")
def a_body_runs_although_the_tier_cannot_be_told() -> AbstractContextManager[Any]:
    async def enter(self: Mutating) -> None:
        self._open()
        await _mutation._wait_for(self._behind.begin())

    return patch.object(Mutating, "__aenter__", enter)


@mutant("a_process_dies_in_a_mutation_of_what_another_is_loading", shows="stuck")
def a_tier_is_told_of_a_mutation_as_of_a_change() -> AbstractContextManager[Any]:
    def begin(self: View, covering: Covering) -> Any:
        return self.invalidate(covering.addresses, covering.spaces)

    return patch.object(View, "begin", begin)


@mutant("a_process_dies_in_a_mutation_below_a_page_that_another_is_loading", shows="stuck")
def a_mutation_covers_no_spaces_in_the_tier() -> AbstractContextManager[Any]:
    def begin(self: Windows, owner: object, covering: Covering) -> None:
        original(self, owner, replace(covering, spaces=()))

    original = Windows.begin
    return patch.object(Windows, "begin", begin)


@mutant("a_process_dies_in_a_mutation_of_what_another_is_loading", shows="stuck")
def what_the_dead_have_covered_is_not_invalidated_again() -> AbstractContextManager[Any]:
    def take_from_dead(self: Windows) -> set[Any]:
        original(self)
        return set()

    original = Windows.take_from_dead
    return patch.object(Windows, "take_from_dead", take_from_dead)


@mutant("a_load_here_and_a_mutation_there_with_nothing_but_a_tier", shows="stuck")
def the_end_of_a_mutation_does_not_invalidate_in_the_tier() -> AbstractContextManager[Any]:
    def end(self: Shelf, covering: Covering, linger: float) -> None:
        self.windows.end(covering, linger)

    return patch.object(Shelf, "end", end)


@mutant("a_value_in_the_tier_and_two_mutations", shows="leaks")
def a_tier_is_not_told_after_the_body() -> AbstractContextManager[Any]:
    async def exit_(self: Mutating, _: object, error: BaseException | None, __: object) -> None:
        assert self._window is not None
        self._close(self._window, 0.0, error)

    return patch.object(Mutating, "__aexit__", exit_)


@mutant("a_value_in_the_tier_and_two_mutations", shows="leaks")
def a_mutation_that_is_cancelled_as_it_begins_is_not_ended_in_the_tier() -> AbstractContextManager[Any]:
    return patch.object(TierWindow, "cancel", told_of_nothing)


@mutant("a_commit_there_that_lands_after_its_error_with_nothing_but_a_tier", shows="stuck")
def a_mutation_does_not_linger_in_the_tier() -> AbstractContextManager[Any]:
    def end(self: TierWindow, linger: float) -> Any:
        return original(self, 0.0)

    original = TierWindow.end
    return patch.object(TierWindow, "end", end)


@mutant("a_delete_and_a_tier", shows="stuck")
def a_tier_is_not_told_of_a_delete() -> AbstractContextManager[Any]:
    return patch.object(_change, "tell_tiers", told_and_forgotten)


@mutant("a_clear_and_a_tier", shows="stuck")
def a_tier_is_not_told_of_a_clear() -> AbstractContextManager[Any]:
    return patch.object(_change, "tell_tiers", told_and_forgotten)


@mutant("a_set_and_a_tier", shows="stuck")
def a_tier_is_not_told_of_a_set() -> AbstractContextManager[Any]:
    return patch.object(Backing, "assign", nothing)


@mutant("a_value_in_the_tier_and_a_mutation_of_a_tag_computed_from_it", shows="stuck")
def a_tier_is_not_told_of_tags() -> AbstractContextManager[Any]:
    def reach(truths: Any) -> Any:
        return original([(domain, name) for domain, name in truths if not isinstance(domain, Namespace)])

    original = _telling.reach_by_tier
    return patch.object(_telling, "reach_by_tier", reach)


@mutant("a_value_in_the_tier_and_a_wildcard", shows="stuck")
def a_space_does_not_go_with_its_wildcards() -> AbstractContextManager[Any]:
    def reach(truths: Any) -> Any:
        return original([(domain, name) for domain, name in truths if not _share.is_wildcard(name)])

    original = _telling.reach_by_tier
    return patch.object(_telling, "reach_by_tier", reach)


@mutant("a_value_in_the_tier_and_a_delete_there", shows="stuck")
def what_was_changed_is_not_covered_until_the_tier_knows() -> AbstractContextManager[Any]:
    return patch.object(_change, "cover", nothing)
