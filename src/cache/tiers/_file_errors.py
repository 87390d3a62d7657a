"""What is said where there is no file, or where it is not to be had."""

from __future__ import annotations

from cache.errors import CacheError


class FileClosed(CacheError):
    """There is no file to ask: it was closed, or it was given up for a reason that was logged.

    ``given_up`` tells the two apart. Of a file that this process has given up it serves nothing any more; but it
    ``stays`` where it could not be set aside, and others may serve what it holds. So may they where it was only closed.
    """

    def __init__(self, path: str, reason: str, *, given_up: bool = False, stays: bool = False) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason
        self.given_up = given_up
        self.stays = stays

    def __str__(self) -> str:
        if self.stays:
            return (
                f"{self.path} can neither be told of a change nor be set aside ({self.reason}), and others may serve "
                f"what it holds: let this process use it, or delete it"
            )
        return f"{self.path} is closed: {self.reason}"


class FileBusy(CacheError):
    """The file was not to be had for longer than this process waits; nothing was done.

    ``reason`` is None if another process has been writing to it, else what this process lacks.
    """

    def __init__(self, path: str, patience: float, reason: str | None = None) -> None:
        super().__init__(path, patience, reason)
        self.path = path
        self.patience = patience
        self.reason = reason

    def __str__(self) -> str:
        if self.reason is not None:
            return f"{self.path} cannot be used now ({self.reason}), so nothing was done"
        return (
            f"{self.path} is being written by another process since more than {self.patience:g} s, so nothing was "
            f"done: it may be stopped, or share the file over a network"
        )
