"""One word for a whole application: each test is a program of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.spec.program import run

linux = pytest.mark.skipif(sys.platform != "linux", reason="it needs Linux")

READ = """
@cached
async def before(key: str) -> str:
    loads.append(key)
    return key
"""


def test_it_holds_for_what_was_made_before_and_for_what_is_made_afterwards(tmp_path: Path) -> None:
    assert run(
        tmp_path,
        READ
        + """
tier = disk()
configure(backup=tier)

@cached
async def after(key: str) -> str:
    loads.append(key)
    return key

named = AsyncCache(name="named")

async def main():
    for _ in range(2):
        print(await before("b"), await after("a"), await named.get("n", lambda: loads.append("n") or "n"))
        await restarted(before, after, named)
    print(sorted(loads))
    await tier.aclose()

asyncio.run(main())
""",
    ).splitlines() == ["b a n", "b a n", "['a', 'b', 'n']"]


def test_what_had_been_stored_before_is_dropped_and_what_is_in_progress_is_not_stored(tmp_path: Path) -> None:
    assert run(
        tmp_path,
        READ
        + """
async def main():
    await before("a")
    gate = asyncio.Event()
    c = AsyncCache(name="c")

    async def slow():
        await gate.wait()
        return "slow"

    waiting = asyncio.create_task(c.get("s", slow))
    await asyncio.sleep(0)
    tier = disk()
    configure(backup=tier)
    print(before.peek("a"))
    gate.set()
    print(await waiting, c.peek("s"))
    await tier.aclose()

asyncio.run(main())
""",
    ).splitlines() == ["None", "slow None"]


def test_what_cannot_be_shared_is_listed_and_nothing_has_changed(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        READ
        + """
class Repository:
    @cached
    async def read(self, key: str) -> str:
        return key

unnamed = AsyncCache()
local = (lambda: cached(run_me))

async def run_me() -> None: ...

tier = disk()
try:
    configure(backup=tier)
except TypeError as error:
    print(error)
print(before.cache.get_metrics().get("backup_hits"))

@cached
async def after() -> None: ...

print(after.cache.get_metrics().get("backup_hits"))
tier.close()
""",
    ).splitlines()
    assert told[0] == "2 caches cannot be shared with other processes:"
    assert any(line.startswith("Repository.read: ") and "skip_args=1" in line for line in told)
    assert any(line.startswith("cache: ") and "name=" in line for line in told)
    assert told[-2:] == ["None", "None"]


def test_one_cache_may_be_kept_out(tmp_path: Path) -> None:
    assert run(
        tmp_path,
        """
out = AsyncCache(backup=None)
tier = disk()
configure(backup=tier)
later = AsyncCache(backup=None)

@cached(backup=None)
async def function() -> None: ...

for each in (out, later, function.cache, AsyncCache(name="in")):
    print("backup_hits" in each.get_metrics())
tier.close()
""",
    ).split() == ["False", "False", "False", "True"]


def test_what_was_given_its_own_keeps_it(tmp_path: Path) -> None:
    assert run(
        tmp_path,
        """
own, common = disk(), DiskBackend(folder + "/common.db")
mine = AsyncCache(name="mine", backup=own)
configure(backup=common)
also = AsyncCache(name="also", backup=own)

async def main():
    for each in (mine, also):
        await each.get(1, lambda: 1)
        await each.save_to_backup()
    print((await own.usage()).entries, (await common.usage()).entries)
    await own.aclose(); await common.aclose()

asyncio.run(main())
""",
    ).split() == ["2", "0"]


def test_none_is_for_those_made_afterwards(tmp_path: Path) -> None:
    assert run(
        tmp_path,
        """
tier = disk()
configure(backup=tier)
first = AsyncCache(name="first")
configure(backup=None)
second = AsyncCache(name="second")
for each in (first, second):
    print("backup_hits" in each.get_metrics())
tier.close()
""",
    ).split() == ["True", "False"]


def test_tags_without_a_cache_are_told_to_the_tier_of_the_application(tmp_path: Path) -> None:
    first = """
tier = disk()
configure(backup=tier)

@cached(name="read", tags=("user:{key}",))
async def read(key: str) -> str:
    return "VALUE"

async def main():
    print(await read("a"))
    await tier.aclose()

asyncio.run(main())
"""
    assert run(tmp_path, first.replace("VALUE", "old")).strip() == "old"
    assert run(tmp_path, first.replace("VALUE", "new")).strip() == "old"
    run(
        tmp_path,
        """
tier = disk()
configure(backup=tier)

async def main():
    await cache.invalidate("user:a")
    await tier.aclose()

asyncio.run(main())
""",
    )
    assert run(tmp_path, first.replace("VALUE", "new")).strip() == "new"


@linux
def test_wrappers_made_before_look_at_the_bus_from_then_on_whoever_has_them(tmp_path: Path) -> None:
    assert run(
        tmp_path,
        READ
        + """
import subprocess
held = before  # as a module that has imported it

async def main():
    await held("a")
    await held("a")
    configure(bus=bus())
    await held("a")
    await held("a")
    code = '''
import sys, types
module = types.ModuleType("program"); sys.modules["program"] = module
import asyncio, cache
async def before(key: str) -> str: return key
before.__module__, before.__qualname__ = "program", "before"
module.before = before
cached = cache.cached(bus=cache.SharedMemoryBus("shop", directory=sys.argv[1]))(before)
async def main(): await cached.invalidate_cache("a")
asyncio.run(main())
'''
    subprocess.run([sys.executable, "-c", code, folder], check=True)
    await held("a")
    print(len(loads))

asyncio.run(main())
""",
    ).split() == ["3"]


@linux
def test_both_may_be_given_at_once(tmp_path: Path) -> None:
    assert (
        run(
            tmp_path,
            READ
            + """
async def main():
    tier = disk()
    configure(bus=bus(), backup=tier)
    await before("a")
    await restarted(before)
    await before("a")
    async with cache.mutating(before):
        pass
    await before("a")
    print(loads)
    await tier.aclose()

asyncio.run(main())
""",
        ).strip()
        == "['a', 'a']"
    )


@linux
def test_a_namespace_that_is_on_another_bus_is_refused(tmp_path: Path) -> None:
    assert "are on the bus" in run(
        tmp_path,
        """
kept = AsyncCache(name="kept", bus=bus("own"))
try:
    configure(bus=bus("common"))
    AsyncCache(name="other")
except ValueError as error:
    print(error)
""",
    )
