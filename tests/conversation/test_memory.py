"""Conversations that are stored in a file, and how they are trimmed to a model's context window."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import memory
from headrace.errors import ConfigurationError
from headrace.memory import Memory, estimate_tokens, fit
from support.harness import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from headrace.types import Message

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "Add 17 and 25."}
CALL = {
    "role": "assistant",
    "content": "I will add them.",
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 17, "b": 25}'}}
    ],
}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "42"}
ANSWER = {"role": "assistant", "content": "It is 42."}
PICTURE = {
    "role": "user",
    "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ],
}
CONVERSATION: list[Message] = [SYSTEM, USER, CALL, RESULT, ANSWER, PICTURE]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a new memory, in a directory that does not exist yet."""
    return tmp_path / "data" / "memory.sqlite3"


def user_says(text: str) -> Message:
    return {"role": "user", "content": text}


def contents(messages: list[Message]) -> list[str]:
    return [message["content"] for message in messages]


@contextlib.contextmanager
def python(code: str, *arguments: object) -> Generator[subprocess.Popen[str]]:
    """Runs a program, and kills it at the end of the block if it still runs."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def assert_success(process: subprocess.Popen[str]) -> None:
    _out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")


def is_valid(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# --- storing ---------------------------------------------------------------------------------------------------


def test_another_object_reads_the_same_messages(path: Path) -> None:
    Memory("Writer", path).append(CONVERSATION[:2])
    Memory("Writer", path).append(CONVERSATION[2:])
    assert Memory("Writer", str(path)).read() == CONVERSATION
    assert len(Memory("Writer", path)) == len(CONVERSATION)


def test_nothing_touches_the_disk_before_the_first_use(path: Path) -> None:
    kept = Memory("Writer", path)
    kept.append([])
    assert not path.parent.exists()
    assert kept.read() == []
    assert path.exists()


def test_limit_reads_the_newest_messages_in_order(path: Path) -> None:
    kept = Memory("Writer", path)
    kept.append([user_says(str(number)) for number in range(5)])
    assert [contents(kept.read(limit)) for limit in (0, 2, 9)] == [[], ["3", "4"], ["0", "1", "2", "3", "4"]]
    with pytest.raises(ConfigurationError, match="limit must not be negative"):
        kept.read(-1)


def test_the_messages_of_one_run_can_be_read(path: Path) -> None:
    kept = Memory("Writer", path)
    kept.append([user_says("a")], run_id="one")
    kept.append([user_says("b")], run_id="two")
    kept.append([user_says("c")])
    kept.append([user_says("d")], run_id="one")
    assert contents(kept.read(run_id="one")) == ["a", "d"]
    assert contents(kept.read(1, run_id="one")) == ["d"]
    assert kept.read(run_id="three") == []


def test_runs_at_the_same_time_keep_their_messages_together(path: Path) -> None:
    kept = Memory("Writer", path)
    kept.append([user_says("before")])
    kept.append([user_says("a")], run_id="one")
    kept.append([user_says("b")], run_id="two")
    kept.append([user_says("a again")], run_id="one")
    kept.append([user_says("b again")], run_id="two")
    assert contents(kept.read()) == ["before", "a", "a again", "b", "b again"]
    assert contents(kept.read(3)) == ["a again", "b", "b again"]


def test_agents_may_share_a_file_without_sharing_a_conversation(path: Path) -> None:
    one, other = Memory("one", path), Memory("other", path)
    one.append([user_says("a")])
    other.append([user_says("b")])
    one.append([user_says("c")])
    assert (contents(one.read()), contents(other.read())) == (["a", "c"], ["b"])
    one.clear()
    assert (one.read(), contents(other.read()), len(one), len(other)) == ([], ["b"], 0, 1)
    one.append([user_says("d")])
    assert contents(one.read()) == ["d"]


def test_cleared_messages_are_overwritten_in_the_file(path: Path) -> None:
    kept = Memory("Writer", path)
    kept.append([user_says("a confession")] * 100)
    assert b"a confession" in path.read_bytes()
    kept.clear()
    assert b"a confession" not in path.read_bytes()


def test_cleared_messages_are_nowhere_in_the_files_while_others_have_them_open(path: Path) -> None:
    kept, other = Memory("Writer", path), Memory("Other", path)
    kept.append([USER])
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("SELECT count(*) FROM messages").fetchall()  # with a connection open, the log stays
        for number in range(300):
            kept.append([user_says(f"a confession {number}" * (number % 7 * 40))])
            other.append([user_says("innocent")])
        files = sorted(path.parent.iterdir())
        assert len(files) > 1
        assert any(b"a confession" in file.read_bytes() for file in files)
        kept.clear()
        assert not any(b"a confession" in file.read_bytes() for file in sorted(path.parent.iterdir()))
    assert (len(kept), len(other)) == (0, 300)
    assert is_valid(path)


def test_what_an_older_headrace_deleted_goes_with_the_next_clear(path: Path) -> None:
    kept = Memory("Writer", path)
    kept.append([user_says("a confession" * 500)] * 20)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA secure_delete = OFF")
        database.execute("DELETE FROM messages")
    kept.append([user_says("later")])
    assert b"a confession" in path.read_bytes()
    kept.clear()
    assert b"a confession" not in path.read_bytes()


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_stored_unchanged(tmp_path_factory: pytest.TempPathFactory, name: str, text: str) -> None:
    kept = Memory(name, tmp_path_factory.getbasetemp() / "unicode.sqlite3")
    kept.clear()
    kept.append([user_says(text)])
    assert kept.read() == [user_says(text)]


def test_a_lone_surrogate_in_a_message_is_replaced(path: Path) -> None:
    kept = Memory("Writer", path)
    kept.append([{"role": "user", "content": "a\ud83db😀", "na\udc00me": "x"}])
    assert kept.read() == [{"role": "user", "content": "a\ufffdb😀", "na\ufffdme": "x"}]


@pytest.mark.parametrize("name", ["", "a\ud83d"])
def test_an_invalid_agent_name_is_refused(path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="the name of its agent"):
        Memory(name, path)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("hello", "'hello' cannot be kept as a message"),
        (None, "None cannot be kept as a message"),
        ({"content": "x"}, "it has no role"),
        ({"role": "user", "content": b"x"}, "bytes is not JSON serializable"),
        ({"role": "user", "content": float("nan")}, "not JSON compliant"),
    ],
)
def test_an_invalid_message_is_refused_and_nothing_is_stored(path: Path, message: Any, reason: str) -> None:
    kept = Memory("Writer", path)
    with pytest.raises(ConfigurationError, match=reason):
        kept.append([USER, message])
    assert kept.read() == []


# --- paths -----------------------------------------------------------------------------------------------------


def test_the_default_file_is_in_headrace_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    assert Memory("Writer").path == tmp_path / "memory.sqlite3"


def test_without_headrace_home_the_file_is_in_the_users_data_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Memory("Writer").path == tmp_path / "headrace" / "memory.sqlite3"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Memory("Writer").path == tmp_path / ".local" / "share" / "headrace" / "memory.sqlite3"


def test_a_relative_path_is_resolved_when_the_memory_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept = Memory("Writer", "memory.sqlite3")
    monkeypatch.chdir("/")
    kept.append([USER])
    assert (tmp_path / "memory.sqlite3").exists()


def test_sqlites_in_memory_database_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="kept in a file"):
        Memory("Writer", ":memory:")


@pytest.mark.skipif(os.name == "nt", reason="POSIX")
def test_only_its_owner_can_read_a_new_file(path: Path) -> None:
    Memory("Writer", path).append([USER])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name == "nt", reason="POSIX")
def test_only_their_owner_can_read_new_directories(path: Path) -> None:
    deep = path.parent / "a" / "b" / "memory.sqlite3"
    Memory("Writer", deep).append([USER])
    for directory in (deep.parent, deep.parent.parent, path.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name == "nt", reason="POSIX")
def test_only_its_owner_can_read_a_file_behind_a_link(path: Path, tmp_path: Path) -> None:
    path.parent.symlink_to(tmp_path / "real" / "data")
    file = tmp_path / "real" / "data" / "real.sqlite3"
    file.parent.parent.mkdir(mode=0o755)
    (tmp_path / "link.sqlite3").symlink_to(path.parent / "real.sqlite3")
    Memory("Writer", tmp_path / "link.sqlite3").append([USER])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.parent.parent.stat().st_mode) == 0o755
    assert Memory("Writer", file).read() == [USER]


@pytest.mark.skipif(os.name == "nt", reason="POSIX")
def test_only_its_owner_can_read_a_new_export(path: Path, tmp_path: Path) -> None:
    kept = Memory("Writer", path)
    kept.append([USER])
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    for export, real in (("export.json", "export.json"), ("link.json", "real.json")):
        kept.export(tmp_path / export)
        assert stat.S_IMODE((tmp_path / real).stat().st_mode) == 0o600
    (tmp_path / "export.json").chmod(0o644)
    kept.clear()
    kept.export(tmp_path / "export.json")
    assert stat.S_IMODE((tmp_path / "export.json").stat().st_mode) == 0o644
    assert (tmp_path / "export.json").read_text() == "[]\n"


def test_the_journal_is_a_write_ahead_log(path: Path) -> None:
    Memory("Writer", path).append([USER])
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_unusable_path_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("just text, and more of it than the header of a database has")
    for unusable in (tmp_path / "file" / "memory.sqlite3", tmp_path, tmp_path / "file"):
        kept = Memory("Writer", unusable)
        for use in (kept.read, kept.clear, kept.__len__, kept.export, lambda kept=kept: kept.append([USER])):
            with pytest.raises(ConfigurationError, match="cannot use the memory in"):
                use()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory_is_a_clear_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError, match="cannot use the memory in"):
        Memory("Writer", tmp_path / "memory.sqlite3").append([USER])


def test_the_database_of_another_program_is_not_changed(path: Path) -> None:
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE messages (text)")
    with pytest.raises(ConfigurationError, match="it is the database of another program"):
        Memory("Writer", path).append([USER])
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 1")
    with pytest.raises(ConfigurationError, match=r"cannot use the memory in .*: .*no column named agent"):
        Memory("Writer", path).append([USER])


def test_a_newer_schema_is_refused(path: Path) -> None:
    Memory("Writer", path).append([USER])
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 2")
    with pytest.raises(ConfigurationError, match="its schema has version 2, and this headrace knows 1"):
        Memory("Writer", path).read()


def test_an_empty_file_becomes_a_memory(path: Path) -> None:
    path.parent.mkdir()
    path.touch()  # the file of a process that was killed before it created the schema
    Memory("Writer", path).append([USER])
    assert Memory("Writer", path).read() == [USER]


def test_a_file_that_stays_locked_is_a_clear_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_BUSY_SECONDS", 0.1)
    kept = Memory("Writer", path)
    kept.append([USER])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        with pytest.raises(ConfigurationError, match="database is locked"):
            kept.append([ANSWER])
        assert kept.read() == [USER]
    kept.append([ANSWER])
    assert kept.read() == [USER, ANSWER]


def test_a_locked_file_stalls_only_its_own_agents_and_no_fork(path: Path) -> None:
    code = """
        import contextlib, os, sqlite3, sys, threading, warnings
        from headrace.memory import Memory
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of a fork in a process with threads
        locked, other = Memory("A", sys.argv[1]), Memory("A", sys.argv[1] + ".other")
        locked.append([{"role": "user", "content": "a"}])
        with contextlib.closing(sqlite3.connect(sys.argv[1], isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            started = threading.Event()
            def wait():
                started.set()
                locked.append([{"role": "user", "content": "b"}])
            waiting = threading.Thread(target=wait)
            waiting.start()
            started.wait()
            for _ in range(100):
                other.append([{"role": "user", "content": "c"}])
            if (pid := os.fork()) == 0:
                other.append([{"role": "user", "content": "d"}])
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            assert waiting.is_alive()  # it was all done while the file was locked
            database.execute("ROLLBACK")
            waiting.join()
        print(len(locked), len(other))
    """
    with python(code, path) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (out, err) == ("2 101\n", "")


# --- concurrency -----------------------------------------------------------------------------------------------

APPEND = """
    import sys, time
    from headrace.memory import Memory
    path, who, start, appends = sys.argv[1:]
    kept = Memory("shared", path)
    time.sleep(max(0, float(start) - time.time()))
    for number in range(int(appends)):
        kept.append({"role": "user", "content": f"{who} {number} {part}"} for part in range(3))
        print(number, flush=True)
"""


def appends_of(messages: list[Message]) -> dict[str, list[int]]:
    """The numbers of each writer's appends in the order of the file. Checks that each append is complete."""
    numbers: dict[str, list[int]] = {}
    texts = contents(messages)
    for start in range(0, len(texts), 3):
        who, number, _part = texts[start].split()
        assert texts[start : start + 3] == [f"{who} {number} {part}" for part in range(3)]
        numbers.setdefault(who, []).append(int(number))
    return numbers


def test_concurrent_processes_lose_no_append_and_mix_none(path: Path) -> None:
    start = time.time() + 0.5
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(python(APPEND, path, who, start, 100)) for who in "abc"]
        for writer in writers:
            assert_success(writer)
    assert appends_of(Memory("shared", path).read()) == {who: list(range(100)) for who in "abc"}
    assert is_valid(path)


def test_concurrent_processes_can_create_the_same_file(path: Path) -> None:
    code = """
        import sys, time
        from headrace.memory import Memory
        directory, who, start = sys.argv[1:]
        for number in range(30):
            time.sleep(max(0, float(start) + number * 0.03 - time.time()))
            Memory(who, f"{directory}/{number}.sqlite3").append([{"role": "user", "content": who}])
    """
    start = time.time() + 1
    with contextlib.ExitStack() as stack:
        for writer in [stack.enter_context(python(code, path.parent, who, start)) for who in "abc"]:
            assert_success(writer)
    for who in "abc":
        assert [contents(Memory(who, path.parent / f"{number}.sqlite3").read()) for number in range(30)] == [[who]] * 30


def test_concurrent_threads_lose_no_append_and_mix_none(path: Path) -> None:
    kept = Memory("shared", path)

    def append(who: str) -> None:
        for number in range(20):
            kept.append(user_says(f"{who} {number} {part}") for part in range(3))
            kept.read(1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, "abcdefgh"))
    assert appends_of(kept.read()) == {who: list(range(20)) for who in "abcdefgh"}


@pytest.mark.skipif(os.name == "nt", reason="POSIX")
def test_killing_the_process_loses_at_most_the_unfinished_append(path: Path) -> None:
    chance = random.Random(7)
    kept = Memory("shared", path)
    expected: dict[str, list[int]] = {}
    for victim in "abcdef":
        with python(APPEND, path, victim, 0, 1_000_000) as writer:
            assert writer.stdout is not None
            acknowledged = [writer.stdout.readline() for _ in range(chance.randrange(1, 10))]
            time.sleep(chance.uniform(0, 0.003))
            writer.send_signal(signal.SIGKILL)
            acknowledged += writer.stdout.readlines()
        assert writer.returncode == -signal.SIGKILL
        found = appends_of(kept.read())
        # The last append may be in the file although its number was not printed.
        assert found[victim] in (list(range(len(acknowledged))), list(range(len(acknowledged) + 1)))
        assert {who: found[who] for who in expected} == expected
        expected = found
        assert is_valid(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_after_a_fork_during_appends_both_processes_can_append(path: Path) -> None:
    code = """
        import os, sys, threading, warnings
        from headrace.memory import Memory
        warnings.simplefilter("error", ResourceWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of a fork in a process with threads
        kept = Memory("shared", sys.argv[1])
        def append(who, appends):
            for number in range(appends):
                kept.append({"role": "user", "content": f"{who} {number} {part}"} for part in range(3))
        threads = [threading.Thread(target=append, args=(who, 60)) for who in "ab"]
        for thread in threads:
            thread.start()
        for child in range(10):
            if (pid := os.fork()) == 0:
                append(f"child{child}", 3)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        for thread in threads:
            thread.join()
    """
    with python(code, path) as writer:
        assert_success(writer)
    children = {f"child{child}": list(range(3)) for child in range(10)}
    parents = {who: list(range(60)) for who in "ab"}
    assert appends_of(Memory("shared", path).read()) == children | parents
    assert is_valid(path)


# --- exports ---------------------------------------------------------------------------------------------------

MARKDOWN = """\
## system

Be brief.

## user

Add 17 and 25.

## assistant

I will add them.

    add({"a": 17, "b": 25})

## tool (call_1)

42

## assistant

It is 42.

## user

What is this?
[image_url]
"""

TEXT = """\
system:
Be brief.

user:
Add 17 and 25.

assistant:
I will add them.
add({"a": 17, "b": 25})

tool (call_1):
42

assistant:
It is 42.

user:
What is this?
[image_url]
"""


def test_an_export_shows_the_conversation(path: Path) -> None:
    kept = Memory("Writer", path)
    kept.append(CONVERSATION)
    assert json.loads(kept.export()) == CONVERSATION
    assert kept.export(format="markdown") == MARKDOWN
    assert kept.export(format="text") == TEXT


def test_an_export_can_be_written_to_a_file(path: Path, tmp_path: Path) -> None:
    kept = Memory("Writer", path)
    kept.append([user_says("Größe 🦜")])
    exported = kept.export(tmp_path / "export.md", "markdown")
    assert (tmp_path / "export.md").read_bytes().decode() == exported == "## user\n\nGröße 🦜\n"


def test_messages_without_text_can_be_exported(path: Path) -> None:
    kept = Memory("Writer", path)
    kept.append([{**CALL, "content": None}, {"role": "assistant", "content": None, "refusal": "I will not."}])
    assert kept.export(format="text") == 'assistant:\nadd({"a": 17, "b": 25})\n\nassistant:\nI will not.\n'


def test_a_failed_export_is_a_clear_error(path: Path, tmp_path: Path) -> None:
    kept = Memory("Writer", path)
    wrong: Any = "pdf"
    with pytest.raises(ConfigurationError, match="format must be one of json, markdown, text, not 'pdf'"):
        kept.export(format=wrong)
    with pytest.raises(ConfigurationError, match="cannot write the conversation to"):
        kept.export(tmp_path / "no" / "such" / "directory")


# --- estimation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        ({"role": "user", "content": ""}, 4),
        ({"role": "assistant", "content": None}, 4),
        (user_says("x" * 8), 6),
        (user_says("x" * 9), 7),
        (user_says("日本"), 6),
        (user_says("\ud83d"), 5),
        ({**user_says("x" * 4), "name": "yyyy"}, 6),
        (PICTURE, 4 + 4 + 1600),
        (CALL, 4 + -(-(len("I will add them.") + len('add({"a": 17, "b": 25})')) // 4)),
    ],
)
def test_the_token_estimate_follows_the_documented_rule(message: Message, tokens: int) -> None:
    assert estimate_tokens(message) == tokens


# --- trimming --------------------------------------------------------------------------------------------------


def one_each(_message: Message) -> int:
    return 1


def test_a_conversation_that_fits_is_unchanged() -> None:
    assert fit(CONVERSATION, sum(map(estimate_tokens, CONVERSATION))) == CONVERSATION
    assert fit([], 0) == []


def call(*ids: str | None) -> Message:
    return {"role": "assistant", "content": None, "tool_calls": [{"id": id_, "function": {}} for id_ in ids]}


def result(id_: str | None) -> Message:
    return {"role": "tool", "tool_call_id": id_, "content": ""}


def test_the_oldest_exchange_is_removed_first_and_completely() -> None:
    first = [user_says("first"), call("a", "b"), result("b"), result("a"), ANSWER]
    second = [user_says("second"), ANSWER]
    last = [user_says("last")]
    everything = [SYSTEM, *first, *second, *last]
    assert fit(everything, 9, count=one_each) == everything
    for context in (4, 5, 6, 7, 8):
        assert fit(everything, context, count=one_each) == [SYSTEM, *second, *last]
    assert fit(everything, 5, reserve=2, count=one_each) == [SYSTEM, *last]
    assert fit(everything, 2, count=one_each) == [SYSTEM, *last]
    with pytest.raises(ConfigurationError, match="1 tokens too long for the context of 2 "):
        fit(everything, 2, reserve=1, count=one_each)


def test_the_oldest_steps_of_the_last_exchange_are_removed_next() -> None:
    ask = user_says("go on")
    steps = [[call(id_), result(id_)] for id_ in "abc"]
    everything = [SYSTEM, user_says("old"), ANSWER, ask, *steps[0], *steps[1], *steps[2]]
    assert fit(everything, 8, count=one_each) == [SYSTEM, ask, *steps[0], *steps[1], *steps[2]]
    assert fit(everything, 7, count=one_each) == [SYSTEM, ask, *steps[1], *steps[2]]
    assert fit(everything, 4, count=one_each) == [SYSTEM, ask, *steps[2]]
    with pytest.raises(ConfigurationError, match="too long"):
        fit(everything, 3, count=one_each)


def test_messages_that_providers_refuse_are_removed_even_if_they_fit() -> None:
    unanswered = [call("a", "b"), result("a")]
    everything = [result("z"), USER, *unanswered, ANSWER, result("a"), call("c"), result("c"), result("d")]
    assert fit(everything, 1000) == [USER, ANSWER, call("c"), result("c")]


def test_calls_without_ids_keep_their_results() -> None:
    everything = [USER, call(None), result(None), ANSWER]
    assert fit(everything, 1000) == everything


def test_messages_before_the_first_user_message_are_removed_first() -> None:
    developer = {"role": "developer", "content": "Be kind."}
    everything = [SYSTEM, developer, ANSWER, SYSTEM, USER, ANSWER, user_says("last")]
    assert fit(everything, 6, count=one_each) == [SYSTEM, developer, USER, ANSWER, user_says("last")]


def messages_of(kinds: list[tuple[str, int, int]]) -> list[Message]:
    """Makes a conversation of these kinds of steps. Some calls have no result, and some results no call."""
    messages: list[Message] = []
    for number, (kind, size, missing) in enumerate(kinds):
        text = f"{number} " + "x" * size
        if kind == "call":
            ids = [f"{number}.{index}" for index in range(size % 3 + 1)]
            messages.append({**call(*ids), "content": text})
            messages += [result(id_) for id_ in (ids[1:] if missing == 0 else ids)]
        elif kind == "tool":
            messages.append(result(f"{number}"))
        else:
            messages.append({"role": kind, "content": text})
    return messages


conversations = st.lists(
    st.tuples(
        st.sampled_from(["system", "user", "user", "assistant", "call", "call", "tool"]),
        st.integers(0, 40),
        st.integers(0, 5),
    ),
    max_size=16,
).map(messages_of)


def is_complete(messages: list[Message]) -> bool:
    """Whether each result is after its call, and each call has all of its results."""
    waiting: set[str] = set()
    called: set[str] = set()
    for message in messages:
        if message["role"] != "tool":
            if waiting:
                return False
            waiting = {call["id"] for call in message.get("tool_calls", ())}
            called = set(waiting)
        elif message["tool_call_id"] not in called:
            return False
        waiting.discard(message.get("tool_call_id", ""))
    return not waiting


def tokens(messages: list[Message]) -> int:
    return sum(map(estimate_tokens, messages))


@given(conversations, st.integers(0, 150), st.integers(0, 20))
def test_the_remaining_messages_keep_every_documented_rule(messages: list[Message], context: int, reserve: int) -> None:
    healthy = fit(messages, sys.maxsize)
    users = [message for message in healthy if message["role"] == "user"]
    head = healthy[: next((at for at, message in enumerate(healthy) if message["role"] != "system"), len(healthy))]
    try:
        remaining = fit(messages, context, reserve=reserve)
    except ConfigurationError:
        end = max((at for at, message in enumerate(healthy) if message["role"] != "tool"), default=0)
        least = {id(message): message for message in [*head, *users[-1:], *healthy[end:]]}
        assert tokens(list(least.values())) + reserve > context
        return
    assert tokens(remaining) + reserve <= context
    places = [next(at for at, message in enumerate(messages) if message is one) for one in remaining]
    assert places == sorted(set(places))
    assert is_complete(remaining)
    assert remaining[: len(head)] == head
    assert [message for message in remaining if message["role"] == "user"][-1:] == users[-1:]
    assert remaining[-1:] == healthy[-1:]
    assert fit(remaining, context, reserve=reserve) == remaining
    more = fit(messages, context + 10, reserve=reserve)
    assert [message for message in more if message in remaining] == remaining


@given(conversations)
def test_every_valid_message_is_kept_if_it_fits(messages: list[Message]) -> None:
    healthy = fit(messages, tokens(messages))
    assert [message for message in healthy if message["role"] != "tool" and "tool_calls" not in message] == [
        message for message in messages if message["role"] != "tool" and "tool_calls" not in message
    ]
    if is_complete(messages):
        assert healthy == messages
