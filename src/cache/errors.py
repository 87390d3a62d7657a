"""What the cache itself refuses. Everything else that is raised is the caller's own exception, unchanged."""

from __future__ import annotations

from collections.abc import Hashable


class CacheError(Exception):
    """The root of all errors that are the cache's own."""


class CacheCycleError(CacheError):
    """A load needs, directly or through other loads, the key that it is loading: it could only wait for itself.

    Raised in the caller that would close the cycle; ``key`` is what it asked for, ``waiting`` the key whose
    load asked, and the load of ``key`` already waits for the load of ``waiting``.
    """

    def __init__(self, cache: str, key: Hashable, waiting_cache: str, waiting: Hashable) -> None:
        super().__init__(cache, key, waiting_cache, waiting)
        self.key = key
        self.waiting = waiting

    def __str__(self) -> str:
        cache, key, waiting_cache, waiting = self.args
        asked, asking = f"{cache}[{key!r}]", f"{waiting_cache}[{waiting!r}]"
        if asked == asking:
            return (
                f"the load of {asked} asks for {asked} itself, so it could never end: have its loader call the "
                f"undecorated function"
            )
        return (
            f"{asking} is being loaded and asks for {asked}, whose load is waiting for {asking}: neither could ever "
            f"end. Let one of the two loaders call the undecorated function, or split the value that both need into a "
            f"key of its own"
        )


class LoadCancelled(CacheError):
    """The load that a caller waited for was cancelled, not the caller itself.

    Either the loader raised ``CancelledError`` (which is then the ``__cause__``), or the cache was closed.
    """


class BusError(CacheError):
    """What tells processes of one another's invalidations cannot be used; the message says why, and what to do.

    Raised where a bus is made, and where a mutation begins that the other processes would not hear of: its body has
    not run then.
    """
