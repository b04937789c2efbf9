"""What holds for every workflow, whatever becomes of its steps."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from chimeway_runs import READ, START, a_run, a_signal, after
from hypothesis import given, settings
from hypothesis import strategies as st

from chimeway.models import RunState, WorkflowRun
from chimeway.workflow import Approve, Ask, Deliver, Gate, On, Stop, Wait, Workflow, advance, when
from chimeway.workflow.decisions import Activate, Complete, Decision, Noop, StopRun, WaitFor
from chimeway.workflow.facts import Facts, StepResult
from chimeway.workflow.steps import Step

NAMES = [READ, "order.paid", "mention.replied"]
PATHS = ["params.a", "notification.read", "recipient.addresses.email"]


@st.composite
def steps_before(draw: st.DrawFn, key: str, later: list[str]) -> Step:
    """A step that leads to some of the later ones."""
    to = st.sampled_from(later) if later else st.nothing()
    condition = draw(st.none() | st.sampled_from(PATHS).map(when))
    kind = draw(st.sampled_from([Deliver, Gate, Ask]))
    if kind is Gate and not later:
        kind = Deliver
    outcomes = (
        ["written", "failed"] if kind is Ask else ["delivered", "bounced", "temporary_failure", "suppressed"]
    )
    named = draw(st.lists(st.sampled_from(outcomes), unique=True, max_size=3)) if kind is not Gate else []
    rules: list[Any] = [On(one, to=draw(to)) if later and draw(st.booleans()) else Stop(one) for one in named]
    if later and (kind is Gate or (kind is Deliver and draw(st.booleans()))):
        cancels = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=2))
        jumps = {name: draw(to) for name in NAMES if name not in cancels}
        rules.append(Wait(hours=draw(st.integers(1, 9)), to=draw(to), cancel_on=cancels, on_signal=jumps))
    options = {"channel": "in_app"} if kind is Deliver else {}
    return kind(key, rules=rules, when=condition, **options)


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    keys = [f"s{number}" for number in range(draw(st.integers(1, 6)))]
    steps: list[Step] = [draw(steps_before(key, keys[place + 1 :])) for place, key in enumerate(keys)]
    # The first step leads to every other one, so that none is left out.
    wait = Wait(hours=1, to=keys[0], on_signal={f"to.{key}": key for key in keys})
    return Workflow("w", steps=[Deliver("first", channel="in_app", rules=[wait]), *steps])


SIGNALS = st.builds(
    a_signal,
    st.sampled_from(NAMES),
    signal_id=st.uuids().map(str),
    payload=st.sampled_from([{}, {"notification_id": "note"}, {"notification_id": "other"}]),
    occurred_at=st.integers(-60, 600).map(lambda minutes: after(minutes=minutes)),
)
OUTCOMES = ["delivered", "bounced", "temporary_failure", "suppressed", "written", "failed", None]
FACTS = st.builds(
    Facts,
    is_planned=st.booleans(),
    outcome=st.sampled_from(OUTCOMES),
    converged=st.booleans(),
    converged_at=st.none() | st.just(START),
    signals=st.lists(SIGNALS, max_size=4),
    params=st.sampled_from([{}, {"a": 1}]),
    read=st.booleans(),
    addresses=st.sampled_from([{}, {"email": "a"}]),
    steps=st.just({"s0": StepResult(outcome="delivered")}),
)
MOMENTS = st.integers(0, 3000).map(lambda minutes: after(minutes=minutes))


def moved(run: WorkflowRun, decision: Decision, now: datetime) -> WorkflowRun:
    match decision:
        case Activate(step_key=key):
            return run.evolve(state=RunState.ACTIVE, current_step_key=key, step_started_at=now, due_at=None)
        case WaitFor(due_at=due, to=to):
            return run.evolve(state=RunState.WAITING, due_at=due, wait_to=to)
        case Complete():
            return run.evolve(state=RunState.COMPLETED)
        case StopRun():
            return run.evolve(state=RunState.STOPPED)
        case Noop():
            return run


@given(workflow=workflows(), data=st.data())
@settings(max_examples=60, deadline=None)
def test_every_run_ends_after_a_few_moves_and_each_leads_on(workflow: Workflow, data: st.DataObject) -> None:
    run, moves = a_run(workflow.steps[0].key), 0
    for _ in range(20):
        facts, now = data.draw(FACTS), data.draw(MOMENTS)
        decision = advance(workflow, run, facts, now)
        assert decision == advance(workflow, run, facts, now)
        if isinstance(decision, Activate):
            anew = not facts.is_planned and decision.step_key == run.current_step_key
            assert anew or workflow.place(decision.step_key) > workflow.place(run.current_step_key)
            moves -= anew
        if isinstance(decision, WaitFor):
            assert run.state is RunState.ACTIVE
        moves += not isinstance(decision, Noop)
        run = moved(run, decision, now)
    assert moves <= 2 * len(workflow.steps) + 1


@given(
    workflow=workflows(),
    facts=FACTS,
    now=MOMENTS,
    state=st.sampled_from([RunState.COMPLETED, RunState.STOPPED]),
)
@settings(deadline=None)
def test_a_run_that_has_ended_never_moves(
    workflow: Workflow, facts: Facts, now: datetime, state: RunState
) -> None:
    run = a_run(workflow.steps[0].key, state=state, due_at=START)

    assert advance(workflow, run, facts, now) == Noop("run_not_active")


@given(workflow=workflows(), facts=FACTS, now=MOMENTS, data=st.data())
@settings(deadline=None)
def test_the_order_in_which_signals_are_read_decides_nothing(
    workflow: Workflow, facts: Facts, now: datetime, data: st.DataObject
) -> None:
    first = data.draw(st.sampled_from(workflow.steps))
    to = None if first.wait is None else first.wait.to
    run = a_run(first.key, state=RunState.WAITING, due_at=after(hours=2), wait_to=to)
    mixed = data.draw(st.permutations(facts.signals))
    other = Facts(**{name: getattr(facts, name) for name in Facts.__dataclass_fields__} | {"signals": mixed})

    assert advance(workflow, run, facts, now) == advance(workflow, run, other, now)


@given(workflow=workflows(), facts=FACTS, data=st.data())
@settings(deadline=None)
def test_a_wait_that_is_over_always_moves_the_run(
    workflow: Workflow, facts: Facts, data: st.DataObject
) -> None:
    first = data.draw(st.sampled_from([step for step in workflow.steps if step.wait is not None]))
    assert first.wait is not None
    run = a_run(first.key, state=RunState.WAITING, due_at=START, wait_to=first.wait.to)

    assert not isinstance(advance(workflow, run, facts, after(hours=1)), Noop)


@given(workflow=workflows())
@settings(deadline=None)
def test_every_workflow_survives_json(workflow: Workflow) -> None:
    assert Workflow.from_json(workflow.to_json()) == workflow


def test_an_approval_never_loops() -> None:
    workflow = Workflow(
        "w",
        steps=[
            Ask("a", rules=[On("written", to="b")]),
            Approve("b", of="a", rules=[On("*", to="c")]),
            Ask("c"),
        ],
    )
    run = a_run("b", state=RunState.WAITING, due_at=START)

    decision = advance(workflow, run, Facts(), after(hours=1))

    assert isinstance(decision, Activate)
    assert decision.step_key == "c"
