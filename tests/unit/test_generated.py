from __future__ import annotations

import inspect
from typing import Any

from tests.unit.generated import World


def two(x: Any, y: Any = 7) -> None: ...
def every(a: Any, /, b: Any, c: Any = 3, *args: Any, d: Any, e: Any = 5, **kwargs: Any) -> None: ...


def test_debuggers_are_shown_the_source() -> None:
    cached = World(every).generated.cached
    assert inspect.getsource(cached).strip().startswith("async def cached(a, /, b, c=")


def test_nothing_is_put_into_the_users_module() -> None:
    assert World(every, track=True, typed=True).globals.keys() == {"__builtins__"}


async def test_functions_of_one_shape_share_nothing_but_their_code() -> None:
    first, second = World(two), World(two)
    assert first.generated.cached.__code__ is second.generated.cached.__code__
    first.hold("a", 1)
    assert await second.call(1) == ("slow", True, (1, 7), {})
