"""A process that does as it is told, line by line, with one cache before a file, and says what came of it.

What is cached is the content of a file beside it, the source: a commit replaces that.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from cache import AsyncCache
from cache.tiers._disk import DiskBackend


class Worker:
    def __init__(self, path: str) -> None:
        self.backend = DiskBackend(path, patience=60)
        self.cache = AsyncCache(name="texts", backup=self.backend)
        self.source = Path(path).with_name("source")
        self.stack = AsyncExitStack()
        self.loaded, self.may_return = asyncio.Event(), asyncio.Event()
        self.loading: asyncio.Task[str] | None = None

    async def load(self) -> str:
        text = self.source.read_text()
        self.loaded.set()
        await self.may_return.wait()
        return text

    async def do(self, order: str, *given: str) -> str:
        match order:
            case "open":
                await self.stack.enter_async_context(self.cache.mutating("a"))
            case "commit":
                self.source.write_text(*given)
            case "end":
                await self.stack.aclose()
            case "load":  # as far as the source was read
                self.loading = asyncio.ensure_future(self.cache.get("a", self.load))
                await self.loaded.wait()
            case "return":
                assert self.loading is not None
                self.may_return.set()
                return f"{await self.loading} {await self.cache.save_to_backup()}"
            case "read":
                self.may_return.set()
                return await self.cache.get("a", self.load)
        return "done"


async def main(path: str) -> None:
    worker = Worker(path)
    loop = asyncio.get_running_loop()
    while order := (await loop.run_in_executor(None, sys.stdin.readline)).split():
        print(await worker.do(*order), flush=True)  # noqa: T201 - to the test


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
