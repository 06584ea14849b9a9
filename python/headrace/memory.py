"""Conversations that outlive a run: stored in SQLite, and trimmed to a model's context window.

:class:`Memory` stores messages across runs and processes. :func:`fit` chooses the messages that fit into a request.
The two are independent: the conversation of one run is a plain list, and is trimmed by the same function.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import reprlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from ._conversation.trimming import estimate_tokens, fit
from .errors import ConfigurationError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from .types import Message

__all__ = ["ExportFormat", "Memory", "estimate_tokens", "fit"]

ExportFormat: TypeAlias = Literal["json", "markdown", "text"]

_SURROGATE = re.compile("[\ud800-\udfff]")

_BUSY_SECONDS = 30.0
_LONGEST_PAUSE = 0.05
_BUSY_OR_LOCKED = frozenset({5, 6})  # SQLITE_BUSY, SQLITE_LOCKED

_Result = TypeVar("_Result")

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

# By the first message of their run, so that the exchanges of runs at the same time are not mixed.
_READ = """
    SELECT message FROM messages
    JOIN (SELECT run AS its_run, min(sequence) AS began FROM messages WHERE agent = ? GROUP BY run) ON run = its_run
    WHERE agent = ? AND run = coalesce(?, run)
    ORDER BY began DESC, sequence DESC LIMIT ?
"""

# Only one thread of this process uses SQLite at a time, for any file, and `os.fork` waits for it. A child that is
# forked during a use would inherit SQLite's locks and mutexes as held, without the thread that releases them.
# A use never waits for a locked file: it ends, and is tried again later, so that other files and forks have their turn.
_in_use = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_in_use.acquire, after_in_parent=_in_use.release, after_in_child=_in_use.release)


class Memory:
    """The conversation of one agent, stored in an SQLite file across runs and processes.

    Agents of different names may share a file; agents of the same name share a conversation. Any number of threads and
    processes may use a memory at once, before and after a fork, and runs that do keep their questions and answers
    together. Each ``append`` is one transaction that is synced to the disk. After a crash the file is valid: it has
    every append that returned, and no part of any other. The file must be on a local disk, because SQLite's locks do
    not work reliably on network file systems.

    The file and missing directories are created at the first use, readable only by their owner; those that are there
    keep their permissions. Only the messages are stored, unchanged; the keys
    and headers of requests are not.

    Every method may raise :class:`ConfigurationError`: the file cannot be opened, read or written, is not a memory, or
    stayed locked for 30 seconds.

    Args:
        agent_name: The name of the agent.
        path: The file. None: ``memory.sqlite3`` in ``$HEADRACE_HOME``, else in ``headrace/`` of the user's data
            directory (``$XDG_DATA_HOME``, else ``~/.local/share``).

    Attributes:
        agent_name: The name of the agent.
        path: The file, as an absolute path.

    Raises:
        ConfigurationError: The name is empty or not valid text, or the path is ``":memory:"``.

    Example:
        >>> from headrace import Memory
        >>> memory = Memory("Writer", "writer.sqlite3")
        >>> memory.append([{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Good day."}])
        >>> len(memory)
        2
        >>> memory.read(limit=1)
        [{'role': 'assistant', 'content': 'Good day.'}]
        >>> print(memory.export(format="text"))
        user:
        Hello.
        <BLANKLINE>
        assistant:
        Good day.
        <BLANKLINE>
        >>> memory.clear()

        An agent with ``persistent_memory=True`` uses a memory of its own name:

        >>> writer = Agent(agent_name="Writer", persistent_memory=True, memory_path="writer.sqlite3",
        ...     model_name="openai/sim", llm_base_url=simulator.base_url, print_on=False)
        >>> answer = writer.run("Say hello.")
        >>> Memory("Writer", "writer.sqlite3").read()[-1]
        {'role': 'assistant', 'content': 'Hello, world.'}
    """

    def __init__(self, agent_name: str, path: str | Path | None = None) -> None:
        if not agent_name or _SURROGATE.search(agent_name):
            raise ConfigurationError(f"a memory needs the name of its agent, as valid text, not {agent_name!r}")
        if str(path) == ":memory:":
            raise ConfigurationError(
                "a memory is kept in a file, not in ':memory:': give a path, or an agent without persistent_memory"
            )
        self.agent_name = agent_name
        self.path = (_default_path() if path is None else Path(path)).expanduser().absolute()

    def append(self, messages: Iterable[Message], *, run_id: str | None = None) -> None:
        """Adds messages at the end. They stay together and in order, even if others append at the same time.

        Append a tool call and its results together, so that a crash cannot separate them.

        Args:
            messages: Chat messages in OpenAI's form. Lone surrogates in them become U+FFFD, because a request cannot
                contain them.
            run_id: The id of the run that they come from; None for a new id. They are read after the earlier messages
                of the same run, so that runs at the same time are not mixed.

        Raises:
            ConfigurationError: A message is not a mapping with a role, or is not JSON. Nothing was added.
        """
        texts = [_to_json(message) for message in messages]
        if not texts:
            return
        run = run_id or os.urandom(8).hex()
        now = time.time()
        rows = [(self.agent_name, run, now, text) for text in texts]

        def insert(database: sqlite3.Connection) -> None:
            # IMMEDIATE meets other writers now, before this transaction reads rows that they are changing.
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO messages (agent, run, created, message) VALUES (?, ?, ?, ?)", rows)
            database.execute("COMMIT")

        self._use(insert)

    def read(self, limit: int | None = None, *, run_id: str | None = None) -> list[Message]:
        """Reads the messages, oldest first: those of the run that began first, then those of the next.

        Args:
            limit: How many messages at most, the newest ones; None for all. With a limit, the first message may be a
                tool result without its call; :func:`fit` removes such results.
            run_id: Read only the messages of this run; None for all runs.

        Returns:
            The messages as they were appended, in a new list.

        Raises:
            ConfigurationError: The limit is negative.
        """
        if limit is not None and limit < 0:
            raise ConfigurationError(f"limit must not be negative, but is {limit}")
        chosen = (self.agent_name, self.agent_name, run_id, -1 if limit is None else limit)
        rows = self._use(lambda database: database.execute(_READ, chosen).fetchall())
        return [json.loads(text) for (text,) in reversed(rows)]

    def clear(self) -> None:
        """Deletes this agent's messages, and overwrites them in the file and its log. Other agents keep theirs."""

        def delete(database: sqlite3.Connection) -> None:
            database.execute("DELETE FROM messages WHERE agent = ?", (self.agent_name,))
            # The rest of a page may still have the text of messages that were moved to another one. So all are written
            # anew; in memory, because a temporary file would have the messages of the other agents.
            database.execute("PRAGMA temp_store = MEMORY")
            database.execute("VACUUM")
            # The log has the old pages until it is emptied, for which nobody else may be reading.
            busy: tuple[int, int, int] = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy[0]:
                raise _BusyError("database is locked")

        self._use(delete)

    def export(
        self,
        path: str | Path | None = None,
        format: ExportFormat = "json",  # noqa: A002 - the best name for it
    ) -> str:
        """Renders the conversation as text, for people or for another program.

        Args:
            path: A file to write the text to as well, in UTF-8. A new file is readable only by its owner; what is in an
                existing one is replaced, and its permissions stay. None to write no file.
            format: ``"json"``, an array of the messages, unchanged; ``"markdown"``, with a heading per message; or
                ``"text"``. The last two show images and other media only by their type.

        Returns:
            The text.

        Raises:
            ConfigurationError: The format is unknown, or the file cannot be written.
        """
        from ._conversation.export import renderer

        render = renderer(format)
        rendered = render(self.read()) + "\n"
        if path is not None:
            try:
                target = os.open(Path(path).expanduser(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(target, "w", encoding="utf-8", newline="\n") as file:
                    file.write(rendered)
            except OSError as error:
                raise ConfigurationError(f"cannot write the conversation to {path}: {error}") from error
        return rendered

    def __len__(self) -> int:
        """The number of messages."""
        count = "SELECT count(*) FROM messages WHERE agent = ?"
        counted: tuple[int] = self._use(lambda database: database.execute(count, (self.agent_name,)).fetchone())
        return counted[0]

    def __repr__(self) -> str:
        return f"Memory({self.agent_name!r}, {str(self.path)!r})"

    def _use(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Does something with the file. It is done again from the start while somebody else has the file locked."""
        deadline = time.monotonic() + _BUSY_SECONDS
        pause = 0.001
        while True:
            try:
                return self._try(work)
            except _BusyError as error:
                if time.monotonic() >= deadline:
                    raise self._unusable(error) from error
            # Of different length, so that those who wait do not meet again.
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - nothing secret
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _try(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        # Each use opens a new connection, so there is nothing to close later and nothing that a fork could duplicate.
        # It costs about a millisecond, a few times in a run that takes seconds.
        with _in_use:
            import sqlite3  # inside the lock: a child forked during the import would inherit a locked import lock

            try:
                # Through symbolic links, as SQLite does it, so that the file that they lead to is ours too.
                path = Path(os.path.realpath(self.path))
                _create(path)
                connection = sqlite3.connect(path, timeout=0, isolation_level=None)
                with contextlib.closing(connection) as database:
                    self._prepare(database)
                    return work(database)
            except (OSError, sqlite3.Error) as error:
                if _is_busy(error):
                    raise _BusyError(str(error)) from error
                raise self._unusable(error) from error

    def _prepare(self, database: sqlite3.Connection) -> None:
        import sqlite3

        # While another process is writing to a new file, SQLite refuses to switch to WAL. The rollback journal is as
        # safe, only slower, and a later use switches.
        with contextlib.suppress(sqlite3.OperationalError):
            database.execute("PRAGMA journal_mode = WAL").fetchone()
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA secure_delete = ON")
        if _version(database) == 0:
            self._create_schema(database)
        version = _version(database)
        if version != _SCHEMA_VERSION:
            raise self._unusable(f"its schema has version {version}, and this headrace knows {_SCHEMA_VERSION}")

    def _create_schema(self, database: sqlite3.Connection) -> None:
        database.execute("BEGIN IMMEDIATE")
        if _version(database) == 0:  # another process may have created it in the meantime
            if database.execute("SELECT 1 FROM sqlite_master").fetchone():
                raise self._unusable("it is the database of another program")
            for statement in _SCHEMA:
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        database.execute("COMMIT")

    def _unusable(self, reason: object) -> ConfigurationError:
        return ConfigurationError(f"cannot use the memory in {self.path}: {reason}")


class _BusyError(Exception):
    """Another connection has locked the file."""


def _is_busy(error: Exception) -> bool:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:  # Python 3.10 tells only SQLite's words
        return "locked" in str(error)
    # The lower byte is the kind of error, the rest of the number says more about it.
    return code & 0xFF in _BUSY_OR_LOCKED


def _create(path: Path) -> None:
    """Creates a file and its missing directories, for their owner only. Existing ones stay as they are."""
    # `mkdir` with `parents` would make all but the last one with the usual permissions.
    for directory in reversed([parent for parent in path.parents if not parent.exists()]):
        directory.mkdir(mode=0o700, exist_ok=True)
    # SQLite would create a file that everybody can read. Do not open an existing file: closing it would release
    # all POSIX locks that this process holds on it.
    with contextlib.suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)


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
