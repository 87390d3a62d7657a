"""The shop's tables, and the data it opens with: some 50,000 rows that are the same for the same seed."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

CATEGORIES: Final = 400
SUPPLIERS: Final = 1_000
PRODUCTS: Final = 16_000
ROWS: Final = CATEGORIES + SUPPLIERS + 3 * PRODUCTS

SCHEMA: Final = """
PRAGMA journal_mode = WAL;
CREATE TABLE categories (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE suppliers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    category_id INTEGER NOT NULL REFERENCES categories,
    supplier_id INTEGER NOT NULL REFERENCES suppliers,
    version INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX products_by_category ON products (category_id);
CREATE TABLE prices (
    product_id INTEGER PRIMARY KEY REFERENCES products,
    cents INTEGER NOT NULL CHECK (cents > 0)
);
CREATE TABLE stock (
    product_id INTEGER PRIMARY KEY REFERENCES products,
    quantity INTEGER NOT NULL CHECK (quantity >= 0)
);
"""

_SHAPES: Final = ("Oak", "Steel", "Linen", "Copper", "Glass", "Walnut", "Marble", "Canvas")
_THINGS: Final = ("chair", "lamp", "table", "shelf", "kettle", "rug", "mirror", "clock", "bench", "vase")


def create(path: Path, seed: int) -> None:
    """Create the database file. Products are numbered by popularity: the best seller is number 1."""
    rng = random.Random(seed)
    products = range(1, PRODUCTS + 1)
    with closing(sqlite3.connect(path)) as sqlite:
        sqlite.executescript(SCHEMA)
        sqlite.execute("PRAGMA foreign_keys = ON")
        with sqlite:
            sqlite.executemany(
                "INSERT INTO categories (id, name) VALUES (?, ?)",
                ((number, f"Category {number}") for number in range(1, CATEGORIES + 1)),
            )
            sqlite.executemany(
                "INSERT INTO suppliers (id, name) VALUES (?, ?)",
                ((number, f"Supplier {number}") for number in range(1, SUPPLIERS + 1)),
            )
            sqlite.executemany(
                "INSERT INTO products (id, name, category_id, supplier_id) VALUES (?, ?, ?, ?)",
                (
                    (
                        number,
                        f"{rng.choice(_SHAPES)} {rng.choice(_THINGS)} {number}",
                        rng.randint(1, CATEGORIES),
                        rng.randint(1, SUPPLIERS),
                    )
                    for number in products
                ),
            )
            sqlite.executemany(
                "INSERT INTO prices (product_id, cents) VALUES (?, ?)",
                ((number, rng.randint(500, 50_000)) for number in products),
            )
            sqlite.executemany(
                "INSERT INTO stock (product_id, quantity) VALUES (?, ?)",
                ((number, rng.randint(1_000, 5_000)) for number in products),
            )
        # Each pass copies the file: nothing may be left in the log beside it.
        sqlite.execute("PRAGMA wal_checkpoint(TRUNCATE)")
