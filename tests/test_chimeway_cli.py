from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from chimeway_explained import (
    ADDRESS,
    SECRET,
    Drafted,
    Escalating,
    Note,
    Once,
    Stand,
    Written,
    a_stand,
    lose_job,
)
from typer.main import get_command
from typer.testing import CliRunner, Result

import chimeway
from aquila.errors import AquilaError, ConfigError
from chimeway import store
from chimeway.cli import notify_app, signal_app, workflow_app
from chimeway.dispatch.performing import perform_sync
from chimeway.engine.router import route_signal
from chimeway.errors import ChimewayError, NotificationNotFound, PermanentFailure, TemporaryFailure
from chimeway.writing.results import keep_step

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
APPS = {"notify": notify_app, "workflow": workflow_app, "signal": signal_app}


@pytest.fixture
def stand(place: None) -> Iterator[Stand]:
    with a_stand() as made:
        yield made


def run(*arguments: str) -> Result:
    name, *rest = arguments
    return CliRunner().invoke(APPS[name], rest, env={"COLUMNS": "200"})


def said(*arguments: str) -> str:
    done = run(*arguments)
    if done.exception is not None:
        raise done.exception
    assert done.exit_code == 0
    assert ADDRESS not in done.output
    return done.stdout


def lines(*arguments: str) -> list[str]:
    return said(*arguments).splitlines()


def refused(*arguments: str) -> str:
    error = run(*arguments).exception
    assert isinstance(error, AquilaError)
    assert "\n" not in str(error)
    return str(error)


def test_deliveries_are_listed_the_newest_first_and_by_what_is_known_of_them(stand: Stand) -> None:
    assert said("notify", "ls") == "no deliveries\n"
    failed = stand.tried(TemporaryFailure("full"), who="ada")
    sent = stand.tried(who="bob")
    waiting = stand.sent(Escalating, who="eve")

    header, *listed = lines("notify", "ls")
    assert header.split()[:3] == ["DELIVERY", "STATUS", "TRIES"]
    assert [line.split()[0] for line in listed] == [waiting[:8], sent[:8], failed[:8]]
    assert listed[2].split()[1:3] == ["failed", "1/5"]
    assert listed[2].split()[-2:] == ["ada", "temporary_failure"]

    def ids(*options: str) -> list[str]:
        return [json.loads(line)["explained_id"] for line in lines("notify", "ls", "--json", *options)]

    assert ids("--status", "succeeded") == [sent]
    assert ids("--channel", "in_app") == [waiting]
    assert ids("--recipient", "ada") == [failed]
    assert ids("--key", "explained.note") == [sent, failed]
    assert ids("--since", "30m") == [waiting]
    assert ids("--limit", "1") == [waiting]
    assert ids("--tenant", "acme") == []
    assert "no status 'lost'; it is one of pending, dispatched" in refused("notify", "ls", "--status", "lost")
    assert "no span of time" in refused("notify", "ls", "--since", "soon")


def test_a_delivery_is_explained_by_a_part_of_its_id(stand: Stand) -> None:
    delivery_id = stand.tried(PermanentFailure("forbidden"))

    first, remedy, _, *rest = lines("notify", "explain", delivery_id[:10])

    assert first.startswith("email to 'person-1': refused at")
    assert remedy.startswith("-> no further attempt helps as it is; mend the cause")
    assert f"delivery      {delivery_id}" in rest
    assert "state         cancelled (permanent_failure)" in rest
    assert any(
        line.endswith("attempt 1 by email with provider: permanent_failure (permanent): forbidden")
        for line in rest
    )
    assert json.loads(said("notify", "explain", delivery_id, "--json"))["reason"] == "permanent_failure"


def test_a_notification_an_event_and_a_run_are_explained_as_well(stand: Stand) -> None:
    inbox = stand.now(stand.sent(Escalating, who="ada"))
    assert inbox.run_id is not None

    of_the_notification = said("notify", "explain", inbox.notification_id)
    assert "workflow 'explained.escalating' for 'ada'" in of_the_notification
    assert "in_app to 'ada'" in of_the_notification
    whole = json.loads(said("notify", "explain", inbox.notification_id, "--json"))
    assert [one["kind"] for one in whole] == ["run", "delivery"]
    assert said("notify", "explain", inbox.run_id) == said("workflow", "show", inbox.run_id)
    assert said("notify", "explain", inbox.event_id) == said("notify", "trace", inbox.event_id[:12])


def test_ids_that_begin_nothing_or_several_things_are_refused(stand: Stand) -> None:
    for _ in range(17):
        stand.sent()

    assert "no delivery or notification or event or run begins with 'zz'" in refused(
        "notify", "explain", "zz"
    )
    shared = next(
        digit
        for digit in "0123456789abcdef"
        if "give more of the id" in str(run("notify", "explain", digit).exception)
    )
    assert f"'{shared}' begins" in refused("notify", "explain", shared)
    assert "the id is empty" in refused("notify", "explain", " ")
    assert "no run begins" in refused("workflow", "show", "zz")
    assert "no signal begins" in refused("signal", "show", "zz")


def test_events_are_traced_by_key_request_and_recipient(stand: Stand) -> None:
    event = Note.trigger(
        stand.recipient("ada"), {"word": SECRET}, idempotency_key="order-7", correlation_id="request-1"
    ).event

    by_key = said("notify", "trace", "--key", "order-7")
    assert by_key.startswith("'explained.note': 1 delivery to 1 recipient: 1 pending\n")
    assert f"event         {event.event_id}" in by_key
    assert said("notify", "trace", "--correlation", "request-1") == by_key
    assert said("notify", "trace", "--recipient", "ada") == by_key
    assert json.loads(said("notify", "trace", "--recipient", "ada", "--json"))["event_id"] == event.event_id
    assert said("notify", "trace", "--recipient", "nobody") == "no events\n"
    assert SECRET not in by_key
    assert isinstance(run("notify", "trace").exception, ConfigError)


def test_a_delivery_that_was_given_up_is_due_again_and_says_what_it_waits_for(stand: Stand) -> None:
    delivery_id = stand.tried(TemporaryFailure("full"), notifier=Once)

    done = run("notify", "retry", delivery_id[:10])

    assert done.stdout == f"{delivery_id[:8]} is due\n"
    assert "no worker serves this database; start one with" in done.stderr
    assert stand.now(delivery_id).status == "failed"
    assert perform_sync(delivery_id) == "delivered"
    assert "only what failed is" in refused("notify", "retry", delivery_id)


def test_what_has_not_gone_out_is_taken_back(stand: Stand) -> None:
    keyed = (
        Note.trigger(stand.recipient(), {"word": SECRET}, cancellation_key="order-7")
        .deliveries[0]
        .delivery_id
    )
    single, sending = stand.sent(), stand.claimed(stand.sent())
    inbox = stand.now(stand.sent(Escalating))

    assert said("notify", "cancel", "--key", "order-7") == "1 delivery and 0 runs taken back\n"
    assert (
        said("notify", "cancel", single[:10], "--reason", "withdrawn") == "1 delivery and 0 runs taken back\n"
    )
    assert "1 being sent at this moment cannot be" in said("notify", "cancel", sending)
    assert said("notify", "cancel", inbox.event_id) == "1 delivery and 1 run taken back\n"
    assert {stand.now(one).status for one in (keyed, single, inbox.delivery_id)} == {"cancelled"}
    assert stand.now(single).reason == "withdrawn"
    assert "name an ID or a --key" in refused("notify", "cancel")


def test_a_sweep_gives_what_was_left_behind_to_jobs(stand: Stand) -> None:
    assert said("notify", "sweep") == "nothing to take up\n"
    lose_job(stand.now(stand.sent()).carrier_id)

    assert said("notify", "sweep") == "deliveries: 1\n"


def test_a_sweep_with_a_module_delivers_itself_as_that_says(
    place: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with a_stand() as stand:
        delivery_id = stand.left_by_its_process()
        stand.clock.advance(minutes=2)
        (tmp_path / "sync_shop.py").write_text('import chimeway\nchimeway.configure(dispatcher="sync")\n')

        assert said("notify", "sweep", "sync_shop") == "deliveries: 1\n"
        assert stand.now(delivery_id).status == "succeeded"


def test_outcomes_are_counted(stand: Stand) -> None:
    assert said("notify", "outcomes") == "no deliveries\n"
    stand.tried()
    stand.tried(PermanentFailure("no"))

    assert said("notify", "outcomes") == "explained.note by email: 2 in all: 1 sent, 1 failed\n"
    assert json.loads(said("notify", "outcomes", "--json"))["sent"] == 1
    assert said("notify", "outcomes", "--channel", "sms") == "no deliveries\n"


def test_runs_are_listed_shown_and_stopped(stand: Stand) -> None:
    assert said("workflow", "ls") == "no workflow runs\n"
    run_id = stand.escalated("ada")

    header, listed = lines("workflow", "ls", "--state", "active")
    assert header.split()[:2] == ["RUN", "STATE"]
    assert listed.startswith(f"{run_id[:8]}  active")
    assert json.loads(said("workflow", "ls", "--json"))["explained_id"] == run_id
    shown = said("workflow", "show", run_id[:10])
    assert re.search(r"^sms +ahead +not planned yet", shown, re.MULTILINE)
    assert "the wait at the step 'inbox' was over: the step 'email' follows" in shown

    assert said("workflow", "cancel", run_id) == f"{run_id[:8]} stopped: 1 delivery and 1 run taken back\n"
    assert "is over already: it is stopped" in refused("workflow", "cancel", run_id)


def test_what_a_model_wrote_is_read_and_approved_or_rejected(stand: Stand) -> None:
    def drafted(who: str) -> str:
        planned = Drafted.trigger(stand.recipient(who), {"word": SECRET}).notifications[0]
        run_id = stand.run_of(planned.notification_id)
        store.write(keep_step, f"a text for {who}", stand.clock.now(), run_id=run_id, step_key="draft")
        return run_id

    one, other = drafted("ada"), drafted("bob")

    assert "to be approved, what the step 'draft' wrote:\na text for ada" in said("workflow", "show", one)
    assert (
        said("workflow", "approve", one[:10], "--by", "eve", "--note", "well put") == f"{one[:8]} approved\n"
    )
    assert said("workflow", "reject", other) == f"{other[:8]} rejected\n"
    assert "eve" in refused("workflow", "reject", one, "--by", "bo")


def test_who_decides_is_asked_for_where_the_machine_does_not_know(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = stand.escalated("ada")
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000)

    assert "--by NAME" in refused("workflow", "approve", run_id)


def test_a_signal_is_sent_once_listed_and_shown(stand: Stand) -> None:
    assert said("signal", "ls") == "no signals\n"
    command = (
        "signal",
        "send",
        "ada",
        "comment.answered",
        "--payload",
        '{"comment_id": 7}',
        "--dedup-key",
        "c-7",
    )
    sent = said(*command)
    assert sent == said(*command)
    short = sent.split()[0]
    assert sent == f"{short} comment.answered by ada\n"

    _, listed = lines("signal", "ls", "--actor", "ada")
    assert listed.split()[0] == short
    assert listed.endswith("not routed yet")
    whole = json.loads(said("signal", "show", short, "--json"))
    assert (whole["payload"], whole["dedup_key"]) == ({"comment_id": 7}, "c-7")
    store.write(route_signal, whole["signal_id"], stand.clock.now())
    shown = said("signal", "show", short)
    assert 'payload   {"comment_id": 7}' in shown
    assert "result    no run listens" in shown
    assert "payload" not in json.loads(said("signal", "ls", "--json"))
    assert "--payload is no JSON" in refused("signal", "send", "ada", "x", "--payload", "{")
    assert "--payload is a JSON object" in refused("signal", "send", "ada", "x", "--payload", "[]")


def test_a_signal_that_a_run_heard_says_which(stand: Stand) -> None:
    inbox = stand.sent(Escalating, who="ada")
    perform_sync(inbox)
    short = said("signal", "send", "ada", "answered").split()[0]
    signal_id = json.loads(said("signal", "show", short, "--json"))["signal_id"]
    store.write(route_signal, signal_id, stand.clock.now())

    run_id = stand.now(inbox).run_id
    assert run_id is not None
    assert f"result    {run_id[:8]} signal:answered" in said("signal", "show", short)


def test_what_a_provider_said_cannot_steer_the_terminal(stand: Stand) -> None:
    delivery_id = stand.tried(TemporaryFailure("\x1b[31mfull"))

    shown = said("notify", "explain", delivery_id)

    assert "full" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("name", list(APPS))
def test_every_command_tells_an_example_and_the_help_the_exit_codes(name: str) -> None:
    assert "Exit codes: 0 what was asked for has happened" in " ".join(said(name, "--help").split())
    commands = get_command(APPS[name])
    assert isinstance(commands, typer.core.TyperGroup)
    for command in commands.commands:
        assert f"Example: aquila {name} {command}" in " ".join(said(name, command, "--help").split())


def test_a_text_that_waits_for_a_model_is_told(stand: Stand) -> None:
    delivery_id = stand.sent(Written)

    assert "a model is to write its text" in said("notify", "explain", delivery_id)
    with pytest.raises(ChimewayError, match="goes out without being asked"):
        raise run("notify", "retry", delivery_id).exception or AssertionError
    with pytest.raises(NotificationNotFound):
        raise run("notify", "retry", "zz").exception or AssertionError
    assert chimeway.NotificationNotFound is NotificationNotFound
