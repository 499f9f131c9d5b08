"""ONNX files of dense networks, read without running anything: wire format, file, translation, operators."""

from __future__ import annotations

from worker.models.onnx.file import read_onnx
from worker.models.onnx.operators import OPERATORS
from worker.models.onnx.translation import Network, Translation

__all__ = ["Network", "dense_network"]


def dense_network(data: memoryview) -> Network:
    """Translate a file.

    Raises:
        ValueError: It is no ONNX file, is damaged, or holds another network than a dense one.
    """
    return Translation(read_onnx(data), OPERATORS).network()
