"""The rules of the protocol, switched off one at a time.

Each mutant breaks one rule, and names a scenario that must notice, and the kind of violation that it must show: one
that merely makes the code fail proves nothing. A mutant that nobody notices means that the scenarios are too weak, or
that the rule is not needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from agent_cache import _audience, _read_call, _resources, _writing
from agent_cache._call import Call
from agent_cache._outcome import Outcome
from cache import _batch, _entry, _flight, _key, _loads, _mutation, _tags, _window, _wrapper
from cache._domain import Domain
from cache._held import Held
from cache._keyspace import Keyspace
from cache._lease import DIRTY, RUNNING, SPOIL, Lease
from cache._loads import Loads
from cache._share import Share
from cache._store import Store
from cache._window import Window
from tests.races.machine import Process


@dataclass(frozen=True)
class Mutant:
    """A rule that is switched off while ``broken()`` is entered, the scenario that must notice, and as what."""

    name: str
    caught_by: str
    shows: str
    broken: Callable[[], AbstractContextManager[Any]]


MUTANTS: dict[str, Mutant] = {}


Broken = Callable[[], AbstractContextManager[Any]]


def mutant(caught_by: str, *, shows: str) -> Callable[[Broken], Broken]:
    def add(broken: Broken) -> Broken:
        name = broken.__name__
        MUTANTS[name] = Mutant(name, caught_by, shows, broken)
        return broken

    return add


def nothing(*_: Any, **__: Any) -> None:
    """Do not what the rule asks for."""


# -- the window ---------------------------------------------------------------------------------------------------


@mutant("two_readers_and_a_mutation", shows="stale-commit")
def the_begin_of_a_mutation_does_not_invalidate() -> AbstractContextManager[Any]:
    def begin(self: Window) -> None:
        for domain, name in self.targets:
            domain.cover(name, self)
        self.began = _tags.epoch.changes

    return patch.object(Window, "begin", begin)


@mutant("a_queued_load_after_the_end_of_the_mutation", shows="hang")
def the_end_of_a_mutation_does_not_invalidate() -> AbstractContextManager[Any]:
    def end(self: Window, linger: float, *, succeeded: bool) -> None:
        with patch.object(Window, "_invalidate", nothing):
            original(self, linger, succeeded=succeeded)

    original = Window.end
    return patch.object(Window, "end", end)


@mutant("two_readers_and_two_mutations", shows="stale-commit")
def a_mutation_covers_nothing() -> AbstractContextManager[Any]:
    return patch.object(Domain, "windows_on", lambda self, name: [])


@mutant("a_mutation_that_fails_after_its_commit", shows="leaks")
def a_failed_mutation_does_not_close_its_window() -> AbstractContextManager[Any]:
    def close(self: Any, window: Any, linger: float, error: Any) -> None:
        if error is None:
            original(self, window, linger, error)

    original = _mutation.Mutating._close
    return patch.object(_mutation.Mutating, "_close", close)


@mutant("a_mutation_within_a_mutation", shows="stale-commit")
def the_end_of_one_mutation_uncovers_what_another_covers() -> AbstractContextManager[Any]:
    def uncover(self: Domain, name: Any, window: Window) -> None:
        self.windows.pop(name, None)

    return patch.object(Domain, "uncover", uncover)


@mutant("a_mutation_of_everything", shows="stale-commit")
def a_mutation_of_everything_does_not_cover_single_keys() -> AbstractContextManager[Any]:
    return patch.object(Domain, "windows_on", lambda self, name: self._current(name))


@mutant("a_commit_that_lands_after_its_error", shows="stuck")
def an_ambiguous_end_does_not_linger() -> AbstractContextManager[Any]:
    return patch.object(_mutation, "AMBIGUOUS_LINGER", 0.0)


@mutant("a_mutation_that_is_refused", shows="dirty")
def the_reads_of_a_body_are_shared() -> AbstractContextManager[Any]:
    return patch.object(_loads, "enclosing", lambda: iter(()))


@mutant("a_read_that_goes_on_after_its_mutation", shows="innocents")
def a_body_that_has_ended_still_reads_privately() -> AbstractContextManager[Any]:
    def close(self: Any, window: Any, linger: float, error: Any) -> None:
        original(self, window, linger, error)
        _window.mutation.set(self._window)

    def enclosing() -> Iterator[Window]:
        window = _window.mutation.get()
        return iter(() if window is None else (window,))

    original = _mutation.Mutating._close
    return both(patch.object(_mutation.Mutating, "_close", close), patch.object(_loads, "enclosing", enclosing))


# -- the lease ----------------------------------------------------------------------------------------------------


def turning(change: Callable[[bool, bool, bool, int], tuple[bool, bool, bool]]) -> AbstractContextManager[Any]:
    """A lease that turns otherwise: ``change`` gets joinable, clean, chained and the turn, as they should be."""

    def turn(self: Lease, kind: int) -> bool:
        before = (self.joinable, self.clean, self.chained)
        changed = original(self, kind)
        after = change(self.joinable, self.clean, self.chained, kind)
        self.joinable = after[0] and before[0]
        self.clean = after[1] and before[1]
        self.chained = after[2]
        return changed

    original = Lease._turn
    return patch.object(Lease, "_turn", turn)


@mutant("a_delete_after_the_write", shows="stuck")
def a_load_that_was_invalidated_is_stored() -> AbstractContextManager[Any]:
    return turning(lambda joinable, clean, chained, turn: (joinable, True if turn == DIRTY else clean, chained))


@mutant("a_delete_after_the_write", shows="stale-after")
def a_load_that_was_invalidated_is_joined() -> AbstractContextManager[Any]:
    return turning(lambda joinable, clean, chained, turn: (turn == DIRTY or joinable, clean, chained))


@mutant("a_reader_and_a_mutation", shows="stuck")
def a_load_begun_in_a_mutation_is_stored() -> AbstractContextManager[Any]:
    return both(
        turning(lambda joinable, clean, chained, turn: (joinable, True if turn == SPOIL else clean, chained)),
        the_end_of_a_mutation_does_not_invalidate(),
    )


@mutant("two_readers_and_a_mutation", shows="stale-commit")
def a_load_begun_in_a_mutation_is_joined() -> AbstractContextManager[Any]:
    return turning(lambda joinable, clean, chained, turn: (turn == SPOIL or joinable, clean, chained))


@mutant("a_herd_in_a_window", shows="check")
def readers_in_a_mutation_do_not_queue() -> AbstractContextManager[Any]:
    return turning(lambda joinable, clean, chained, turn: (joinable, clean, False))


@mutant("three_levels", shows="stale-commit")
def a_lease_does_not_tell_those_who_wait_for_it() -> AbstractContextManager[Any]:
    def spread(self: Lease, turn: int) -> None:
        if self.state == RUNNING:
            self._turn(turn)

    return patch.object(Lease, "_spread", spread)


@mutant("a_private_read_of_what_nobody_covers", shows="innocents")
def a_private_read_does_not_spoil_the_load_around_it() -> AbstractContextManager[Any]:
    class Orphan(Lease):
        def __init__(self, *args: Any, parent: Lease | None = None, **options: Any) -> None:
            super().__init__(*args, **options)

    return patch.object(_loads, "Lease", Orphan)


@mutant("a_cycle_of_two", shows="hang")
def a_cycle_is_not_refused() -> AbstractContextManager[Any]:
    return patch.object(Loads, "_refuse_cycle", nothing)


@mutant("a_herd_in_a_window", shows="hang")
def a_queued_load_is_forgotten_when_the_one_before_it_ends() -> AbstractContextManager[Any]:
    def close(self: Lease) -> None:
        self.successor = None
        original(self)

    original = Lease.close
    return patch.object(Lease, "close", close)


# -- dependencies -------------------------------------------------------------------------------------------------


@mutant("an_outer_and_its_inner", shows="stuck")
def an_outer_does_not_rest_on_the_keys_it_reads() -> AbstractContextManager[Any]:
    return patch.object(Lease, "rest_on_key", nothing)


@mutant("an_outer_that_looks_and_loads_for_itself", shows="stale-commit")
def an_outer_that_reads_during_a_mutation_is_not_spoiled() -> AbstractContextManager[Any]:
    def rest_on_key(self: Lease, domain: Domain, key: Any) -> None:
        with patch.object(Domain, "windows_on", lambda self, name: []):
            original(self, domain, key)

    original = Lease.rest_on_key
    return patch.object(Lease, "rest_on_key", rest_on_key)


@mutant("three_levels", shows="stuck")
def an_outer_does_not_inherit_what_its_inner_rests_on() -> AbstractContextManager[Any]:
    return patch.object(Lease, "hand_up", nothing)


@mutant("three_levels", shows="stuck")
def a_hit_inside_a_load_hands_up_nothing() -> AbstractContextManager[Any]:
    return patch.object(Lease, "rest_on_entry", nothing)


@mutant("an_outer_lives_no_longer_than_its_inner", shows="innocents")
def an_outer_outlives_its_inner() -> AbstractContextManager[Any]:
    def rest_on(self: Lease, tags: Any, deadline: float = 0.0, clock: Any = None) -> None:
        original(self, tags)

    original = Lease.rest_on
    return patch.object(Lease, "rest_on", rest_on)


@mutant("an_outer_of_many", shows="stuck")
def what_rests_on_anything_in_a_cache_outlives_its_invalidations() -> AbstractContextManager[Any]:
    def kill(self: Domain, name: Any) -> bool:
        anything = self.tags.pop(_key.ANY, None)
        killed = original(self, name)
        if anything is not None:
            self.tags[_key.ANY] = anything
        return killed

    original = Domain.kill
    return patch.object(Domain, "kill", kill)


@mutant("a_clear_under_an_outer", shows="stuck")
def what_was_computed_from_a_cache_outlives_its_clear() -> AbstractContextManager[Any]:
    def rest_on_key(self: Lease, domain: Domain, key: Any) -> None:
        self.rest_on((domain.tag(key),))
        if domain.windows_on(key):
            self.spoil()

    return patch.object(Lease, "rest_on_key", rest_on_key)


# -- tags ---------------------------------------------------------------------------------------------------------


@mutant("a_tag_and_a_mutation_of_it", shows="stuck")
def a_hit_does_not_look_at_its_tags() -> AbstractContextManager[Any]:
    return patch.object(_entry.Guard, "is_alive", lambda self: True)


@mutant("a_tag_and_a_mutation_of_it", shows="stuck")
def the_epoch_does_not_move() -> AbstractContextManager[Any]:
    def kill(self: _tags.Tag) -> None:
        now = _tags.epoch.now
        original(self)
        _tags.epoch.now = now

    original = _tags.Tag.kill
    return patch.object(_tags.Tag, "kill", kill)


@mutant("a_tag_and_a_mutation_of_it", shows="stuck")
def a_load_in_progress_does_not_hear_of_its_tags() -> AbstractContextManager[Any]:
    def kill(self: _tags.Tag) -> None:
        self.dead = True
        _tags.epoch.now = object()

    return patch.object(_tags.Tag, "kill", kill)


@mutant("tags_computed_from_the_result", shows="stuck")
def tags_computed_from_the_result_are_not_suspected() -> AbstractContextManager[Any]:
    return patch.object(Lease, "suspect", lambda self, name, namespace: self.detach())


@mutant("tags_computed_from_the_result", shows="stale-commit")
def a_load_whose_tags_are_unknown_is_joined_after_a_tag_has_died() -> AbstractContextManager[Any]:
    return patch.object(Lease, "suspect", lambda self, name, namespace: self.suspects.add(name))


@mutant("tags_computed_from_the_result_and_a_commit_that_lands_late", shows="stuck")
def tags_under_a_lingering_mutation_are_not_suspected() -> AbstractContextManager[Any]:
    def start(self: Lease) -> None:
        original(self)
        self.suspects.clear()

    original = Lease.start
    return patch.object(Lease, "start", start)


@mutant("a_queued_load_of_unknown_tags_after_the_end_of_the_mutation", shows="hang")
def the_end_of_a_mutation_of_a_tag_does_not_begin_what_is_queued() -> AbstractContextManager[Any]:
    def suspect(self: Lease, name: Any, _: Any) -> None:
        self.suspects.add(name)
        self.detach()

    return patch.object(Lease, "suspect", suspect)


@mutant("a_refresh_that_joins_a_queued_load", shows="stuck")
def a_refresh_that_joins_a_queued_load_does_not_replace_what_is_stored() -> AbstractContextManager[Any]:
    def board(self: Loads, key: Any, *args: Any, anew: bool) -> Any:
        queued: Any = {**self.store.flights}.get(asyncio.get_running_loop(), {}).get(key)
        before = None if queued is None else queued.anew
        flight, future = original(self, key, *args, anew=anew)
        if flight is queued:
            flight.anew = before
        return flight, future

    original = Loads._board
    return patch.object(Loads, "_board", board)


@mutant("tags_computed_from_the_result", shows="stale-commit")
def a_load_whose_tags_are_unknown_is_joined_during_a_mutation() -> AbstractContextManager[Any]:
    return patch.object(Domain, "changing", lambda self: [])


@mutant("tags_computed_from_the_result_and_a_mutation_of_the_key", shows="stuck")
def a_detached_load_is_not_found_by_its_key() -> AbstractContextManager[Any]:
    def turn(self: Lease, kind: int) -> bool:
        with patch.object(Lease, "_rest_on", nothing):
            return original(self, kind)

    original = Lease._turn
    return patch.object(Lease, "_turn", turn)


@mutant("a_mutation_of_all_that_agree", shows="stuck")
def entries_do_not_rest_on_their_wildcards() -> AbstractContextManager[Any]:
    return patch.object(_wrapper.Cached, "_wildcards", lambda self, key: ())


# -- set, refresh, clear ------------------------------------------------------------------------------------------


@mutant("a_set_under_an_outer", shows="stuck")
def a_set_does_not_invalidate() -> AbstractContextManager[Any]:
    def assign(self: Store, *args: Any) -> bool:
        with patch.object(Store, "invalidate", nothing):
            return original(self, *args)

    original = Store.assign
    return patch.object(Store, "assign", assign)


@mutant("a_set_by_a_stranger_during_a_mutation", shows="stale-commit")
def a_set_during_a_mutation_is_stored() -> AbstractContextManager[Any]:
    def settle(self: Store, held: Held, own: tuple[Window, ...]) -> bool:
        with patch.object(Domain, "windows_on", lambda self, name: []):
            return original(self, held, own)

    original = Store.settle
    return patch.object(Store, "settle", settle)


@mutant("a_set_inside_a_mutation", shows="stuck")
def a_set_inside_a_mutation_is_stored_though_another_overlapped() -> AbstractContextManager[Any]:
    @contextmanager
    def blind() -> Iterator[None]:
        with patch.object(Window, "contested", property(lambda self: False, nothing)):
            yield

    return blind()


@mutant("a_set_inside_a_mutation_that_is_refused", shows="stuck")
def a_set_inside_a_mutation_that_failed_is_stored() -> AbstractContextManager[Any]:
    def end(self: Window, linger: float, *, succeeded: bool) -> None:
        original(self, linger, succeeded=True)

    original = Window.end
    return patch.object(Window, "end", end)


@mutant("a_value_set_with_a_tag_that_only_another_mutation_covers", shows="stuck")
def a_set_inside_a_mutation_is_stored_though_its_tag_died() -> AbstractContextManager[Any]:
    return patch.object(Window, "may_hold", lambda self, names: self.open and not self.contested)


@mutant("a_value_set_with_a_tag_that_another_does_not_name", shows="stuck")
def a_value_kept_aside_outlives_its_invalidation() -> AbstractContextManager[Any]:
    return patch.object(Held, "_rest_on", nothing)


@mutant("a_set_inside_a_mutation_inside_a_mutation", shows="stuck")
def a_value_kept_aside_is_passed_on_to_the_mutation_around() -> AbstractContextManager[Any]:
    def settle(self: Held) -> bool:
        return self.store.settle(self, tuple(_window.enclosing()))

    return patch.object(Held, "settle", settle)


@mutant("a_queued_load_after_the_end_of_the_mutation", shows="hang")
def the_end_of_a_mutation_does_not_begin_what_is_queued() -> AbstractContextManager[Any]:
    return patch.object(Lease, "predecessor", property(nothing, nothing))


@mutant("an_inner_that_is_refreshed", shows="stuck")
def an_outer_does_not_rest_on_what_it_refreshes() -> AbstractContextManager[Any]:
    return patch.object(_flight.Flight, "hand_up", Lease.hand_up)


@mutant("a_refresh_sees_what_nobody_declared", shows="stuck")
def a_refresh_leaves_what_was_computed_from_the_old_value() -> AbstractContextManager[Any]:
    def finish(self: Store, lease: Any, value: Any, ttl: Any, *, replaces: bool = False) -> None:
        original(self, lease, value, ttl, replaces=False)

    original = Store.finish
    return patch.object(Store, "finish", finish)


@mutant("a_refresh_and_an_older_load", shows="stuck")
def a_refresh_joins_an_older_load() -> AbstractContextManager[Any]:
    def board(self: Loads, *args: Any, anew: bool) -> Any:
        return original(self, *args, anew=False)

    original = Loads._board
    return patch.object(Loads, "_board", board)


@mutant("a_clear_after_the_write", shows="stuck")
def a_clear_leaves_loads_in_progress_alone() -> AbstractContextManager[Any]:
    def invalidate_all(self: Store) -> bool:
        flights, self.flights = self.flights, {}
        try:
            return original(self)
        finally:
            self.flights = flights

    original = Store.invalidate_all
    return patch.object(Store, "invalidate_all", invalidate_all)


# -- flights ------------------------------------------------------------------------------------------------------


@mutant("a_load_dies_with_its_last_reader", shows="innocents")
def a_load_that_nobody_waits_for_goes_on() -> AbstractContextManager[Any]:
    return patch.object(_flight.Flight, "abandon", nothing)


@mutant("any_of_three_readers_is_cancelled", shows="hang")
def a_load_dies_with_any_of_its_readers() -> AbstractContextManager[Any]:
    def leave(self: _flight.Flight, future: Any) -> None:
        original(self, future)
        self.abandon()

    original = _flight.Flight.leave
    return patch.object(_flight.Flight, "leave", leave)


@mutant("a_load_cancelled_from_inside", shows="innocents")
def a_load_cancelled_from_inside_cancels_its_readers() -> AbstractContextManager[Any]:
    def refuse(waiters: Any, error: BaseException) -> None:
        cause = error.__cause__
        original(waiters, cause if isinstance(cause, asyncio.CancelledError) else error)

    original = _flight.refuse
    return patch.object(_flight, "refuse", refuse)


@mutant("two_readers_and_two_mutations", shows="stuck")
def a_load_that_ends_is_removed_by_key() -> AbstractContextManager[Any]:
    def remove(self: Loads, flight: Any) -> None:
        board = self.store.flights.get(flight.loop, {})
        board.pop(flight.key, None)
        if not board:
            self.store.flights.pop(flight.loop, None)

    return patch.object(Loads, "remove", remove)


@mutant("readers_and_a_mutation_on_two_loops", shows="leaks")
def loads_are_shared_across_loops() -> AbstractContextManager[Any]:
    def new_board(self: Loads, loop: asyncio.AbstractEventLoop) -> dict[Any, Any]:
        boards = self.store.flights
        board = boards[loop] = next(iter(boards.values()), {})
        return board

    return patch.object(Loads, "_new_board", new_board)


@mutant("a_batch_and_a_mutation_of_one_of_its_keys", shows="stuck")
def the_keys_of_a_batch_are_not_fenced() -> AbstractContextManager[Any]:
    def start(self: _batch.KeyFlight) -> None:
        self.state = RUNNING
        self.predecessor = None

    @contextmanager
    def broken() -> Iterator[None]:
        with (
            patch.object(_batch.KeyFlight, "start", start, create=True),
            patch.object(_batch.KeyFlight, "dirty", nothing, create=True),
            patch.object(_batch.KeyFlight, "spoil", nothing, create=True),
        ):
            yield

    return broken()


@mutant("a_batch_whose_loader_reads_the_cache", shows="stuck")
def the_keys_of_a_batch_do_not_rest_on_what_its_loader_reads() -> AbstractContextManager[Any]:
    def send(self: _batch.Batch) -> None:
        original(self)
        self.above.clear()

    original = _batch.Batch.send
    return patch.object(_batch.Batch, "send", send)


@contextmanager
def both(*broken: AbstractContextManager[Any]) -> Iterator[None]:
    with broken[0], broken[1]:
        yield


# -- tools --------------------------------------------------------------------------------------------------------


def covering(tags_of: Callable[..., Any]) -> AbstractContextManager[Any]:
    """Write tools that cover other tags: ``tags_of`` gets the names and the audience."""
    return patch.object(_writing, "tags_written", tags_of)


@mutant("a_tool_that_reads_and_one_that_writes", shows="stuck")
def the_window_of_a_tool_ends_before_it_writes() -> AbstractContextManager[Any]:
    @asynccontextmanager
    async def covered(self: _writing.Writing, args: Any, kwargs: Any, call: Any = None) -> AsyncIterator[None]:
        async with original(self, args, kwargs, call):
            pass
        yield

    original = _writing.Writing.covering
    return patch.object(_writing.Writing, "covering", covered)


@mutant("a_tool_that_reads_and_one_that_writes", shows="stale-commit")
def the_window_of_a_tool_begins_when_it_has_written() -> AbstractContextManager[Any]:
    @asynccontextmanager
    async def covered(self: _writing.Writing, args: Any, kwargs: Any, call: Any = None) -> AsyncIterator[None]:
        try:
            yield
        finally:
            async with original(self, args, kwargs, call):
                pass

    original = _writing.Writing.covering
    return patch.object(_writing.Writing, "covering", covered)


@mutant("a_tool_that_reads_and_one_that_writes", shows="stuck")
def a_write_above_leaves_what_lies_below() -> AbstractContextManager[Any]:
    return patch.object(_writing, "names_written", lambda path: ("at|" + ":".join(path),))


@mutant("a_tool_that_writes_one_of_those_that_are_read", shows="stuck")
def a_write_below_leaves_the_lists_above() -> AbstractContextManager[Any]:
    return patch.object(_writing, "names_around", lambda path: ("below|" + ":".join(path),))


@mutant("a_tool_that_writes_one_of_those_that_are_read", shows="stuck")
def a_result_does_not_rest_on_its_call() -> AbstractContextManager[Any]:
    def names_read(path: Any, call: Any) -> tuple[str, ...]:
        return _resources.names_read(path, object())

    return patch.object(_read_call, "names_read", names_read)


@mutant("two_sessions_and_a_write_in_one_of_them", shows="stuck")
def a_write_for_everybody_leaves_the_sessions_out() -> AbstractContextManager[Any]:
    def tags_of(names: Any, audience: _audience.Audience) -> Iterator[str]:
        return _audience.tags_written(names, audience._replace(session="none"))

    return covering(tags_of)


@mutant("two_sessions_and_a_write_in_one_of_them", shows="stuck")
def a_write_leaves_the_partitions_out() -> AbstractContextManager[Any]:
    return covering(
        lambda names, audience: (tag for tag in _audience.tags_written(names, audience) if tag.endswith("undivided"))
    )


@mutant("two_users_of_a_tool_for_everybody_that_reads_what_is_theirs", shows="innocents")
def what_is_private_inside_a_tool_is_not_noticed() -> AbstractContextManager[Any]:
    return patch.object(Call, "tell_outer", nothing)


@mutant("two_users_of_a_tool_for_everybody_that_reads_what_is_theirs", shows="innocents")
def what_is_private_is_given_to_those_who_have_joined() -> AbstractContextManager[Any]:
    """The tool notices, and keeps nothing; but whoever has joined takes what there is."""

    def init(self: Any, maker: object, value: Any, *, reason: str | None = None, **options: Any) -> None:
        original(self, maker, value, **options)

    original = Outcome.__init__
    return both(
        patch.object(Outcome, "__init__", init),
        patch.object(_read_call.ReadCall, "ttl_of", lambda self, outcome: 0.0),
    )


@mutant("a_tool_that_is_both", shows="liveness")
def what_a_tool_reads_beside_its_own_window_is_its_own() -> AbstractContextManager[Any]:
    return patch.object(_writing, "_Beside", lambda window: window)


# -- other processes ----------------------------------------------------------------------------------------------


@mutant("a_read_here_and_a_mutation_there", shows="stuck")
def a_hit_does_not_look_at_the_bus() -> AbstractContextManager[Any]:
    return both(
        patch.object(_entry.SharedGuard, "is_alive", _entry.Guard.is_alive),
        patch.object(_entry.SharedGuard, "renew", lambda self: self.is_alive()),
    )


@mutant("a_read_here_and_a_mutation_there", shows="stale-commit")
def a_load_in_progress_is_joined_whatever_other_processes_change() -> AbstractContextManager[Any]:
    return patch.object(Lease, "hear", nothing)


@mutant("three_levels_over_what_changes_there", shows="stale-commit")
def a_load_hears_nothing_of_what_the_loads_it_waits_for_rest_on() -> AbstractContextManager[Any]:
    def hear(self: Lease) -> None:
        below, self.below = self.below, set()
        original(self)
        self.below = below

    original = Lease.hear
    return patch.object(Lease, "hear", hear)


@mutant("a_mutation_there_that_dies_after_its_commit", shows="stuck")
def a_load_does_not_ask_for_mutations_of_other_processes() -> AbstractContextManager[Any]:
    return patch.object(Process, "is_changing", lambda self, slots: False)


@mutant("a_mutation_there_that_dies_after_its_commit", shows="stuck")
def a_mutation_covers_nothing_in_other_processes() -> AbstractContextManager[Any]:
    return patch.object(_window, "slots_by_bus", lambda targets: [])


@mutant("a_read_here_and_a_mutation_there", shows="stale-commit")
def other_processes_are_not_told() -> AbstractContextManager[Any]:
    return patch.object(Share, "announce", nothing)


@mutant("a_commit_there_that_lands_after_its_error", shows="stuck")
def an_ambiguous_end_does_not_linger_in_other_processes() -> AbstractContextManager[Any]:
    def uncover(self: Window, linger: float) -> None:
        original(self, 0.0)

    original = Window._uncover_elsewhere
    return patch.object(Window, "_uncover_elsewhere", uncover)


@mutant("a_set_inside_a_mutation_and_a_mutation_there", shows="stuck")
def a_value_set_in_a_mutation_is_kept_whatever_other_processes_change() -> AbstractContextManager[Any]:
    def may_hold(self: Window, names: Any) -> bool:
        return self.open and not self.contested

    return patch.object(Window, "may_hold", may_hold)


@mutant("a_tag_computed_from_the_result_changes_there", shows="stuck")
def tags_computed_from_the_result_are_not_compared_with_the_mark() -> AbstractContextManager[Any]:
    return patch.object(Lease, "_is_unchanged", lambda self, namespace, name: True)


@mutant("a_computed_tag_changes_there_by_a_mutation_that_dies", shows="stuck")
def tags_computed_from_the_result_may_be_changing_elsewhere_when_the_load_begins() -> AbstractContextManager[Any]:
    original = Share.is_changing
    return patch.object(Share, "is_changing", lambda self, name: name is not _key.ANY and original(self, name))


@mutant("a_wildcard_that_only_the_other_process_knows", shows="stuck")
def wildcards_of_other_processes_are_unknown() -> AbstractContextManager[Any]:
    return patch.object(Share, "lacks_wildcards", lambda self: False)


@mutant("everything_changes_there", shows="stuck")
def an_entry_does_not_rest_on_everything_in_its_cache() -> AbstractContextManager[Any]:
    return patch.object(Keyspace, "grounds", lambda self, key: [self.tag(key)] if self.is_watched else [])


@mutant("a_set_there_after_the_write", shows="stuck")
def a_set_does_not_look_at_the_bus() -> AbstractContextManager[Any]:
    return patch.object(Store, "grounds", lambda self, key: [])
