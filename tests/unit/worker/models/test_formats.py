"""What comes out of model files, and what never runs when they are read."""

import io
import os
import pickle
import struct
import tarfile
import zipfile

import pytest
import safetensors.torch
import torch
from torch import nn

from jobs.errors import UnsafeModel, UnsupportedModel
from worker.models.formats import MAX_HEADER_BYTES, read_state, write_state


@pytest.fixture
def state():
    return nn.Linear(3, 2).state_dict()


@pytest.fixture
def upload(tmp_path):
    """Return a function that writes bytes, or an object by `torch.save`, to a file without a telling name."""
    path = tmp_path / "upload"

    def write(content, **options):
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path, **options)
        return path

    return write


class Payload:
    """Unpickled by an unwary reader, it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def assert_equal(actual, expected):
    assert actual.keys() == expected.keys()
    for key in expected:
        torch.testing.assert_close(actual[key], expected[key], rtol=0, atol=0)


def test_safetensors_are_read(state, upload):
    data = safetensors.torch.save(state)

    assert_equal(read_state(upload(data)), state)
    assert_equal(read_state(data), state)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_state_dicts_of_either_age_are_read(state, upload, zipped):
    assert_equal(read_state(upload(state, _use_new_zipfile_serialization=zipped)), state)


@pytest.mark.parametrize("nesting", ["state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "_orig_mod.module."])
def test_wrappers_and_prefixes_come_off(state, upload, nesting, prefix):
    wrapped = {nesting: {prefix + key: tensor for key, tensor in state.items()}, "epoch": 3}

    assert_equal(read_state(upload(wrapped)), state)


def test_a_prefix_that_only_some_keys_have_stays(state, upload):
    mixed = {"module.weight": state["weight"], "bias": state["bias"]}

    assert_equal(read_state(upload(mixed)), mixed)


def test_shared_and_strided_tensors_are_written_densely(upload):
    weight = torch.arange(6.0).reshape(2, 3)
    tied = {"a": weight, "b": weight, "transposed": weight.t(), "half": weight.half()}

    written = write_state(read_state(upload(tied)))

    assert_equal(read_state(written), tied)


def test_equal_tensors_are_written_as_equal_bytes(state):
    shuffled = dict(reversed(state.items()))

    assert write_state(state) == write_state(shuffled)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_payload_in_a_state_dict_is_refused_and_does_not_run(tmp_path, upload, zipped):
    folder = tmp_path / "made-by-the-payload"
    path = upload({"weight": Payload(folder)}, _use_new_zipfile_serialization=zipped)

    with pytest.raises(UnsafeModel, match=r"(posix|nt)\.mkdir"):
        read_state(path)
    assert not folder.exists()


def test_the_payload_of_these_tests_would_run_elsewhere(tmp_path):
    """Without this, the tests around it could pass because the payload does nothing."""
    folder = tmp_path / "made-by-the-payload"

    pickle.loads(pickle.dumps(Payload(folder)))

    assert folder.exists()


def test_a_bare_pickle_is_refused_unread(tmp_path, upload):
    folder = tmp_path / "made-by-the-payload"

    with pytest.raises(UnsafeModel, match="pickle files can run code"):
        read_state(upload(pickle.dumps(Payload(folder))))
    assert not folder.exists()


def test_a_whole_pickled_module_is_refused_and_told_to_come_as_a_state_dict(upload):
    with pytest.raises(UnsafeModel, match=r"Linear.*model\.state_dict\(\)"):
        read_state(upload(nn.Linear(2, 2)))


def test_an_export_archive_is_refused_unread(tmp_path, upload):
    """`torch.export.load` would unpickle the sample inputs."""
    folder = tmp_path / "made-by-the-payload"
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),)), path)
    with zipfile.ZipFile(path) as honest, zipfile.ZipFile(tmp_path / "hostile.pt2", "w") as hostile:
        for member in honest.infolist():
            is_input = "sample_inputs" in member.filename
            hostile.writestr(member, pickle.dumps(Payload(folder)) if is_input else honest.read(member))

    for archive in (path, tmp_path / "hostile.pt2"):
        with pytest.raises(UnsafeModel, match=r"torch\.export"):
            read_state(archive)
    assert not folder.exists()


def torchscript():
    """The members of a TorchScript archive, without a call of the deprecated compiler."""
    return {
        "m/data.pkl": b"\x80\x02}.",
        "m/code/__torch__.py": b"class M: pass",
        "m/constants.pkl": b"\x80\x02).",
        "m/version": b"3",
    }


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (torchscript(), "TorchScript"),
        ({"model.py": b"import os", "MAR-INF/MANIFEST.json": b"{}"}, "got 'model.py'"),
        ({"../../etc/cron.d/x": b"", "m/data.pkl": b""}, r"got '../../etc/cron.d/x'"),
    ],
)
def test_archives_of_other_things_are_refused(upload, members, message):
    with pytest.raises(UnsafeModel, match=message):
        read_state(upload(zipped(members)))


def zipped(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_a_zip_bomb_is_refused_unread(upload):
    bomb = zipped({"m/data.pkl": b"", "m/data/0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)

    with pytest.raises(UnsafeModel, match="expands"):
        read_state(upload(bomb))


def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(upload):
    huge = torch.zeros(1).expand(1_000_000, 1_000_000)

    with pytest.raises(UnsafeModel, match="claim 4000000000000 bytes"):
        read_state(upload({"weight": huge}))


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_a_cut_off_file_is_refused(upload, kind, kept):
    state = nn.Linear(64, 64).state_dict()
    path = upload(state, _use_new_zipfile_serialization=kind == "zip")
    data = safetensors.torch.save(state) if kind == "safetensors" else path.read_bytes()

    with pytest.raises((UnsupportedModel, UnsafeModel), match="damaged or"):
        read_state(upload(data[: int(kept * len(data))]))


def test_an_oversized_safetensors_header_is_refused_unread(upload):
    bomb = struct.pack("<Q", MAX_HEADER_BYTES + 1) + b"{" + bytes(100)

    with pytest.raises(UnsupportedModel, match="header of at most"):
        read_state(upload(bomb))


@pytest.mark.parametrize(
    "header",
    [
        b'{"a": {"dtype": "F32", "shape": [1000000], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4000000000]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}',
        b'{"a": {"dtype": "PYTHON", "shape": [1], "data_offsets": [0, 4]}}',
        b'{"a": ' + b"[" * 100_000,
    ],
    ids=["shape beyond data", "offset beyond file", "negative size", "unknown type", "nested"],
)
def test_a_lying_safetensors_header_is_refused(upload, header):
    with pytest.raises(UnsupportedModel, match="damaged"):
        read_state(upload(struct.pack("<Q", len(header)) + header + bytes(4)))


def tar_archive():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("pickle"), io.BytesIO())
    return buffer.getvalue()


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(100), b"hello", tar_archive(), b"PK\x03\x04"])
def test_other_files_are_refused(upload, content):
    with pytest.raises(UnsupportedModel):
        read_state(upload(content))


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants:UserWarning")  # Just before it is refused.
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "expected a state dict, got list"),
        ({}, "expected a state dict"),
        ({"epoch": 3}, "got int under 'epoch'"),
        ({"weight": torch.zeros(2, 2).to_sparse()}, "dense tensors, got another kind under 'weight'"),
        ({"weight": torch.empty(2, device="meta")}, "dense tensors, got another kind under 'weight'"),
    ],
)
def test_other_contents_than_dense_tensors_are_refused(upload, content, message):
    with pytest.raises(UnsupportedModel, match=message):
        read_state(upload(content))


def test_a_name_of_prefixes_alone_is_refused():
    with pytest.raises(UnsupportedModel, match=r"at most 16 prefixes"):
        read_state(safetensors.torch.save({"module." * 3000 + "x": torch.zeros(1)}))


def test_a_dict_that_holds_itself_is_refused(upload):
    loop = {"weight": torch.zeros(1)}
    loop["state_dict"] = loop

    with pytest.raises(UnsupportedModel, match="at most 16 others"):
        read_state(upload(loop))


def test_a_key_that_is_no_name_is_refused(upload):
    with pytest.raises(UnsupportedModel, match="key of type tuple"):
        read_state(upload({(0,): torch.zeros(1)}))


@pytest.mark.parametrize("key", ["\ud800", "é" * 900_000, "a\nb\x00", "猫"])
def test_messages_give_a_strangers_name_short_and_in_plain_characters(upload, key):
    with pytest.raises(UnsupportedModel) as caught:
        read_state(upload({key: 3}))

    assert caught.value.detail.isascii() or len(key) > 100
    assert caught.value.problem().model_dump_json().isprintable()
    assert len(caught.value.detail) < 300


def test_pickles_are_read_only_in_a_process_that_forbids_the_unsafe_way(state, upload, monkeypatch):
    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD")

    with pytest.raises(RuntimeError, match="TORCH_FORCE_WEIGHTS_ONLY_LOAD=1"):
        read_state(upload(state))
