"""Another process on a bus: each line that it reads is an expression, and each that it writes what that gives.

It has a cache ``c`` and a function ``read(key)``, and what they load is the ``truth``, by default the name of the key.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Any

import cache
from cache import AsyncCache, cached

truth: dict[str, Any] = {}


async def load(key: str) -> Any:
    return truth.get(key, key)


async def hear(options: dict[str, Any]) -> None:
    """Wait until all is heard that was told up to now: where all look at one memory, it has been."""
    hear_all = getattr(options.get("remote_cache"), "hear_all", None)
    if hear_all is not None:
        await hear_all()


async def serve(make: str) -> None:
    options = eval(make, {"cache": cache})  # noqa: S307 - the test has written it
    c = AsyncCache(name="c", **options)

    @cached(name="read", **options, tags=("user:{key}",))
    async def read(key: str, page: int = 0) -> tuple[Any, int]:
        return await load(key), page

    @cached(name="outer", bus=None)
    async def outer(key: str) -> Any:
        return await read(key)

    async def mutate_until_killed(key: str) -> None:
        async with c.mutating(key):
            print(repr("begun"), flush=True)  # noqa: T201 - to the test
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)

    names = {"c": c, "read": read, "outer": outer, "cache": cache, "truth": truth, "load": load}
    names |= {"mutate_until_killed": mutate_until_killed, "hear": partial(hear, options)}
    await hear(options)
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
