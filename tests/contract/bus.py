"""What every bus has to do between real processes: the suite that each of them is run through."""

from __future__ import annotations

import ast
import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import cache
from cache import AsyncCache, cached
from cache._bus import Bus
from tests.contract import bus_process


class Process:
    """Another process, on the bus that ``make_bus`` makes there."""

    def __init__(self, make_bus: str) -> None:
        source = str(Path(cache.__file__).parent.parent)
        self._process = subprocess.Popen(  # noqa: S603 - the command is written here
            [sys.executable, "-W", "error", bus_process.__file__, make_bus],
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
    """To be inherited by the tests of a bus, which give the fixture ``make_bus``.

    It is the expression that makes one, in any process, out of the module ``cache``; all that it makes are one.
    """

    @pytest.fixture
    def bus(self, make_bus: str) -> Iterator[Bus]:
        bus = eval(make_bus, {"cache": cache})  # noqa: S307 - the test has written it
        yield bus
        bus.close()

    @pytest.fixture
    def there(self, make_bus: str) -> Iterator[Process]:
        with ExitStack() as ended:
            process = Process(make_bus)
            ended.callback(process.end)
            assert process.answer() == "ready"
            yield process

    @pytest.fixture
    def c(self, bus: Bus) -> AsyncCache:
        return AsyncCache(name="c", bus=bus)

    @pytest.fixture
    def read(self, bus: Bus) -> Any:
        @cached(name="read", bus=bus, tags=("user:{key}",))
        async def read(key: str, page: int = 0) -> tuple[str, int]:
            return key, page

        return read

    @pytest.mark.parametrize("act", ["c.delete('a')", "c.set('a', 1)", "c.clear()", "c.invalidate('t')"])
    async def test_what_is_invalidated_here_is_loaded_anew_there(self, c: AsyncCache, there: Process, act: str) -> None:
        ask = "c.get('a', lambda: load('a'), tags=('t',))"
        assert there.do(ask) == "a"
        assert there.do("truth.update(a='b')") is None
        assert there.do(ask) == "a"
        await eval(act, {"c": c})  # noqa: S307 - it is one of those above
        assert there.do(ask) == "b"

    @pytest.mark.parametrize("act", ["c.delete('a')", "c.set('a', 1)", "c.clear()", "c.invalidate('t')"])
    async def test_what_is_invalidated_there_is_loaded_anew_here(self, c: AsyncCache, there: Process, act: str) -> None:
        await c.get("a", lambda: "old", tags=("t",))
        there.do(f"bool({act})")
        assert await c.get("a", lambda: "new", tags=("t",)) == "new"

    async def test_a_tag_reaches_functions_there_and_what_was_computed_from_them(
        self, read: Any, there: Process
    ) -> None:
        assert there.do("outer('a')") == ("a", 0)
        there.do("truth.update(a='b')")
        assert there.do("outer('a')") == ("a", 0)
        await cache.invalidate("user:a")
        assert there.do("outer('a')") == ("b", 0)
        there.do("truth.update(a='c')")
        await read.invalidate_cache("a")
        assert there.do("outer('a')") == ("c", 0)

    async def test_a_wildcard_declared_here_alone_reaches_what_is_there(self, read: Any, there: Process) -> None:

        @cache.invalidates(read)
        async def write(key: str) -> None:
            """Whatever changes is the test's affair."""

        assert there.do("read('a', 3)") == ("a", 3)
        there.do("truth.update(a='b')")
        assert there.do("read('a', 3)") == ("a", 3)
        await write("a")
        assert there.do("read('a', 3)") == ("b", 3)

    async def test_nothing_is_kept_there_during_a_mutation_here(self, c: AsyncCache, there: Process) -> None:
        async with c.mutating("a"):
            assert there.do("c.get('a', lambda: load('a'))") == "a"
            assert there.do("'a' in c") is False
        assert there.do("c.get('a', lambda: load('a'))") == "a"
        assert there.do("'a' in c") is True

    async def test_a_mutation_there_that_is_killed_covers_nothing_any_more(self, c: AsyncCache, there: Process) -> None:
        await c.get("a", lambda: "old")
        there.tell("mutate_until_killed('a')")
        assert there.answer() == "begun"
        assert await c.get("a", lambda: "read while it was going on") == "read while it was going on"
        assert "a" not in c
        there.kill()
        assert await c.get("a", lambda: "new") == "new"
        assert "a" in c

    async def test_what_one_process_closes_the_others_keep(self, c: AsyncCache, there: Process) -> None:
        assert there.do("c.get('a', lambda: load('a'))") == "a"
        await c.get("a", lambda: "here")
        await c.aclose()
        await cache.shutdown()
        assert there.do("'a' in c") is True

    async def test_no_read_that_begins_after_a_write_here_has_returned_is_older(
        self, c: AsyncCache, there: Process
    ) -> None:
        for version in range(50):
            async with c.mutating("a"):
                there.do(f"truth.update(a={version})")
            assert there.do("c.get('a', lambda: load('a'))") == version
            await asyncio.sleep(0)
