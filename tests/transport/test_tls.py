"""Whom to trust, and how to be trusted."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from headrace import ConfigurationError, Connection, InsecureConnectionWarning, TLSError
from support.harness import KEY, Reader, agent_at
from support.network import answer_of, response, serving_tls, tls_context

if TYPE_CHECKING:
    import ssl

ANSWER = response(answer_of("safe", "ly"))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that is not in any trust store."""
    return trustme.CA()


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    """Its certificate, in a file."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


@pytest.mark.parametrize("form", ["path", "string", "bytes"])
def test_the_given_authority_is_trusted(reader: Reader, authority: trustme.CA, ca: Path, form: str) -> None:
    given: Any = {"path": ca, "string": str(ca), "bytes": ca.read_bytes()}[form]
    with serving_tls(tls_context(authority.issue_cert("localhost", "127.0.0.1")), ANSWER) as port:
        for host in ("localhost", "127.0.0.1"):
            agent = agent_at(f"https://{host}:{port}/v1", connection=Connection(ca=given))
            assert reader.read(agent).tokens == ["safe", "ly"]


def test_the_given_authority_is_the_only_one(reader: Reader, authority: trustme.CA) -> None:
    other = trustme.CA().cert_pem.bytes()
    with serving_tls(tls_context(authority.issue_cert("localhost")), ANSWER) as port:
        result = reader.read(agent_at(f"https://localhost:{port}/v1", connection=Connection(ca=other)))
    assert type(result.error) is TLSError
    assert "UnknownIssuer" in str(result.error)


def test_a_certificate_of_another_host_is_refused_also_with_an_authority(
    reader: Reader, authority: trustme.CA, ca: Path
) -> None:
    with serving_tls(tls_context(authority.issue_cert("example.org")), ANSWER) as port:
        result = reader.read(agent_at(f"https://localhost:{port}/v1", connection=Connection(ca=ca)))
    assert type(result.error) is TLSError
    assert "example.org" in str(result.error)


def test_without_verification_everybody_is_trusted_and_that_is_said(reader: Reader, authority: trustme.CA) -> None:
    with pytest.warns(InsecureConnectionWarning, match="trusts every server") as warned:
        connection = Connection(verify=False)
    assert Path(warned[0].filename).samefile(__file__)
    with serving_tls(tls_context(authority.issue_cert("example.org")), ANSWER) as port:
        agent = agent_at(f"https://localhost:{port}/v1", connection=connection)
        assert reader.read(agent).tokens == ["safe", "ly"]


@pytest.mark.parametrize("form", ["one file", "two files", "bytes"])
def test_a_server_that_asks_for_a_certificate_gets_it(
    reader: Reader, authority: trustme.CA, ca: Path, tmp_path: Path, form: str
) -> None:
    mine = authority.issue_cert("client.example")
    mine.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    mine.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    mine.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    given: Any = {
        "one file": tmp_path / "both.pem",
        "two files": (tmp_path / "cert.pem", str(tmp_path / "key.pem")),
        "bytes": (mine.cert_chain_pems[0].bytes(), mine.private_key_pem.bytes()),
    }[form]
    context = tls_context(authority.issue_cert("localhost"), client_ca=authority)
    with serving_tls(context, ANSWER) as port:
        url = f"https://localhost:{port}/v1"
        assert "".join(reader.read(agent_at(url, connection=Connection(ca=ca, client_cert=given))).tokens) == "safely"
        refused = reader.read(agent_at(url, connection=Connection(ca=ca)))
        assert refused.tokens == []
        assert "certificate" in str(refused.error).lower()


def test_connections_with_tls_are_used_again(reader: Reader, authority: trustme.CA, ca: Path) -> None:
    seen: list[ssl.SSLSocket] = []
    with serving_tls(tls_context(authority.issue_cert("localhost")), ANSWER, seen) as port:
        agent = agent_at(f"https://localhost:{port}/v1", connection=Connection(ca=ca))
        for _ in range(3):
            assert reader.read(agent).tokens == ["safe", "ly"]
    assert len(seen) == 1


def test_files_that_cannot_be_used_are_said_when_the_connection_is_made(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    trustme.CA().issue_cert("a").cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"ca": "/nonexistent.pem"}, "ca: /nonexistent.pem cannot be read"),
        ({"ca": tmp_path / "empty.pem"}, "there is no certificate in"),
        ({"ca": b"secret"}, "there is no certificate in the given bytes"),
        ({"client_cert": tmp_path / "cert.pem"}, "there is no private key in"),
        ({"client_cert": ("a", "b", "c")}, r"or the pair \(certificate, key\)"),
        ({"ca": 5}, "ca must be the path of a PEM file, or its bytes, not int"),
        ({"verify": "no"}, "verify must be True or False, not str"),
        ({"verify": False, "ca": tmp_path / "cert.pem"}, "give one"),
    )
    for options, said in wrong:
        with pytest.raises(ConfigurationError, match=said) as raised:
            Connection(**options)
        assert "secret" not in str(raised.value)


def test_no_key_is_in_a_repr_or_a_pickle(authority: trustme.CA) -> None:
    mine = authority.issue_cert("client.example")
    key = mine.private_key_pem.bytes()
    connection = Connection(
        client_cert=(mine.cert_chain_pems[0].bytes(), key), proxy=f"http://user:{KEY}@proxy.example:3128"
    )
    assert KEY not in repr(connection)
    assert "PRIVATE KEY" not in repr(connection)
    pickled = pickle.dumps(connection)
    assert KEY.encode() not in pickled
    assert b"PRIVATE KEY" not in pickled
    unpickled = pickle.loads(pickled)
    assert unpickled == Connection(proxy="http://proxy.example:3128")
    assert copy.copy(connection) == connection
