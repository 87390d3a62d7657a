"""Opening: a connection to a file that is ours, sound and of this run of the system, or why there is none."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import sqlite3
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cache.tiers._owners import Owners
from cache.tiers._records import Damaged
from cache.tiers._sqlite_marks import Marks
from cache.tiers._sqlite_mutations import Mutations
from cache.tiers._sqlite_place import PARTS, Identity, connect, create, guarded, identity_of, set_aside

logger = logging.getLogger("cache")

#: How SQLite files of this kind are told from all others, and this layout of tables from later ones.
APPLICATION_ID = 0x61634361
FORMAT = 1

TABLES = """
CREATE TABLE state (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    file INTEGER NOT NULL,     -- a random number: which file a moment belongs to
    boot TEXT,                 -- during which run of the system it was written; NULL where that cannot be told
    created REAL NOT NULL,
    number INTEGER NOT NULL,   -- of the last invalidation
    horizon INTEGER NOT NULL,  -- marks up to this number may have been forgotten
    hand INTEGER NOT NULL,     -- the last entry that the sweep has looked at
    set_out INTEGER NOT NULL,  -- the number reached when it set out
    rested REAL NOT NULL,      -- when it came to the end of its last round, by the wall clock
    entries INTEGER NOT NULL,
    size INTEGER NOT NULL
);
CREATE TABLE marks (number INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE);
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    name BLOB NOT NULL UNIQUE,
    begun INTEGER NOT NULL,    -- the number reached before its load began
    used INTEGER NOT NULL,     -- the order of use: the highest was used last
    size INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    expires REAL,
    grounds TEXT,
    space BLOB NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL
);
CREATE TABLE mutations (
    number INTEGER NOT NULL,   -- a random number: one mutation in progress
    name BLOB NOT NULL,        -- of a truth that it covers
    owner INTEGER NOT NULL,    -- who makes it
    PRIMARY KEY (number, name)
) WITHOUT ROWID;
CREATE INDEX mutations_by_name ON mutations (name);
CREATE INDEX entries_by_use ON entries (used);
CREATE TRIGGER inserted AFTER INSERT ON entries BEGIN
    UPDATE state SET entries = entries + 1, size = size + new.size;
END;
CREATE TRIGGER deleted AFTER DELETE ON entries BEGIN
    UPDATE state SET entries = entries - 1, size = size - old.size;
END;
CREATE TRIGGER replaced AFTER UPDATE OF size ON entries BEGIN
    UPDATE state SET size = size - old.size + new.size;
END;
"""

#: Changes with every start of the system, and so after every loss of power; Linux alone has it.
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Spoiled(Exception):
    """What lies at the path is no file of ours, or no sound one."""


class Unusable(Exception):
    """There can be no file at the path."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection, and which file it is to."""

    connection: sqlite3.Connection
    #: None if it was deleted at once.
    identity: Identity | None


def boot_id() -> str | None:
    """Which run of the system this is; None where that cannot be told."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return None


def open_file(path: str, patience: float, now: Callable[[], float], boot: str | None, owners: Owners) -> Opened:
    """Open the file at the path, or a new one if there is none or what is there had to be set aside.

    Raises `Unusable`, ``sqlite3.Error`` or ``OSError`` where that is not possible.
    """
    with guarded(path, patience):
        try:
            return _open(path, patience, now, boot, owners)
        except Spoiled as error:
            set_aside(path, f"{error}. The cache begins with an empty one")
        return _open(path, patience, now, boot, owners)


def _open(path: str, patience: float, now: Callable[[], float], boot: str | None, owners: Owners) -> Opened:
    is_new = _clear_the_way(path)
    identity = identity_of(path)
    connection = connect(path, patience)
    try:
        _prepare(connection, path, now, boot, owners)
    except BaseException as error:  # the connection is closed whatever it was
        connection.close()
        if is_new:  # there is nothing in it, and it is no use to leave one behind at each attempt
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108 - the path is a string for the sake of SQLite
        if is_damage(error) and not isinstance(error, Spoiled):
            raise Spoiled(f"it is damaged, or no SQLite file ({error})") from error
        raise
    return Opened(connection, identity)


def _clear_the_way(path: str) -> bool:
    """See to it that a regular file lies at the path, and that a new one finds no log of another; whether it is new."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - the path is a string for the sake of SQLite
    except FileNotFoundError:
        if any(os.path.lexists(path + part) for part in PARTS):
            reason = "its log is there and it is not, so somebody has deleted or moved it"
            set_aside(path, f"{reason}. The cache begins with an empty one")
        create(path)
        return True
    if not stat.S_ISREG(mode):
        raise Unusable("it is no regular file")
    return False


def _prepare(
    connection: sqlite3.Connection, path: str, now: Callable[[], float], boot: str | None, owners: Owners
) -> None:
    if not os.access(path, os.R_OK | os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(errno.EACCES, "it may not be written", path)
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    empty = not (application or version or tables)
    if not empty and application != APPLICATION_ID:
        raise Spoiled("it belongs to another application")
    if not empty and version != FORMAT:
        raise Spoiled(f"it was written by another version of this cache (format {version}, this one has {FORMAT})")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # heard only by a file that has no table yet
    (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if journal != "wal":
        raise Unusable(f"its file system cannot share a log between processes (journal_mode is {journal})")
    # Only where a loss of power is noticed may it lose what was written last.
    connection.execute(f"PRAGMA synchronous = {'NORMAL' if boot else 'FULL'}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Owners are made in transactions that write: none is half made now, and what the dead had begun is there.
        dead = owners.dead()
        if not empty:
            empty = _is_of_another_run(connection, path, boot)
        if empty:
            _create_tables(connection, now, boot)
        Mutations(connection, Marks(connection), owners).bury(dead)
        connection.execute("COMMIT")
    except BaseException:  # whatever it was, nothing of it stays
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    owners.remove(dead)


def _is_of_another_run(connection: sqlite3.Connection, path: str, boot: str | None) -> bool:
    """Whether the system was started since, so that invalidations may be missing; if so, the tables are dropped."""
    row = connection.execute("SELECT boot FROM state").fetchone()
    if row is None:
        raise Spoiled("its state is missing")
    if row[0] == boot:
        return False
    logger.info("%s: the system was started since it was written, and it begins empty.", path)
    for table in ("entries", "marks", "mutations", "state"):
        connection.execute(f"DROP TABLE {table}")
    return True


def _create_tables(connection: sqlite3.Connection, now: Callable[[], float], boot: str | None) -> None:
    statement = ""
    for line in TABLES.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    created = now()
    first = (secrets.randbits(63), boot, created, created)
    connection.execute("INSERT INTO state VALUES (1, ?, ?, ?, 0, 0, 0, 0, ?, 0, 0)", first)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def primary_code(error: sqlite3.Error) -> int | None:
    """What SQLite says went wrong; None if it is Python's module that says so."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


#: Of a file whose pages or tables are not what they were; the last, that a table is missing.
DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_ERROR})


def is_damage(error: BaseException) -> bool:
    """Whether the error says that the file is damaged."""
    if isinstance(error, sqlite3.Error):
        code = primary_code(error)
        return code in DAMAGE or (code is None and type(error) is sqlite3.OperationalError)  # a text that is none
    return isinstance(error, Damaged | Spoiled | UnicodeDecodeError)  # the last, where the message holds such a text
