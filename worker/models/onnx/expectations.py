"""What operators expect of a node's attributes and of what it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from worker.models.onnx.file import OnnxNode
from worker.models.onnx.translation import Misfit, Wire


def number(node: OnnxNode, name: str, default: float) -> float:
    """Return an attribute that is a number.

    Raises:
        Misfit: It is something else.
    """
    found = node.attributes.get(name, default)
    if not isinstance(found, int | float):
        raise Misfit(f"expected a number for {name}, got {found!r}")
    return found


def expect(node: OnnxNode, name: str, default: float, *, only: Sequence[float]) -> None:
    """Check that an attribute is one of the numbers that are understood.

    Raises:
        Misfit: It is not.
    """
    found = number(node, name, default)
    if not any(math.isclose(found, one, rel_tol=1e-6) for one in only):
        raise Misfit(f"expected {name} {' or '.join(f'{one:g}' for one in only)}, got {found:g}")


def width(wire: Wire) -> int:
    """Return the number of features of a vector.

    Raises:
        Misfit: It is a picture.
    """
    if len(wire.shape) != 1:
        raise Misfit(f"expected a vector coming in, got {wire.shape}; flatten pictures before")
    return wire.shape[0]
