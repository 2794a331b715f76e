"""The online shop: its tables, its first rows, and what its clients do.

Each site changes its own rows only, so that no row is ever written at both: ids are odd at one site and even
at the other (``auto_increment_increment`` 2, offsets 1 and 2), and a client keeps to ids of its site.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import pymysql
from pymysql.constants.ER import LOCK_DEADLOCK, LOCK_WAIT_TIMEOUT

DATABASE = "shop"
SITES = 2
CUSTOMERS = 1000
PRODUCTS = 400
ORDERS_REMEMBERED = 50
TRIES_MAX = 20

TABLES = {
    "customers": ("id",),
    "products": ("id",),
    "orders": ("id",),
    "order_items": ("order_id", "line"),
}
"""Every table with its primary key, which its first columns are."""

SCHEMA = """
CREATE DATABASE shop CHARACTER SET utf8mb4;
USE shop;
CREATE TABLE customers (
  id           INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  email        VARCHAR(120) NOT NULL UNIQUE,
  name         VARCHAR(80)  NOT NULL,
  born_on      DATE         NULL,
  preferences  JSON         NULL,
  orders       INT UNSIGNED NOT NULL DEFAULT 0,
  seen_at      TIMESTAMP(6) NOT NULL
);
CREATE TABLE products (
  id           INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  sku          CHAR(10)     CHARACTER SET ascii NOT NULL UNIQUE,
  title        VARCHAR(120) NOT NULL,
  price        DECIMAL(9,2) NOT NULL,
  weight_kg    DOUBLE       NOT NULL,
  stock        INT          NOT NULL,
  labels       SET('new', 'sale', 'eco', 'bulky') NOT NULL,
  thumbnail    VARBINARY(64) NULL,
  changed_at   DATETIME(3)  NOT NULL
);
CREATE TABLE orders (
  id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer_id  INT UNSIGNED NOT NULL,
  status       ENUM('placed', 'paid', 'sent', 'delivered') NOT NULL,
  total        DECIMAL(11,2) NOT NULL DEFAULT 0,
  note         TEXT         NULL,
  placed_at    DATETIME(6)  NOT NULL,
  KEY by_status (status, placed_at),
  FOREIGN KEY (customer_id) REFERENCES customers (id)
);
CREATE TABLE order_items (
  order_id     BIGINT UNSIGNED NOT NULL,
  line         TINYINT UNSIGNED NOT NULL,
  product_id   INT UNSIGNED NOT NULL,
  quantity     SMALLINT     NOT NULL,
  price        DECIMAL(9,2) NOT NULL,
  PRIMARY KEY (order_id, line),
  FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE,
  FOREIGN KEY (product_id) REFERENCES products (id)
);
"""

FIRST_ROWS = f"""
USE shop;
INSERT INTO customers
  SELECT seq, CONCAT('customer', seq, '@example.org'), CONCAT('Customer ', seq), '1950-01-01' + INTERVAL seq * 19 DAY,
         JSON_OBJECT('newsletter', seq % 3 = 0), 0, '2025-01-01 12:00:00' + INTERVAL seq MINUTE
  FROM seq_1_to_{CUSTOMERS};
INSERT INTO products
  SELECT seq, CONCAT('SKU', LPAD(seq, 7, '0')), CONCAT('Product ', seq), seq * 0.37 + 1, seq / 7, 1000, seq % 16,
         UNHEX(MD5(seq)), '2025-01-01 12:00:00'
  FROM seq_1_to_{PRODUCTS};
"""

NOTES = (None, "leave at the door", "it's a gift, “Grüße” 🎁", "50% off\n\\o/", "请在晚上送货")


class Client:
    """One client of the shop, with one connection. Every transaction that it counts changes something."""

    def __init__(self, connection: pymysql.Connection[Any], site_number: int, random: Random) -> None:
        self._connection = connection
        self._site_number = site_number
        self._random = random
        self._orders: deque[tuple[int, int]] = deque()  # id, and how far the status has come
        self._visitor = 0
        self.retries = 0

    def act(self) -> None:
        """Run one transaction, again for as long as the server rolls it back for a lock."""
        deed = self._choose()
        for _ in range(TRIES_MAX):
            with suppress(_LockLost):
                return deed()
            self.retries += 1
        raise RuntimeError(f"{deed.__name__}: rolled back {TRIES_MAX} times in a row")

    def last_gtid(self) -> str:
        """Return the GTID of the last transaction that this connection committed."""
        return str(self._run("SELECT @@last_gtid"))

    def _choose(self) -> Callable[[], None]:
        deeds = {
            self._place_order: 50,
            self._advance_order: 25,
            self._cancel_order: 8,
            self._reprice: 12,
            self._register: 5,
        }
        [deed] = self._random.choices(list(deeds), list(deeds.values()))
        return deed if self._orders or deed in (self._reprice, self._register) else self._place_order

    def _place_order(self) -> None:
        """Take the goods from stock, count the order, and write it with its items."""
        products = sorted({self._own(PRODUCTS) for _ in range(self._random.randint(1, 4))})
        lines = [(product, self._random.randint(1, 5)) for product in products]
        customer, note = self._own(CUSTOMERS), self._connection.escape(self._random.choice(NOTES))
        # A parent row is updated before a child locks it, or two clients would wait for each other.
        statements = [f"UPDATE products SET stock = stock - {n} WHERE id = {product}" for product, n in lines]
        statements += [
            f"UPDATE customers SET orders = orders + 1, seen_at = NOW(6) WHERE id = {customer}",
            f"INSERT INTO orders (customer_id, status, note, placed_at) VALUES ({customer}, 'placed', {note}, NOW(6))",
            "SET @id = LAST_INSERT_ID()",
        ]
        statements += [
            f"INSERT INTO order_items SELECT @id, {line}, id, {n}, price FROM products WHERE id = {product}"
            for line, (product, n) in enumerate(lines, 1)
        ]
        total = "(SELECT SUM(quantity * price) FROM order_items WHERE order_id = @id)"
        order = self._commit(*statements, f"UPDATE orders SET total = {total} WHERE id = @id", returning="@id")
        self._orders.append((order, 1))
        if len(self._orders) > ORDERS_REMEMBERED:
            self._orders.popleft()

    def _advance_order(self) -> None:
        """Move the oldest order on: paid, sent, delivered."""
        order, status = self._orders[0]
        self._commit(f"UPDATE orders SET status = status + 1 WHERE id = {order}")
        self._orders.popleft()
        if status < 3:
            self._orders.append((order, status + 1))

    def _cancel_order(self) -> None:
        """Put the goods back and delete the order; its items go with it, which no log says."""
        order, _ = self._orders[0]
        self._commit(
            f"UPDATE products p JOIN order_items i ON i.product_id = p.id SET p.stock = p.stock + i.quantity"
            f" WHERE i.order_id = {order}",
            f"DELETE FROM orders WHERE id = {order}",
        )
        self._orders.popleft()

    def _reprice(self) -> None:
        """Change a product, whose new thumbnail is any bytes."""
        price, weight = self._random.randint(100, 99999) / 100, self._random.random()
        thumbnail = self._random.randbytes(self._random.randint(1, 64)).hex()
        self._commit(
            f"UPDATE products SET price = {price}, weight_kg = {weight}, labels = {self._random.randrange(16)},"
            f" thumbnail = X'{thumbnail}', changed_at = NOW(3), stock = stock + 10 WHERE id = {self._own(PRODUCTS)}"
        )

    def _register(self) -> None:
        """Add a customer who never orders, or delete the one that this client added before."""
        if self._visitor:
            self._visitor = self._commit(f"DELETE FROM customers WHERE id = {self._visitor}")
        else:
            values = "(UUID(), 'Zoë O''Hara', NULL, JSON_OBJECT('newsletter', NULL), NOW(6))"
            insert = f"INSERT INTO customers (email, name, born_on, preferences, seen_at) VALUES {values}"
            self._visitor = self._commit(insert, returning="LAST_INSERT_ID()")

    def _own(self, count: int) -> int:
        """Return an id of a first row that belongs to this site."""
        return self._random.randrange(count // SITES) * SITES + self._site_number

    def _commit(self, *statements: str, returning: str = "NULL") -> int:
        """Run one transaction in one round trip, as a stored procedure would, and return the value asked for."""
        try:
            return int(self._run("; ".join(["BEGIN", *statements, "COMMIT", f"SELECT {returning}"])) or 0)
        except pymysql.err.OperationalError as error:
            if error.args[0] not in (LOCK_DEADLOCK, LOCK_WAIT_TIMEOUT):
                raise
            self._connection.rollback()
            raise _LockLost from error

    def _run(self, statements: str) -> Any:
        """Run statements and return the one value that the last one selects."""
        with self._connection.cursor() as cursor:
            cursor.execute(statements)
            while cursor.nextset():
                pass
            [value] = cursor.fetchone() or [None]
            return value


class _LockLost(Exception):
    """The server rolled the transaction back for a lock; running it again is right."""
