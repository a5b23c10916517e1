"""A SQLite file in which what has been committed survives a power cut."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.errors import UsageError


class Database:
    """One SQLite file. What goes wrong with it is said as a UsageError that names it."""

    def __init__(self, path: Path, tables: str, writable: bool = True) -> None:
        self._path = path
        with self._errors():
            self.connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={'rwc' if writable else 'ro'}",
                uri=True,
                timeout=60,
                isolation_level=None,
            )
            self.connection.row_factory = sqlite3.Row
            if writable:
                self.connection.execute("PRAGMA journal_mode = WAL")
                self.connection.execute("PRAGMA synchronous = FULL")
                self.connection.executescript(tables)

    def close(self) -> None:
        self.connection.close()

    def row(self, query: str, *values: object) -> sqlite3.Row | None:
        """The first row; None where there is none."""
        with self._errors():
            return self.connection.execute(query, values).fetchone()

    def one(self, query: str, *values: object) -> sqlite3.Row:
        """The row of a query that always has one."""
        row = self.row(query, *values)
        assert row is not None
        return row

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._errors():
            return self.connection.execute(query, values).fetchall()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction, the only one at its time; on the disk when the block has ended, undone
        where it fails."""
        with self._errors():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise UsageError(
                f"{self._path} cannot be used: {error}. What was paid for is kept; make room or "
                "mend the permissions, and give the same command again."
            ) from None
        except sqlite3.DatabaseError as error:
            raise UsageError(
                f"{self._path} is damaged: {error}. Restore it from a backup; it says what was "
                "spent."
            ) from None
