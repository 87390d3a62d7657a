"""Flight: one shared load in progress, with those who wait for it.

The load runs in a task of its own, in the context of the caller who began it, so that cancelling any caller touches
nobody else; it is cancelled when the last of them has left. Every caller waits on a future of its own. A flight
belongs to one event loop, and callers on another loop load for themselves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable
from contextvars import Context, copy_context
from inspect import isawaitable
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from cache._arguments import shown
from cache._eager import start_task
from cache._entry import Failure
from cache._lease import DONE, QUEUED, RUNNING, Lease, frame
from cache._recipe import NO_ARGUMENTS, Recipe
from cache._step import step
from cache._tier import Moment
from cache.errors import LoadCancelled

if TYPE_CHECKING:
    from cache._backing import Backing
    from cache._loads import Loads

logger = logging.getLogger("cache")


_SPENT = Recipe(lambda: None, lambda _: None)
_NOWHERE = Context()


class Flight(Lease):
    """A lease with the task that loads and the futures of those who wait."""

    __slots__ = ("anew", "arguments", "context", "has_begun", "loads", "loop", "moment", "recipe", "task", "waiters")

    def __init__(
        self, loads: Loads, key: Hashable, recipe: Recipe, loop: asyncio.AbstractEventLoop, anew: bool = False
    ) -> None:
        Lease.__init__(self, loads.store, key, recipe.names, recipe.undecided_in, loads.track)
        self.loads = loads
        self.recipe = recipe
        self.arguments = NO_ARGUMENTS
        self.loop = loop
        self.anew = anew
        self.context = copy_context()
        self.task: asyncio.Task[None] | None = None
        self.has_begun = False
        #: From when what the loader returns may be kept in the tier behind the cache.
        self.moment: Moment | None = None
        self.waiters: dict[asyncio.Future[Any], None] = {}

    # -- waiting (inside a step) -------------------------------------------------------------------------------

    def admit(self, reader: Lease | None) -> asyncio.Future[Any]:
        """A place among those who wait; ``reader`` is the load on whose behalf."""
        future = self.loop.create_future()
        self.waiters[future] = None
        if reader is not None:
            self.above[future] = reader
            reader.below.add(self)
        return future

    def leave(self, future: asyncio.Future[Any]) -> None:
        """A caller waits no longer. With the last one the load dies."""
        if self.state == DONE:
            return
        del self.waiters[future]
        self.above.pop(future, None)
        if not self.waiters:
            self.abandon()

    def abandon(self) -> None:
        """Nobody wants the result: forget the load, and cancel it when the step is over."""
        self.give_up()

    def give_up(self) -> dict[asyncio.Future[Any], None]:
        """The cache is closing: abandon the load in spite of those who wait, and return them."""
        if self.state == DONE:
            return {}
        waiters = self._conclude()
        step.launches.append(self)
        return waiters

    def resume(self) -> None:
        """As `Lease.resume`; what goes wrong belongs to those who wait, and not to whoever ended the wait."""
        try:
            super().resume()
        except BaseException as error:  # noqa: BLE001 - a clock, a key's __eq__, a stack that is full
            waiters = self.give_up()
            if not self.loop.is_closed():
                self.loop.call_soon_threadsafe(refuse, waiters, error)

    def hand_up(self, exp: float) -> None:
        """As `Lease.hand_up`; those who have asked anew rest on the key from now on, for what was there has gone."""
        if self.anew and self.tracked:
            for above in set(self.above.values()):
                above.rest_on_key(self.keyspace, self.key)
        Lease.hand_up(self, exp)

    def begin(self) -> None:
        """As `Lease.begin`; but while nobody knows what other machines change, that is to be heard first.

        What was loaded before could not be stored. As nothing is read meanwhile, it is queued for so long.
        """
        if self.loads.can_begin():
            Lease.begin(self)
        else:
            self.predecessor = None
            step.launches.append(self)

    def set_out(self) -> None:
        """Start, unless that was done when it began."""
        try:
            with step:
                if self.state == QUEUED:
                    self.start()
        except Exception as error:  # noqa: BLE001 - a clock, a key's __eq__: it belongs to those who wait
            self.fail(error)

    def start(self) -> None:
        self.loads.store.loads += 1
        Lease.start(self)

    def _conclude(self) -> dict[asyncio.Future[Any], None]:
        self.loads.remove(self)
        self.close()
        if self.moment is not None and self.loads.backing is not None:  # nothing will be written
            self.loads.backing.give_back(self)
        # The task lives a turn of the loop longer; the arguments and the context of the call need not.
        self.recipe, self.arguments, self.context = _SPENT, NO_ARGUMENTS, _NOWHERE
        waiters, self.waiters = self.waiters, {}
        return waiters

    # -- flying (outside any step) -----------------------------------------------------------------------------

    def launch(self) -> None:
        """Start the load, or cancel one that was abandoned, on its own loop."""
        if asyncio._get_running_loop() is self.loop:
            self._go()
        elif not self.loop.is_closed():
            try:
                self.loop.call_soon_threadsafe(self._go)
            except RuntimeError:  # closed meanwhile: nobody waits there any more
                step.run(self.abandon)

    def _go(self) -> None:
        if self.state == DONE:
            if self.task is not None:
                self.task.cancel()
        else:
            self.take_off()

    def take_off(self) -> None:
        """Begin to load."""
        coroutine = self._run()
        self.loads.flying.add(self)
        try:
            task = start_task(coroutine, self.loop, self.context, self.loads.task_name)
        except Exception as error:  # noqa: BLE001 - a foreign task factory has refused: those who wait must hear of it
            coroutine.close()
            self.loads.flying.discard(self)
            self.fail(error)
            return
        if task.done():
            # The stack may have been too full to say what went wrong: the loop calls from the bottom of it.
            if self.state != DONE:
                self.loop.call_soon(self._ended, task)
            return
        self.task = task
        if not self.has_begun:  # whoever cancels it before its first step must not leave its waiters waiting
            task.add_done_callback(self._ended)
        if self.state == DONE:
            task.cancel()

    async def _run(self) -> None:  # noqa: C901 - one branch for each way in which a load can end
        try:
            self.has_begun = True
            if self.task is not None:
                self.task.remove_done_callback(self._ended)
            frame.set(self)
            if self.loads.backing is not None:
                await self.fetch(self.loads.backing)
                if self.state == DONE:
                    return
            recipe = self.recipe
            args, kwargs = self.arguments
            value = recipe.load(*args, **kwargs)
            if type(value) is CoroutineType or isawaitable(value):
                value = await value
            self.land(value, *recipe.judge(value))
        except asyncio.CancelledError as error:
            self.fail(error)
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
        except GeneratorExit as error:
            if asyncio._get_running_loop() is not self.loop:  # it was thrown away, with the load in it
                step.run(self.abandon)
                raise
            self.fail(error)
        except (KeyboardInterrupt, SystemExit) as error:
            self.fail(error)
            task = asyncio.current_task()
            if task is not None:  # which keeps the interrupt too, and would report that nobody has asked for it
                task.add_done_callback(asyncio.Task.exception)
            raise
        except BaseException as error:  # noqa: BLE001 - the loader's own: it belongs to those who wait
            self.fail(error)
        finally:
            self.loads.flying.discard(self)
            self.task = None

    async def fetch(self, backing: Backing) -> None:
        """Ask the tier first; if it has the value, the load has ended."""
        if not backing.can_hear():
            await backing.tier.moment()  # which waits for a server that is being connected to
        self.set_out()
        if self.state != DONE:
            await self.ask(backing)

    async def ask(self, backing: Backing) -> None:
        await backing.fetch((self,))

    def land_kept(self, value: Any, ttl: float | None) -> None:
        """The load has a result from the tier, where it need not go again, with all that it rests on."""
        self.moment = None
        self.land(value, ttl)

    def land(self, value: Any, ttl: float | None, tags: tuple[str, ...] = ()) -> None:
        """The load has a result."""
        waiters: dict[asyncio.Future[Any], None] = {}
        backing, kept, replaced, exp = self.loads.backing, None, False, None
        try:
            with step:
                if self.state == DONE:
                    return
                if tags:
                    self.decide(tags)
                exp = self.loads.store.finish(self, value, ttl, replaces=self.anew)
                replaced = self.anew  # also if it is not kept here: what is there is older
                if backing is not None and exp is not None:
                    kept = backing.note(self, exp)
                waiters = self._conclude()
        finally:  # the end of the step begins other loads, and may raise what that raises
            for future in waiters:
                if not future.done():
                    future.set_result(value)
        if backing is None:
            return
        if kept is not None:
            backing.keep(kept, value)  # before anybody who has waited can change it
        elif replaced:
            backing.replaced(self.key, is_kept=exp is not None)

    def fail(self, error: BaseException) -> None:
        """The load has failed: every waiter gets the very error, but for two that no future can pass on."""
        if isinstance(error, asyncio.CancelledError):
            error = caused(LoadCancelled(f"the load of {self.title} was cancelled from inside"), error)
        elif isinstance(error, StopIteration):
            error = caused(RuntimeError(f"the load of {self.title} raised StopIteration"), error)
        waiters: dict[asyncio.Future[Any], None] = {}
        trouble: Exception | None = None
        replaced = False
        try:
            with step:
                if self.state == DONE:
                    return
                self.loads.store.load_errors += 1
                # An error has no result to compute its tags from, and one from before the start rests on none: no
                # invalidation would reach it.
                rests = self.state == RUNNING and self.undecided_in is None
                ttl = self.loads.ttl_of_error(error) if rests else None
                try:
                    if ttl is None:
                        self.hand_up(self.deadline)
                    else:
                        self.loads.store.finish(self, Failure(error), ttl, replaces=self.anew)
                        replaced = self.anew
                except Exception as raised:  # noqa: BLE001 - a clock, a key's __eq__: logged below, outside of the step
                    trouble = raised
                finally:
                    waiters = self._conclude()
        finally:
            refuse(waiters, error)
        if replaced and self.loads.backing is not None:
            self.loads.backing.replaced(self.key, is_kept=True)
        if trouble is not None:
            logger.error("The error of the load of %s could not be kept", self.title, exc_info=trouble)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.loads.flying.discard(self)
        self.task = None
        error = None if task.cancelled() else task.exception()
        self.fail(error or LoadCancelled(f"the load of {self.title} was cancelled before it began"))

    @property
    def title(self) -> str:
        """How messages name what is loaded."""
        return f"{self.keyspace.name}[{shown(self.key)}]"


def caused(error: BaseException, cause: BaseException) -> BaseException:
    """``error``, which came from ``cause``."""
    error.__cause__ = cause
    return error


def refuse(waiters: dict[asyncio.Future[Any], None], error: BaseException) -> None:
    """Give ``error`` to those who wait."""
    for future in waiters:
        if not future.done():
            future.set_exception(error)
            future.exception()  # a waiter that is cancelled in this turn of the loop will not look
