"""The shop with FastAPI, for workers on any number of machines: GET /users/7 asks for a name, PUT changes it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from fastapi import FastAPI

import cache
from cache import AsyncLRU, AsyncLRUInvalidator, RedisBackend

# All that it takes, once for the whole application.
remote = RedisBackend(os.environ["REDIS_URL"])
cache.configure(remote_cache=remote)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Live through the life of a worker."""
    yield
    await cache.shutdown()
    await remote.aclose()


app = FastAPI(lifespan=lifespan)


def database() -> closing[sqlite3.Connection]:
    """Stands for yours, on a server that all machines reach."""
    connection = sqlite3.connect(os.environ["SHOP_DATABASE"], isolation_level=None, timeout=30)
    connection.execute("CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT)")
    return closing(connection)


@app.get("/users/{user_id}")
@AsyncLRU
async def get_user(user_id: int) -> str | None:
    """Return the name of a user."""
    with database() as connection:
        row = connection.execute("SELECT name FROM users WHERE id = ?", (user_id,)).fetchone()
    return None if row is None else str(row[0])


@app.put("/users/{user_id}")
@AsyncLRUInvalidator(get_user)
async def rename(user_id: int, name: str) -> None:
    """Change the name of a user; no machine serves the old one for more than a second after this has returned."""
    with database() as connection:
        connection.execute("INSERT OR REPLACE INTO users VALUES (?, ?)", (user_id, name))
