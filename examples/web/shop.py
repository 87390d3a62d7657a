"""A shop as an ASGI application: GET /users/7 asks for a name, PUT /users/7?Grace changes it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import closing
from typing import Any

import cache
from cache import AsyncLRU, AsyncLRUInvalidator, SharedMemoryBus

# All that it takes, once for the whole application.
cache.configure(bus=SharedMemoryBus("shop"))

Message = MutableMapping[str, Any]


def database() -> closing[sqlite3.Connection]:
    """Stands for yours."""
    connection = sqlite3.connect(os.environ.get("SHOP_DATABASE", "shop.db"), isolation_level=None, timeout=30)
    connection.execute("CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT)")
    return closing(connection)


@AsyncLRU
async def get_user(user_id: int) -> str | None:
    """Return the name of a user."""
    with database() as connection:
        row = connection.execute("SELECT name FROM users WHERE id = ?", (user_id,)).fetchone()
    return None if row is None else str(row[0])


@AsyncLRUInvalidator(get_user)
async def rename(user_id: int, name: str) -> None:
    """Change the name of a user; from the commit on no worker serves the old one."""
    with database() as connection:
        connection.execute("INSERT OR REPLACE INTO users VALUES (?, ?)", (user_id, name))


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer one request, or live through the life of a worker."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await cache.shutdown()
        await send({"type": "lifespan.shutdown.complete"})
        return
    user_id = int(scope["path"].rpartition("/")[2])
    if scope["method"] == "PUT":
        await rename(user_id, scope["query_string"].decode())
    body = f"{await get_user(user_id)}, says worker {os.getpid()}\n".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})
