"""Read-through: what one writes by hand with the client library of Redis. Lives in the worker.

One command for each value, MessagePack, and no promise: it knows nothing of loads in progress, tags or other processes,
and a value that was loaded before a mutation may be stored after it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

Call = Callable[[int], Any]


class ReadThrough:
    """Values of one kind at a server: looked for, and otherwise loaded and stored."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    async def get(self, key: int, *, loader: Any = None, batch_loader: Any = None) -> Any:
        """The value of a key."""
        name = f"{self._name}:{key}"
        found = await self._client.get(name)
        if found is not None:
            return msgspec.msgpack.decode(found)
        value = await loader() if batch_loader is None else (await batch_loader([key]))[key]
        await self._client.set(name, msgspec.msgpack.encode(value))
        return value

    async def delete(self, key: int) -> None:
        """Forget the value of a key."""
        await self._client.delete(f"{self._name}:{key}")

    async def keep(self, values: Sequence[bytes]) -> Callable[[int], Awaitable[Any]]:
        """Store bytes under 0, 1, 2...; what reads one of them, which is the bare command."""
        names = [f"{self._name}:{key}" for key in range(len(values))]
        for name, value in zip(names, values, strict=True):  # one by one: all at once would be too many connections
            await self._client.set(name, value)
        get = self._client.get
        return lambda key: get(names[key])


class Cached:
    """A function of a key whose results are kept there."""

    def __init__(self, values: ReadThrough, load: Call) -> None:
        self._values = values
        self._load = load

    async def __call__(self, key: int) -> Any:
        """The result for a key."""
        return await self._values.get(key, loader=lambda: self._load(key))

    def invalidated_by(self, write: Call) -> Call:
        """A function that changes what belongs to a key, and has it forgotten."""

        async def mutate(key: int) -> Any:
            result = await write(key)
            await self._values.delete(key)
            return result

        return mutate
