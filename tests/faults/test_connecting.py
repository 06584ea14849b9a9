"""Servers that cannot be reached, for every reason."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import trustme

from headrace import (
    ConnectionFailedError,
    ConnectTimeoutError,
    NameResolutionError,
    StreamError,
    Timeouts,
    TLSError,
)
from support.harness import KEY, Reader, Simulate, agent_at, collect, receive_request, run_python, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    b'data: {"choices":[{"index":0,"delta":{"content":"safe"}}]}\n\ndata: [DONE]\n\n'
)


def failed(reader: Reader, url: str, **options: object) -> StreamError:
    """The error of a stream without tokens."""
    result = reader.read(agent_at(url, **options))
    assert result.tokens == []
    assert isinstance(result.error, StreamError)
    assert result.stream.state == result.error.state
    assert result.error.model == "openai/sim"
    return result.error


def free_port() -> int:
    """A port without a server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert isinstance(port, int)
        return port


def test_a_refused_connection(reader: Reader) -> None:
    port = free_port()
    error = failed(reader, f"http://127.0.0.1:{port}/v1")
    assert type(error) is ConnectionFailedError
    assert error.state == "transport"
    assert f"cannot connect to http://127.0.0.1:{port}/v1/chat/completions" in str(error)
    assert (error.status, error.code, error.retry_after, error.request_id, error.body) == (None,) * 5


def test_a_host_that_does_not_exist(reader: Reader) -> None:
    error = failed(reader, "http://nonexistent.invalid/v1")
    assert type(error) is NameResolutionError
    assert error.state == "transport"
    assert "nonexistent.invalid" in str(error)


def test_a_server_that_hangs_up_at_once(reader: Reader) -> None:
    with serving(lambda connection: connection.shutdown(socket.SHUT_RDWR)) as port:
        error = failed(reader, f"http://127.0.0.1:{port}/v1")
    assert type(error) is ConnectionFailedError


def test_a_server_that_hangs_up_instead_of_answering(reader: Reader) -> None:
    def answer(connection: socket.socket) -> None:
        receive_request(connection)

    with serving(answer) as port:
        error = failed(reader, f"http://127.0.0.1:{port}/v1")
    assert type(error) is ConnectionFailedError


def test_a_server_that_does_not_speak_http(reader: Reader) -> None:
    def answer(connection: socket.socket) -> None:
        receive_request(connection)
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 10)

    with serving(answer) as port:
        error = failed(reader, f"http://127.0.0.1:{port}/v1")
    assert type(error) is ConnectionFailedError
    assert "HTTP" in str(error)


@pytest.mark.skipif(sys.platform != "linux", reason="how a full backlog behaves is known of Linux")
def test_a_connection_that_takes_too_long(reader: Reader) -> None:
    with full_backlog() as port:
        error = failed(reader, f"http://127.0.0.1:{port}/v1", timeouts=Timeouts(connect=0.15))
    assert type(error) is ConnectTimeoutError
    assert isinstance(error, TimeoutError)
    assert error.state == "timeout"


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port with a full backlog: the system does not answer new connections."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(64):
            client = stack.enter_context(socket.socket())
            client.settimeout(0.1)
            try:
                client.connect(listener.getsockname())
            except TimeoutError:
                break
        else:
            pytest.skip("this system lets any number of connections wait")
        yield listener.getsockname()[1]


# --- TLS -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority that is not in any trust store."""
    return trustme.CA()


@contextmanager
def serving_tls(certificate: trustme.LeafCert, errors: list[str]) -> Iterator[int]:
    """A TLS server that answers with one token, and adds its TLS errors to ``errors``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)

    def answer(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as tls:
                receive_request(tls)
                tls.sendall(ANSWER)
        except ssl.SSLError as error:
            errors.append(str(error))

    with serving(answer) as port:
        yield port


def test_tls_to_a_server_without_it(reader: Reader, simulate: Simulate) -> None:
    error = failed(reader, simulate().base_url.replace("http://", "https://"))
    assert type(error) is TLSError
    assert error.state == "transport"


def test_a_certificate_of_an_unknown_authority_is_refused(reader: Reader, authority: trustme.CA) -> None:
    errors: list[str] = []
    with serving_tls(authority.issue_cert("localhost", "127.0.0.1"), errors) as port:
        error = failed(reader, f"https://localhost:{port}/v1", llm_api_key=KEY)
    assert type(error) is TLSError
    assert "certificate" in str(error)
    # The client has closed the connection, before it sent anything.
    assert len(errors) == 1
    assert "alert" in errors[0].lower()


TRUSTING = """
import asyncio, sys, headrace
agent = headrace.Agent(model_name="openai/sim", llm_base_url=sys.argv[1], print_on=False)
async def main():
    return "".join([token async for token in agent.arun_stream("Go.")])
for read in (lambda: agent.run("Go."), lambda: asyncio.run(main())):
    try:
        print(read())
    except headrace.TLSError as error:
        print("TLSError", error)
"""


def test_a_certificate_of_an_authority_that_the_user_trusts(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with serving_tls(authority.issue_cert("localhost"), []) as port:
        url = f"https://localhost:{port}/v1"
        run = run_python(TRUSTING, url, environment={"SSL_CERT_FILE": str(tmp_path / "ca.pem")})
    assert (run.stdout, run.stderr) == ("safe\nsafe\n", "")


def test_a_certificate_of_another_host(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with serving_tls(authority.issue_cert("example.org"), []) as port:
        url = f"https://localhost:{port}/v1"
        run = run_python(TRUSTING, url, environment={"SSL_CERT_FILE": str(tmp_path / "ca.pem")})
    assert run.stderr == ""
    assert [line.split()[0] for line in run.stdout.splitlines()] == ["TLSError"] * 2
    assert "example.org" in run.stdout


# --- proxies -------------------------------------------------------------------------------------------------

STREAM = """
import sys, headrace
try:
    print(headrace.Agent(model_name="openai/sim", llm_base_url=sys.argv[1], print_on=False).run("Go."))
except headrace.HeadraceError as error:
    print(type(error).__name__)
"""


def through(proxy: str, excluded: str = "") -> dict[str, str]:
    """The environment of a machine that is behind a proxy."""
    return {"HTTP_PROXY": proxy, "http_proxy": proxy, "NO_PROXY": excluded, "no_proxy": excluded}


def test_the_proxy_of_the_environment_is_used(simulate: Simulate) -> None:
    proxy = simulate("by proxy").base_url.removesuffix("/v1")
    run = run_python(STREAM, "http://model.invalid/v1", environment=through(proxy))
    assert run.stdout == "by proxy\n"


def test_a_host_may_be_excluded_from_the_proxy(simulate: Simulate) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    run = run_python(STREAM, simulate("directly").base_url, environment=through(proxy, "127.0.0.1"))
    assert run.stdout == "directly\n"


def test_a_proxy_that_does_not_run_is_a_failed_connection() -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    run = run_python(STREAM, "http://model.invalid/v1", environment=through(proxy))
    assert run.stdout == "ConnectionFailedError\n"


# --- closing -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="how a full backlog behaves is known of Linux")
def test_a_stream_that_is_still_connecting_can_be_closed() -> None:
    with full_backlog() as port:
        agent = agent_at(f"http://127.0.0.1:{port}/v1", timeouts=Timeouts(connect=None))
        stream = agent.run_stream("Go.")
        threading.Timer(0.05, stream.close).start()
        with pytest.raises(Exception, match="closed by its reader"):
            next(stream)

        async def main() -> None:
            task = asyncio.ensure_future(collect(agent.arun_stream("Go.")))
            await asyncio.sleep(0.05)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        asyncio.run(main())


@pytest.mark.skipif(os.name == "nt", reason="needs resource limits")
def test_running_out_of_file_descriptors_is_an_error() -> None:
    run = run_python(
        """
        import os, resource, headrace
        from headrace.testing import Simulator
        with Simulator() as simulator, Simulator() as other:
            agents = [
                headrace.Agent(model_name="openai/sim", llm_base_url=at.base_url, print_on=False)
                for at in (simulator, other)
            ]
            agents[0].run("Go.")
            taken = []
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            try:
                while True:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            try:
                agents[1].run("Go.")
            except headrace.HeadraceError as error:
                print(type(error).__name__, error)
            for descriptor in taken:
                os.close(descriptor)
            print(agents[1].run("Go."))
        """
    )
    assert run.stderr == ""
    first, second = run.stdout.splitlines()
    assert first.startswith("ConnectionFailedError")
    assert "Too many open files" in first
    assert second == "Hello from the simulator."


def test_a_machine_without_certificates_can_still_stream_without_tls(simulate: Simulate) -> None:
    # Small container images have no certificates, and a local model needs none.
    program = """
        import sys, headrace
        print(headrace.Agent(model_name="openai/sim", llm_base_url=sys.argv[1], print_on=False).run("Go."))
    """
    nowhere = {"SSL_CERT_FILE": "/nonexistent", "SSL_CERT_DIR": "/nonexistent"}
    assert run_python(program, simulate("fine").base_url, environment=nowhere).stdout == "fine\n"
