"""The artifact store: a folder, and an object store that fsspec knows."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from jobs import artifacts as module
from jobs.artifacts import ArtifactStore
from jobs.errors import ArtifactsUnavailable, NotFound

CAT = b"a picture of a cat"
CAT_SHA256 = hashlib.sha256(CAT).hexdigest()
NOBODY = "0" * 64


@pytest.fixture(params=["folder", "memory"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    urls = {"folder": (tmp_path / "data" / "artifacts").as_uri(), "memory": f"memory://{uuid4().hex}"}
    return ArtifactStore(urls[request.param])


@pytest.fixture
def folder(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore((tmp_path / "data" / "artifacts").as_uri())


def stored_files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "data" / "artifacts").rglob("*") if path.is_file())


def test_bytes_come_back_under_their_digest(artifacts: ArtifactStore):
    assert artifacts.put(CAT) == CAT_SHA256
    assert artifacts.get(CAT_SHA256) == CAT
    assert artifacts.size(CAT_SHA256) == len(CAT)
    assert artifacts.exists(CAT_SHA256)
    with artifacts.open(CAT_SHA256) as file:
        assert (file.read(5), file.read()) == (CAT[:5], CAT[5:])


def test_nothing_at_all_can_be_stored(artifacts: ArtifactStore):
    assert artifacts.get(artifacts.put(b"")) == b""


def test_the_same_bytes_are_stored_once(artifacts: ArtifactStore):
    assert artifacts.put(CAT) == artifacts.put(CAT)
    assert artifacts.get(CAT_SHA256) == CAT


def test_a_file_is_taken_over(artifacts: ArtifactStore, tmp_path: Path):
    for _ in range(2):  # the second time its bytes are there already
        spooled = tmp_path / "spooled"
        spooled.write_bytes(CAT)
        assert artifacts.put_file(spooled) == CAT_SHA256
    assert artifacts.get(CAT_SHA256) == CAT


def test_what_is_not_there_is_not_found(artifacts: ArtifactStore):
    assert not artifacts.exists(NOBODY)
    for question in (artifacts.get, artifacts.open, artifacts.size):
        with pytest.raises(NotFound):
            question(NOBODY)


def test_deleting_twice_is_harmless(artifacts: ArtifactStore):
    artifacts.put(CAT)
    artifacts.delete(CAT_SHA256)
    artifacts.delete(CAT_SHA256)

    assert not artifacts.exists(CAT_SHA256)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n", "/etc/passwd"])
def test_a_name_that_is_no_digest_never_becomes_a_path(artifacts: ArtifactStore, name: str):
    for question in (artifacts.get, artifacts.exists, artifacts.delete, artifacts.size, artifacts.open):
        with pytest.raises(ValueError, match="SHA-256"):
            question(name)


def test_a_ping_leaves_nothing_behind(artifacts: ArtifactStore):
    artifacts.ping()

    assert list(artifacts.older_than(-1)) == []


def test_bytes_are_found_by_their_age(artifacts: ArtifactStore):
    artifacts.put(CAT)

    assert list(artifacts.older_than(60)) == []
    assert list(artifacts.older_than(-60)) == [CAT_SHA256]


def test_threads_that_put_the_same_bytes_do_not_disturb_each_other(artifacts: ArtifactStore):
    data = os.urandom(200_000)

    def put_and_get(_: int) -> bool:
        return artifacts.get(artifacts.put(data)) == data

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(put_and_get, range(64)))


def test_an_object_store_has_no_local_path():
    assert ArtifactStore(f"memory://{uuid4().hex}").local_path(CAT_SHA256) is None


def test_a_folder_gives_the_file_itself(folder: ArtifactStore):
    folder.put(CAT)

    path = folder.local_path(CAT_SHA256)

    assert path is not None
    assert path.read_bytes() == CAT
    with pytest.raises(NotFound):
        folder.local_path(NOBODY)


def test_a_folder_is_private(folder: ArtifactStore, tmp_path: Path):
    folder.put(CAT)

    for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]:
        if path.is_dir():
            assert path.stat().st_mode & 0o777 == 0o700


def test_bytes_that_are_put_again_count_as_new(folder: ArtifactStore):
    path = folder.local_path(folder.put(CAT))
    assert path is not None
    os.utime(path, (0, 0))
    assert list(folder.older_than(60)) == [CAT_SHA256]

    folder.put(CAT)

    assert list(folder.older_than(60)) == []


def test_what_a_killed_process_left_half_arrived_is_cleared_away(folder: ArtifactStore, tmp_path: Path):
    half = tmp_path / "data" / "artifacts" / "arriving" / "0123"
    half.write_bytes(CAT[:5])

    assert list(folder.older_than(60)) == []
    assert half.exists()
    os.utime(half, (0, 0))
    assert list(folder.older_than(60)) == []
    assert not half.exists()


@pytest.mark.parametrize("failing", ["_write_durably", "_sync"])
def test_a_full_disk_is_reported_and_leaves_nothing_behind(
    folder: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
):
    def full(first: object, *_: object) -> None:
        if isinstance(first, Path):
            first.write_bytes(CAT[:5])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, failing, full)

    with pytest.raises(ArtifactsUnavailable, match="No space left"):
        folder.put(CAT)

    assert not folder.exists(CAT_SHA256)
    assert stored_files(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
def test_a_disk_that_is_really_full_is_reported(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=256k tmpfs {disk} 2>/dev/null"):
        pytest.skip("mounting is not allowed here")
    try:
        artifacts = ArtifactStore((disk / "artifacts").as_uri())
        spooled = tmp_path / "spooled"
        spooled.write_bytes(os.urandom(1 << 20))
        for put in (lambda: artifacts.put(spooled.read_bytes()), lambda: artifacts.put_file(spooled)):
            with pytest.raises(ArtifactsUnavailable, match="No space left"):
                put()
        assert [path for path in disk.rglob("*") if path.is_file()] == []
        artifacts.put(CAT)
    finally:
        os.system(f"umount {disk}")


def test_a_folder_that_cannot_be_made_is_reported():
    with pytest.raises(ArtifactsUnavailable):
        ArtifactStore("file:///dev/null/artifacts")


def test_readers_see_all_of_the_bytes_or_none(folder: ArtifactStore):
    data = os.urandom(4 << 20)
    sha256 = hashlib.sha256(data).hexdigest()
    seen: set[int] = set()

    def watch(running: Callable[[], bool]) -> None:
        while running():
            with suppress(NotFound):
                seen.add(folder.size(sha256))
            time.sleep(0)

    def write_often() -> None:
        for _ in range(5):
            folder.put(data)
            time.sleep(0.01)
            folder.delete(sha256)

    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(write_often)
        watching = threads.submit(watch, lambda: not writing.done())
        writing.result()
        watching.result()
    assert seen == {len(data)}
