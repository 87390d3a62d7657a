"""Anything that users can do, in any order, against a model that knows only the truth and who is changing it."""

from __future__ import annotations

from collections.abc import Coroutine
from contextvars import Context
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import cache as door
from cache.testing import assert_quiet, assert_sound
from tests.spec.world import KEYS, TAGS, TTL, LoadFailedError, Mutation, Reader, World, keys_of, tag_of

a_key = st.sampled_from(KEYS)
something = st.one_of(a_key, st.sampled_from(TAGS), st.just("everything"))
#: Chooses one of what there is at the moment.
a_choice = st.integers(min_value=0, max_value=5)


class Caches(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.readers: list[Reader] = []
        self.mutations: list[Mutation] = []
        #: By key: the load of a user in progress, or queued, that whoever asks now must share.
        self.shared: dict[int, object] = {}

    # -- what the model knows --------------------------------------------------------------------------------------

    def covered(self) -> set[int]:
        """The keys that somebody is changing, or may be."""
        now = self.world.clock()
        return {key for m in self.mutations if m.until is None or m.until > now for key in m.keys}

    def innermost(self) -> list[Mutation]:
        """The open mutations inside of whose bodies there is no other."""
        around = {id(m.outer) for m in self.mutations if m.open}
        return [m for m in self.mutations if m.open and id(m) not in around]

    def changed(self, *keys: int) -> None:
        for key in keys:
            self.shared.pop(key, None)

    # -- readers ---------------------------------------------------------------------------------------------------

    def start(self, call: Coroutine[Any, Any, Any], key: int, body: Mutation | None = None) -> Reader:
        context = Context() if body is None else body.context.copy()
        task = self.world.loop.create_task(call, context=context)
        reader = Reader(task, key, dict(self.world.versions), in_body=body is not None)
        self.readers.append(reader)
        self.world.go_on()
        return reader

    def go_on(self) -> None:
        world = self.world
        evictions = world.users.get_metrics()["evictions"]
        world.go_on()
        done = [reader for reader in self.readers if reader.task.done()]
        self.readers = [reader for reader in self.readers if not reader.task.done()]
        for reader in done:
            reader.check(world.versions)
            has_value = not reader.task.cancelled() and reader.task.exception() is None
            if has_value and reader.shares is not None and reader.shares is self.shared.get(reader.key):
                evicted = world.users.get_metrics()["evictions"] > evictions
                assert reader.key in world.users or evicted, "nothing came between, and it was not stored"
        for reader in done:
            if reader.shares is self.shared.get(reader.key):
                self.changed(reader.key)

    @initialize(full=st.booleans())
    def begin(self, full: bool) -> None:
        for key in KEYS if full else ():
            self.read_total(key, anew=False)
            self.let_all_loads_go_on()

    @rule(key=a_key, batched=st.booleans())
    def read_user(self, key: int, batched: bool) -> None:
        world = self.world
        was_stored, loads = key in world.users, world.loads
        reader = self.start(world.batched_user(key) if batched else world.user(key), key)
        assert reader.task.done() == was_stored, "what is stored is served at once, and nothing else"
        if was_stored or key in self.shared:
            assert world.loads == loads, "no other load is needed"
        if not was_stored and key not in self.covered():
            reader.shares = self.shared.setdefault(key, object())
        self.go_on()

    @rule(key=a_key, anew=st.booleans())
    def read_page(self, key: int, anew: bool) -> None:
        page = self.world.page
        self.start(page.refresh(key) if anew else page(key), key)
        self.go_on()

    @rule(key=a_key, anew=st.booleans())
    def read_total(self, key: int, anew: bool) -> None:
        total = self.world.total
        self.start(total.refresh(key) if anew else total(key), key)
        self.go_on()

    @precondition(lambda self: self.innermost())
    @rule(key=a_key, choice=a_choice, what=st.sampled_from(["user", "batched_user", "page", "total"]))
    def read_in_a_body(self, key: int, choice: int, what: str) -> None:
        bodies = self.innermost()
        body = bodies[choice % len(bodies)]
        call: Coroutine[Any, Any, Any] = body.context.copy().run(getattr(self.world, what), key)
        self.start(call, key, body)
        self.go_on()

    @precondition(lambda self: self.world.waiting())
    @rule(choice=a_choice)
    def let_a_load_go_on(self, choice: int) -> None:
        waiting = self.world.waiting()
        waiting[choice % len(waiting)].set_result(None)
        self.go_on()

    @rule()
    def let_all_loads_go_on(self) -> None:
        while waiting := self.world.waiting():
            waiting[0].set_result(None)
            self.go_on()

    @precondition(lambda self: self.world.waiting())
    @rule(choice=a_choice)
    def fail_a_load(self, choice: int) -> None:
        waiting = self.world.waiting()
        waiting[choice % len(waiting)].set_exception(LoadFailedError())
        self.go_on()

    @precondition(lambda self: self.readers)
    @rule(choice=a_choice)
    def cancel_a_reader(self, choice: int) -> None:
        reader = self.readers[choice % len(self.readers)]
        reader.task.cancel()
        reader.may_be_cancelled = True
        self.changed(*KEYS)
        self.go_on()

    # -- mutations -------------------------------------------------------------------------------------------------

    @rule(what=something, linger=st.sampled_from([None, 2.0]), choice=a_choice)
    def begin_a_mutation(self, what: int | str, linger: float | None, choice: int) -> None:
        outers = [None, *self.innermost()]
        mutation = self.world.mutate(what, linger, outers[choice % len(outers)])
        self.mutations.append(mutation)
        self.changed(*mutation.keys)
        self.go_on()

    @precondition(lambda self: any(not m.committed for m in self.innermost()))
    @rule(choice=a_choice)
    def write_in_a_mutation(self, choice: int) -> None:
        mutations = [m for m in self.innermost() if not m.committed]
        mutations[choice % len(mutations)].pending = True

    @precondition(lambda self: any(not m.committed for m in self.innermost()))
    @rule(choice=a_choice)
    def commit_in_a_mutation(self, choice: int) -> None:
        mutations = [m for m in self.innermost() if not m.committed]
        mutations[choice % len(mutations)].commit(self.world)

    @precondition(lambda self: self.innermost())
    @rule(key=a_key, choice=a_choice, own=st.booleans())
    def set_in_a_body(self, key: int, choice: int, own: bool) -> None:
        """Set what will be the truth when all around it have committed."""
        bodies = self.innermost()
        body = bodies[choice % len(bodies)]
        key = body.keys[choice % len(body.keys)] if own else key
        to_come = [owner for owner in body.owners_of(key) if not owner.committed]
        for owner in to_come:
            owner.promised = True
        self.set_user(key, self.world.versions[key] + len(to_come), body.context.copy())

    @precondition(lambda self: self.innermost())
    @rule(choice=a_choice, kind=st.sampled_from([None, LookupError, TimeoutError]))
    def end_a_mutation(self, choice: int, kind: type[Exception] | None) -> None:
        mutations = self.innermost()
        mutation = mutations[choice % len(mutations)]
        if mutation.promised and not mutation.committed and kind is None:
            mutation.commit(self.world)
        by_default = 1.0 if kind is TimeoutError else 0.0
        linger = by_default if mutation.linger is None else mutation.linger
        mutation.leave(None if kind is None else kind(), linger, self.world.clock())
        self.changed(*mutation.keys)
        self.go_on()

    # -- invalidations ---------------------------------------------------------------------------------------------

    def set_user(self, key: int, value: int, context: Context) -> None:
        stored = context.run(self.world.users.set, key, value, tags=(tag_of(key),))
        assert bool(stored) == (key not in self.covered())
        self.changed(key)
        self.go_on()

    @rule(key=a_key)
    def set_outside(self, key: int) -> None:
        self.set_user(key, self.world.versions[key], Context())

    @rule(what=something, by_the_module=st.booleans())
    def write_and_invalidate(self, what: int | str, by_the_module: bool) -> None:
        """A write that is not declared, but followed by what is: for those who ask from then on."""
        world = self.world
        keys = keys_of(what)
        world.write(*keys)
        if isinstance(what, int):
            was_stored = what in world.users
            assert bool(world.users.delete(what)) == was_stored
            world.page.invalidate_cache(what)
        elif what in TAGS and by_the_module:
            door.invalidate(what, namespace=world.namespace)
        elif what in TAGS:
            world.users.invalidate(what)
        else:
            world.users.clear()
            world.page.clear_cache()
            world.calls = world.loads = 0
        self.changed(*keys)
        self.go_on()

    @rule()
    def close(self) -> None:
        for reader in self.readers:
            reader.may_be_closed = True
        self.changed(*KEYS)
        self.world.loop.run_until_complete(self.world.users.aclose())
        self.go_on()

    @rule(seconds=st.sampled_from([1.0, 4.0, TTL]))
    def let_time_pass(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        if seconds == TTL:
            assert not self.world.stored(), "what was stored has expired, and what was computed from it"

    # -- what is always true ---------------------------------------------------------------------------------------

    @invariant()
    def what_is_stored_is_the_truth(self) -> None:
        for cache, key, value, _, truth in self.world.stored():
            assert value == truth, f"{cache.name}[{key!r}]"

    @invariant()
    def what_is_being_changed_is_not_stored(self) -> None:
        covered = self.covered()
        for cache, key, _, parts, _ in self.world.stored():
            assert covered.isdisjoint(parts), f"{cache.name}[{key!r}]"

    @invariant()
    def the_metrics_add_up(self) -> None:
        world, metrics = self.world, self.world.users.get_metrics()
        assert metrics["hits"] + metrics["misses"] == world.calls
        assert metrics["loads"] == world.loads
        assert metrics["size"] == len(world.users) <= 2
        assert min(metrics.values()) >= 0

    @invariant()
    def the_structure_is_sound(self) -> None:
        assert_sound(*self.world.caches)

    def teardown(self) -> None:
        try:
            self.end_everything()
        finally:
            self.world.loop.close()
        assert not self.world.unhandled

    def end_everything(self) -> None:
        world = self.world
        while self.innermost():
            self.end_a_mutation(0, None)
        world.clock.advance(TTL)
        self.let_all_loads_go_on()
        assert not self.readers, "nobody waits for ever"
        assert_quiet(*world.caches)


def test_whatever_users_do_in_whatever_order(deep: bool) -> None:
    examples = 5_000 if deep else 200
    run_state_machine_as_test(Caches, settings=settings(max_examples=examples, stateful_step_count=40))
