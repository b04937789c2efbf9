from __future__ import annotations

import io
import sys
from typing import Any

import pytest

import chimeway.adapters
from aquila.errors import ConfigError
from chimeway.adapters import AppriseAdapter, ConsoleAdapter, InboxAdapter
from chimeway.content import Content
from chimeway.errors import PermanentFailure, TemporaryFailure
from chimeway.message import Receipt
from tests.outgoing import outgoing
from tests.test_chimeway_adapters_contract import FakeApprise, apprise

__all__ = ["apprise"]


def test_a_message_is_printed_as_one_block(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleAdapter().deliver(outgoing(Content(subject="Hi", text="Hello,\nAda.", url="https://x.example")))

    assert capsys.readouterr().out == (
        "-- email to user ada <ada@example.com>\nHi\nHello,\nAda.\nhttps://x.example\n-- welcome, delivery d1, attempt 1\n"
    )


def test_a_message_cannot_move_the_cursor_and_a_terminal_that_lacks_letters_gets_it() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", newline="")

    ConsoleAdapter(stream).deliver(
        outgoing(Content(subject="\x1b[2Jé", text="", html="<p>x</p>"), address=None)
    )

    assert raw.getvalue().splitlines() == [
        b"-- email to user ada", b"?[2J?", b"<p>x</p>", b"-- welcome, delivery d1, attempt 1",
    ]  # fmt: skip


def test_the_inbox_has_nothing_to_bring_anywhere() -> None:
    assert InboxAdapter().deliver(outgoing(address=None)) == Receipt()


@pytest.mark.parametrize("name", ["", "Inbox", "1st", "a b", "x" * 101, None])
def test_a_name_that_a_row_cannot_keep_is_refused(name: Any) -> None:
    with pytest.raises(ConfigError, match="the adapter's name"):
        InboxAdapter(name)


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        (
            Content(subject="s", text="t", html="h", url="u"),
            {"title": "s", "body": "t\n\nu", "body_format": "text"},
        ),
        (Content(subject="s", html="<p>"), {"title": "s", "body": "<p>", "body_format": "html"}),
        (Content(subject="s"), {"title": "", "body": "s", "body_format": "text"}),
        (Content(url="u"), {"title": "", "body": "u", "body_format": "text"}),
    ],
)
def test_apprise_is_told_title_body_and_format(
    apprise: type[FakeApprise], content: Content, sent: dict[str, str]
) -> None:
    AppriseAdapter(["slack://a", "slack://b"]).deliver(outgoing(content))

    assert apprise.sent == [{**sent, "urls": ["slack://a", "slack://b"]}]


def test_what_apprise_cannot_send_is_tried_again_and_nothing_is_not(apprise: type[FakeApprise]) -> None:
    adapter = AppriseAdapter("slack://a")
    apprise.works = False

    with pytest.raises(TemporaryFailure, match="could not send it"):
        adapter.deliver(outgoing())
    with pytest.raises(PermanentFailure, match="has no text"):
        adapter.deliver(outgoing(Content(data={"x": 1})))


@pytest.mark.usefixtures("apprise")
@pytest.mark.parametrize(
    ("urls", "words"),
    [("nosuch://sk-secret", "its scheme: nosuch"), ("sk-secret", "its scheme: none"), ([], "needs a URL"), (["slack://a", 7], "URL 2")],
)  # fmt: skip
def test_a_url_that_apprise_does_not_know_is_refused_and_not_shown(urls: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        AppriseAdapter(urls)

    assert "sk-secret" not in str(raised.value)


def test_without_apprise_its_adapter_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)

    with pytest.raises(ConfigError, match="pip install apprise"):
        AppriseAdapter("slack://a")


def test_every_public_name_of_the_adapters_can_be_had() -> None:
    assert dir(chimeway.adapters) == sorted(chimeway.adapters.__all__)
    assert all(
        getattr(chimeway.adapters, name).__name__ == name
        for name in dir(chimeway.adapters)
        if name != "FeedbackKind"
    )
    assert not hasattr(chimeway.adapters, "PigeonAdapter")


def test_a_console_needs_something_to_write_to() -> None:
    with pytest.raises(ConfigError, match=r"stream is a text file, such as sys\.stderr, not str"):
        ConsoleAdapter("out.txt")  # type: ignore[arg-type]
