"""Floor: an ``async def`` around one look into a dict. No coroutine that finds something can take less."""

from __future__ import annotations

from collections.abc import Iterable

from bench import timers


class Floor:
    """The floor under the hits of some keys."""

    def __init__(self, keys: Iterable[int]) -> None:
        self._data = {key: key for key in keys}
        self._time = timers.fresh(timers.one_argument)

    async def run(self, keys: list[int]) -> int:
        """Nanoseconds of a look for each of ``keys``."""
        data = self._data

        async def floor(key: int) -> int:
            return data[key]

        nanoseconds: int = await self._time(floor, keys)
        return nanoseconds


def cycle(keys: Iterable[int], count: int) -> list[int]:
    """So many keys, these again and again."""
    once = list(keys)
    return (once * (count // len(once) + 1))[:count]
