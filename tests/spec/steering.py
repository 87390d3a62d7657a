"""What the tests steer with: loads that end when they are told to, timers that wait for a word, a quiet end."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Mapping
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any, TypeVar

import pytest

from cache import AsyncCache
from cache.testing import assert_quiet

T = TypeVar("T")

#: More turns of the loop than any chain of callbacks in these tests takes.
TURNS = 30


async def settle() -> None:
    """Let everything happen that needs nothing from outside."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


class Loader:
    """A loader each call of which goes on until the test ends it; ``calls`` holds what each was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.cancelled = 0
        self._ends: list[asyncio.Future[Any]] = []

    async def __call__(self, *args: Any) -> Any:
        end = asyncio.get_running_loop().create_future()
        self.calls.append(args)
        self._ends.append(end)
        try:
            return await end
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def end(self, value: Any, call: int = -1) -> None:
        """Let one call, by default the newest, return ``value``."""
        self._ends[call].set_result(value)

    def fail(self, error: BaseException, call: int = -1) -> None:
        """Let one call raise ``error``."""
        self._ends[call].set_exception(error)


class Stubborn:
    """A loader that goes on, however often it is cancelled, until the test lets it end."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def __call__(self) -> str:
        while not self.may_end.is_set():
            try:
                await self.may_end.wait()
            except asyncio.CancelledError:
                continue
        return "stubborn"


class BatchLoader:
    """A batch loader that answers at once; ``asked`` holds what each call was given."""

    def __init__(self) -> None:
        self.asked: list[list[Hashable]] = []

    async def __call__(self, keys: list[Any]) -> Mapping[Any, str]:
        self.asked.append(keys)
        return {key: f"<{key}>" for key in keys}


class Table:
    """The truth behind a cache: a version for every key, and how often each was read."""

    def __init__(self) -> None:
        self.versions: Counter[Hashable] = Counter()
        self.reads: Counter[Hashable] = Counter()

    async def read(self, key: Hashable) -> int:
        self.reads[key] += 1
        return self.versions[key]

    async def write(self, key: Hashable) -> None:
        self.versions[key] += 1


class Timers:
    """The timers of the running loop: from here on they go off when the test says so; ``delays`` are theirs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.delays: list[float] = []
        self._handles: list[asyncio.Handle] = []
        monkeypatch.setattr(asyncio.get_running_loop(), "call_later", self._call_later)

    def _call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> asyncio.Handle:
        self.delays.append(delay)
        self._handles.append(asyncio.Handle(callback, args, asyncio.get_running_loop()))
        return self._handles[-1]

    def go_off(self) -> None:
        """Let all those that were set so far go off."""
        handles, self._handles = self._handles, []
        for handle in handles:
            if not handle.cancelled():
                handle._run()


class Elsewhere:
    """An event loop that runs in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    async def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What ``coroutine`` returns there, where nothing is known of the context here."""
        return await asyncio.wrap_future(Context().run(asyncio.run_coroutine_threadsafe, coroutine, self.loop))

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def metric(cache: AsyncCache, name: str) -> int | float:
    """One of a cache's metrics."""
    return cache.get_metrics()[name]


async def start(awaitable: Any) -> asyncio.Task[Any]:
    """A task for ``awaitable`` that has gone as far as it can."""
    task: asyncio.Task[Any] = asyncio.ensure_future(awaitable)
    await settle()
    return task


async def start_outside(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """As `start`, but not as part of the mutation whose body the caller is in."""
    task = asyncio.get_running_loop().create_task(coroutine, context=Context())
    await settle()
    return task


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, after which nothing may be unhandled on the loop that has ended."""

    async def quiet_main() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        result = await main
        await settle()
        return result

    unhandled: list[dict[str, Any]] = []
    result = asyncio.run(quiet_main())
    assert not unhandled
    return result


@asynccontextmanager
async def ends_quiet() -> AsyncIterator[None]:
    """Inside is a test, after which nothing may be left in any cache, and nothing unhandled on its loop."""
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    was_quiet = _is_quiet()
    yield
    await settle()
    if was_quiet:
        assert_quiet()
    assert not unhandled


def _is_quiet() -> bool:
    # What a test that failed has left behind is no fault of those that follow.
    try:
        assert_quiet()
    except AssertionError:
        return False
    return True
