"""Model files that want to run code, to blow up, or to lie about themselves: refused, and nothing of them runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from app.uploads.models import MAX_JSON_BYTES, check_model_file, check_upload
from app.uploads.safetensors_files import MAX_HEADER_BYTES
from jobs.errors import InputTooLarge, InterplayError, InvalidInput, UnsafeModel, UnsupportedModel
from jobs.layers import FileArchitecture, ScikitLearnArchitecture

STATE = {"0.weight": torch.ones(3, 4), "0.bias": torch.zeros(3), "steps": torch.tensor(7)}


class Payload:
    """Unpickling this writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def refused(tmp_path: Path, data: bytes) -> InterplayError:
    path = tmp_path / "artifact"
    path.write_bytes(data)
    with pytest.raises(InterplayError) as caught:
        check_model_file(path)
    return caught.value


def accepted(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "artifact"
    path.write_bytes(data)
    check_model_file(path)


def saved(content: object, **options: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return buffer.getvalue()


def header(entries: object, data: bytes = b"") -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape=(2,), dtype="F32", offsets=(0, 8)) -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


# ---------------------------------------------------------------- what passes


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool]
)
def test_safetensors_pass(tmp_path, dtype):
    accepted(tmp_path, save({"a": torch.ones(3, 4).to(dtype), "b": torch.zeros(0, 5), "c": torch.tensor(1.0)}))


def test_safetensors_with_metadata_pass(tmp_path):
    accepted(tmp_path, save(STATE, metadata={"format": "pt"}))


@pytest.mark.parametrize(
    "content", [STATE, torch.nn.Linear(3, 2).state_dict(), {"w": torch.nn.Parameter(torch.ones(2))}]
)
def test_state_dicts_pass(tmp_path, content):
    accepted(tmp_path, saved(content))


# ---------------------------------------------------------------- what could run code


@pytest.mark.parametrize(
    "write",
    [
        lambda payload: pickle.dumps(payload, protocol=0),
        lambda payload: pickle.dumps(payload, protocol=2),
        lambda payload: pickle.dumps(payload, protocol=5),
        lambda payload: pickle.dumps({"state": [1, 2, payload]}, protocol=4),
        lambda payload: saved({"weight": payload}),
        lambda payload: saved({"weight": payload}, pickle_protocol=4),
        lambda payload: saved({"weight": payload}, _use_new_zipfile_serialization=False),
        lambda payload: archive({"m/data.pkl": b"cposix\nmkdir\n(S'x'\ntR.", "m/version": b"3"}),
        lambda payload: archive({"m/data.pkl": b"(S'x'\niposix\nmkdir\n.", "m/version": b"3"}),
    ],
    ids=["protocol 0", "protocol 2", "protocol 5", "nested", ".pt", ".pt protocol 4", "legacy .pt", "GLOBAL", "INST"],
)
def test_a_payload_is_refused_and_does_not_run(tmp_path, write):
    trap = tmp_path / "sprung"

    error = refused(tmp_path, write(Payload(trap)))

    assert isinstance(error, UnsafeModel)
    assert "upload a safetensors file" in error.detail
    assert not trap.exists()


def test_a_joblib_file_is_refused(tmp_path):
    for compress in (0, 3):
        joblib.dump({"w": np.ones(3)}, tmp_path / "model.joblib", compress=compress)
        error = refused(tmp_path, (tmp_path / "model.joblib").read_bytes())
        assert "upload a safetensors file" in error.detail


def test_a_whole_pickled_module_is_refused_by_name(tmp_path):
    error = refused(tmp_path, saved(torch.nn.Linear(2, 2)))

    assert isinstance(error, UnsafeModel)
    assert "torch.nn.modules.linear.Linear" in error.detail


def test_an_honest_legacy_checkpoint_is_refused_with_the_way_out(tmp_path):
    error = refused(tmp_path, saved(STATE, _use_new_zipfile_serialization=False))

    assert isinstance(error, UnsafeModel)
    assert "old pickle format" in error.detail


def test_torchscript_is_refused(tmp_path):
    error = refused(tmp_path, archive({"m/data.pkl": b"\x80\x02.", "m/code/__torch__.py": b"", "m/constants.pkl": b""}))

    assert isinstance(error, UnsafeModel)
    assert "TorchScript" in error.detail


def test_pt2_is_refused(tmp_path):
    exported = torch.export.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),))
    torch.export.save(exported, tmp_path / "model.pt2")

    error = refused(tmp_path, (tmp_path / "model.pt2").read_bytes())

    assert isinstance(error, UnsafeModel)
    assert ".pt2" in error.detail


def test_pt2_with_a_payload_among_its_sample_inputs_is_refused(tmp_path):
    trap = tmp_path / "sprung"
    members = {"m/archive_format": b"pt2", "m/data/sample_inputs/model.pt": pickle.dumps(Payload(trap))}

    assert isinstance(refused(tmp_path, archive(members)), UnsafeModel)
    assert not trap.exists()


def test_a_torchserve_archive_is_refused(tmp_path):
    error = refused(tmp_path, archive({"MAR-INF/MANIFEST.json": b"{}", "handler.py": b"import os"}))

    assert "TorchServe" in error.detail


# ---------------------------------------------------------------- what is something else


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"hello world, this is text", "neither"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG"),
        (b"\x08\x07\x12\x07pytorch" + bytes(50), "ONNX"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
        (b"GGUF" + bytes(50), "GGUF"),
        (b"\x1f\x8b\x08" + bytes(50), "gzip"),
        (archive({"a.npy": b""}), "npz"),
        (archive({"../../etc/passwd": b""}), "no PyTorch state dict"),
        (archive({"m/../data.pkl": b"", "m/data.pkl": b""}), "no PyTorch state dict"),
        (archive({"m/version": b"3"}), "no data.pkl"),
    ],
)
def test_other_files_are_named_and_the_way_out_is_told(tmp_path, data, said):
    error = refused(tmp_path, data)

    assert said in error.detail


# ---------------------------------------------------------------- bombs and lies


def test_a_zip_bomb_is_refused_before_it_is_expanded(tmp_path):
    bomb = archive({"m/data.pkl": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)

    assert isinstance(refused(tmp_path, bomb), InputTooLarge)


def test_overlapping_members_are_refused(tmp_path):
    """Members that share their bytes make a bomb without compression (Fifield, 2019)."""
    data = bytearray(archive({f"m/data/{i}": b"x" * (1000 if i == 0 else 0) for i in range(5)} | {"m/data.pkl": b"."}))
    at = -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        data[at + 20 : at + 28] = struct.pack("<II", 1000, 1000)

    assert isinstance(refused(tmp_path, bytes(data)), (InputTooLarge, InvalidInput))


def test_an_archive_with_an_endless_directory_is_refused_before_it_is_read(tmp_path):
    data = bytearray(archive({"m/data.pkl": b"."}) + bytes(20_000_000))
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 20_000_000, 50, 0)

    assert isinstance(refused(tmp_path, bytes(data) + end), (InputTooLarge, InvalidInput))


def test_every_truncation_of_a_state_dict_is_refused(tmp_path):
    data = saved(STATE)

    for length in range(0, len(data) - 1, 7):
        assert isinstance(refused(tmp_path, data[:length]), (InvalidInput, UnsupportedModel))


def test_every_truncation_of_safetensors_is_refused(tmp_path):
    data = save(STATE)

    for length in range(len(data) - 1):
        assert isinstance(refused(tmp_path, data[:length]), (InvalidInput, UnsupportedModel))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (struct.pack("<Q", MAX_HEADER_BYTES + 1) + b"{" + bytes(100), "header of at most"),
        (struct.pack("<Q", 2**64 - 1) + b"{" + bytes(100), "header of at most"),
        (struct.pack("<Q", 10_000) + b"{}", "truncated"),
        (header({"a": entry()}, bytes(9)), "appended"),
        (header({"a": entry()}, bytes(7)), "truncated"),
        (header({"a": entry(offsets=(8, 16))}, bytes(16)), "begins at byte 8"),
        (header({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)), "begins at byte 4"),
        (header({"a": entry(offsets=(0, 4))}, bytes(4)), "cannot occupy"),
        (header({"a": entry(shape=(-1,), offsets=(0, 4))}, bytes(4)), "invalid shape"),
        (header({"a": entry(shape=(True,), offsets=(0, 4))}, bytes(4)), "invalid shape"),
        (header({"a": entry(shape=(2**40, 2**40))}, bytes(8)), "cannot occupy"),
        (header({"a": entry(shape=(1,) * 40, offsets=(0, 4))}, bytes(4)), "invalid shape"),
        (header({"a": entry(dtype="PICKLE")}, bytes(8)), "unknown dtype"),
        (header({"a": {"dtype": "F32"}}), "data_offsets"),
        (header({"a": 3}), "data_offsets"),
        (header({}), "1 to"),
        (header({"__metadata__": {"a": 1}, "a": entry()}, bytes(8)), "strings"),
        (header(b'{"a":' + json.dumps(entry()).encode() + b',"a":' + json.dumps(entry()).encode() + b"}"), "twice"),
        (header(b'{"a": NaN}'), "not valid JSON"),
        (header(b'{"a": ' + b"9" * 10_000 + b"}"), "not valid JSON"),
        (header(b'{"a": "\xff"}'), "not valid JSON"),
        (header(b'{"a":' + b"[" * 500_000 + b"]" * 500_000 + b"}"), "not valid JSON"),
    ],
)
def test_a_lying_safetensors_header_is_refused(tmp_path, data, said):
    error = refused(tmp_path, data)

    assert isinstance(error, (InvalidInput, InputTooLarge))
    assert said in error.detail


@given(where=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), legacy=st.booleans())
@settings(max_examples=200)
def test_a_damaged_file_passes_or_is_refused_but_never_breaks_the_check(tmp_path_factory, where, value, legacy):
    data = bytearray(saved(STATE) if legacy else save(STATE))
    data[int(where * len(data))] = value
    path = tmp_path_factory.mktemp("damaged") / "artifact"
    path.write_bytes(data)

    with suppress(InterplayError):
        check_model_file(path)


# ---------------------------------------------------------------- files that bring their architecture along

ONNX, JSON = FileArchitecture(family="onnx"), FileArchitecture(family="json")
ARRAYS = ScikitLearnArchitecture(family="scikit-learn", activation="relu")
ONNX_HEAD = b"\x08\x08\x3a\x00"


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def joblib_dump(compress: int) -> bytes:
    buffer = io.BytesIO()
    joblib.dump({"coefs_": [1.0]}, buffer, compress=compress)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("architecture", "data"),
    [
        (ONNX, ONNX_HEAD),
        (JSON, b'{"layers": []}'),
        (JSON, b'\n  {"nodes": []}'),
        (ARRAYS, npz(coefs_0=np.ones((2, 3)), intercepts_0=np.ones(3))),
        (ARRAYS, save({"coefs_0": torch.ones(2, 3)})),
        (ARRAYS, b'{"coefs_": [], "intercepts_": []}'),
    ],
    ids=["onnx", "json", "indented json", "npz", "safetensors", "json of arrays"],
)
def test_a_file_of_the_announced_family_passes_to_a_runner(tmp_path, architecture, data):
    (tmp_path / "artifact").write_bytes(data)

    check_upload(tmp_path / "artifact", architecture, max_bytes=1 << 20)


@pytest.mark.parametrize(
    ("architecture", "data", "error", "reason"),
    [
        (ONNX, b"", InvalidInput, "empty"),
        (ONNX, b"{}", UnsupportedModel, "no ONNX model"),
        (ONNX, pickle.dumps({}), UnsafeModel, "could run code"),
        (JSON, b"", InvalidInput, "empty"),
        (JSON, b"[1]", InvalidInput, "no JSON object"),
        (JSON, ONNX_HEAD, InvalidInput, "no JSON object"),
        (JSON, b"{" + b" " * MAX_JSON_BYTES, InputTooLarge, "bytes of JSON"),
        (ARRAYS, b"", InvalidInput, "empty"),
        (ARRAYS, pickle.dumps({"coefs_": [1.0]}), UnsafeModel, "save the arrays: numpy.savez"),
        (ARRAYS, joblib_dump(0), UnsafeModel, "save the arrays: numpy.savez"),
        (ARRAYS, joblib_dump(3), UnsafeModel, "save the arrays: numpy.savez"),
        (ARRAYS, npz(coefs_0=np.array([None])), UnsafeModel, "Python objects"),
        (ARRAYS, npz(coefs_0=np.ones(4))[:-8], InvalidInput, "damaged"),
        (ARRAYS, b"weights", UnsupportedModel, "NPZ, safetensors or JSON"),
    ],
    ids=str,
)
def test_a_file_of_another_family_is_refused_with_what_to_do(tmp_path, architecture, data, error, reason):
    (tmp_path / "artifact").write_bytes(data)

    with pytest.raises(error, match=reason):
        check_upload(tmp_path / "artifact", architecture, max_bytes=1 << 20)


def test_a_sequential_manifest_with_an_onnx_file_says_which_family_to_name(tmp_path):
    assert "onnx" in refused(tmp_path, ONNX_HEAD + bytes(60)).detail
