"""Explain one's own photograph with any torchvision classifier."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torchvision
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torchvision.transforms import InterpolationMode

from examples.client import Client, Document
from examples.progress import wait_with_bar

MOST_SETS = 10
_INTERPOLATIONS = {
    InterpolationMode.NEAREST: "nearest",
    InterpolationMode.BILINEAR: "bilinear",
    InterpolationMode.BICUBIC: "bicubic",
}


class Unusable(Exception):
    """Something that was named on the command line cannot be used; the message says why."""


@dataclass(frozen=True)
class Upload:
    """A model's file and its manifest."""

    path: Path
    manifest: dict[str, Any]


def read_picture(path: Path) -> bytes:
    """Return the picture's file.

    Raises:
        Unusable: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unusable(f"cannot read the picture: {error}") from error


def explain_photograph(client: Client, *, image: bytes, upload: Upload, options: argparse.Namespace) -> None:
    """Upload the model, explain the picture, save what comes back and say what it is."""
    print(f"Uploading {upload.manifest['name']} ({upload.path.stat().st_size / 1e6:.0f} MB)", flush=True)
    model = client.upload(upload.path, upload.manifest)
    params = options.params | ({"preset": options.preset} if options.preset else {})
    target = {} if options.target is None else {"target": options.target}
    job = client.explain(model["id"], image, method=options.method, params=params, **target)
    job = wait_with_bar(client, job, f"{options.method} on {options.image.name}")
    paths = client.download(job, options.out / options.image.stem)
    describe(client.result(job))
    print("Saved:", *(f"  {path}" for path in paths), sep="\n")


def find_model(options: argparse.Namespace) -> Upload:
    """Find weights by file or by torchvision's name.

    Raises:
        Unusable: There are none.
    """
    path = Path(options.weights)
    looks_like_a_path = path.suffix in (".safetensors", ".pt", ".pth")
    classes = _class_names(options.classes)
    if looks_like_a_path:
        return _from_file(path, options.architecture, classes)
    return _from_torchvision(options.architecture, options.weights, classes, options.out)


def _from_file(path: Path, architecture: str, classes: list[str] | None) -> Upload:
    if not path.is_file():
        raise Unusable(f"there is no file {path}")
    metadata = _metadata(path) if path.suffix == ".safetensors" else {}
    manifest: dict[str, Any] = {"name": path.stem, "architecture": architecture}
    if {"mean", "std"} <= metadata.keys():
        manifest["preprocessing"] = {name: _numbers(metadata[name]) for name in ("mean", "std")}
    if classes:
        manifest["classes"] = classes
        manifest["architecture"] = {"family": "torchvision", "name": architecture, "arguments": _outputs(classes)}
    return Upload(path, manifest)


def _outputs(classes: list[str]) -> dict[str, int]:
    return {} if len(classes) == 1000 else {"num_classes": len(classes)}


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise Unusable(f"{path} is no safetensors file: {error}") from error


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.strip("[]() ").split(",")]


def _from_torchvision(architecture: str, name: str, classes: list[str] | None, folder: Path) -> Upload:
    weights = _named_weights(architecture, name)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{architecture}-{weights.name}.safetensors"
    if not path.exists():
        print(f"Downloading {weights.url}", flush=True)
        try:
            state = weights.get_state_dict(progress=True, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise Unusable(
                f"torchvision could not download {weights}: {error}. Without a connection, name a file: "
                "--weights PATH.safetensors"
            ) from error
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    return Upload(path, _torchvision_manifest(architecture, weights, classes))


def _named_weights(architecture: str, name: str) -> Any:
    try:
        choices = torchvision.models.get_model_weights(architecture)
    except ValueError as error:
        raise Unusable(f"torchvision has no architecture {architecture!r}; see its list_models()") from error
    try:
        return choices[name]
    except KeyError as error:
        raise Unusable(f"{architecture} has the weights {', '.join(choices.__members__)}, not {name!r}") from error


def _torchvision_manifest(architecture: str, weights: Any, classes: list[str] | None) -> dict[str, Any]:
    """What torchvision publishes with the weights: how to prepare a picture, and what the outputs mean."""
    transforms = weights.transforms()
    side = transforms.crop_size[0]
    return {
        "name": f"{architecture} {weights.name}",
        "architecture": architecture,
        "input": {"kind": "image", "shape": [3, side, side]},
        "preprocessing": {
            "resize": transforms.resize_size[0],
            "interpolation": _INTERPOLATIONS[transforms.interpolation],
            "mean": list(transforms.mean),
            "std": list(transforms.std),
        },
        "classes": classes or list(weights.meta["categories"]),
    }


def _class_names(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"cannot read the class names: {error}") from error


def describe(result: Document) -> None:
    """Print the answer: class, sets, checks."""
    explained = result["explained"]
    name = explained["label"] or f"class {explained['index']}"
    probability = f", probability {explained['probability']:.1%}" if explained["probability"] is not None else ""
    print(f"\n{name}: logit {explained['value']:.4g}{probability}")
    if result["interactions"]:
        print(f"\nStrongest sets ({result['unit']}):")
    for rank, found in enumerate(result["interactions"][:MOST_SETS], start=1):
        error = f" ± {found['standard_error']:.2g}" if found["standard_error"] is not None else ""
        print(f"  {rank:2}. {found['strength']:.4g}{error}, {found['order']} members")
    print("\nChecks:")
    for check in result["checks"]:
        verdict = {True: "passed", False: "FAILED", None: "      "}[check["passed"]]
        print(f"  {verdict}  {check['name']} = {json.dumps(check['value'])}")
    for note in result["notes"]:
        print(f"  note: {note}")
    print()
