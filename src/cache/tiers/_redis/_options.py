"""Options: what a backend is made with, checked at once."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from cache._arguments import check_choice, check_count, check_seconds, shown
from cache.codec import Codec
from cache.tiers._redis._lines import Servers
from cache.tiers._redis._servers import MISSING

#: The most that a server keeps in one value.
MOST = 512 * 1024 * 1024
#: The most seconds: some thirty years. A server counts milliseconds, in 64 bits.
LONGEST = 1e9


@dataclass(frozen=True, eq=False)
class Options:
    """What a backend was made with."""

    servers: Servers
    prefix: str
    max_staleness: float
    lease: float
    fill_lease: float
    max_ttl: float
    on_bus_error: str
    codec: Codec | None
    compress_above: int
    max_value_bytes: int
    clock: Callable[[], float]


#: The names of the options that are not the client library's.
NAMES = tuple(each.name for each in fields(Options) if each.name != "servers")


def check_prefix(prefix: object) -> str:
    """What all keys begin with."""
    if not isinstance(prefix, str):
        raise TypeError(f"prefix={shown(prefix)} is of type {type(prefix).__name__}: pass a string")
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", prefix):
        raise ValueError(f"prefix={shown(prefix)}: pass 1 to 100 letters, digits, '.', '_', ':' or '-'")
    return prefix


def check_duration(seconds: object, name: str, least: float) -> float:
    """Seconds, neither too few nor too many."""
    checked = check_seconds(seconds, name)
    if not least <= checked <= LONGEST:
        raise ValueError(f"{name}={seconds!r}: pass a number of seconds, from {least:g} to {LONGEST:,.0f}")
    return checked


def check_on_bus_error(value: object) -> str:
    """What becomes of mutations of which nobody can be told."""
    check_choice(value, "on_bus_error", ("raise", "proceed"))
    return str(value)


def check_bytes(value: object, name: str, least: int) -> int:
    """A number of bytes that a server can keep."""
    checked = check_count(value, name, least=least)
    if checked > MOST:
        raise ValueError(f"{name}={value!r}: pass {MOST} or less, for no server keeps more in one value")
    return checked


def check_clock(clock: Any) -> Callable[[], float]:
    """What tells the seconds since the epoch."""
    checked: Callable[[], float] = clock
    if not callable(clock):
        raise TypeError(f"clock={clock!r} is no clock: give a callable that returns the seconds since the epoch")
    return checked


def check_codec(codec: Any) -> Codec | None:
    """How values become bytes."""
    if codec is None:
        if importlib.util.find_spec("msgspec") is None:
            raise ImportError(
                f"{MISSING.format(what='without codec=, values are encoded with msgspec')}, or pass "
                f"codec=PickleCodec(key=...)"
            )
    elif isinstance(codec, str | type) or not all(hasattr(codec, name) for name in ("typed", "dumps", "loads", "seal")):
        raise TypeError(
            f"codec={codec!r} is no codec: pass None for plain values and annotated classes, or an object such as "
            f"cache.codec.PickleCodec(key=...), whose key is 16 secret bytes or more"
        )
    return codec  # type: ignore[no-any-return]  # which was just seen to
