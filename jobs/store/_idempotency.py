"""Idempotency keys: which resource an earlier request with the same key made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from jobs.errors import IdempotencyMismatch
from jobs.store._tables import idempotency_keys as keys

KEY_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class IdempotencyKey:
    """A client's `Idempotency-Key`, and the fingerprint (a digest) of the request that it came with."""

    tenant: str
    key: str
    fingerprint: str


def record(connection: Connection, key: IdempotencyKey, resource_id: str, *, now: float) -> None:
    """Record that `key` made `resource_id`.

    Raises:
        IntegrityError: The key is taken; `recorded` tells by what.
    """
    connection.execute(delete(keys).where(_is(key), keys.c.created_at <= now - KEY_SECONDS))
    connection.execute(
        insert(keys).values(
            tenant=key.tenant, key=key.key, fingerprint=key.fingerprint, resource_id=resource_id, created_at=now
        )
    )


def recorded(connection: Connection, key: IdempotencyKey, *, now: float) -> str | None:
    """Return the id of what `key` made in the last 24 hours.

    Raises:
        IdempotencyMismatch: It came with another request.
    """
    query = select(keys.c.fingerprint, keys.c.resource_id).where(_is(key), keys.c.created_at > now - KEY_SECONDS)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    if row.fingerprint != key.fingerprint:
        raise IdempotencyMismatch(f"The Idempotency-Key {key.key!r} was used with another request; choose a new one.")
    return str(row.resource_id)


def forget(connection: Connection, resource_ids: Collection[str]) -> None:
    """Delete the keys of deleted resources, so that no key leads to what is gone."""
    connection.execute(delete(keys).where(keys.c.resource_id.in_(resource_ids)))


def forget_old(connection: Connection, *, now: float) -> None:
    """Delete keys that no longer count."""
    connection.execute(delete(keys).where(keys.c.created_at <= now - KEY_SECONDS))


def _is(key: IdempotencyKey) -> ColumnElement[bool]:
    return (keys.c.tenant == key.tenant) & (keys.c.key == key.key)
