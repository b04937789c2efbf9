from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.headerregistry import Address
from email.policy import default
from email.utils import getaddresses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aquila.errors import ConfigError
from chimeway.adapters import SmtpAdapter, Unanswered
from chimeway.adapters.email_message import email_of, read_address
from chimeway.adapters.failover import hand_to
from chimeway.content import Content
from chimeway.errors import Bounced, DeliveryError, PermanentFailure, TemporaryFailure
from chimeway.recipients.unsubscribing import unsubscribe_token
from tests.outgoing import outgoing
from tests.smtp_server import CLOSE, SILENCE, SmtpServer, smtp_server
from tests.test_transport_tls import CERTIFICATE, KEY

SENDER = "Example <hello@example.org>"
FROM = Address("Example", "hello", "example.org")


def adapter_for(server: SmtpServer, **facts: Any) -> SmtpAdapter:
    return SmtpAdapter("127.0.0.1", server.port, **{"sender": SENDER, "tls": "none", "timeout": 5.0, **facts})


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    with smtp_server() as running:
        yield running


@pytest.fixture
def tls_of_server(tmp_path: Path) -> ssl.SSLContext:
    (tmp_path / "key.pem").write_text(KEY)
    (tmp_path / "certificate.pem").write_text(CERTIFICATE)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    return context


@pytest.fixture
def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=CERTIFICATE)


def test_an_email_arrives_with_its_headers_and_both_forms_of_its_text(server: SmtpServer) -> None:
    content = Content(subject="Grüße, Ada 🎉", text="Hallo\n.\nAda ñ", html="<p>Hallo</p>")

    receipt = adapter_for(server).deliver(outgoing(content, address="Ada Lövelace <ada@example.com>"))

    [mail] = server.mails
    assert mail.sender.startswith("mail FROM:<hello@example.org>")
    assert [one.split()[1] for one in mail.recipients] == ["TO:<ada@example.com>"]
    parsed = mail.parsed
    assert parsed["subject"] == "Grüße, Ada 🎉"
    assert parsed["to"].addresses[0].display_name == "Ada Lövelace"
    assert parsed["from"] == SENDER
    assert parsed["auto-submitted"] == "auto-generated"
    assert parsed["date"].datetime.isoformat() == "2026-01-02T03:04:05+00:00"
    plain, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().splitlines() == ["Hallo", ".", "Ada ñ"]
    assert html.get_content().strip() == "<p>Hallo</p>"
    assert mail.data.isascii()
    assert receipt.provider_message_id == "<d1@example.org>" == parsed["message-id"]
    assert receipt.response == {"code": 250, "reply": "2.0.0 queued as 1A2B"}


def test_two_attempts_send_the_same_email(server: SmtpServer) -> None:
    adapter = adapter_for(server)

    for attempt in (1, 2):
        adapter.deliver(outgoing(attempt=attempt))

    first, second = server.mails
    assert first.data == second.data


def test_a_link_is_in_both_forms_once() -> None:
    mail = email_of(
        outgoing(Content(text="Look", html="<p>Look</p>", url="https://x.example/?a=1&b=2")), FROM
    )
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))

    assert plain is not None
    assert html is not None
    assert plain.get_content() == "Look\n\nhttps://x.example/?a=1&b=2\n"
    assert html.get_content().count("https://x.example/?a=1&amp;b=2") == 2
    again = email_of(outgoing(Content(text="See https://x.example", url="https://x.example")), FROM)
    assert again.get_content() == "See https://x.example\n"


@pytest.mark.parametrize(
    ("link", "post"),
    [("https://x.example/off", "List-Unsubscribe=One-Click"), ("mailto:off@x.example", None)],
)
def test_a_link_to_unsubscribe_becomes_a_header(link: str, post: str | None) -> None:
    mail = email_of(outgoing(Content(text="x", data={"list_unsubscribe": link})), FROM)

    assert mail["list-unsubscribe"] == f"<{link}>"
    assert mail["list-unsubscribe-post"] == post


@pytest.mark.parametrize("bad", ["a\r\nBcc: eve@example.com", "a\nb", "a\rb", "a\x00b", "a\u2028b", "a\x0bb"])
def test_line_breaks_in_a_header_send_nothing(server: SmtpServer, bad: str) -> None:
    for message in (
        outgoing(Content(subject=bad, text="x")),
        outgoing(address=f"ada@example.com{bad}"),
        outgoing(Content(text="x", data={"list_unsubscribe": bad})),
    ):
        with pytest.raises(PermanentFailure, match="line breaks or control characters") as raised:
            adapter_for(server).deliver(message)
        assert "eve" not in str(raised.value)
    assert server.mails == []


@pytest.mark.parametrize(
    "address",
    ["", "ada", "@example.com", "ada@", "a@b@c", "ada@example.com, eve@example.com", "ada@exa mple.com", "ada@-x.com",
     "Ada <ada@example.com> eve@example.com", "ada@example..com", "a" * 65 + "@example.com"],
)  # fmt: skip
def test_what_is_no_address_bounces(address: str) -> None:
    with pytest.raises(Bounced) as raised:
        read_address(address)

    assert "ada@example.com, eve" not in str(raised.value)


def test_domains_of_other_scripts_are_written_as_the_newer_standard_says() -> None:
    assert read_address("ada@straße.example").addr_spec == "ada@xn--strae-oqa.example"


def test_a_local_part_of_another_script_needs_a_server_that_takes_it(server: SmtpServer) -> None:
    adapter_for(server).deliver(outgoing(address="jürgen@example.com"))

    assert "jürgen@example.com" in server.mails[0].recipients[0]
    with smtp_server(features=()) as old, pytest.raises(PermanentFailure):
        adapter_for(old).deliver(outgoing(address="jürgen@example.com"))


@pytest.mark.parametrize(
    ("replies", "wanted"),
    [
        ({"greeting": "421 busy"}, TemporaryFailure),
        ({"greeting": "554 go away"}, PermanentFailure),
        ({"greeting": CLOSE}, TemporaryFailure),
        ({"greeting": "no smtp at all"}, TemporaryFailure),
        ({"mail": "451 later"}, TemporaryFailure),
        ({"mail": "550 5.7.1 this sender may not"}, PermanentFailure),
        ({"mail": "550 5.1.8 bad sender"}, PermanentFailure),
        ({"rcpt": "450 4.2.1 mailbox busy"}, TemporaryFailure),
        ({"rcpt": "550 5.1.1 <ada@example.com> no such user"}, Bounced),
        ({"rcpt": "550 no such user"}, Bounced),
        ({"rcpt": "551 moved"}, Bounced),
        ({"rcpt": "553 name not allowed"}, Bounced),
        ({"rcpt": "550 5.7.1 relaying denied"}, PermanentFailure),
        ({"rcpt": "552 5.2.2 mailbox full"}, PermanentFailure),
        ({"rcpt": "554 5.2.1 mailbox disabled"}, Bounced),
        ({"rcpt": CLOSE}, TemporaryFailure),
        ({"data": "451 later"}, TemporaryFailure),
        ({"data": "554 no"}, PermanentFailure),
        ({"body": "452 4.3.1 full"}, TemporaryFailure),
        ({"body": "554 5.7.1 spam"}, PermanentFailure),
        ({"body": "550 5.1.1 no such user"}, Bounced),
        ({"body": CLOSE}, Unanswered),
    ],
)
def test_what_the_server_says_decides_whether_to_try_again(
    replies: dict[str, str], wanted: type[DeliveryError]
) -> None:
    with smtp_server(replies) as server, pytest.raises(DeliveryError) as raised:
        adapter_for(server).deliver(outgoing())

    assert type(raised.value) is wanted
    assert raised.value.provider_message_id == "<d1@example.org>"
    assert "ada@example.com" not in f"{raised.value} {raised.value.response}"
    assert raised.value.__suppress_context__


def test_what_the_server_said_is_kept() -> None:
    with (
        smtp_server({"rcpt": "550 5.1.1 <ada@example.com> no such user"}) as server,
        pytest.raises(Bounced) as raised,
    ):
        adapter_for(server).deliver(outgoing())

    assert str(raised.value) == f"127.0.0.1:{server.port} said 550 to the recipient"
    assert raised.value.response == {"code": 550, "reply": "5.1.1 <[redacted]> no such user"}


def test_a_server_that_is_not_there_is_tried_again_later(server: SmtpServer) -> None:
    adapter = adapter_for(server)
    server.shutdown()
    server.server_close()

    with pytest.raises(TemporaryFailure, match="ConnectionRefusedError"):
        adapter.deliver(outgoing())


@pytest.mark.parametrize(
    ("verb", "wanted"), [("greeting", TemporaryFailure), ("rcpt", TemporaryFailure), ("body", Unanswered)]
)
def test_a_server_that_falls_silent_ends_the_call(verb: str, wanted: type[DeliveryError]) -> None:
    with smtp_server({verb: SILENCE}) as server, pytest.raises(DeliveryError) as raised:
        adapter_for(server, timeout=0.1).deliver(outgoing())

    assert type(raised.value) is wanted


@pytest.mark.parametrize("reply", ["500 what", CLOSE])
def test_a_server_that_does_not_say_goodbye_has_the_email_all_the_same(reply: str) -> None:
    with smtp_server({"quit": reply}) as server:
        assert adapter_for(server).deliver(outgoing()).response["code"] == 250


def test_the_connection_is_encrypted_before_the_login(
    tls_of_server: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    with smtp_server(tls=tls_of_server, login=("ada", "correct horse")) as server:
        facts = {"tls": "starttls", "username": "ada", "password": "correct horse", "context": trusting}
        adapter_for(server, **facts).deliver(outgoing())

        [mail] = server.mails
        assert mail.over_tls
        assert mail.user == "ada"


def test_a_wrong_password_is_in_no_error(tls_of_server: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    with smtp_server(tls=tls_of_server, login=("ada", "correct horse")) as server:
        facts = {"tls": "starttls", "username": "ada", "password": "battery staple", "context": trusting}
        with pytest.raises(PermanentFailure, match="said 535") as raised:
            adapter_for(server, **facts).deliver(outgoing())

    assert raised.value.response == {"code": 535, "reply": "5.7.8 no such login: [redacted] [redacted]"}


def test_a_server_without_starttls_gets_nothing(server: SmtpServer) -> None:
    with pytest.raises(PermanentFailure, match="STARTTLS"):
        adapter_for(server, tls="starttls").deliver(outgoing())

    assert server.mails == []


def test_a_certificate_that_nobody_trusts_gets_nothing(tls_of_server: ssl.SSLContext) -> None:
    with smtp_server(tls=tls_of_server) as server:
        with pytest.raises(TemporaryFailure, match="SSLCertVerificationError"):
            adapter_for(server, tls="starttls").deliver(outgoing())
        assert server.mails == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"sender": "nobody"}, "sender='nobody' is no e-mail address"),
        ({"sender": "a@b.example\r\nBcc: c@d.example"}, "no e-mail address"),
        ({"tls": "ssl"}, "tls='ssl' must be"),
        ({"username": "ada", "tls": "tls"}, "needs both"),
        ({"username": "ada", "password": "x", "tls": "none"}, "in the clear"),
        ({"name": "My SMTP"}, "the adapter's name 'My SMTP'"),
        ({"sender": None}, "sender is a text"),
        ({"tls": ["tls"]}, "must be 'starttls'"),
        ({"username": "ada", "password": ""}, "password= is a text that is not empty"),
        ({"username": b"ada", "password": "PLANTED"}, "username= is a text"),
        ({"port": 0}, "port=0"),
        ({"port": "587"}, "port='587'"),
        ({"port": 65_536}, "port=65536"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": None}, "timeout=None"),
        ({"timeout": float("nan")}, "timeout=nan"),
        ({"timeout": 10**400}, "at most 86400"),
        ({"context": "tls"}, "context is an ssl.SSLContext"),
        ({"host": ""}, "name of a server alone"),
        ({"host": None}, "it is NoneType"),
        ({"host": "smtp://ada:PLANTED@example.com"}, "or a URL"),
        ({"host": "example.com:587"}, "as port="),
    ],
)
def test_what_cannot_work_is_refused_at_once(facts: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        SmtpAdapter(**{"host": "localhost", "sender": SENDER, **facts})

    assert "PLANTED" not in str(raised.value)


def test_a_link_with_a_token_stays_whole_on_its_line(server: SmtpServer) -> None:
    token = unsubscribe_token(
        "user-12345", channel="email", notification_key="weekly.digest", secret="x" * 40
    )
    link = f"https://app.example.com/unsubscribe?token={token}"

    adapter_for(server).deliver(outgoing(Content(text="x", data={"list_unsubscribe": link})))

    [mail] = server.mails
    assert len(link) > 150
    assert f"\r\nList-Unsubscribe: <{link}>\r\n".encode() in mail.data
    assert mail.parsed["list-unsubscribe"] == f"<{link}>"


@pytest.mark.parametrize(
    "link",
    ["https://h/" + "a" * 900, "https://h/ü", "https://h/> , <mailto:eve@example.com", "https://h/a b", "https://h/a,b", "<>", " "],
)  # fmt: skip
def test_a_link_that_no_header_can_hold_is_refused(link: str) -> None:
    with pytest.raises(PermanentFailure, match="list_unsubscribe is one link"):
        email_of(outgoing(Content(text="x", data={"list_unsubscribe": link})), FROM)


def test_a_link_that_looks_like_an_encoded_word_is_not_read_as_one() -> None:
    link = "https://h/=?utf-8?q?=3E?="
    data = email_of(outgoing(Content(text="x", data={"list_unsubscribe": link})), FROM).as_bytes()

    assert f"List-Unsubscribe: <{link}>\r\n".encode() in data


@pytest.mark.parametrize(
    "name",
    ["A" * 30 + ", eve@example.com, " + "B" * 40, '"Ada, Eve"', "A " * 40 + ", eve@example.com, " + "B " * 20, "ü, eve@example.com",
     "=?utf-8?q?=3Ceve=40example.com=3E=2C?=", "Ada (x)", "eve@example.com", "A\\", "g: eve@example.com;"],
)  # fmt: skip
def test_a_name_adds_no_addresses(name: str) -> None:
    mail = email_of(outgoing(address=f"{name} <ada@example.com>"), FROM)
    parsed = message_from_bytes(mail.as_bytes(), policy=default)

    assert [one.addr_spec for one in parsed["to"].addresses] == ["ada@example.com"]
    assert [spec for _, spec in getaddresses([str(mail["to"])])] == ["ada@example.com"]
    assert len(mail["to"].addresses[0].display_name) <= 60


def test_an_address_that_the_server_writes_otherwise_is_taken_out_as_well() -> None:
    with (
        smtp_server({"rcpt": "550 5.1.1 <ADA@Example.COM> no such user"}) as server,
        pytest.raises(Bounced) as raised,
    ):
        adapter_for(server).deliver(outgoing())

    assert raised.value.response == {"code": 550, "reply": "5.1.1 <[redacted]> no such user"}


async def test_a_recipient_without_an_address_is_not_asked_for(server: SmtpServer) -> None:
    handed = await hand_to([adapter_for(server)], outgoing(address=None), 5)

    assert handed.error_class == "no_address"
    assert server.commands == []


def test_many_threads_send_through_one_adapter(server: SmtpServer) -> None:
    adapter = adapter_for(server)
    threads = [
        threading.Thread(target=adapter.deliver, args=(outgoing(delivery_id=f"d{n}"),)) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert {mail.parsed["message-id"] for mail in server.mails} == {f"<d{n}@example.org>" for n in range(8)}


TEXTS = st.text() | st.text("a=?_\u0300\ud800\xa0\u3000\u200b<>,;:\\()\"' \t", max_size=200)


@given(TEXTS, TEXTS, TEXTS)
def test_any_text_makes_an_email_or_is_refused(subject: str, text: str, name: str) -> None:
    message = outgoing(Content(subject=subject, text=text, html=text), address=f"{name} <ada@example.com>")
    try:
        data = email_of(message, FROM).as_bytes()
    except (PermanentFailure, Bounced):
        return

    parsed = message_from_bytes(data, policy=default)
    assert data.isascii()
    assert [one.addr_spec for one in parsed["to"].addresses] == ["ada@example.com"]
    assert parsed["bcc"] is None
    assert parsed["message-id"] == "<d1@example.org>"
