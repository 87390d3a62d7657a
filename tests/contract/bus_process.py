"""Another process on a bus: each line that it reads is an expression, and each that it writes what that gives.

It has a cache ``c`` and a function ``read(key)``, and what they load is the ``truth``, by default the name of the key.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import cache
from cache import AsyncCache, cached

truth: dict[str, Any] = {}


async def load(key: str) -> Any:
    return truth.get(key, key)


async def serve(make_bus: str) -> None:
    bus = eval(make_bus, {"cache": cache})  # noqa: S307 - the test has written it
    c = AsyncCache(name="c", bus=bus)

    @cached(name="read", bus=bus, tags=("user:{key}",))
    async def read(key: str, page: int = 0) -> tuple[Any, int]:
        return await load(key), page

    @cached(name="outer", bus=None)
    async def outer(key: str) -> Any:
        return await read(key)

    async def mutate_until_killed(key: str) -> None:
        async with c.mutating(key):
            print(repr("begun"), flush=True)  # noqa: T201 - to the test
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)

    names = {"c": c, "read": read, "outer": outer, "cache": cache, "truth": truth, "load": load, "bus": bus}
    names |= {"mutate_until_killed": mutate_until_killed}
    print(repr("ready"), flush=True)  # noqa: T201 - to the test
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            result = eval(line, names)  # noqa: S307 - the test has written it
            if hasattr(result, "__await__"):
                result = await result
        except Exception as error:  # noqa: BLE001 - for the test to judge
            result = repr(error)
        print(repr(result), flush=True)  # noqa: T201 - to the test


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
