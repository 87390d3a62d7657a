"""SqliteFile: one file of entries, opened when first needed, and what becomes of it when something goes wrong.

There are three answers. A file that is damaged, foreign or gone is replaced by an empty one, and what was asked is
asked of that. Where nothing can be written the file is given up, and nothing is served from then on. And if another
process holds the file for longer than is patient, whoever asked is told so.

But others may use what lies at the path of a file that was given up, now or later. So what changes is told to that all
the same, if it can be by then; if it cannot, that file is set aside, and where not even that is possible the change
fails.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias

from cache.tiers._file_errors import FileBusy, FileClosed
from cache.tiers._owners import Owners
from cache.tiers._records import Damaged
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_opening import Opened, Spoiled, Unusable, boot_id, is_damage, open_file, primary_code
from cache.tiers._sqlite_operations import changing, owed, unbound
from cache.tiers._sqlite_place import Identity, identity_of, may_be_served, put_away

logger = logging.getLogger("cache")

#: An operation of `Entries` and its arguments.
Call: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

#: How often a file is replaced in the life of its user: two that take each other's for damaged must come to an end.
REPLACEMENTS = 3

#: Another process is at it.
BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
#: Nothing can be written, or not be read.
USELESS = frozenset(
    {
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)


#: What a process runs out of, for a while: with the file itself there is nothing wrong.
SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class Gone(Exception):
    """Another file lies at the path, or none."""


@dataclass(frozen=True, slots=True)
class Failed:
    """What an operation raised, in place of its result."""

    error: BaseException


class SqliteFile:
    """The entries in the file at ``path``, for one thread; several processes may share it.

    ``max_bytes`` bounds the sum of the entries (None: no bound), ``now`` is the wall clock in seconds, ``patience`` is
    for how many seconds it waits for other processes, ``boot`` is which run of the system this is. What has returned
    from `run` is safe from the end of the process; where the run of the system can be told it may be lost with the
    power, and then the file begins empty.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int | None = None,
        now: Callable[[], float] = time.time,
        patience: float = 5.0,
        boot: Callable[[], str | None] = boot_id,
    ) -> None:
        self.path = os.path.realpath(path)
        #: Why there is no file any more; None as long as there is one, or may be.
        self.closed: str | None = None
        #: Whether that was because of what the file is, not because somebody has closed it.
        self.given_up = False
        self._max_bytes = max_bytes
        self._now = now
        self._patience = patience
        self._boot = boot
        self._owners = Owners(self.path)
        self._opened: Opened | None = None
        self._entries: Entries | None = None
        self._replaced = 0
        #: Of which files that must be deleted the log has told.
        self._told: set[str] = set()

    def run(self, calls: Sequence[Call]) -> list[Any]:
        """Do these operations in order, and together: in one transaction, as far as they are done inside one.

        What an operation returns is in the place of its call; what it raises is there as a `Failed`, and does not keep
        the others from being done. If there is no file, each has failed with `FileClosed`; if it is not to be had in
        time, with `FileBusy`.
        """
        if self.given_up:
            return [self._owe(call) if call[0] in owed else Failed(self.error()) for call in calls]
        changed = any(operation in changing for operation, _, _ in calls)
        try:
            while True:
                try:
                    entries = self._at_hand()
                    results = self._attempt(entries, calls)
                    if changed:  # what was written to a file that nobody else will open was not written
                        self._stay()
                except (sqlite3.Error, OSError, UnicodeDecodeError, Damaged, Gone, Spoiled, Unusable) as error:
                    self._judge(error, owing=any(operation in owed for operation, _, _ in calls))
                else:
                    return results
        except (FileClosed, FileBusy) as error:
            return [Failed(error)] * len(calls)

    def release(self) -> None:
        """Close the connection; the next operation opens another."""
        opened, self._opened, self._entries = self._opened, None, None
        if opened is not None:
            opened.connection.close()

    def close(self, reason: str = "it was closed by its user") -> None:
        """No more operations; may be repeated."""
        if self.closed is None:
            self.closed = reason
        self._owners.leave()
        self.release()

    def error(self) -> FileClosed:
        """What operations fail with when it is closed."""
        reason = self.closed or "it was closed by its user"
        return FileClosed(self.path, reason, given_up=self.given_up)

    def _owe(self, call: Call) -> Any:
        """Tell what lies at the path of a file that was given up, or see to it that nothing does."""
        if not may_be_served(self.path):
            return Failed(self.error())
        again = copy(self)
        again.closed, again.given_up, again._replaced = None, False, 0
        (result,) = again.run([call])
        again.release()
        return result

    def _at_hand(self) -> Entries:
        """The entries of the file that lies at the path now."""
        if self.closed is not None:
            raise self.error()
        if self._entries is None:
            self._opened = opened = open_file(self.path, self._patience, self._now, self._boot(), self._owners)
            self._entries = Entries(opened.connection, self._now, self._owners, self._max_bytes)
        else:
            self._stay()
        return self._entries

    def _stay(self) -> None:
        identity = identity_of(self.path)
        if identity is None or self._opened is None or identity != self._opened.identity:
            raise Gone("it was deleted or replaced")

    def _attempt(self, entries: Entries, calls: Sequence[Call]) -> list[Any]:
        results: list[Any] = []
        for alone, group in groupby(calls, key=lambda call: call[0] in unbound):
            for together in ([call] for call in group) if alone else [list(group)]:
                results += self._attempt_together(entries, together)
        return results

    def _attempt_together(self, entries: Entries, calls: list[Call]) -> list[Any]:
        entries.begin()
        try:
            with self._transaction(calls):
                results = [operation(entries, *args, **kwargs) for operation, args, kwargs in calls]
            self._owners.committed()
        except Exception as error:  # what is not the file's is for whoever asked
            if _is_of_the_file(error):
                raise
            if len(calls) == 1:
                return [Failed(error)]
        else:
            return results
        # One of them has failed and nothing was done: each by itself, so that only that one fails.
        return [result for call in calls for result in self._attempt_together(entries, [call])]

    @contextmanager
    def _transaction(self, calls: list[Call]) -> Iterator[None]:
        """One for all, of the kind they need; a single reading operation needs none."""
        changed = any(operation in changing for operation, _, _ in calls)
        if self._opened is None or not (changed or len(calls) > 1):
            yield
            return
        connection = self._opened.connection
        connection.execute("BEGIN IMMEDIATE" if changed else "BEGIN")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:  # whatever it was, nothing of it stays
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _judge(self, error: Exception, *, owing: bool) -> None:
        """Make ready for another attempt, or raise `FileBusy` or `FileClosed`."""
        if isinstance(error, sqlite3.Error) and primary_code(error) in BUSY:
            raise FileBusy(self.path, self._patience) from error
        if isinstance(error, OSError) and error.errno in SCARCE:
            raise FileBusy(self.path, self._patience, str(error)) from error
        opened = self._opened
        identity = identity_of(self.path)
        ours = opened is not None and identity is not None and identity == opened.identity
        self.release()
        self._replaced += 1
        damaged = is_damage(error)
        useless = opened is None or (ours and not damaged) or self._replaced > REPLACEMENTS
        consequence = "The cache goes on without it" if useless else "The cache goes on with an empty one"
        reason = str(error) or type(error).__name__
        if ours:
            reason = f"{'it is damaged' if damaged else 'it cannot be used'} ({error})"
        stays = False
        if ours or (useless and owing and may_be_served(self.path)):
            stays = not self._put_away(identity, f"{reason}. {consequence}")
        else:
            logger.warning("%s: %s. %s.", self.path, reason, consequence)
        if useless:
            self.closed, self.given_up = reason, True
            raise FileClosed(self.path, reason, given_up=True, stays=stays) from error

    def _put_away(self, identity: Identity | None, reason: str) -> bool:
        """Set the file aside: an invalidation may be missing in it, and nobody must read it again."""
        try:
            put_away(self.path, self._patience, identity, reason)
        except OSError as error:
            if reason not in self._told:
                self._told.add(reason)
                logger.warning(
                    "%s: %s. It could not be set aside (%s): delete it, or values that were invalidated may be served.",
                    self.path,
                    reason,
                    error,
                )
            return False
        return True


def _is_of_the_file(error: Exception) -> bool:
    # What the system refuses is refused around the file: the database itself has errors of its own.
    return (
        is_damage(error)
        or isinstance(error, OSError)
        or (isinstance(error, sqlite3.Error) and primary_code(error) in BUSY | USELESS)
    )
