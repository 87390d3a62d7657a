"""What every bus has to do between real processes: the suite that each of them is run through."""

from __future__ import annotations

import ast
import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import cache
from cache import AsyncCache, cached
from tests.contract import bus_process

#: Waits until all was heard that was told up to now.
Hear = Callable[[], Awaitable[None]]


class Process:
    """Another process, with caches of the options that ``make`` makes there."""

    def __init__(self, make: str) -> None:
        source = str(Path(cache.__file__).parent.parent)
        self._process = subprocess.Popen(  # noqa: S603 - the command is written here
            [sys.executable, "-W", "error", bus_process.__file__, make],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": source},
        )

    def answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "it has ended"
        return ast.literal_eval(line)

    def tell(self, expression: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{expression}\n")
        self._process.stdin.flush()

    def do(self, expression: str) -> Any:
        """What it gives there."""
        self.tell(expression)
        return self.answer()

    def hear(self) -> None:
        """Wait until all was heard there that was told up to now."""
        self.do("hear()")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                continue  # what it was told last it has not read


class BusContract:
    """To be inherited by the tests of a bus, which give the fixture ``make``.

    It is the expression that makes the options of a cache, in any process, out of the module ``cache``; all that it
    makes are on one bus, or at one remote.
    """

    @pytest.fixture
    async def options(self, make: str) -> AsyncIterator[dict[str, Any]]:
        options = eval(make, {"cache": cache})  # noqa: S307 - the test has written it
        await bus_process.hear(options)
        yield options
        (options.get("remote_cache") or options["bus"]).close()

    @pytest.fixture
    def hear(self, options: dict[str, Any]) -> Hear:
        """Waits until all was heard here that was told up to now."""
        return partial(bus_process.hear, options)

    @pytest.fixture
    def there(self, make: str) -> Iterator[Process]:
        with ExitStack() as ended:
            process = Process(make)
            ended.callback(process.end)
            assert process.answer() == "ready"
            yield process

    @pytest.fixture
    def c(self, options: dict[str, Any]) -> AsyncCache:
        return AsyncCache(name="c", **options)

    @pytest.fixture
    def read(self, options: dict[str, Any]) -> Any:
        @cached(name="read", **options, tags=("user:{key}",))
        async def read(key: str, page: int = 0) -> tuple[str, int]:
            return key, page

        return read

    @pytest.mark.parametrize("act", ["c.delete('a')", "c.set('a', 'b')", "c.clear()", "c.invalidate('t')"])
    async def test_what_is_invalidated_here_is_loaded_anew_there(self, c: AsyncCache, there: Process, act: str) -> None:
        ask = "c.get('a', lambda: load('a'), tags=('t',))"
        assert there.do(ask) == "a"
        assert there.do("truth.update(a='b')") is None
        assert there.do(ask) == "a"
        await eval(act, {"c": c})  # noqa: S307 - it is one of those above
        there.hear()
        assert there.do(ask) == "b"

    @pytest.mark.parametrize("act", ["c.delete('a')", "c.set('a', 'new')", "c.clear()", "c.invalidate('t')"])
    async def test_what_is_invalidated_there_is_loaded_anew_here(
        self, c: AsyncCache, there: Process, hear: Hear, act: str
    ) -> None:
        await c.get("a", lambda: "old", tags=("t",))
        there.do(act)
        await hear()
        assert await c.get("a", lambda: "new", tags=("t",)) == "new"

    async def test_a_tag_reaches_functions_there_and_what_was_computed_from_them(
        self, read: Any, there: Process
    ) -> None:
        assert there.do("outer('a')") == ("a", 0)
        there.do("truth.update(a='b')")
        assert there.do("outer('a')") == ("a", 0)
        await cache.invalidate("user:a")
        there.hear()
        assert there.do("outer('a')") == ("b", 0)
        there.do("truth.update(a='c')")
        await read.invalidate_cache("a")
        there.hear()
        assert there.do("outer('a')") == ("c", 0)

    async def test_a_wildcard_declared_here_alone_reaches_what_is_there(self, read: Any, there: Process) -> None:

        @cache.invalidates(read)
        async def write(key: str) -> None:
            """Whatever changes is the test's affair."""

        assert there.do("read('a', 3)") == ("a", 3)
        there.do("truth.update(a='b')")
        assert there.do("read('a', 3)") == ("a", 3)
        await write("a")
        there.hear()
        assert there.do("read('a', 3)") == ("b", 3)

    async def test_nothing_is_kept_there_during_a_mutation_here(self, c: AsyncCache, there: Process) -> None:
        async with c.mutating("a"):
            there.hear()
            assert there.do("c.get('a', lambda: load('a'))") == "a"
            assert there.do("'a' in c") is False
        there.hear()
        assert there.do("c.get('a', lambda: load('a'))") == "a"
        assert there.do("'a' in c") is True

    async def test_a_mutation_there_that_is_killed_covers_nothing_any_more(
        self, c: AsyncCache, there: Process, hear: Hear
    ) -> None:
        await c.get("a", lambda: "old")
        there.tell("mutate_until_killed('a')")
        assert there.answer() == "begun"
        await hear()
        assert await c.get("a", lambda: "read while it was going on") == "read while it was going on"
        assert "a" not in c
        there.kill()
        while "a" not in c:  # where a death is not noticed at once, it is when a lease is over
            assert await c.get("a", lambda: "new") == "new"
            await asyncio.sleep(0.01)

    async def test_what_one_process_closes_the_others_keep(self, c: AsyncCache, there: Process) -> None:
        assert there.do("c.get('a', lambda: load('a'))") == "a"
        await c.get("a", lambda: "here")
        await c.aclose()
        await cache.shutdown()
        assert there.do("'a' in c") is True

    async def test_no_read_that_begins_after_a_write_here_has_returned_and_was_heard_of_is_older(
        self, c: AsyncCache, there: Process
    ) -> None:
        for version in range(50):
            async with c.mutating("a"):
                there.do(f"truth.update(a={version})")
            there.hear()
            assert there.do("c.get('a', lambda: load('a'))") == version
            await asyncio.sleep(0)
