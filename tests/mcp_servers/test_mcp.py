"""The tools of MCP servers over stdio and streamable HTTP, with a server that uses the official SDK."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from headrace.errors import ConfigurationError
from headrace.events import MCPServerFailed
from headrace.mcp import HTTPServer, MCPTools, Server, StdioServer, parse_servers
from headrace.tools import Toolbox, ToolResult
from headrace.types import ToolCall
from support.autonomous import completes, done, plans
from support.conversations import bodies, calling, conversation, sent
from support.harness import PATIENCE, REPOSITORY, agent_at, count_descriptors, needs_proc, run_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headrace.testing import Simulator
    from support.harness import Reader, Simulate

RAW_SCRIPT = str(REPOSITORY / "tests" / "support" / "mcp_raw_server.py")
SCRIPT = str(REPOSITORY / "tests" / "support" / "mcp_server.py")


@pytest.fixture(scope="module")
def sdk() -> None:
    pytest.importorskip("mcp", reason="the extra `mcp` is not installed", exc_type=ImportError)


needs_sdk = pytest.mark.usefixtures("sdk")


def stdio(name: str = "local", **options: Any) -> StdioServer:
    return StdioServer(name, sys.executable, (SCRIPT, "stdio"), **options)


@contextmanager
def serving_http(port: int = 0) -> Iterator[int]:
    with subprocess.Popen([sys.executable, SCRIPT, "http", str(port)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture(scope="module")
def port(sdk: None) -> Iterator[int]:  # noqa: ARG001 - it skips
    with serving_http() as port:
        yield port


@contextmanager
def connected(*servers: Server, **options: Any) -> Iterator[Toolbox]:
    tools = MCPTools(servers, **{"connect_timeout": PATIENCE, **options})
    try:
        yield Toolbox(tools.connect())
    finally:
        tools.close()


@pytest.fixture(scope="module", params=["stdio", "http"])
def toolbox(request: pytest.FixtureRequest, sdk: None) -> Iterator[Toolbox]:  # noqa: ARG001 - it skips
    server: Server = stdio()
    if request.param == "http":
        server = HTTPServer("web", f"http://127.0.0.1:{request.getfixturevalue('port')}/mcp", {"X-Key": "k"})
    with connected(server) as toolbox:
        yield toolbox


def to_call(name: str, arguments: dict[str, Any]) -> list[ToolCall]:
    return [ToolCall("1", name, json.dumps(arguments))]


def call(toolbox: Toolbox, name: str, /, **arguments: Any) -> ToolResult:
    return toolbox.run_sync(to_call(name, arguments))[0]


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def threads_are_gone() -> Callable[[], bool]:
    """A function that returns whether all threads that the test started have ended."""
    before = set(threading.enumerate())
    return lambda: set(threading.enumerate()) <= before


# --- calls -----------------------------------------------------------------------------------------------------


def test_the_tools_of_a_server_are_offered_to_the_model(toolbox: Toolbox) -> None:
    schemas = {schema["function"]["name"]: schema["function"] for schema in toolbox.schemas}
    assert schemas["add"]["description"] == "Adds two numbers."
    assert schemas["add"]["parameters"]["required"] == ["a", "b"]


def test_tool_names_that_providers_refuse_are_changed(toolbox: Toolbox) -> None:
    assert call(toolbox, "with_a_dot").content == "dotted"
    assert call(toolbox, "with_a_dot_2").content == "underscored"


@pytest.mark.parametrize(
    ("name", "arguments", "content", "value"),
    [
        ("add", {"a": 17, "b": 25}, "42", 42),
        ("greet", {"name": "Jo"}, "Grüße, Jo", "Grüße, Jo"),
        ("place", {"city": "Delft"}, '{"city": "Delft", "people": 3}', {"city": "Delft", "people": 3}),
        ("places", {}, '["7", "Delft"]', ["7", "Delft"]),
        ("environment", {"name": "NOT_SET"}, "null", None),
    ],
)
def test_a_result_becomes_text_for_the_model_and_a_value(
    toolbox: Toolbox, name: str, arguments: dict[str, Any], content: str, value: object
) -> None:
    result = call(toolbox, name, **arguments)
    assert (result.content, result.value, result.error) == (content, value, None)


def test_calls_from_any_event_loop_share_the_session(toolbox: Toolbox) -> None:
    async def sums() -> list[str]:
        results = await toolbox.run([call for n in range(5) for call in to_call("add", {"a": n, "b": 1})])
        return [result.content for result in results]

    for _ in range(2):
        assert asyncio.run(sums()) == ["1", "2", "3", "4", "5"]
    assert call(toolbox, "pid").value == call(toolbox, "pid").value


def test_text_structured_and_other_content_are_combined(toolbox: Toolbox) -> None:
    assert call(toolbox, "two_ways").content == 'It rains.\n{"rain": true}'
    assert call(toolbox, "show").content.splitlines() == [
        "an image:",
        "[image of type image/png, which is not shown]",
        "[a link to file:///a.txt: a text]",
        "what b says",
    ]


def test_an_error_of_a_tool_is_reported_to_the_model(toolbox: Toolbox) -> None:
    result = call(toolbox, "boom")
    assert (result.error, result.content) == (
        "exception",
        "'boom' failed: RuntimeError: Error executing tool boom: no such city",
    )
    result = call(toolbox, "add", a="x", b=1)
    assert result.error == "exception"
    assert "valid integer" in result.content


def test_a_cancelled_call_is_cancelled_at_the_server(toolbox: Toolbox, tmp_path: Path) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(toolbox.run(to_call("hang", {"folder": str(tmp_path)})))
        await asyncio.to_thread(wait_until, (tmp_path / "began").exists)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(wait_until, (tmp_path / "cancelled").exists)

    asyncio.run(main())
    assert call(toolbox, "add", a=1, b=1).content == "2"


def test_headers_are_sent(toolbox: Toolbox, request: pytest.FixtureRequest) -> None:
    over_http = "http" in request.node.callspec.id
    assert call(toolbox, "header", name="x-key").value == ("k" if over_http else None)


@needs_sdk
def test_a_subprocess_gets_its_environment_and_folder_and_a_call_its_timeout(tmp_path: Path) -> None:
    with connected(stdio(env={"CITY": "Delft"}, cwd=str(tmp_path), timeout=2.5)) as toolbox:
        assert call(toolbox, "environment", name="CITY").content == "Delft"
        result = call(toolbox, "hang", folder=".")
        assert (result.error, result.content) == ("timeout", "'hang' gave no result within 2.5 s.")
        wait_until((tmp_path / "cancelled").exists)


@needs_sdk
def test_tools_of_the_same_name_are_prefixed_with_the_servers_name(port: int) -> None:
    url = f"http://127.0.0.1:{port}/mcp"
    with connected(HTTPServer("a b", url), HTTPServer("c", url)) as toolbox:
        assert {"a_b_add", "c_add"} <= set(toolbox.names)
        assert "add" not in toolbox.names
        assert [call(toolbox, name, a=1, b=2).content for name in ("a_b_add", "c_add")] == ["3", "3"]


# --- lifecycle -------------------------------------------------------------------------------------------------


@needs_sdk
def test_a_dead_stdio_server_is_started_again_and_close_ends_it() -> None:
    tools = MCPTools([stdio()], connect_timeout=PATIENCE)
    toolbox = Toolbox(tools.connect())
    first = call(toolbox, "pid").value
    result = call(toolbox, "die")
    assert result.error == "exception"
    assert "ConnectionError: the connection to the MCP server 'local' was lost" in result.content
    second = call(toolbox, "pid").value
    assert first != second
    tools.close()
    tools.close()
    assert not is_running(first)
    assert not is_running(second)
    # As after a fork, the next call connects again.
    assert call(toolbox, "add", a=1, b=1).content == "2"
    tools.close()


@needs_sdk
def test_a_restarted_http_server_is_connected_again() -> None:
    with serving_http() as port, connected(HTTPServer("web", f"http://127.0.0.1:{port}/mcp")) as toolbox:
        assert call(toolbox, "add", a=1, b=1).content == "2"
        assert "'web' was lost" in call(toolbox, "die").content
        assert "the MCP server 'web' cannot be used" in call(toolbox, "add", a=1, b=1).content
        with serving_http(port):
            assert call(toolbox, "add", a=1, b=1).content == "2"


@needs_sdk
def test_close_fails_the_running_calls(tmp_path: Path) -> None:
    tools = MCPTools([stdio()], connect_timeout=PATIENCE)
    toolbox = Toolbox(tools.connect())
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(call, toolbox, "hang", folder=str(tmp_path))
        wait_until((tmp_path / "began").exists)
        tools.close()
        assert "'local' was lost" in running.result(PATIENCE).content


@needs_sdk
@needs_proc
def test_no_thread_or_process_is_left(port: int, threads_are_gone: Callable[[], bool]) -> None:
    def once() -> None:
        with connected(stdio(), HTTPServer("web", f"http://127.0.0.1:{port}/mcp")) as toolbox:
            assert call(toolbox, "web_add", a=1, b=1).content == "2"

    once()
    gc.collect()
    before = count_descriptors()
    once()
    gc.collect()
    assert count_descriptors() <= before
    wait_until(threads_are_gone)


@needs_sdk
def test_garbage_collected_tools_are_closed(threads_are_gone: Callable[[], bool]) -> None:
    tools = MCPTools([stdio()], connect_timeout=PATIENCE)
    toolbox = Toolbox(tools.connect())
    del tools
    gc.collect()
    pid = call(toolbox, "pid").value
    del toolbox
    gc.collect()
    wait_until(lambda: not is_running(pid) and threads_are_gone())


@needs_sdk
def test_several_threads_connect_only_once() -> None:
    tools = MCPTools([stdio()], connect_timeout=PATIENCE)
    with ThreadPoolExecutor(4) as pool:
        found = {id(made) for made in pool.map(lambda _: tools.connect(), range(4))}
    assert found == {id(tools.connect())}
    tools.close()


PROGRAM = f"""
import json, os, sys
from headrace.mcp import MCPTools, StdioServer
from headrace.tools import Toolbox
from headrace.types import ToolCall

tools = MCPTools([StdioServer("local", sys.executable, ({SCRIPT!r}, "stdio"))], connect_timeout={PATIENCE})
toolbox = Toolbox(tools.connect())
def pid():
    return toolbox.run_sync([ToolCall("1", "pid", "")])[0].value
"""


@needs_sdk
def test_the_end_of_the_process_ends_the_servers() -> None:
    run = run_python(PROGRAM + "print(pid())", environment={"PYTHONWARNINGS": "always::ResourceWarning"})
    assert (run.returncode, run.stderr) == (0, "")
    assert not is_running(int(run.stdout))


@needs_sdk
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_opens_its_own_connection() -> None:
    run = run_python(
        PROGRAM
        + """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, since Python 3.12
mine = pid()
child = os.fork()
if child == 0:
    other = pid()
    assert other != mine
    assert [tool.name for tool in tools.connect()] == list(toolbox.names)
    assert other == pid()
    sys.exit(7)  # a normal exit, which runs the atexit functions
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert pid() == mine
print("done")
"""
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "done\n", "")


# --- errors ----------------------------------------------------------------------------------------------------


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@needs_sdk
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: StdioServer("bad", "no-such-program"), "no-such-program"),
        (lambda: StdioServer("bad", sys.executable, ("-c", "raise SystemExit('no city')")), "said: no city"),
        (lambda: HTTPServer("bad", f"http://127.0.0.1:{unused_port()}/mcp"), "attempts failed"),
    ],
)
def test_the_error_for_an_unreachable_server_names_it(
    make: Callable[[], Server], reason: str, threads_are_gone: Callable[[], bool]
) -> None:
    tools = MCPTools([make()], connect_timeout=PATIENCE)
    with pytest.raises(ConfigurationError, match=f"the MCP server 'bad' cannot be used: .*{reason}"):
        tools.connect()
    wait_until(threads_are_gone)


@needs_sdk
def test_one_unreachable_server_closes_the_other_sessions(threads_are_gone: Callable[[], bool]) -> None:
    tools = MCPTools([stdio(), StdioServer("bad", "no-such-program")], connect_timeout=PATIENCE)
    with pytest.raises(ConfigurationError, match="'bad'"):
        tools.connect()
    wait_until(threads_are_gone)


@needs_sdk
@pytest.mark.parametrize("over", ["stdio", "http"])
def test_a_silent_server_reaches_the_connect_timeout(over: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = StdioServer("bad", sys.executable, ("-c", "import sys; sys.stdin.read()"))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        tools = MCPTools([silent if over == "stdio" else HTTPServer("bad", url)], connect_timeout=0.2)
        with pytest.raises(ConfigurationError, match=r"'bad' cannot be used: no answer within 0\.2 s"):
            tools.connect()


def test_the_error_without_the_sdk_names_the_extra() -> None:
    run = run_python("""
        import sys
        sys.modules["mcp"] = None
        from headrace.errors import ConfigurationError
        from headrace.mcp import MCPTools, parse_servers
        assert MCPTools(()).connect() == ()
        try:
            MCPTools(parse_servers("http://127.0.0.1:1/mcp")).connect()
        except ConfigurationError as error:
            print(error)
    """)
    assert 'pip install "headrace[mcp]"' in run.stdout, run.stderr


def test_importing_the_module_loads_nothing_heavy() -> None:
    run = run_python("import headrace.mcp, sys; print({'mcp', 'anyio', 'pydantic'} & sys.modules.keys())")
    assert run.stdout == "set()\n"


# --- servers that misbehave ------------------------------------------------------------------------------------


def raw(how: str = "", name: str = "raw", **options: Any) -> StdioServer:
    return StdioServer(name, sys.executable, (RAW_SCRIPT, how), **options)


@needs_sdk
@pytest.mark.parametrize("how", ["cut", "no answer", "no version"])
def test_an_answer_that_cannot_be_read_is_an_error(how: str) -> None:
    with connected(raw(how), call_timeout=None) as toolbox:
        result = call(toolbox, "odd")
        assert result.error == "exception"
        assert "'raw' sent an answer that cannot be read" in result.content
        # The session goes on.
        assert call(toolbox, "echo").content == "echo was called"


@needs_sdk
def test_an_answer_to_initialize_that_cannot_be_read_is_an_error() -> None:
    tools = MCPTools([raw("mute")], connect_timeout=PATIENCE)
    with pytest.raises(ConfigurationError, match=r"'raw' cannot be used: it sent an answer that cannot be read: \{"):
        tools.connect()


@needs_sdk
def test_what_a_server_prints_is_no_answer() -> None:
    with connected(raw("noisy"), call_timeout=PATIENCE) as toolbox:
        assert call(toolbox, "odd").content == "done"


@needs_sdk
def test_a_call_has_a_limit() -> None:
    def limits(**options: Any) -> list[float | None]:
        tools = MCPTools([raw("silent"), raw("silent", "own", timeout=7)], connect_timeout=PATIENCE, **options)
        made = tools.connect()
        tools.close()
        return [tool.timeout for tool in made if "odd" in tool.name]

    assert limits() == [60.0, 7.0]
    assert limits(call_timeout=None) == [None, 7.0]
    with connected(raw("silent"), call_timeout=0.2) as toolbox:
        assert call(toolbox, "odd").error == "timeout"
        assert call(toolbox, "echo").content == "echo was called"


@pytest.mark.parametrize("name", ["connect_timeout", "call_timeout"])
@pytest.mark.parametrize("seconds", [0, -1, float("inf")])
def test_an_impossible_limit_is_refused(name: str, seconds: float) -> None:
    limits: dict[str, Any] = {name: seconds}
    with pytest.raises(ConfigurationError, match=name):
        MCPTools([], **limits)


# --- in a run --------------------------------------------------------------------------------------------------


def config(*servers: StdioServer) -> dict[str, Any]:
    return {server.name: {"command": server.command, "args": list(server.args)} for server in servers}


def offered(simulator: Simulator) -> list[list[str]]:
    return [[tool["function"]["name"] for tool in body.get("tools", [])] for body in bodies(simulator)]


@needs_sdk
@pytest.mark.parametrize("loops", [5, "auto"])
def test_a_run_goes_on_without_a_server_that_is_dead(simulate: Simulate, reader: Reader, loops: Any) -> None:
    simulator = simulate("Fine.")
    servers = config(raw(), StdioServer("dead", "no-such-program"), StdioServer("gone", sys.executable, ("-c", "")))
    agent = agent_at(simulator, mcp_config=servers, mcp_connect_timeout=PATIENCE, max_loops=loops, max_plan_attempts=1)
    result = reader.read(agent, with_events=True)
    assert result.error is None
    failed = [event for event in list[Any](result.tokens) if isinstance(event, MCPServerFailed)]
    assert [event.server for event in failed] == ["dead", "gone"]
    assert "no-such-program" in failed[0].error
    assert offered(simulator)[-1] == ["odd", "echo"]
    assert agent.mcp is not None
    agent.mcp.close()


@needs_sdk
def test_a_server_that_is_required_refuses_the_run(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("Fine.")
    servers = config(raw(), StdioServer("dead", "no-such-program"))
    result = reader.read(agent_at(simulator, mcp_config=servers, mcp_required=True, mcp_connect_timeout=PATIENCE))
    assert isinstance(result.error, ConfigurationError)
    assert bodies(simulator) == []


@needs_sdk
def test_a_server_that_is_there_again_is_used_by_the_next_run(
    simulate: Simulate, reader: Reader, tmp_path: Path
) -> None:
    simulator = simulate("Fine.")
    program = tmp_path / "server.py"
    agent = agent_at(
        simulator,
        mcp_config={"late": {"command": sys.executable, "args": [str(program)]}},
        mcp_connect_timeout=PATIENCE,
    )
    assert reader.read(agent).error is None
    program.write_text(Path(RAW_SCRIPT).read_text(encoding="utf-8"), encoding="utf-8")
    assert reader.read(agent).error is None
    assert offered(simulator) == [[], ["odd", "echo"]]
    assert agent.mcp is not None
    agent.mcp.close()


@needs_sdk
def test_a_changed_list_of_tools_is_offered_in_a_later_turn(simulate: Simulate, reader: Reader) -> None:
    asked = [{"tool_calls": [calling(name)]} for name in ("odd", "echo", "late")]
    simulator = simulate(turns=conversation(*asked, {"text": "Fine."}))
    agent = agent_at(simulator, mcp_config=config(raw("grows")), mcp_connect_timeout=PATIENCE, max_loops=5)
    result = reader.read(agent)
    assert (result.error, result.stream.final) == (None, "Fine.")
    # The server tells the change before it answers the call, but it may be noticed only after the next turn.
    assert [names == ["odd", "echo", "late"] for names in offered(simulator)][::2] == [False, True]
    assert sent(simulator)[-1]["content"] == "late was called"
    assert agent.mcp is not None
    agent.mcp.close()


@needs_sdk
def test_a_changed_list_of_tools_is_offered_in_a_later_subtask(simulate: Simulate, reader: Reader) -> None:
    first = {"tool_calls": [calling("odd"), *done("a")["tool_calls"]]}
    simulator = simulate(turns=conversation(plans("a", "b", "c"), first, done("b"), done("c"), completes("Fine.")))
    agent = agent_at(simulator, mcp_config=config(raw("grows")), mcp_connect_timeout=PATIENCE, max_loops="auto")
    assert reader.read(agent).stream.final == "Fine."
    assert ["late" in names for names in offered(simulator)][1:4:2] == [False, True]
    assert agent.mcp is not None
    agent.mcp.close()


@needs_sdk
@pytest.mark.parametrize("over", ["stdio", "http"])
def test_a_change_is_followed_in_the_newest_version_of_the_protocol(over: str) -> None:
    with serving_http() as own_port:  # not the one of the other tests, because its tools change
        server = stdio() if over == "stdio" else HTTPServer("web", f"http://127.0.0.1:{own_port}/mcp")
        tools = MCPTools([server], connect_timeout=PATIENCE)
        before = tools.connect()
        toolbox = Toolbox(before)
        assert "late" not in toolbox.names
        # The server tells it only after the subscription, which nobody waits for.
        wait_until(lambda: call(toolbox, "grow").error is None and tools.changed)
        assert "late" in Toolbox(tools.connect()).names
        tools.close()


@needs_sdk
@pytest.mark.parametrize("given", [None, 5.0])
def test_an_agents_calls_have_a_limit(given: float | None) -> None:
    agent = agent_at("http://127.0.0.1:1", mcp_config=config(raw()), mcp_connect_timeout=PATIENCE, tool_timeout=given)
    assert agent.mcp is not None
    assert {tool.timeout for tool in agent.mcp.connect()} == {given or 60.0}
    agent.mcp.close()


# --- configuration ---------------------------------------------------------------------------------------------

WEB = HTTPServer("example.com/weather", "https://me:pw@example.com/weather/mcp?key=secret")


@pytest.mark.parametrize(
    ("given", "servers"),
    [
        ({}, ()),
        ({"mcp_url": WEB.url}, (WEB,)),
        ({"mcp_url": WEB.url, "mcp_urls": [WEB.url, "http://b:1/mcp"]}, (WEB, HTTPServer("b:1", "http://b:1/mcp"))),
        (
            {"mcp_config": {"mcpServers": {"a": {"command": "x", "args": ["1"], "env": {"K": "v"}, "cwd": "/"}}}},
            (StdioServer("a", "x", ("1",), {"K": "v"}, "/"),),
        ),
        (
            {"mcp_config": {"a": {"url": "http://a", "headers": {"K": "v"}, "transport": "streamable-http"}}},
            (HTTPServer("a", "http://a", {"K": "v"}),),
        ),
        (
            {
                "mcp_config": {
                    "url": "http://a",
                    "authorization_token": "t",
                    "timeout": 5,
                    "headers": None,
                    "type": "mcp",
                }
            },
            (HTTPServer("a", "http://a", {"Authorization": "Bearer t"}, 5),),
        ),
        ({"mcp_config": {"command": "/bin/x", "type": "stdio"}}, (StdioServer("x", "/bin/x"),)),
        ({"mcp_config": {"url": "http://a", "name": "n"}}, (HTTPServer("n", "http://a"),)),
        ({"mcp_config": {"url": {"url": "http://a"}}}, (HTTPServer("url", "http://a"),)),
    ],
)
def test_a_configuration_is_parsed(given: dict[str, Any], servers: tuple[Server, ...]) -> None:
    found = parse_servers(**given)
    assert found == servers
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mcp_url": "ftp://secret"}, "http://"),
        ({"mcp_url": 5}, "http://"),
        ({"mcp_urls": "http://secret"}, "list of URLs"),
        ({"mcp_config": ["secret"]}, "must be a dict, not list"),
        ({"mcp_config": {"mcpServers": ["secret"]}}, "servers by name"),
        ({"mcp_config": {"a": "secret"}}, "'a' must be a dict"),
        ({"mcp_config": {"a": {}}}, "'a' must have a 'command' or a 'url'"),
        ({"mcp_config": {"a": {"url": "http://secret", "command": "secret"}}}, "not both"),
        ({"mcp_config": {"a": {"url": "http://secret", "transport": "sse"}}}, "not 'sse'"),
        ({"mcp_config": {"a": {"command": "secret", "type": "http"}}}, "'stdio', not 'http'"),
        ({"mcp_config": {"a": {"command": "secret", "arguments": []}}}, "'a' cannot be used: arguments: "),
        ({"mcp_config": {"a": {"command": "x", "args": "secret"}}}, "args: "),
        ({"mcp_config": {"a": {"command": "x", "env": {"K": ["secret"]}}}}, "env.K: "),
        ({"mcp_config": {"a": {"url": "http://x", "headers": ["secret"]}}}, "headers: "),
        (
            {"mcp_config": {"a": {"url": "http://x", "headers": "secret", "authorization_token": "secret"}}},
            "headers: ",
        ),
        ({"mcp_config": {"a": {"url": "http://x", "timeout": 0}}}, "timeout"),
        ({"mcp_urls": ["http://x/mcp?secret", "http://x"]}, "2 MCP servers are called 'x'"),
    ],
)
def test_an_invalid_configuration_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_servers(**given)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)
