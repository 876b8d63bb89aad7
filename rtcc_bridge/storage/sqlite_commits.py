"""Whether anything has been committed to a SQLite database, found out without asking it a question."""

import sqlite3
from pathlib import Path


class SqliteCommits:
    """A number that is another one after each commit of whatever process.

    It is SQLite's `data_version` on a connection that never writes, so that all commits are those of others. To ask
    for it takes microseconds where the caller is, and not a turn in a thread.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._connection: sqlite3.Connection | None = None

    def number(self) -> int | None:
        """None when the file does not tell, for whatever reason. Always asked in the same thread; never waits."""
        try:
            if self._connection is None:
                address = f"{self._file.absolute().as_uri()}?mode=rw"  # does not make a file that is not there
                self._connection = sqlite3.connect(address, timeout=0, uri=True)
            ((number,),) = self._connection.execute("PRAGMA data_version").fetchall()
        except sqlite3.Error:
            return None
        return int(number)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
