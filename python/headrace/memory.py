"""Conversations that outlive a run: kept in SQLite, and cut to the length that a model can read.

:class:`Memory` keeps messages across runs and processes; :func:`fit` chooses which of them fit into a request. Neither
knows the other: a conversation of one run is a plain list, and is cut by the same rule. ``fit`` stands in ``_context``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import reprlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ._conversation.trimming import estimate_tokens, fit
from .errors import ConfigurationError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator, Iterable

    from .types import Message

__all__ = ["ExportFormat", "Memory", "estimate_tokens", "fit"]

ExportFormat: TypeAlias = Literal["json", "markdown", "text"]

_SURROGATE = re.compile("[\ud800-\udfff]")

_BUSY_SECONDS = 30.0

_SCHEMA_VERSION = 1
_SCHEMA = (
    """
    CREATE TABLE messages (
        sequence INTEGER PRIMARY KEY,  -- the order of all messages
        agent TEXT NOT NULL,
        run TEXT NOT NULL,
        created REAL NOT NULL,         -- seconds since 1970
        message TEXT NOT NULL          -- JSON, as OpenAI writes a chat message
    )
    """,
    "CREATE INDEX messages_of_agent ON messages (agent, sequence)",
)

# One use at a time in this process, whatever the file, and no fork in the middle of one: the child would get SQLite's
# idea of which locks are held, and of its own mutexes, but not the thread that is to release them.
_in_use = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_in_use.acquire, after_in_parent=_in_use.release, after_in_child=_in_use.release)


class Memory:
    """The conversation of one agent, kept in an SQLite file across runs and processes.

    Agents of different names may share a file; agents of one name share a conversation. Any number of threads and
    processes may use it at once, before and after a fork. Each ``append`` is one transaction, synced to the disk: after
    a crash at any moment the file is sound, and holds every append that returned and no part of any other. The file
    must be on a local disk, as SQLite's locks do not hold over a network.

    Nothing touches the disk before the first use. A new file can be read by its owner only. Messages are kept as they
    are given, and nothing besides; keys and headers of requests are not among them.

    Every method may raise :class:`ConfigurationError`: the file cannot be opened, read or written, is not a memory, or
    stayed locked for 30 seconds.

    Args:
        agent_name: Whose conversation it is.
        path: The file. None: ``memory.sqlite3`` in ``$HEADRACE_HOME``, else in ``headrace/`` of the user's data
            (``$XDG_DATA_HOME``, else ``~/.local/share``).

    Attributes:
        agent_name: Whose conversation it is.
        path: The file, as an absolute path.

    Raises:
        ConfigurationError: The name or the path cannot work.
    """

    def __init__(self, agent_name: str, path: str | Path | None = None) -> None:
        if not agent_name or _SURROGATE.search(agent_name):
            raise ConfigurationError(f"a memory needs the name of its agent, as valid text, not {agent_name!r}")
        if str(path) == ":memory:":
            raise ConfigurationError("a memory is kept in a file: without persistent memory an agent needs none")
        self.agent_name = agent_name
        self.path = (_default_path() if path is None else Path(path)).expanduser().absolute()

    def append(self, messages: Iterable[Message], *, run_id: str | None = None) -> None:
        """Adds messages at the end. They stay together and in order, whoever else appends.

        A tool call and its results belong into one append, so that no crash can come between them.

        Args:
            messages: Chat messages as OpenAI writes them. Lone surrogates in them become U+FFFD, because no request
                with one could ever be sent.
            run_id: Names the run that they come from; None for a name of their own.

        Raises:
            ConfigurationError: A message is not a mapping with a role, or cannot be written as JSON; nothing was added.
        """
        texts = [_to_json(message) for message in messages]
        if not texts:
            return
        run = run_id or os.urandom(8).hex()
        now = time.time()
        with self._transaction() as database:
            database.executemany(
                "INSERT INTO messages (agent, run, created, message) VALUES (?, ?, ?, ?)",
                [(self.agent_name, run, now, text) for text in texts],
            )

    def read(self, limit: int | None = None, *, run_id: str | None = None) -> list[Message]:
        """The messages, oldest first.

        Args:
            limit: At most so many, the newest; None for all. The first of them may then be a tool result without its
                call, which :func:`fit` leaves out.
            run_id: Only those of this run; None for all.

        Returns:
            The messages as they were appended, in a new list.

        Raises:
            ConfigurationError: The limit is negative.
        """
        if limit is not None and limit < 0:
            raise ConfigurationError(f"limit must not be negative, but is {limit}")
        with self._open() as database:
            rows = database.execute(
                "SELECT message FROM messages WHERE agent = ? AND run = coalesce(?, run) "
                "ORDER BY sequence DESC LIMIT ?",
                (self.agent_name, run_id, -1 if limit is None else limit),
            ).fetchall()
        return [json.loads(text) for (text,) in reversed(rows)]

    def clear(self) -> None:
        """Forgets this agent's messages, and overwrites them in the file. Other agents keep theirs."""
        with self._transaction() as database:
            database.execute("PRAGMA secure_delete = ON")
            database.execute("DELETE FROM messages WHERE agent = ?", (self.agent_name,))

    def export(
        self,
        path: str | Path | None = None,
        format: ExportFormat = "json",  # noqa: A002 - the best name for it
    ) -> str:
        """Renders the conversation, for people or for another program.

        Args:
            path: A file to write it to as well, in UTF-8; one that exists is replaced. None to write none.
            format: ``"json"``, an array of the messages as they are; ``"markdown"``, a heading per message; or
                ``"text"``. The last two show images and other media by name only.

        Returns:
            The rendered conversation.

        Raises:
            ConfigurationError: There is no such format, or the file cannot be written.
        """
        from ._conversation.export import renderer

        render = renderer(format)
        rendered = render(self.read()) + "\n"
        if path is not None:
            try:
                Path(path).expanduser().write_text(rendered, encoding="utf-8", newline="\n")
            except OSError as error:
                raise ConfigurationError(f"cannot write the conversation to {path}: {error}") from error
        return rendered

    def __len__(self) -> int:
        """How many messages there are."""
        with self._open() as database:
            count: tuple[int] = database.execute(
                "SELECT count(*) FROM messages WHERE agent = ?", (self.agent_name,)
            ).fetchone()
        return count[0]

    def __repr__(self) -> str:
        return f"Memory({self.agent_name!r}, {str(self.path)!r})"

    @contextlib.contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        # A connection per use: there is nothing to close later, and nothing that a fork could duplicate. It costs about
        # a millisecond, a few times in a run that takes seconds.
        with _in_use:
            import sqlite3  # here, because a fork in the middle of an import would leave the child its lock too

            try:
                self._create_file()
                connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
                with contextlib.closing(connection) as database:
                    self._prepare(database)
                    yield database
            except (OSError, sqlite3.Error) as error:
                raise self._unusable(error) from error

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._open() as database:
            # Immediate: it waits for other writers here, before it has read what they are about to change.
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")

    def _create_file(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite would create it for everybody to read. Not opened if it exists: closing it would drop all POSIX locks
        # that this process holds on it.
        with contextlib.suppress(FileExistsError):
            self.path.touch(mode=0o600, exist_ok=False)

    def _prepare(self, database: sqlite3.Connection) -> None:
        import sqlite3

        # SQLite refuses the switch at once when another process is at work in a new file. Then a later use makes it:
        # the rollback journal is as safe, only slower.
        with contextlib.suppress(sqlite3.OperationalError):
            database.execute("PRAGMA journal_mode = WAL").fetchone()
        database.execute("PRAGMA synchronous = FULL")
        if _version(database) == 0:
            self._create_schema(database)
        version = _version(database)
        if version != _SCHEMA_VERSION:
            raise self._unusable(f"its schema has version {version}, and this headrace knows {_SCHEMA_VERSION}")

    def _create_schema(self, database: sqlite3.Connection) -> None:
        database.execute("BEGIN IMMEDIATE")
        if _version(database) == 0:  # or else another process has created it meanwhile
            if database.execute("SELECT 1 FROM sqlite_master").fetchone():
                raise self._unusable("it is the database of another program")
            for statement in _SCHEMA:
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        database.execute("COMMIT")

    def _unusable(self, reason: object) -> ConfigurationError:
        return ConfigurationError(f"cannot use the memory in {self.path}: {reason}")


def _default_path() -> Path:
    home = os.environ.get("HEADRACE_HOME")
    if home:
        return Path(home) / "memory.sqlite3"
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "headrace" / "memory.sqlite3"


def _version(database: sqlite3.Connection) -> int:
    version: tuple[int] = database.execute("PRAGMA user_version").fetchone()
    return version[0]


def _to_json(message: Message) -> str:
    try:
        plain = dict(message)
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{reprlib.repr(message)} cannot be kept as a message: {error}") from error
    if not isinstance(plain.get("role"), str):
        raise ConfigurationError(f"{reprlib.repr(message)} is not a message: it has no role")
    return _SURROGATE.sub("\ufffd", text)
