from __future__ import annotations

from typing import Any

import pytest
from chimeway_runs import READ, START, a_run, a_signal, after, came_out, waiting

from chimeway.models import RunState, WorkflowRun
from chimeway.workflow import (
    Approve,
    Ask,
    Deliver,
    Gate,
    On,
    SignalMatch,
    Stop,
    Wait,
    Workflow,
    advance,
    when,
)
from chimeway.workflow.decisions import Activate, Complete, Noop, StopRun, WaitFor
from chimeway.workflow.entering import begin
from chimeway.workflow.facts import Facts, StepResult

ESCALATION = Workflow(
    "mention-escalation",
    steps=[
        Deliver(
            "inbox",
            channel="in_app",
            rules=[
                Stop("bounced"),
                On("permanent_failure", to="sms"),
                Wait(hours=2, to="email", cancel_on=[READ], on_signal={"mention.replied": "thanks"}),
            ],
        ),
        Deliver("email", channel="email", rules=[On("temporary_failure", to="sms"), On("*", to="sms")]),
        Deliver("sms", channel="sms"),
        Deliver("thanks", channel="in_app"),
    ],
)
OURS = {"notification_id": "note"}
AT_INBOX = a_run("inbox")
IN_WAIT = waiting("inbox", to="email", due_at=after(hours=2))


def test_a_delivery_that_is_not_over_is_waited_for() -> None:
    assert advance(ESCALATION, AT_INBOX, Facts(), START) == Noop("prior_delivery_not_converged")


def test_a_step_for_which_nothing_is_planned_has_its_turn_anew() -> None:
    facts = Facts(is_planned=False)

    assert advance(ESCALATION, AT_INBOX, facts, START) == Activate(step_key="inbox", reason="step_activated")
    assert advance(APPROVAL, a_run("draft"), facts, START) == Activate(
        step_key="draft", reason="step_activated"
    )


def test_a_wait_begins_when_the_delivery_has_ended() -> None:
    decision = advance(
        ESCALATION, AT_INBOX, came_out("delivered", converged_at=after(minutes=5)), after(hours=1)
    )

    assert isinstance(decision, WaitFor)
    assert decision.due_at == after(hours=2, minutes=5)
    assert decision.to == "email"
    assert [match.event_name for match in decision.listens] == [READ, "mention.replied"]
    assert decision.reason == "waiting_for_step_progression"


def test_rules_go_before_the_wait_in_their_order() -> None:
    stopped = advance(ESCALATION, AT_INBOX, came_out("bounced"), START)
    jumped = advance(ESCALATION, AT_INBOX, came_out("permanent_failure"), START)

    assert stopped == StopRun(reason="workflow_stopped:bounced", outcome="bounced")
    assert jumped == Activate(
        step_key="sms", reason="progressed_on_delivery_outcome:permanent_failure", outcome="permanent_failure"
    )


def test_a_rule_for_the_first_failure_fires_while_the_delivery_goes_on() -> None:
    trying = Facts(outcome="temporary_failure", converged=False)

    decision = advance(ESCALATION, a_run("email"), trying, START)

    assert isinstance(decision, Activate)
    assert decision.step_key == "sms"


def test_any_outcome_means_one_that_is_the_last_word() -> None:
    workflow = Workflow(
        "w", steps=[Deliver("a", channel="x", rules=[On("*", to="b")]), Deliver("b", channel="x")]
    )
    trying = Facts(outcome="temporary_failure", converged=False)

    assert advance(workflow, a_run("a"), trying, START) == Noop("prior_delivery_not_converged")
    assert isinstance(advance(workflow, a_run("a"), came_out("suppressed"), START), Activate)


def test_a_step_without_a_fitting_rule_and_without_a_wait_completes_the_run() -> None:
    assert advance(ESCALATION, a_run("sms"), came_out("bounced"), START) == Complete(
        reason="workflow_completed", outcome="bounced"
    )


@pytest.mark.parametrize("state", [RunState.COMPLETED, RunState.STOPPED])
def test_a_run_that_has_ended_stays_as_it_is(state: RunState) -> None:
    run = a_run("inbox", state=state, due_at=START)

    assert advance(ESCALATION, run, came_out("delivered"), after(days=1)) == Noop("run_not_active")


def test_a_run_at_a_step_that_its_workflow_has_not_stays_as_it_is() -> None:
    assert advance(ESCALATION, a_run("fax"), Facts(), START) == Noop("unknown_step")


def test_a_wait_is_over_at_its_very_moment() -> None:
    facts = came_out("delivered")

    assert advance(ESCALATION, IN_WAIT, facts, after(hours=2, microseconds=-1)) == Noop("wait_not_due")
    assert advance(ESCALATION, IN_WAIT, facts, after(hours=2)) == Activate(
        step_key="email",
        reason="wait_expired",
        outcome="delivered",
        cancel_on=({"event": READ, "match": {"notification_id": "note"}},),
    )


def test_a_signal_stops_the_run_also_at_the_moment_at_which_the_wait_is_over() -> None:
    facts = came_out("delivered", signals=[a_signal(READ, payload=OURS, signal_id="s1")])

    for now in (after(hours=1), after(hours=2), after(hours=9)):
        decision = advance(ESCALATION, IN_WAIT, facts, now)
        assert decision == StopRun(reason=f"signal:{READ}", outcome="delivered", signal_id="s1")


def test_a_signal_leads_to_its_step() -> None:
    facts = came_out("delivered", signals=[a_signal("mention.replied", signal_id="s1")])

    assert advance(ESCALATION, IN_WAIT, facts, after(hours=1)) == Activate(
        step_key="thanks", reason="signal:mention.replied", outcome="delivered", signal_id="s1"
    )


@pytest.mark.parametrize(
    "signal",
    [
        pytest.param(a_signal(READ, payload={"notification_id": "another"}), id="another notification"),
        pytest.param(a_signal(READ), id="no notification"),
        pytest.param(a_signal(READ, payload=OURS, actor_id="bob"), id="another person"),
        pytest.param(a_signal(READ, payload=OURS, tenant_id="acme"), id="another tenant"),
        pytest.param(a_signal("chimeway.notification.seen", payload=OURS), id="another name"),
        pytest.param(a_signal("mention.replied", occurred_at=after(seconds=-1)), id="before the run"),
    ],
)
def test_a_signal_that_is_not_for_the_wait_changes_nothing(signal: Any) -> None:
    facts = came_out("delivered", signals=[signal])

    assert advance(ESCALATION, IN_WAIT, facts, after(hours=1)) == Noop("wait_not_due")


def test_the_clock_decides_nothing_for_a_signal_about_the_very_notification() -> None:
    facts = came_out("delivered", signals=[a_signal(READ, payload=OURS, occurred_at=after(seconds=-2))])

    assert isinstance(advance(ESCALATION, IN_WAIT, facts, after(hours=1)), StopRun)


def test_the_earliest_signal_wins_whatever_the_order_in_which_they_were_read() -> None:
    read = a_signal(READ, payload=OURS, signal_id="s2", occurred_at=after(minutes=2))
    replied = a_signal("mention.replied", signal_id="s1", occurred_at=after(minutes=1))

    for signals in ([read, replied], [replied, read]):
        decision = advance(ESCALATION, IN_WAIT, came_out("delivered", signals=signals), after(hours=1))
        assert isinstance(decision, Activate)
        assert decision.signal_id == "s1"


def test_a_bounce_that_is_told_late_goes_before_the_wait() -> None:
    decision = advance(ESCALATION, IN_WAIT, came_out("bounced"), after(hours=1))

    assert decision == StopRun(reason="workflow_stopped:bounced", outcome="bounced")


def test_a_signal_may_have_to_be_about_a_parameter() -> None:
    wait = Wait(hours=1, to="b", cancel_on=[SignalMatch("paid", {"order": "$params.order", "kind": "card"})])
    workflow = Workflow("w", steps=[Gate("a", rules=[wait]), Deliver("b", channel="x")])
    run = waiting("a", to="b", due_at=after(hours=1))

    def decide(params: dict[str, Any], payload: dict[str, Any]) -> Any:
        return advance(
            workflow, run, Facts(params=params, signals=[a_signal("paid", payload=payload)]), START
        )

    assert isinstance(decide({"order": 5}, {"order": 5, "kind": "card"}), StopRun)
    assert decide({"order": 5}, {"order": 6, "kind": "card"}) == Noop("wait_not_due")
    assert decide({"order": 5}, {"order": 5}) == Noop("wait_not_due")
    assert decide({}, {"kind": "card"}) == Noop("wait_not_due")
    expired = advance(workflow, run, Facts(params={}), after(hours=1))
    assert isinstance(expired, Activate)
    assert expired.cancel_on == ()


def test_a_gate_waits_from_the_moment_at_which_its_turn_came() -> None:
    workflow = Workflow("w", steps=[Gate("a", rules=[Wait(hours=1, to="b")]), Deliver("b", channel="x")])

    decision = advance(workflow, a_run("a", step_started_at=after(minutes=7)), Facts(), after(minutes=8))

    assert isinstance(decision, WaitFor)
    assert decision.due_at == after(hours=1, minutes=7)


def test_a_wait_that_leads_nowhere_completes_the_run() -> None:
    wait = Wait(hours=1, on_signal={"mention.replied": "b"})
    workflow = Workflow("w", steps=[Gate("a", rules=[wait]), Deliver("b", channel="x")])
    run = waiting("a", to=None, due_at=after(hours=1))

    assert advance(workflow, run, Facts(), after(hours=1)) == Complete(reason="workflow_completed")


CONDITIONS = Workflow(
    "conditions",
    steps=[
        Deliver("inbox", channel="in_app", rules=[On("*", to="email")]),
        Deliver(
            "email",
            channel="email",
            when=when("params.urgent"),
            rules=[On("skipped", to="sms"), On("bounced", to="push")],
        ),
        Deliver("push", channel="push"),
        Deliver(
            "sms",
            channel="sms",
            when=when("steps.email.outcome") == "skipped",
            rules=[Wait(hours=1, to="letter")],
        ),
        Deliver("letter", channel="letter", when=when("recipient.addresses.letter").exists()),
        Deliver("last", channel="in_app", when=when("notification.read"), rules=[Stop("skipped")]),
    ],
)


def test_a_step_whose_condition_holds_has_its_turn() -> None:
    decision = advance(CONDITIONS, AT_INBOX, came_out("delivered", params={"urgent": True}), START)

    assert isinstance(decision, Activate)
    assert (decision.step_key, decision.skipped) == ("email", ())


def test_a_step_whose_condition_does_not_hold_is_passed_over() -> None:
    decision = advance(CONDITIONS, AT_INBOX, came_out("delivered"), START)

    assert isinstance(decision, Activate)
    assert (decision.step_key, decision.skipped) == ("sms", ("email",))
    assert decision.outcome == "delivered"


def test_what_follows_a_skipped_step_is_its_rule_then_its_wait_then_the_next_step() -> None:
    workflow = Workflow(
        "w",
        steps=[
            Deliver("a", channel="x", rules=[On("delivered", to="b")]),
            Deliver("b", channel="x", when=when("params.b"), rules=[Wait(hours=1, to="d")]),
            Deliver("d", channel="x", when=when("params.d")),
            Deliver("e", channel="x", when=when("params.e"), rules=[Stop("skipped"), On("bounced", to="f")]),
            Deliver("f", channel="x"),
        ],
    )
    at = a_run("a")

    to_d = advance(workflow, at, came_out("delivered", params={"d": 1}), START)
    to_e = advance(workflow, at, came_out("delivered", params={"e": 1}), START)
    stopped = advance(workflow, at, came_out("delivered"), START)

    assert isinstance(to_d, Activate)
    assert (to_d.step_key, to_d.skipped) == ("d", ("b",))
    assert isinstance(to_e, Activate)
    assert (to_e.step_key, to_e.skipped) == ("e", ("b", "d"))
    assert stopped == StopRun(reason="workflow_stopped:skipped", outcome="delivered", skipped=("b", "d", "e"))


def test_a_run_that_skips_its_last_step_is_complete() -> None:
    workflow = Workflow("w", steps=[Deliver("a", channel="x", when=when("params.a"))])

    assert begin(workflow, a_run("a"), Facts(), reason="step_activated") == Complete(
        reason="workflow_completed", skipped=("a",)
    )


def test_conditions_see_what_the_step_that_is_left_came_to() -> None:
    workflow = Workflow(
        "w",
        steps=[
            Ask("draft", rules=[On("*", to="email")]),
            Deliver(
                "email",
                channel="email",
                when=when("steps.draft.output") == "yes",
                rules=[On("skipped", to="sms")],
            ),
            Deliver("sms", channel="sms", when=when("steps.draft.outcome") == "failed"),
        ],
    )
    wrote = came_out("written", steps={"draft": StepResult(output="yes")})

    email = advance(workflow, a_run("draft"), wrote, START)
    sms = advance(workflow, a_run("draft"), came_out("failed"), START)

    assert isinstance(email, Activate)
    assert (email.step_key, email.reason) == ("email", "progressed_on_step_outcome:written")
    assert isinstance(sms, Activate)
    assert sms.step_key == "sms"


APPROVAL = Workflow(
    "approval",
    steps=[
        Ask("draft", rules=[On("written", to="check")]),
        Approve("check", of="draft", within=3600, rules=[On("approved", to="email"), Stop("rejected")]),
        Deliver("email", channel="email"),
    ],
)
AT_CHECK = waiting("check", to=None, due_at=after(hours=1))


def decided(said: Any, *, key: str | None = "chimeway.approval:run:check", **payload: Any) -> Facts:
    facts = {"run_id": "run", "step": "check", "decision": said, **payload}
    return Facts(signals=[a_signal("chimeway.approval", payload=facts, signal_id="s1", dedup_key=key)])


def test_a_text_that_is_not_written_is_waited_for() -> None:
    assert advance(APPROVAL, a_run("draft"), Facts(), START) == Noop("step_not_written")


def test_an_approval_is_waited_for() -> None:
    decision = advance(APPROVAL, a_run("check"), Facts(), after(minutes=1))

    assert isinstance(decision, WaitFor)
    assert (decision.due_at, decision.to, decision.reason) == (after(hours=1), None, "waiting_for_approval")


def test_an_approval_without_a_time_is_waited_for_for_ever() -> None:
    workflow = Workflow(
        "w", steps=[Ask("draft", rules=[On("written", to="check")]), Approve("check", of="draft")]
    )

    decision = advance(workflow, a_run("check"), Facts(), START)

    assert isinstance(decision, WaitFor)
    assert decision.due_at is None
    assert advance(workflow, waiting("check", to=None), Facts(), after(days=999)) == Noop("wait_not_due")


def test_a_decision_is_followed_also_when_the_time_is_over() -> None:
    for now in (after(minutes=1), after(hours=2)):
        assert advance(APPROVAL, AT_CHECK, decided("approved"), now) == Activate(
            step_key="email", reason="approval:approved", outcome="approved", signal_id="s1"
        )
        assert advance(APPROVAL, AT_CHECK, decided("rejected"), now) == StopRun(
            reason="workflow_stopped:rejected", outcome="rejected", signal_id="s1"
        )


def test_an_approval_that_is_not_given_stops_the_run_unless_a_rule_says_what_follows() -> None:
    plain = Workflow(
        "w",
        steps=[Ask("draft", rules=[On("written", to="check")]), Approve("check", of="draft", within=3600)],
    )

    assert advance(APPROVAL, AT_CHECK, Facts(), after(hours=1)) == StopRun(
        reason="approval:expired", outcome="expired"
    )
    assert advance(plain, AT_CHECK, decided("rejected"), START) == StopRun(
        reason="approval:rejected", outcome="rejected", signal_id="s1"
    )
    assert advance(plain, AT_CHECK, decided("approved"), START) == Complete(
        reason="workflow_completed", outcome="approved", signal_id="s1"
    )


def test_a_decision_that_did_not_come_by_its_own_way_changes_nothing() -> None:
    for key in (None, "chimeway.approval:another:check", "chimeway.approval:run:other", "mine"):
        assert advance(APPROVAL, AT_CHECK, decided("approved", key=key), START) == Noop("wait_not_due")


CANCELLED = SignalMatch("order.cancelled", {"order": "$params.order"})
QUOTE = Workflow(
    "quote",
    steps=[
        Gate("grace", rules=[Wait(hours=1, to="draft", cancel_on=[CANCELLED])]),
        Ask("draft", rules=[On("written", to="check"), On("failed", to="pause")]),
        Approve("check", of="draft", rules=[On("approved", to="email")]),
        Gate("pause", rules=[Wait(hours=1, to="email", cancel_on=[READ, CANCELLED])]),
        Deliver("email", channel="email"),
    ],
)
ABOUT_THE_ORDER = {"event": "order.cancelled", "match": {"order": 5}}


def test_what_would_have_stopped_a_wait_takes_the_next_delivery_back_whatever_lies_between() -> None:
    def planned(run: WorkflowRun, facts: Facts) -> Any:
        decision = advance(QUOTE, run, facts, after(hours=1))
        assert isinstance(decision, Activate)
        assert decision.step_key == "email"
        return [*decision.cancel_on]

    approved = decided("approved").signals
    over: dict[str, Any] = {"params": {"order": 5}, "waits_over": ("grace",)}
    paused = waiting("pause", to="email", due_at=after(hours=1))

    assert planned(waiting("check", to=None), Facts(signals=approved, **over)) == [ABOUT_THE_ORDER]
    assert planned(paused, Facts(**over)) == [
        ABOUT_THE_ORDER,
        {"event": READ, "match": {"notification_id": "note"}},
    ]
    assert planned(a_run("email"), Facts(is_planned=False, **over)) == [ABOUT_THE_ORDER]


def test_what_is_no_decision_about_this_step_changes_nothing() -> None:
    for facts in (
        decided("perhaps"),
        decided(["approved"]),
        decided("approved", run_id="another"),
        decided("approved", step="other"),
    ):
        assert advance(APPROVAL, AT_CHECK, facts, START) == Noop("wait_not_due")
