"""Fixtures of the tests that need litellm: litellm itself, a fake network, and the environment of each provider."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from headrace._providers.litellm import build, templates
from support.harness import receive_request, serving
from support.litellm_network import Network, cut_network

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

    from support.litellm_providers import Provider


class Introduce(Protocol):
    """Sets the environment for a provider; skips the test if the installed litellm cannot ask it."""

    def __call__(self, provider: Provider) -> None: ...


@pytest.fixture(scope="session")
def litellm() -> Any:
    """The installed litellm, as headrace imports it."""
    return build.load()


@pytest.fixture
def network(litellm: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """A fake network. There are no templates, and no keys in the environment."""
    assert litellm is not None
    for name in os.environ:
        if name.endswith(("_API_KEY", "_API_BASE")) or name.startswith("AWS_"):
            monkeypatch.delenv(name)
    templates.forget()
    with cut_network() as network:
        yield network


@pytest.fixture
def introduce(litellm: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Introduce:
    """See :class:`Introduce`."""
    known = {getattr(name, "value", name) for name in litellm.provider_list}
    version = importlib.metadata.version("litellm")

    def introduce(provider: Provider) -> None:
        if provider.name not in known:
            pytest.skip(f"litellm {version} does not know {provider.name}")
        if tuple(map(int, version.split(".")[:2])) < provider.since:
            pytest.skip(f"litellm {version} asks {provider.model} in another way")
        if provider.needs is not None and importlib.util.find_spec(provider.needs.partition(".")[0]) is None:
            pytest.skip(f"{provider.needs} is not installed")
        if provider.needs == "google.auth":
            account: Path = request.getfixturevalue("google_account")
            monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
        for name, value in provider.environment.items():
            monkeypatch.setenv(name, value)

    return introduce


@pytest.fixture(scope="session")
def google_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file of a Google service account, whose tokens come from a server on this machine."""
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    token = json.dumps({"access_token": "a-token-of-google", "expires_in": 3600, "token_type": "Bearer"}).encode()

    def answer(connection: socket.socket) -> None:
        receive_request(connection)
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(token)}\r\n"
        connection.sendall(head.encode() + b"connection: close\r\n\r\n" + token)

    with serving(answer) as port:
        account = {
            "type": "service_account",
            "project_id": "a-project",
            "private_key_id": "1",
            "private_key": key.decode(),
            "client_email": "somebody@a-project.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"http://127.0.0.1:{port}/token",
        }
        path = tmp_path_factory.mktemp("google") / "account.json"
        path.write_text(json.dumps(account))
        yield path
