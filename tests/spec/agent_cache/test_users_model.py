"""Whatever users, sessions, forks and writes do at once: each gets what they themselves could have loaded.

A model says whom each write reaches, and so what each result may be: it is of the one who asked, and at least as new
as what was committed when they asked.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession
from cache.testing import assert_quiet
from tests.spec.steering import settle

#: Whose a result is: what kind of tool has made it, in which session, for which user.
Owner: TypeAlias = tuple[str, str | None, Any]

#: Two of them are written alike.
USERS = (7, "7", 8)
SESSIONS = ("a", "a/fork", "b", None)
CARTS = (1, 2)
INNER = ("everybody", "session", "user", "user in session")
OUTER = (*INNER, "twice")

me: ContextVar[Any] = ContextVar("me")
where: ContextVar[str | None] = ContextVar("where")


@dataclass
class World:
    """The truth, and the pauses at which calls wait."""

    versions: Counter[tuple[Owner, int]] = field(default_factory=Counter)
    pauses: list[asyncio.Future[None]] = field(default_factory=list)

    async def pause(self) -> None:
        pause = asyncio.get_running_loop().create_future()
        self.pauses.append(pause)
        await pause

    def go(self, which: int) -> None:
        """Let one of those who wait go on."""
        waiting = [pause for pause in self.pauses if not pause.done()]
        self.pauses = waiting
        if waiting:
            waiting[which % len(waiting)].set_result(None)


def owner(kind: str) -> Owner:
    """Whose the result of a tool is that is called here and now."""
    session = where.get() if kind in ("session", "user in session") else None
    return (kind, session, me.get() if kind.startswith("user") else None)


def reaches(scope: str, varies: bool, of: Owner) -> bool:
    """Whether a write that is made here and now reaches results of ``of``."""
    kind, session, user = of
    other_session = kind in ("session", "user in session") and scope == "session" and session != where.get()
    other_user = kind.startswith("user") and varies and (user, type(user)) != (me.get(), type(me.get()))
    return not other_session and not other_user


class Tools:
    """Read tools of each kind, tools that are made of them, and write tools of each kind."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.inner = {kind: self._inner(kind) for kind in INNER}
        self.outer = {kind: self._outer(kind) for kind in INNER}
        self.outer["twice"] = self._twice()
        self.writes = {
            (scope, varies, whole): self._write(scope, varies, whole)
            for scope in ("global", "session")
            for varies in (False, True)
            for whole in (False, True)
        }

    def _options(self, kind: str) -> dict[str, Any]:
        return {
            "scope": "session" if kind in ("session", "user in session") else "global",
            "vary": me.get if kind.startswith("user") else None,
        }

    def _inner(self, kind: str) -> Any:
        @AgentCache("cart:{cart}", **self._options(kind))
        async def read(cart: int) -> Any:
            await self.world.pause()
            result = (owner(kind), cart, self.world.versions[owner(kind), cart])
            await self.world.pause()
            return [result]

        return read

    def _outer(self, kind: str) -> Any:
        @AgentCache("summary", **self._options(kind))
        async def summarise(cart: int, parts: tuple[str, ...]) -> Any:
            return [result for part in parts for result in await self.inner[part](cart)]

        return summarise

    def _twice(self) -> Any:
        @AgentCache("digest")
        async def digest(cart: int, parts: tuple[str, ...]) -> Any:
            results = await self.outer["everybody"](cart, parts)
            await self.world.pause()
            return results

        return digest

    def _write(self, scope: Any, varies: bool, whole: bool) -> Any:
        @AgentCacheInvalidator(
            "cart" if whole else "cart:{cart}", scope=scope, vary=me.get if varies else None, linger=0
        )
        async def write(cart: int) -> None:
            await self.world.pause()
            for of in _owners():
                for each in CARTS if whole else (cart,):
                    self.world.versions[of, each] += reaches(scope, varies, of)
            await self.world.pause()

        return write


def _owners() -> list[Owner]:
    sessions = ("a", "b", None)
    return [
        ("everybody", None, None),
        *[("session", session, None) for session in sessions],
        *[("user", None, user) for user in USERS],
        *[("user in session", session, user) for session in sessions for user in USERS],
    ]


Step: TypeAlias = tuple[Any, ...]

people = st.tuples(st.sampled_from(SESSIONS), st.sampled_from(USERS))
steps = st.one_of(
    st.tuples(
        st.just("read"), people, st.sampled_from(CARTS), st.sampled_from(OUTER),
        st.lists(st.sampled_from(INNER), min_size=1, max_size=2, unique=True).map(tuple),
    ),
    st.tuples(st.just("read"), people, st.sampled_from(CARTS), st.just(None), st.tuples(st.sampled_from(INNER))),
    st.tuples(
        st.just("write"), people, st.sampled_from(CARTS), st.sampled_from(("global", "session")),
        st.booleans(), st.booleans(),
    ),
    st.tuples(st.just("go"), st.integers(0, 5)),
    st.tuples(st.just("go"), st.integers(0, 5)),
    st.tuples(st.just("go all")),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
)  # fmt: skip


class Play:
    """One example."""

    def __init__(self) -> None:
        self.world = World()
        self.tools = Tools(self.world)
        self.tasks: list[asyncio.Task[None]] = []
        self.contexts: dict[str | None, Context] = {}

    async def run(self, steps: list[Step]) -> None:
        async with AsyncExitStack() as stack:
            await self._enter(stack)
            for step in steps:
                self._do(*step)
                await settle()
            await self._finish()
            for session in SESSIONS:  # all is quiet: what anybody reads now is the truth
                for user in USERS:
                    for kind in OUTER:
                        self._do("read", (session, user), 1, kind, INNER)
                    await self._finish()
        await settle()
        assert_quiet()

    async def _enter(self, stack: AsyncExitStack) -> None:
        self.contexts[None] = copy_context()
        a = await stack.enter_async_context(AgentCacheSession("a"))
        self.contexts["a"] = copy_context()
        async with AsyncExitStack() as inner:
            await inner.enter_async_context(a.fork("fork"))
            self.contexts["a/fork"] = copy_context()
            stack.push_async_exit(inner.pop_all())
        # The other one is entered beside them, not in them.
        b = AgentCacheSession("b")
        context = self.contexts["b"] = self.contexts[None].copy()
        context.run(b.__enter__)
        stack.callback(context.run, b.__exit__, None, None, None)

    async def _finish(self) -> None:
        while not all(task.done() for task in self.tasks):
            self._do("go all")
            await settle()
        for task in self.tasks:
            if not task.cancelled():
                task.result()

    def _do(self, what: str, *args: Any) -> None:
        match what, args:
            case "go", (which,):
                self.world.go(which)
            case "go all", ():
                for _ in range(len(self.world.pauses)):
                    self.world.go(0)
            case "cancel", (which,):
                running = [task for task in self.tasks if not task.done()]
                if running:
                    running[which % len(running)].cancel()
            case "read", (person, cart, kind, parts):
                self._start(person, self._read(cart, kind, parts))
            case "write", (person, cart, scope, varies, whole):
                self._start(person, self.tools.writes[scope, varies, whole](cart))

    def _start(self, person: tuple[str | None, Any], call: Any) -> None:
        session, user = person
        context = self.contexts[session].copy()
        context.run(where.set, None if session is None else session[0])
        context.run(me.set, user)
        self.tasks.append(asyncio.get_running_loop().create_task(call, context=context))

    async def _read(self, cart: int, kind: str | None, parts: tuple[str, ...]) -> None:
        least = {owner(part): self.world.versions[owner(part), cart] for part in parts}
        results = await (self.tools.inner[parts[0]](cart) if kind is None else self.tools.outer[kind](cart, parts))
        assert [(of, of_cart) for of, of_cart, _ in results] == [(owner(part), cart) for part in parts]
        assert [type(of[2]) for of, _, _ in results] == [type(owner(part)[2]) for part in parts]
        for of, _, version in results:
            assert version >= least[of], f"{of}: {version} where {least[of]} was committed"
            assert version <= self.world.versions[of, cart]
        results.append("changed by who got it")


@settings(max_examples=60)
@given(st.lists(steps, max_size=25))
def test_everybody_gets_what_they_could_have_loaded(steps: list[Step]) -> None:
    asyncio.run(Play().run(steps))
