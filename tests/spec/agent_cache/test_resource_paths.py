"""Resources with arguments in them: who writes one takes it, all below it, and the lists above it; not its siblings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from agent_cache import AgentCache, AgentCacheInvalidator
from tests.spec.agent_cache.people import RunContext, Shop


class Size(Enum):
    """A size by its number."""

    SEVEN = 7


class Number(IntEnum):
    """A number by its name."""

    SEVEN = 7


class Colour(StrEnum):
    """A colour by its word."""

    RED = "red"


async def test_a_write_takes_what_is_below_and_the_lists_above_and_leaves_siblings(shop: Shop) -> None:
    def reader(resource: str) -> Any:
        @AgentCache(resource, name=resource)
        async def read(a: int = 0, b: int = 0) -> int:
            return shop.read((resource, a, b))

        return read

    carts, cart, items, item, users = map(
        reader, ("cart", "cart:{a}", "cart:{a}:items", "cart:{a}:items:{b}", "user:{a}")
    )
    reads: dict[str, Callable[[], Awaitable[int]]] = {
        "list": carts,
        "7": lambda: cart(7),
        "8": lambda: cart(8),
        "7:items": lambda: items(7),
        "8:items": lambda: items(8),
        "7:items:1": lambda: item(7, 1),
        "7:items:2": lambda: item(7, 2),
        "user 7": lambda: users(7),
    }

    async def taken_by(resource: str) -> set[str]:
        @AgentCacheInvalidator(resource)
        async def write(a: int = 7, b: int = 1) -> None:
            """Write."""

        for read in reads.values():
            await read()
        await write()
        taken = set()
        for name, read in reads.items():
            before = shop.reads.total()
            await read()
            if shop.reads.total() != before:
                taken.add(name)
        return taken

    assert await taken_by("cart") == {"list", "7", "8", "7:items", "8:items", "7:items:1", "7:items:2"}
    assert await taken_by("cart:{a}") == {"list", "7", "7:items", "7:items:1", "7:items:2"}
    assert await taken_by("cart:{a}:items") == {"list", "7", "7:items", "7:items:1", "7:items:2"}
    assert await taken_by("cart:{a}:items:{b}") == {"list", "7", "7:items", "7:items:1"}
    assert await taken_by("cart:7") == {"list", "7", "7:items", "7:items:1", "7:items:2"}
    assert await taken_by("user") == {"user 7"}
    assert await taken_by("cart:{a}:notes") == {"list", "7"}
    assert await taken_by("cart:9") == {"list"}
    assert await taken_by("car") == set()


async def takes(read: Any, write: Any, template: str = "thing:{x}") -> bool:
    """Whether a write of one value takes what was read of another."""
    runs = []

    @AgentCache(template)
    async def reader(x: Any) -> int:
        runs.append(x)
        return 1

    @AgentCacheInvalidator(template)
    async def writer(x: Any) -> None:
        """Write."""

    await reader(read)
    await writer(write)
    await reader(read)
    return len(runs) == 2


SEVENS = [7, "7", 7.0, Decimal(7), Decimal("7.00"), Fraction(7), Size.SEVEN, Number.SEVEN]


@pytest.mark.parametrize("write", SEVENS, ids=repr)
@pytest.mark.parametrize("read", SEVENS, ids=repr)
async def test_equal_values_are_one_resource_however_they_are_written(read: Any, write: Any) -> None:
    assert await takes(read, write)


UUID_ = UUID("6f3c0b52-6f39-4a39-9f60-4d6ad6f1e2a1")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("read", "write"),
    [
        (True, 1),
        (1.0, True),
        (0.5, Decimal("0.50")),
        (10**30, Decimal(10**30)),
        (float("inf"), float("inf")),
        (1 + 2j, 1 + 2j),
        (Colour.RED, "red"),
        (UUID_, str(UUID_)),
        (None, None),
        ([1, 2.0], [1.0, 2]),
        ((1, "a"), (True, "a")),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}),
        ({"ab", "ba", "aba", "bab"}, {"bab", "aba", "ba", "ab"}),
        (frozenset({1, 2}), {2, 1}),
        (NOON, NOON.astimezone(timezone(timedelta(hours=5)))),
        (NOON.replace(tzinfo=None), NOON.replace(tzinfo=None)),
    ],
    ids=repr,
)
async def test_what_is_equal_is_one_resource(read: Any, write: Any) -> None:
    assert await takes(read, write)
    assert await takes(write, read)


AWKWARD = ["a", "a:b", "a%3Ab", "a%b", "a%25b", "a|b", "a%7Cb", "{x}", "{", "", ":", "::", "|at|", "%", "a:items"]


@pytest.mark.parametrize("write", AWKWARD, ids=repr)
async def test_a_value_is_one_segment_whatever_is_in_it(write: str) -> None:
    assert [read for read in AWKWARD if await takes(read, write)] == [write]
    assert [read for read in AWKWARD if await takes(read, write, "thing:{x}:below")] == [write]
    assert not await takes(write, "other", "thing:{x}")


@pytest.mark.parametrize(("read", "write"), [(1, 2), (7, "8"), (True, 0), ("a", "A"), ([1], [2]), ({"a": 1}, {"a": 2})])
async def test_different_values_are_different_resources(read: Any, write: Any) -> None:
    assert not await takes(read, write)


async def test_braces_and_separators_in_a_template_are_text(shop: Shop) -> None:
    assert await takes("a", "a", "th%ing|{{x}}:{x}")
    assert not await takes("a", "b", "th%ing|{{x}}:{x}")
    assert await takes("a", "a", "thing:v{x}-{x}")


async def test_a_value_without_a_text_of_its_own_is_refused(shop: Shop) -> None:
    class Handle:
        """Nothing but an address."""

    @AgentCache("thing:{x}")
    async def read(x: Any) -> int:
        return shop.read("ran")

    @AgentCacheInvalidator("thing:{x}")
    async def write(x: Any) -> None:
        shop.write("ran")

    for tool in (read, write):
        with pytest.raises(TypeError, match=r"x=<.*Handle.*has no text of its own"):
            await tool(Handle())
        with pytest.raises(TypeError, match="has no text of its own"):
            await tool([Handle()])
    assert not shop.reads
    assert not shop.versions


@pytest.mark.parametrize(
    ("resource", "error", "words"),
    [
        ("", ValueError, "empty segment"),
        ("a:", ValueError, "empty segment"),
        ("a::b", ValueError, "empty segment"),
        ("{x}", ValueError, "begins with an argument"),
        ("a{x}:b", ValueError, "begins with an argument"),
        ("a:{x", ValueError, "no template"),
        ("a:}", ValueError, "no template"),
        ("a:{}", ValueError, "plain name"),
        ("a:{0}", ValueError, "plain name"),
        ("a:{x.y}", ValueError, "plain name"),
        ("a:{x!r}", ValueError, "plain name"),
        ("a:{y}", TypeError, "names 'y'"),
        ("a:{ctx}", TypeError, "names 'ctx'"),
        (7, TypeError, "resource=7"),
        (None, TypeError, "resource=None"),
        ((), ValueError, r"resource=\(\) names nothing"),
        (["a", 7], TypeError, "resource=7"),
    ],
)
def test_a_resource_that_is_none_is_refused_at_decoration(resource: Any, error: type[Exception], words: str) -> None:
    async def tool(ctx: RunContext, x: int) -> None:
        """Use them."""

    for decorator in (AgentCache, AgentCacheInvalidator):
        with pytest.raises(error, match=words):
            decorator(resource, vary=lambda ctx: ctx.deps.user)(tool)
