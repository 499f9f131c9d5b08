"""The array types of this package."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Integers: TypeAlias = NDArray[np.integer[Any]]
Masks: TypeAlias = NDArray[np.bool_]
Picture: TypeAlias = NDArray[np.uint8]  # (height, width, 3), or any (…, 3)
