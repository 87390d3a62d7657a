"""A world in which generated functions can be run alone."""

from __future__ import annotations

import dataclasses
import inspect
import weakref
from collections.abc import Callable
from inspect import Parameter
from typing import Any

from cache._codegen import Shape, parameters_of, source_of
from cache._entry import NEVER, Entry, make_entry
from cache._generated import Generated, generate
from cache._tags import epoch
from cache.testing import FakeClock


def shape_of(function: Callable[..., Any], **changes: Any) -> Shape:
    parameters = parameters_of(inspect.signature(function))
    plain = Shape(
        parameters=parameters,
        key=tuple(name for name, _, _ in parameters),
        instance=None,
        typed=False,
        custom=False,
        has_ttl=False,
        has_tags=False,
        track=False,
        counts_uses=False,
    )
    return dataclasses.replace(plain, **changes)


def types_of(named: tuple[Any, ...], *starred: Any) -> tuple[Any, ...]:
    """What the wrapper passes to find types: the values themselves, so that tests can see them."""
    return "types", named, *(tuple(sorted(more.items())) if isinstance(more, dict) else more for more in starred)


class Counter:
    tick = 0.0


class World:
    """All that generated functions close over; ``slow`` and ``look`` say what they were asked.

    ``missed`` are the keys of the calls that were no hit, ``made`` the calls whose key a function of the user's made.
    Where ``error`` is set, the slow way raises it; ``left`` is what was left thereupon.
    """

    def __init__(self, function: Callable[..., Any], **changes: Any) -> None:
        self.shape = shape_of(function, **changes)
        self.data: dict[Any, Entry] = {}
        self.store = Counter()
        self.clock = FakeClock()
        self.running: set[object] = set()
        self.frame: object = None
        self.tokens: dict[int, tuple[Any, object]] = {}
        self.made: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.missed: list[Any] = []
        self.error: BaseException | None = None
        self.left: list[tuple[str, type]] = []
        names = {
            "data": self.data, "store": self.store, "epoch": epoch, "running": self.running,
            "frame": lambda: self.frame, "clock": self.clock, "slow": self.slow, "leave": self.leave, "look": self.look,
            "make_key": self.make_key, "types": types_of, "instances": self.tokens, "mint": self.mint,
            "id": id, "hash": hash, "tuple": tuple, "sorted": sorted, "misses": (KeyError, TypeError),
        }  # fmt: skip
        self.globals: dict[str, Any] = {"__builtins__": __builtins__}
        parameters = inspect.signature(function).parameters.values()
        defaults = {p.name: p.default for p in parameters if p.default is not Parameter.empty}
        # What the factory closes over is its own affair; here is whatever it may ask for.
        wanted = source_of(self.shape).partition("\n")[0]
        asked = {name: value for name, value in names.items() if f"{self.shape.prefix}{name}" in wanted}
        self.generated: Generated = generate(self.shape, asked, defaults, self.globals)

    def slow(self, use_cache: bool, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        async def answer() -> Any:
            if self.error is not None:
                raise self.error
            return "slow", use_cache, args, kwargs

        self.missed.append(key)
        return "flight", answer()

    def leave(self, flight: str, result: Any) -> None:
        self.left.append((flight, type(result)))

    def look(self, *args: Any, **kwargs: Any) -> Any:
        return "look", args, kwargs

    def make_key(self, *args: Any, **kwargs: Any) -> Any:
        self.made.append((args, kwargs))
        return "made", args, tuple(kwargs.items())

    def mint(self, instance: Any) -> object:
        token = object()
        self.tokens[id(instance)] = weakref.ref(instance), token
        return token

    def hold(self, value: Any, *args: Any, exp: float = NEVER, tags: tuple[Any, ...] = (), **kwargs: Any) -> Entry:
        """Store what ``cached(*args, **kwargs)`` is to return."""
        key = self.generated.key(*args, **kwargs)
        entry = self.data[key] = make_entry(key, value, exp, tags, reader_checks_exp=self.shape.has_ttl)
        entry.tick = 0.0
        return entry

    async def call(self, *args: Any, **kwargs: Any) -> Any:
        return await self.generated.cached(*args, **kwargs)
