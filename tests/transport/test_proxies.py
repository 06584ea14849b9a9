"""Proxies: by argument and from the environment, with HTTP and with SOCKS5."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from headrace import ConfigurationError, Connection, ConnectionFailedError, ProxyError, TLSError
from support.harness import KEY, Reader, Simulate, agent_at, receive_request, run_python, serving
from support.network import answer_of, http_proxy, response, serving_tls, socks_proxy, tls_context

if TYPE_CHECKING:
    import socket

    from headrace.testing import Simulator

ANSWER = response(answer_of("through"))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that is not in any trust store."""
    return trustme.CA()


def port_of(simulator: Simulator) -> int:
    """The port of a simulator."""
    return int(simulator.base_url.split(":")[2].split("/")[0])


def test_a_tunnel_leads_to_a_server_with_tls(reader: Reader, authority: trustme.CA) -> None:
    context = tls_context(authority.issue_cert("model.invalid"))
    with serving_tls(context, ANSWER) as port, http_proxy(leads_to=port) as proxy:
        connection = Connection(ca=authority.cert_pem.bytes(), proxy=f"http://127.0.0.1:{proxy.port}")
        agent = agent_at("https://model.invalid/v1", connection=connection)
        # The name is looked up by the proxy, and the second request uses the same tunnel.
        assert reader.read(agent).tokens == ["through"]
        assert reader.read(agent).tokens == ["through"]
    assert proxy.requests == ["CONNECT model.invalid:443 HTTP/1.1"]
    assert proxy.credentials == []


def test_a_proxy_gets_its_password(reader: Reader, authority: trustme.CA) -> None:
    context = tls_context(authority.issue_cert("model.invalid"))
    with serving_tls(context, ANSWER) as port, http_proxy(leads_to=port) as proxy:
        url = f"http://user:p%40ss@127.0.0.1:{proxy.port}"
        connection = Connection(ca=authority.cert_pem.bytes(), proxy=url)
        assert reader.read(agent_at("https://model.invalid/v1", connection=connection)).tokens == ["through"]
    assert proxy.credentials == [f"Basic {b64encode(b'user:p@ss').decode()}"]


def test_a_proxy_with_tls(reader: Reader, authority: trustme.CA) -> None:
    own = tls_context(authority.issue_cert("localhost"))
    context = tls_context(authority.issue_cert("model.invalid"))
    with serving_tls(context, ANSWER) as port, http_proxy(leads_to=port, context=own) as proxy:
        connection = Connection(ca=authority.cert_pem.bytes(), proxy=f"https://localhost:{proxy.port}")
        assert reader.read(agent_at("https://model.invalid/v1", connection=connection)).tokens == ["through"]


def test_a_request_without_tls_is_forwarded(reader: Reader) -> None:
    requests: list[bytes] = []

    def forward(connection: socket.socket) -> None:
        requests.append(receive_request(connection))
        connection.sendall(ANSWER)

    with serving(forward) as port:
        connection = Connection(proxy=f"user:pass@127.0.0.1:{port}")
        agent = agent_at("http://model.invalid:8000/v1", connection=connection)
        assert reader.read(agent).tokens == ["through"]
    lines = requests[0].decode().split("\r\n")
    assert lines[0] == "POST http://model.invalid:8000/v1/chat/completions HTTP/1.1"
    assert "host: model.invalid:8000" in lines
    assert f"proxy-authorization: Basic {b64encode(b'user:pass').decode()}" in lines


def test_a_proxy_that_refuses_to_forward_is_named(reader: Reader) -> None:
    def refuse(connection: socket.socket) -> None:
        receive_request(connection)
        connection.sendall(response(b"who are you?", status="407 Proxy Authentication Required"))

    with serving(refuse) as port:
        connection = Connection(proxy=f"http://127.0.0.1:{port}")
        result = reader.read(agent_at("http://model.invalid/v1", connection=connection))
    assert type(result.error) is ProxyError
    assert f"the proxy http://127.0.0.1:{port} refused to connect to http://model.invalid" in str(result.error)


@pytest.mark.parametrize(
    "written", [" http://{at} ", "HTTP://{at}", "http://{at}/", "http://{at}/path?query", "http://us%20er:p%2Fss@{at}"]
)
def test_a_proxy_is_never_left_out_for_how_it_is_written(reader: Reader, simulate: Simulate, written: str) -> None:
    url = written.format(at=f"127.0.0.1:{port_of(simulate('by proxy'))}")
    # Without the proxy, this host would not be found.
    result = reader.read(agent_at("http://model.invalid/v1", connection=Connection(proxy=url)))
    assert "".join(result.tokens) == "by proxy"


@pytest.mark.parametrize(("scheme", "asked"), [("socks5h", "model.invalid:80"), ("socks5", "127.0.0.1:80")])
def test_socks_proxies(reader: Reader, simulate: Simulate, scheme: str, asked: str) -> None:
    simulator = simulate("by socks")
    host = "model.invalid" if scheme == "socks5h" else "localhost"
    with socks_proxy(leads_to=port_of(simulator)) as proxy:
        connection = Connection(proxy=f"{scheme}://127.0.0.1:{proxy.port}")
        assert "".join(reader.read(agent_at(f"http://{host}/v1", connection=connection)).tokens) == "by socks"
    assert [request.replace("[::1]", "127.0.0.1") for request in proxy.requests] == [asked]


def test_a_socks_proxy_gets_its_password_and_carries_tls(reader: Reader, authority: trustme.CA) -> None:
    context = tls_context(authority.issue_cert("model.invalid"))
    with serving_tls(context, ANSWER) as port, socks_proxy(leads_to=port, password=True) as proxy:
        url = f"socks5h://user:p%40ss@127.0.0.1:{proxy.port}"
        connection = Connection(ca=authority.cert_pem.bytes(), proxy=url)
        assert reader.read(agent_at("https://model.invalid/v1", connection=connection)).tokens == ["through"]
    assert (proxy.requests, proxy.credentials) == (["model.invalid:443"], ["user:p@ss"])


def test_a_proxy_that_refuses_is_named(reader: Reader) -> None:
    with http_proxy(refuses="407 Proxy Authentication Required") as proxy:
        connection = Connection(proxy=f"http://user:{KEY}@127.0.0.1:{proxy.port}")
        result = reader.read(agent_at("https://model.invalid/v1", connection=connection))
    assert type(result.error) is ProxyError
    assert result.stream.state == "transport"
    assert f"the proxy http://127.0.0.1:{proxy.port} refused to connect to https://model.invalid" in str(result.error)
    assert "407 Proxy Authentication Required (the proxy wants a user and a password" in str(result.error)
    assert KEY not in str(result.error)


def test_a_socks_proxy_that_refuses_is_named(reader: Reader) -> None:
    with socks_proxy(leads_to=0, reply=5) as proxy:
        connection = Connection(proxy=f"socks5h://127.0.0.1:{proxy.port}")
        result = reader.read(agent_at("http://model.invalid/v1", connection=connection))
    assert type(result.error) is ProxyError
    assert f"socks5h://127.0.0.1:{proxy.port}" in str(result.error)


def test_a_proxy_that_is_not_there_is_named(reader: Reader) -> None:
    connection = Connection(proxy="http://127.0.0.1:9")
    result = reader.read(agent_at("https://model.invalid/v1", connection=connection))
    assert type(result.error) is ConnectionFailedError
    assert "cannot connect to the proxy http://127.0.0.1:9 on the way to https://model.invalid" in str(result.error)


def test_a_proxy_that_is_not_trusted_is_named(reader: Reader, authority: trustme.CA) -> None:
    with http_proxy(context=tls_context(authority.issue_cert("localhost"))) as proxy:
        connection = Connection(proxy=f"https://localhost:{proxy.port}")
        result = reader.read(agent_at("https://model.invalid/v1", connection=connection))
    assert type(result.error) is TLSError
    assert f"the proxy https://localhost:{proxy.port}" in str(result.error)


@pytest.mark.parametrize("proxy", ["http://", "ftp://proxy.example", "http://a b", "socks4://proxy.example", 5, True])
def test_what_is_no_proxy_is_said_at_once(proxy: Any) -> None:
    with pytest.raises(ConfigurationError, match="Connection: proxy"):
        Connection(proxy=proxy)


def test_a_wrong_proxy_is_said_without_its_password() -> None:
    with pytest.raises(ConfigurationError) as raised:
        Connection(proxy=f"ftp://user:{KEY}@proxy.example")
    assert KEY not in str(raised.value)


ASK = """
import sys, headrace
connection = headrace.Connection(proxy=False) if sys.argv[2:] else None
agent = headrace.Agent(model_name="openai/sim", llm_base_url=sys.argv[1], connection=connection, print_on=False)
try:
    print(agent.run("Go."))
except headrace.HeadraceError as error:
    print(type(error).__name__, error)
"""

CLEAN = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"), "")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_the_environment_names_the_proxy(simulate: Simulate, variable: str) -> None:
    proxy = simulate("by proxy").base_url.removesuffix("/v1")
    run = run_python(ASK, "http://model.invalid/v1", environment={**CLEAN, variable: proxy})
    assert (run.stdout, run.stderr) == ("by proxy\n", "")


def test_no_proxy_by_argument_is_none(simulate: Simulate) -> None:
    environment = {**CLEAN, "ALL_PROXY": "http://127.0.0.1:9"}
    run = run_python(ASK, simulate("directly").base_url, "direct", environment=environment)
    assert (run.stdout, run.stderr) == ("directly\n", "")


@pytest.mark.parametrize("value", ["ftp://proxy.example", "http://", f"http://u:{KEY}@a b:80", "socks4://x"])
def test_a_malformed_proxy_in_the_environment_is_an_error_where_it_would_be_used(
    simulate: Simulate, value: str
) -> None:
    environment = {**CLEAN, "HTTP_PROXY": value}
    url = simulate("fine").base_url
    run = run_python(ASK, url, environment=environment)
    assert run.stdout.startswith("ConfigurationError ")
    assert "the proxy in HTTP_PROXY" in run.stdout
    assert KEY not in run.stdout
    # Where NO_PROXY or another variable rules, it does not matter.
    assert run_python(ASK, url, environment={**environment, "NO_PROXY": "127.0.0.1"}).stdout == "fine\n"
    assert run_python(ASK, url, environment={**CLEAN, "HTTPS_PROXY": value}).stdout == "fine\n"
