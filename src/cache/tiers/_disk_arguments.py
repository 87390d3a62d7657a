"""The arguments of a `DiskBackend`, checked."""

from __future__ import annotations

import importlib.util
import math
import os


def check_path(path: object) -> None:
    """Refuse what is no path of a file."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path={path!r} is no path: give a str or an os.PathLike, such as 'cache.db'")
    text = os.fspath(path)
    if not isinstance(text, str) or not text or "\0" in text:
        raise ValueError(f"path={path!r} names no file: give the path of one, such as 'cache.db'")


def check_count(name: str, count: object, least: int) -> None:
    """Refuse what is no number of bytes."""
    if name == "max_bytes" and count is None:
        return
    if not isinstance(count, int) or isinstance(count, bool):
        raise TypeError(f"{name}={count!r} is no number of bytes: give an int, such as {100 * 2**20} for 100 MiB")
    if count < least:
        raise ValueError(f"{name}={count!r} is too small: give {least} or more")


def check_patience(patience: object) -> None:
    """Refuse what is no number of seconds to wait."""
    if not isinstance(patience, int | float) or isinstance(patience, bool):
        raise TypeError(f"patience={patience!r} is no number of seconds: give one, such as 5.0")
    if not (math.isfinite(patience) and patience >= 0):
        raise ValueError(f"patience={patience!r} is no time to wait: give a finite number of seconds, 0 or more")


def check_codec(codec: object) -> None:
    """Refuse what is no codec, and none where there is nothing to take its place."""
    if codec is None:
        if importlib.util.find_spec("msgspec") is None:
            raise ImportError(
                "without codec=, values are encoded with msgspec, which is not installed: "
                "pip install 'async-cache[disk]', or pass codec=PickleCodec(key=...)"
            )
    elif isinstance(codec, str | type) or not all(hasattr(codec, name) for name in ("typed", "dumps", "loads", "seal")):
        raise TypeError(
            f"codec={codec!r} is no codec: pass None for plain values and annotated classes, or an object such as "
            f"cache.codec.PickleCodec(key=...), whose key is 16 secret bytes or more"
        )
