from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from aquila.errors import ConfigError, ConnectionFailed
from aquila.transport import OpenAITransport, Request
from aquila.transport.pool import tls_context
from tests import wire
from tests.wire import Connection

#: A certificate for localhost and 127.0.0.1 that signs itself, and its key: made for this file, worth nothing elsewhere.
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIURYfrGii/zdcgU1EunR0X+5xOTEowCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNDA5MTk0OVoYDzIxMjYxMDMx
MDkxOTQ5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASRCcKWJ2G4aQQsezy9SdNRNAcx6O8XpVrk/74wx9+Ywp4sEtOrLg1R
TTTEtlEAd7DFX6t7JbrIBfewpP/LHO6qo28wbTAdBgNVHQ4EFgQUF6kYsQvFT6UG
0GcMJyjYZWQfwGUwHwYDVR0jBBgwFoAUF6kYsQvFT6UG0GcMJyjYZWQfwGUwGgYD
VR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI
zj0EAwIDSAAwRQIgRYZogOe4GwGwmoy5pELLTJE1MQjDVdffLzrlSauWG4ICIQDC
4zV/HyHaE0cfJ1PLg+Hx12fbNhEpcs+7fWZoSXs7FA==
-----END CERTIFICATE-----
"""
KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgXYienN4PGvga6hGB
bAtE17zOArhIYxCnmRO2qWaP5FahRANCAASRCcKWJ2G4aQQsezy9SdNRNAcx6O8X
pVrk/74wx9+Ywp4sEtOrLg1RTTTEtlEAd7DFX6t7JbrIBfewpP/LHO6q
-----END PRIVATE KEY-----
"""


@pytest.fixture(autouse=True)
def fresh_context() -> Iterator[None]:
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    (tmp_path / "key.pem").write_text(KEY)
    path = tmp_path / "certificate.pem"
    path.write_text(CERTIFICATE)
    return path


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx")
    writer.close()


async def ask(url: str) -> list[bytes]:
    transport = OpenAITransport()
    try:
        response = await transport.send(Request(method="POST", url=url))
        chunks = [chunk async for chunk in response.chunks]
        await response.aclose()
    finally:
        await transport.aclose()
    return chunks


@pytest.mark.parametrize("trusted", [True, False])
async def test_the_trust_store_of_the_environment_is_honoured(
    monkeypatch: pytest.MonkeyPatch, certificate: Path, trusted: bool
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    if trusted:
        assert await ask(url) == [b"x"]
    else:
        with pytest.raises(ConnectionFailed, match=r"certificate is not trusted.* set SSL_CERT_FILE"):
            await ask(url)
    server.close()


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_trust_store_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "certificates.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))

    with pytest.raises(ConfigError, match=r"SSL_CERT_FILE=.*certificates\.pem .*cannot be read"):
        await ask("https://127.0.0.1:1/v1")


async def test_a_request_without_tls_makes_no_tls_context() -> None:
    async def handler(connection: Connection) -> None:
        connection.play([b"x"])

    async with wire.serve(handler) as server:
        assert await ask(server.url) == [b"x"]

    assert tls_context.cache_info().currsize == 0
