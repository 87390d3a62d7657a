"""The shop's tables, and what is in them when it opens: the same for the same seed."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

CUSTOMERS: Final = 200
PRODUCTS: Final = 2_000

SCHEMA: Final = """
PRAGMA journal_mode = WAL;
CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL
);
CREATE TABLE prices (
    product_id INTEGER PRIMARY KEY REFERENCES products,
    cents INTEGER NOT NULL CHECK (cents > 0),
    version INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE stock (
    product_id INTEGER PRIMARY KEY REFERENCES products,
    quantity INTEGER NOT NULL CHECK (quantity >= 0),
    version INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    cart_version INTEGER NOT NULL DEFAULT 0,
    orders_version INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE cart_lines (
    customer_id INTEGER NOT NULL REFERENCES customers,
    product_id INTEGER NOT NULL REFERENCES products,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (customer_id, product_id)
);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers,
    cents INTEGER NOT NULL CHECK (cents > 0)
);
CREATE INDEX orders_by_customer ON orders (customer_id);
"""

SHAPES: Final = ("oak", "steel", "linen", "copper", "glass", "walnut", "marble", "canvas")
THINGS: Final = ("chair", "lamp", "table", "shelf", "kettle", "rug", "mirror", "clock", "bench", "vase")


def create(path: Path, seed: int) -> None:
    """Create the database file. Products are numbered by popularity: the best seller is number 1."""
    rng = random.Random(seed)
    products = range(1, PRODUCTS + 1)
    with closing(sqlite3.connect(path)) as sqlite:
        sqlite.executescript(SCHEMA)
        sqlite.execute("PRAGMA foreign_keys = ON")
        with sqlite:
            sqlite.executemany(
                "INSERT INTO products (id, name) VALUES (?, ?)",
                ((number, f"{rng.choice(SHAPES)} {rng.choice(THINGS)} no. {number}") for number in products),
            )
            sqlite.executemany(
                "INSERT INTO prices (product_id, cents) VALUES (?, ?)",
                ((number, rng.randint(500, 50_000)) for number in products),
            )
            sqlite.executemany(
                "INSERT INTO stock (product_id, quantity) VALUES (?, ?)",
                ((number, rng.randint(1_000, 5_000)) for number in products),
            )
            sqlite.executemany(
                "INSERT INTO customers (id) VALUES (?)", ((number,) for number in range(1, CUSTOMERS + 1))
            )
        # Each pass copies the file: nothing may be left in the log beside it.
        sqlite.execute("PRAGMA wal_checkpoint(TRUNCATE)")
