"""Which rows need which bytes, so that shared bytes are deleted with their last owner and not before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from sqlalchemy import Connection, delete, insert, select

from jobs.errors import ArtifactsUnavailable
from jobs.store._tables import byte_references


def refer(connection: Connection, owner_id: str, sha256s: Iterable[str]) -> None:
    """Record that the row `owner_id` needs these bytes, besides those it needs already."""
    held = set(connection.scalars(select(byte_references.c.sha256).where(byte_references.c.owner_id == owner_id)))
    missing = [{"owner_id": owner_id, "sha256": sha256} for sha256 in sorted(set(sha256s) - held)]
    if missing:
        connection.execute(insert(byte_references), missing)


def require_bytes(exists: Callable[[str], bool] | None, sha256s: Iterable[str]) -> None:
    """Check, inside the transaction that refers to the bytes, that they have not been discarded since they were put.

    Raises:
        ArtifactsUnavailable: Some have; rolling back leaves the row as it was, and its attempt may be made again.
    """
    if exists is not None and not all(exists(sha256) for sha256 in sha256s):
        raise ArtifactsUnavailable("Files of the result were deleted with an equal result; they must be made again.")


def unrefer(connection: Connection, owner_ids: Collection[str]) -> list[str]:
    """Forget what these rows needed; return the digests that no row needs any more."""
    gone = delete(byte_references).where(byte_references.c.owner_id.in_(owner_ids))
    candidates = connection.scalars(gone.returning(byte_references.c.sha256)).all()
    return unreferenced(connection, candidates)


def release(connection: Connection, owner_id: str, sha256s: Collection[str], *, kept: Collection[str]) -> list[str]:
    """Forget that the row needs these bytes, unless they are among `kept`; return what no row needs any more."""
    gone = set(sha256s) - set(kept)
    of_owner = (byte_references.c.owner_id == owner_id) & byte_references.c.sha256.in_(gone)
    connection.execute(delete(byte_references).where(of_owner))
    return unreferenced(connection, gone)


def unreferenced(connection: Connection, sha256s: Iterable[str]) -> list[str]:
    """Return those of the digests that no row needs, each once, sorted."""
    candidates = set(sha256s)
    needed = select(byte_references.c.sha256).where(byte_references.c.sha256.in_(candidates))
    return sorted(candidates - set(connection.scalars(needed)))
