from __future__ import annotations

import json
from typing import Any

import pytest

from chimeway.errors import NotifierInvalid
from chimeway.feedback_verdict import EVENT_NAMES
from chimeway.in_app.marks import READ, SEEN
from chimeway.workflow import (
    Approve,
    Ask,
    Deliver,
    Gate,
    On,
    SignalMatch,
    Stop,
    Summarise,
    Wait,
    Workflow,
    when,
)
from chimeway.workflow.signal_match import APPROVAL, OWN_SIGNALS

EVERYTHING = Workflow(
    "everything",
    version=3,
    steps=[
        Gate("grace", rules=[Wait(days=1, to="draft", cancel_on=["order.paid"])]),
        Ask("draft", rules=[On("written", to="check"), Stop("failed")]),
        Approve("check", of="draft", within=86_400, rules=[On("approved", to="inbox"), On("*", to="digest")]),
        Summarise("digest", rules=[On("written", to="inbox")]),
        Deliver(
            "inbox",
            channel="in_app",
            when=(when("params.urgent") | (when("params.count") > 3)) & ~when("notification.read"),
            rules=[
                Stop("bounced"),
                On("skipped", to="sms"),
                Wait(
                    hours=2,
                    minutes=30,
                    to="email",
                    cancel_on=[
                        "chimeway.notification.read",
                        SignalMatch("order.paid", {"order": "$params.order"}),
                    ],
                    on_signal={SignalMatch("mention.replied", {"kind": "yes"}): "thanks"},
                ),
            ],
        ),
        Deliver(
            "email",
            channel="email",
            when=when("steps.inbox.outcome").in_(["delivered", "suppressed"]),
            rules=[On("permanent_failure", to="sms")],
        ),
        Deliver("sms", channel="sms"),
        Deliver("thanks", channel="in_app", when=when("recipient.addresses.email").exists()),
    ],
)


def refused(steps: list[Any], *said: str, version: Any = 1, key: Any = "w") -> None:
    with pytest.raises(NotifierInvalid) as caught:
        Workflow(key, version=version, steps=steps)
    for words in said:
        assert words in str(caught.value)


def test_a_workflow_survives_json() -> None:
    stored = json.loads(json.dumps(EVERYTHING.to_json()))

    assert Workflow.from_json(stored) == EVERYTHING
    assert Workflow.from_json(stored).to_json() == stored


def test_times_of_a_wait_are_added_up() -> None:
    assert Wait(hours=2, minutes=30, seconds=5).seconds == 9005


def test_signals_about_a_notification_are_by_default_those_about_the_runs_own() -> None:
    assert SignalMatch("chimeway.notification.read").fields == {"notification_id": "$notification_id"}
    assert SignalMatch("chimeway.notification.read", {}).fields == {}
    assert SignalMatch("comment.answered").fields == {}


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        pytest.param({"kind": "fax", "key": "a"}, "'fax'", id="a kind"),
        pytest.param(
            {"kind": "deliver", "key": "a", "channel": "sms", "colour": "red"}, "colour", id="a field"
        ),
        pytest.param({"kind": "deliver", "key": "a"}, "channel", id="a field that lacks"),
        pytest.param(
            {"kind": "deliver", "key": "a", "channel": "sms", "rules": [{"leap": "b"}]}, "leap", id="a rule"
        ),
        pytest.param(
            {"kind": "deliver", "key": "a", "channel": "sms", "when": {"fact": "params.a", "op": "like"}},
            "'like'",
            id="an operator",
        ),
        pytest.param(
            {"kind": "deliver", "key": "a", "channel": "sms", "when": {"none": []}}, "none", id="a condition"
        ),
        pytest.param("deliver", "object", id="no object"),
    ],
)
def test_what_this_version_does_not_know_is_refused(stored: Any, said: str) -> None:
    with pytest.raises(NotifierInvalid, match=said):
        Workflow.from_json({"key": "w", "version": 1, "steps": [stored]})


def test_a_stored_workflow_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(NotifierInvalid, match="owner"):
        Workflow.from_json({**EVERYTHING.to_json(), "owner": "ada"})


def test_a_rule_must_lead_on() -> None:
    refused(
        [
            Deliver("a", channel="x", rules=[On("bounced", to="b")]),
            Deliver("b", channel="x", rules=[Wait(hours=1, to="a")]),
        ],
        "workflow 'w'",
        "step 'b'",
        "'a' is no later step",
    )
    refused([Deliver("a", channel="x", rules=[On("bounced", to="a")])], "step 'a'", "no later step")
    refused(
        [
            Deliver("a", channel="x", rules=[On("bounced", to="nowhere"), On("delivered", to="b")]),
            Deliver("b", channel="x"),
        ],
        "'nowhere'",
        "one of: b",
    )


def test_a_step_that_no_run_can_come_to_is_refused() -> None:
    refused([Deliver("a", channel="x"), Deliver("b", channel="x")], "step 'b'", "no rule of an earlier step")


def test_a_step_after_one_that_may_be_skipped_can_be_come_to() -> None:
    steps = [Deliver("a", channel="x", when=when("params.a")), Deliver("b", channel="x")]

    assert Workflow("w", steps=steps).steps == tuple(steps)


def test_outcomes_are_those_of_the_kind_of_step() -> None:
    refused([Deliver("a", channel="x", rules=[Stop("written")])], "step 'a'", "Stop('written')", "bounced")
    refused([Ask("a", rules=[Stop("bounced")])], "Stop('bounced')", "written, failed")
    refused([Deliver("a", channel="x", rules=[Stop("skipped")])], "no `when`")


def test_a_rule_that_can_never_fit_is_refused() -> None:
    wait = Wait(hours=1, to="b")
    b = Deliver("b", channel="x")
    refused(
        [Deliver("a", channel="x", rules=[On("*", to="b"), Stop("bounced")]), b],
        "Stop('bounced')",
        "never reached",
    )
    refused([Deliver("a", channel="x", rules=[On("bounced", to="b"), Stop("bounced")]), b], "never reached")
    refused([Deliver("a", channel="x", rules=[On("*", to="b"), wait]), b], "its Wait is never reached")
    refused([Gate("a", rules=[Stop("*"), wait]), b], "can never fit")


def test_a_rule_for_the_first_failure_may_stand_behind_one_for_any_outcome() -> None:
    steps = [
        Deliver("a", channel="x", rules=[On("*", to="b"), On("temporary_failure", to="b")]),
        Deliver("b", channel="x"),
    ]

    assert Workflow("w", steps=steps).steps == tuple(steps)


def test_waits_stand_where_they_mean_something() -> None:
    b = Deliver("b", channel="x")
    refused([Gate("a")], "has no Wait")
    refused([Ask("a", rules=[Wait(hours=1, to="b")]), b], "let a Gate follow")
    refused([Gate("a", rules=[Wait(hours=1, to="b"), Wait(hours=2, to="b")]), b], "more than one Wait")
    refused([Gate("a", rules=[Wait(hours=1)])], "leads nowhere")


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e12])
def test_a_wait_is_a_time_above_zero(seconds: float) -> None:
    with pytest.raises(NotifierInvalid, match="Wait"):
        Workflow("w", steps=[Gate("a", rules=[Wait(seconds=seconds, to="b")]), Deliver("b", channel="x")])


def test_a_wait_that_is_no_number_is_refused() -> None:
    with pytest.raises(NotifierInvalid, match="numbers"):
        Wait(hours="2", to="b")  # type: ignore[arg-type]


def test_signals_are_few_and_have_names() -> None:
    b = Deliver("b", channel="x")

    def gate(**given: Any) -> list[Any]:
        return [Gate("a", rules=[Wait(hours=1, to="b", **given)]), b]

    refused(gate(cancel_on=[f"s{n}" for n in range(11)]), "cancel_on has 11")
    refused(gate(cancel_on=[" "]), "' '")
    refused(gate(cancel_on=["x" * 101]), "1 to 100")
    refused(gate(cancel_on=["s"], on_signal={"s": "b"}), "named twice")
    refused(gate(on_signal={"s": "c"}), "'c' is no later step")
    refused(gate(cancel_on=[SignalMatch("s", {"id": "$order"})]), "'$order'", "$notification_id")
    refused(gate(cancel_on=[SignalMatch("s", {"id": object()})]), "JSON")
    refused(gate(cancel_on=[3]), "signal 3")
    refused(gate(cancel_on=["comment answered!"]), "none that can be tracked")
    refused(gate(cancel_on=["chimeway.notification.raed"]), "step 'a'", "none that chimeway tells", READ)
    refused(gate(cancel_on=[SignalMatch("s", {"a": {"b": ["\0"]}})]), "NUL")
    refused(gate(cancel_on=[SignalMatch("s", {"a\ud800": 1})]), "half of a character")


def test_the_signals_that_chimeway_tells_are_those_that_a_wait_may_name() -> None:
    assert {APPROVAL, SEEN, READ, *EVENT_NAMES.values()} == OWN_SIGNALS


def test_what_is_no_list_is_refused_with_the_step_and_what_to_write() -> None:
    wait = Wait(hours=1, to="b")
    b = Deliver("b", channel="x")
    given: list[Any] = [wait, None, {wait}, "bounced"]
    for rules in given:
        with pytest.raises(NotifierInvalid, match=r"step 'a': rules is a list, not .*write rules=\[\.\.\.\]"):
            Deliver("a", channel="x", rules=rules)
    steps: list[Any] = [b, None, {b}]
    for one in steps:
        with pytest.raises(NotifierInvalid, match=r"workflow 'w': steps is a list, not .*write steps="):
            Workflow("w", steps=one)
    cancels: list[Any] = [None, SignalMatch("s"), {"s", "t"}]
    for cancel_on in cancels:
        refused([Gate("a", rules=[Wait(hours=1, to="b", cancel_on=cancel_on)]), b], "step 'a'", "cancel_on=[")
    jumps: list[Any] = [["s"], "s", (("s", "b"),), 5]
    for on_signal in jumps:
        refused([Gate("a", rules=[Wait(hours=1, on_signal=on_signal)]), b], "step 'a'", 'on_signal={"SIGNAL"')
    wrong: Any = ["b"]
    for rule in (On("bounced", to=wrong), Wait(hours=1, to=wrong), Wait(hours=1, on_signal={"s": wrong})):
        refused([Deliver("a", channel="x", rules=[rule]), b], "step 'a'", "no step's key")
    refused([b, Deliver("a", channel="x", rules=[On("bounced", to=wrong)])], "step 'a'", "no step's key")
    with pytest.raises(NotifierInvalid, match="step 'a': when: "):
        Deliver("a", channel="x", when=True)  # type: ignore[arg-type]


def test_an_approval_is_of_a_text() -> None:
    refused([Approve("a", of="b")], "of='b'", "none")
    refused([Ask("d", rules=[On("written", to="a")]), Approve("a", of="d", within=0)], "within=0")


def test_an_approval_expires_only_if_it_has_a_time() -> None:
    def approval(**given: Any) -> list[Any]:
        return [
            Ask("d", rules=[On("written", to="a")]),
            Approve("a", of="d", rules=[On("approved", to="b"), Stop("expired")], **given),
            Deliver("b", channel="x"),
        ]

    refused(approval(), "step 'a'", "Stop('expired')", "never expires")
    assert Workflow("w", steps=approval(within=60)).steps


def test_keys_channels_and_versions_are_checked() -> None:
    a = Deliver("a", channel="x")
    refused([], "0 steps")
    refused([Deliver(f"s{n}", channel="x") for n in range(51)], "51 steps")
    refused([a, Deliver("a", channel="y")], "two steps are called 'a'")
    for step_key in ("a.b", "a-b", "1st", "class", ""):
        refused([Deliver(step_key, channel="x")], f"{step_key!r} must be", "attribute")
    refused([a], "version=1099511627776", version=2**40)
    for broken in ("w\0", "w\ud800"):
        refused([a], "no NUL", key=broken)
    refused([Deliver("a" * 101, channel="x")], "1 to 100")
    refused([Deliver("a", channel="In App")], "'In App'")
    refused([a], "version=0", version=0)
    refused([a], "version=True", version=True)
    refused([a], "key", key=" ")
    refused([a], "key", key="k" * 256)
    refused(["a"], "no step")
    refused([Deliver("a", channel="x", rules=["bounced"])], "no rule")  # type: ignore[list-item]
