"""What an upload says: a manifest with the architecture spelled out, and the weights.

Most uploads are tensors for an architecture that the manifest lists. ONNX, JSON and scikit-learn's arrays bring their
architecture along; from here on such a model is one whose manifest lists it.
"""

from __future__ import annotations

import mmap
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from jobs.errors import UnsafeModel, UnsupportedModel
from jobs.layers import FileArchitecture, ScikitLearnArchitecture
from jobs.schemas import Manifest, ModelInput
from worker.models.formats import State, named, read_state
from worker.models.onnx import dense_network
from worker.models.spelled_out import (
    Written,
    inputs_of,
    parsed_json,
    perceptron,
    written_network,
    written_perceptron,
)

_SLACK_BYTES = 1 << 20
_MOST_UNPACKED_BYTES = 1 << 28
_SKLEARN_KEY = ("coefs_", "intercepts_")


def read_upload(manifest: Manifest, artifact: Path) -> tuple[Manifest, State]:
    """Read a model file, and what it says of itself into the manifest.

    Raises:
        UnsafeModel: The file could run code, or claims far more data than it holds.
        UnsupportedModel: It is damaged, is not of the manifest's family, or holds what is not supported.
    """
    architecture = manifest.architecture
    if not isinstance(architecture, FileArchitecture | ScikitLearnArchitecture):
        return manifest, read_state(artifact)
    try:
        if isinstance(architecture, ScikitLearnArchitecture):
            found, inputs = _with_inputs(manifest, _of_scikit_learn(architecture, artifact))
        elif architecture.family == "json":
            found, inputs = _with_inputs(manifest, written_network(parsed_json(artifact.read_bytes())))
        else:
            found, inputs = _of_onnx(manifest, artifact)
    except ValidationError as error:
        raise UnsupportedModel(f"the {architecture.family} file cannot be used: {_first_fault(error)}") from error
    except (ValueError, zipfile.BadZipFile, UnicodeDecodeError, OSError, EOFError) as error:
        raise UnsupportedModel(f"the {architecture.family} file cannot be used: {str(error)[:500]}") from error
    _refuse_expansion(inputs, artifact.stat().st_size)
    return found, inputs


def _of_onnx(manifest: Manifest, artifact: Path) -> tuple[Manifest, State]:
    with artifact.open("rb") as file:
        # Not closed here: an error's traceback may still hold views of it.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    network = dense_network(memoryview(mapped))
    described = {"family": "graph", "nodes": [node.model_dump(mode="json") for node in network.nodes]}
    kind = "features" if len(network.shape) == 1 else "image"
    given = {"kind": kind, "shape": network.shape}
    if manifest.input != ModelInput() and manifest.input.shape != network.shape:
        raise ValueError(
            f"the manifest's input has the shape {list(manifest.input.shape)}, the file's {given['shape']}"
        )
    return _spelled_out(manifest, described, given), network.state


def _of_scikit_learn(architecture: ScikitLearnArchitecture, artifact: Path) -> Written:
    with artifact.open("rb") as file:
        head = file.read(9)
    said: str | None = None
    if head.startswith(b"PK\x03\x04"):
        coefficients, intercepts = _sorted_arrays(_unpacked(artifact))
    elif head[6:9] == b"\0\0{":  # a length and then JSON, as in safetensors
        coefficients, intercepts = _sorted_arrays(read_state(artifact))
    else:
        coefficients, intercepts, said = written_perceptron(parsed_json(artifact.read_bytes()))
    activation = said or architecture.activation
    if activation is None:
        raise ValueError("say the estimator's `activation` in the manifest's architecture")
    if architecture.activation not in (None, activation):
        raise ValueError(f"the file says activation {said!r}, the manifest {architecture.activation!r}; say it once")
    return perceptron(coefficients, intercepts, activation)


def _unpacked(artifact: Path) -> State:
    """Read the arrays of an NPZ, without pickles and within bounds."""
    with zipfile.ZipFile(artifact) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > _MOST_UNPACKED_BYTES:
        raise ValueError(f"expected arrays of at most {_MOST_UNPACKED_BYTES} bytes, got {size}")
    with np.load(artifact, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    if strange := [name for name, array in found.items() if array.dtype.kind != "f"]:
        raise ValueError(f"array {named(strange[0])!r}: expected float numbers, got {found[strange[0]].dtype}")
    return {name: torch.from_numpy(array.astype(np.float64)) for name, array in found.items()}


def _sorted_arrays(arrays: State) -> tuple[list[Tensor], list[Tensor]]:
    """Return `coefs_0`, `coefs_1`, … and `intercepts_0`, …"""
    lists = []
    for prefix in _SKLEARN_KEY:
        count = sum(name.startswith(prefix) for name in arrays)
        lists.append([arrays[f"{prefix}{place}"] for place in range(count) if f"{prefix}{place}" in arrays])
    if sum(map(len, lists)) != len(arrays) or not arrays:
        raise ValueError(f"expected arrays coefs_0, coefs_1, … and intercepts_0, …, got {_names(arrays)}")
    return lists[0], lists[1]


def _names(arrays: State) -> str:
    return ", ".join(named(name) for name in list(arrays)[:5]) or "none"


def _with_inputs(manifest: Manifest, written: Written) -> tuple[Manifest, State]:
    described, state = written
    bare = _spelled_out(manifest, described, None)
    inputs = inputs_of(bare.architecture, state)
    if manifest.input == ModelInput() and inputs is not None:
        return _spelled_out(manifest, described, {"kind": "features", "shape": [inputs]}), state
    return bare, state


def _spelled_out(manifest: Manifest, architecture: Any, given: Any) -> Manifest:
    """Return the manifest with the file's architecture, and with its input where the manifest says nothing of it."""
    content = {**manifest.model_dump(mode="json"), "architecture": architecture}
    if given is not None and manifest.input == ModelInput():
        content["input"] = given
    return Manifest.model_validate(content)


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(one) for one in fault["loc"] if one not in ("architecture", "sequential", "graph"))
    return named(place) + (": " if place else "") + str(fault["msg"])[:300]


def _refuse_expansion(state: State, file_bytes: int) -> None:
    """A tensor may be used by several nodes, and each has its own copy of it from here on."""
    claimed = sum(tensor.numel() * 4 for tensor in state.values())
    if claimed > 2 * file_bytes + _SLACK_BYTES:
        raise UnsafeModel(f"the weights take {claimed} bytes, but the file has {file_bytes}")
