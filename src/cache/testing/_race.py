"""The scenario's view of a run: sources, actors, and what must hold when all is quiet."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from ._actor import Actor, Cancel, Reader, Start, observe
from ._source import Source
from ._stage import is_plain_function
from ._table import Table

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from ._actor import AsyncFunction, Of, Role
    from ._clock import FakeClock
    from ._stage import Stage

Errors = tuple[type[BaseException], ...]


class Race:
    """What a scenario is given to say who races whom.

    A scenario is a plain function that builds everything anew, the functions under test included, and
    declares the actors; nothing runs before it returns. It is called once for each schedule and must do the
    same each time: no real time, no threads, no randomness of its own, no state kept between calls.

    `loop=` names the event loop of an actor. Loops of different names run as if in threads of their own.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @property
    def clock(self) -> FakeClock:
        """The time of all loops of this race; give it to the caches under test."""
        return self._stage.clock

    def loop(self, name: str = "main") -> asyncio.AbstractEventLoop:
        """Return the event loop of this name, for instance to set a task factory."""
        return self._stage.loop(name)

    def source(self, name: str) -> Source:
        """Return a new source of truth. Raises ValueError if the name is taken."""
        if name in self._stage.tables:
            raise ValueError(f"there is a source {name!r} already: give each source a name of its own")
        table = self._stage.tables[name] = Table(name, self._stage)
        return Source(table, self._stage)

    def read(
        self,
        fn: AsyncFunction,
        *args: Any,
        of: Of = None,
        hits: bool = True,
        name: str | None = None,
        loop: str = "main",
        cancel: bool = False,
        expect: Errors = (),
    ) -> None:
        """Declare an actor that awaits `fn(*args)` once and whose result is judged.

        The result is judged by the `Row`s in it, also inside lists, tuples, sets and mappings. Where there
        are none, `of=(source, key)` says of which row a plain version number is, and `of=function` maps a
        result to rows. When all is quiet the same read must be fresh, and with `hits` a second one must not
        load again.
        """
        self._declare("reader", fn, args, name=name, loop=loop, expect=expect, of=of, cancel=cancel)
        reader = Reader(fn, args, of, self._stage.loop(loop), expect, hits)
        if reader not in self._stage.readers:
            self._stage.readers.append(reader)

    def mutate(
        self,
        fn: AsyncFunction,
        *args: Any,
        name: str | None = None,
        loop: str = "main",
        cancel: bool = False,
        expect: Errors = (),
    ) -> None:
        """Declare an actor that awaits `fn(*args)` once; reads that begin after what it commits must see it.

        With `cancel` the actor may be cancelled at any moment, once. `expect` are the errors it may end with.
        """
        self._declare("mutation", fn, args, name=name, loop=loop, expect=expect, cancel=cancel)

    def actor(
        self,
        fn: AsyncFunction,
        *args: Any,
        name: str | None = None,
        loop: str = "main",
        cancel: bool = False,
        expect: Errors = (),
    ) -> None:
        """Declare an actor that awaits `fn(*args)` once, and whose commits nobody declares.

        Reads may miss what it commits, until all is quiet.
        """
        self._declare("actor", fn, args, name=name, loop=loop, expect=expect, cancel=cancel)

    def call(self, fn: Callable[..., object], *args: Any, name: str | None = None, expect: Errors = ()) -> None:
        """Declare a call of a plain function at one go, as from a thread that has no event loop.

        What it commits by `Source.write_now` is promised as that of a mutation is.
        """
        self._declare("call", fn, args, name=name, loop=None, expect=expect)

    def checkpoint(self, name: str) -> Awaitable[None]:
        """Return an awaitable that waits until the schedule lets it go on: others may come in here."""
        return self._stage.gate("checkpoint {}", name)

    async def observe(self, fn: AsyncFunction, *args: Any, of: Of = None) -> Any:
        """Await `fn(*args)`, return its result, and have it judged as a read. For use inside an actor."""
        return await observe(self._stage, fn, args, of)

    def at_quiet(self, check: Callable[[], object], *, kind: Literal["check", "leaks"] = "check") -> None:
        """Have `check()` called when all is quiet, before the last reads.

        It reports a violation of that kind by raising AssertionError.
        """
        if not is_plain_function(check):
            raise TypeError(f"check={check!r} is no plain function: at quiet nothing may be awaited")
        self._stage.checks.append((kind, check))

    def _declare(
        self,
        role: Role,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        name: str | None,
        loop: str | None,
        expect: Errors,
        of: Of = None,
        cancel: bool = False,
    ) -> None:
        stage = self._stage
        if not callable(fn):
            raise TypeError(f"the {role} {fn!r} cannot be called: give a function, then its arguments")
        taken = {actor.name for actor in stage.actors}
        if name is None:
            name = next(free for n in count(1) if (free := f"{role}-{n}") not in taken)
        elif name in taken:
            raise ValueError(f"there is an actor {name!r} already: give each a name of its own, or none")
        actor = Actor(stage, role, name, None if loop is None else stage.loop(loop), fn, args, expect, of)
        stage.actors.append(actor)
        stage.pending.append(Start(actor))
        if cancel:
            stage.cancellations.append(Cancel(actor))
