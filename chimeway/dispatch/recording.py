"""The third phase: what became of an attempt, written down exactly once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from chimeway.adapters.failover import Handed
from chimeway.backoff import next_attempt
from chimeway.dispatch.claiming import Claim
from chimeway.dispatch.outcome import asked_to_cancel, conclude
from chimeway.engine.progress import progress_run
from chimeway.errors import Bounced, DeliveryError, PermanentFailure
from chimeway.hidden_addresses import address_pattern, without_address, without_emails, without_paths
from chimeway.models import DeliveryStatus, Outcome
from chimeway.planning import hand_to_carrier
from chimeway.privacy import redacted_response
from chimeway.settings import LONGEST_BACKOFF, settings
from chimeway.tables import attempts, deliveries
from jobs.credentials import redacted
from jobs.policy import words

#: The class of an attempt that a worker's stop has ended, which uses up none.
INTERRUPTED = "interrupted"
#: Characters of an error that a row keeps.
ERROR_LENGTH = 1000
#: Characters of it that are looked at.
_MOST_READ = 20_000


def record(
    connection: Connection, claim: Claim, handed: Handed, now: datetime, *, jitter: float
) -> Outcome | None:
    """Record an attempt and move its delivery on, its workflow included.

    Returns:
        How the delivery came out, or stands; None if another attempt has it by now.

    Args:
        connection: A transaction that writes.
        claim: The attempt.
        handed: What its adapters said.
        now: The time.
        jitter: A random number in [0, 1), for the next attempt's time.
    """
    attempt = outcome = _outcome(handed)
    mine = (deliveries.c.claim_token == claim.token, deliveries.c.status == DeliveryStatus.DISPATCHED.value)
    known = {"adapter": handed.adapter or None, "provider_message_id": _provider_id(handed)}
    facts: dict[str, Any] = {"where": mine, "columns": known, **_why(claim, handed)}
    if attempt is not Outcome.TEMPORARY_FAILURE:
        moved = conclude(connection, claim.delivery, outcome, now, **facts)
    elif (asked := _cancelled(connection, claim)) is not None:
        outcome = Outcome.CANCELLED
        moved = conclude(connection, claim.delivery, outcome, now, reason=asked, **facts)
    elif claim.attempt >= claim.delivery.max_attempts and handed.error_class != INTERRUPTED:
        outcome = Outcome.RETRIES_EXHAUSTED
        moved = conclude(connection, claim.delivery, outcome, now, attempts=claim.attempt, **facts)
    else:
        moved = _fail_for_now(connection, claim, handed, now, jitter=jitter, mine=mine, known=known)
    _add_attempt(connection, claim, handed, attempt, now, source="send" if moved else "late")
    if not moved and attempt is Outcome.DELIVERED:
        # It has arrived after all, so that the next attempt would send it twice.
        waiting = (deliveries.c.status == DeliveryStatus.FAILED.value,)
        conclude(connection, claim.delivery, outcome, now, where=waiting, columns=known, source="late")
    return outcome if moved else None


def _outcome(handed: Handed) -> Outcome:
    match handed.error:
        case None:
            return Outcome.DELIVERED
        case Bounced():
            return Outcome.BOUNCED
        case PermanentFailure():
            return Outcome.PERMANENT_FAILURE
        case _:
            return Outcome.TEMPORARY_FAILURE


def _fail_for_now(
    connection: Connection,
    claim: Claim,
    handed: Handed,
    now: datetime,
    *,
    jitter: float,
    mine: tuple[Any, ...],
    known: Mapping[str, Any],
) -> bool:
    asked = handed.error.retry_after if isinstance(handed.error, DeliveryError) else None
    again = next_attempt(
        claim.attempt, now, backoff=settings().backoff, longest=LONGEST_BACKOFF, jitter=jitter, asked=asked
    )
    changed = connection.execute(
        update(deliveries)
        .where(deliveries.c.id == claim.delivery.delivery_id, *mine)
        .values(
            status=DeliveryStatus.FAILED.value,
            outcome=Outcome.TEMPORARY_FAILURE.value,
            reason=Outcome.TEMPORARY_FAILURE.value,
            reason_context=_why(claim, handed) or None,
            next_attempt_at=again,
            claim_token=None,
            lease_until=None,
            updated_at=now,
            **known,
        )
    )
    if changed.rowcount != 1:
        return False
    hand_to_carrier(connection, claim.delivery, at=again)
    if claim.delivery.run_id is not None:
        # A rule on `temporary_failure` fires early.
        progress_run(connection, claim.delivery.run_id, now)
    return True


def _cancelled(connection: Connection, claim: Claim) -> str | None:
    """Give the word for why the delivery was to be cancelled while it was being sent; None if it was not."""
    mine = (deliveries.c.id == claim.delivery.delivery_id, deliveries.c.claim_token == claim.token)
    query = select(deliveries.c.reason, deliveries.c.reason_context).where(*mine).with_for_update()
    row = connection.execute(query).first()
    return None if row is None else asked_to_cancel(row.reason, row.reason_context)


def _add_attempt(
    connection: Connection, claim: Claim, handed: Handed, outcome: Outcome, now: datetime, *, source: str
) -> None:
    connection.execute(
        insert(attempts).values(
            delivery_id=claim.delivery.delivery_id,
            attempt_number=claim.attempt,
            source=source,
            sequence=0,
            outcome=outcome.value,
            error_class=handed.error_class,
            error=_words(claim, handed.error),
            adapter=handed.adapter,
            provider_message_id=_provider_id(handed),
            provider_response=_response(claim, handed),
            started_at=claim.started_at,
            created_at=now,
        )
    )


def _why(claim: Claim, handed: Handed) -> dict[str, Any]:
    if handed.error is None:
        return {}
    return {"error_class": handed.error_class, "error": _words(claim, handed.error)}


def _words(claim: Claim, error: Exception | None) -> str | None:
    """Give what an error says without what libraries put into their errors: the URL that was called, the address."""
    if error is None:
        return None
    said = words(error)[:_MOST_READ] or type(error).__name__
    said = without_paths(without_address(said, address_pattern(claim.message.address)))
    return redacted(without_emails(said))[:ERROR_LENGTH]


def _provider_id(handed: Handed) -> str | None:
    if handed.receipt is not None:
        return handed.receipt.provider_message_id
    return handed.error.provider_message_id if isinstance(handed.error, DeliveryError) else None


def _response(claim: Claim, handed: Handed) -> dict[str, Any] | None:
    if handed.receipt is not None:
        said: Mapping[str, Any] | None = handed.receipt.response
    else:
        said = handed.error.response if isinstance(handed.error, DeliveryError) else None
    return redacted_response(said, address=claim.message.address) if said else None
