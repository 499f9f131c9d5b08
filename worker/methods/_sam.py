"""Masks of everything in a picture by Segment Anything, prompted with a grid of points.

One pass of the image encoder, then the mask decoder on batches of points; each point gives three masks. Masks that
the model doubts or that change with the cut-off are dropped, then duplicates, then specks and pinholes.

Source: Kirillov et al., ICCV 2023, https://arxiv.org/abs/2304.02643
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.morphology import remove_small_holes, remove_small_objects
from torch import Tensor
from torchvision.ops import masks_to_boxes, nms

POINTS_PER_BATCH = 64
STABILITY_OFFSET = 1.0
"""A mask is stable when raising and lowering the cut-off by one logit hardly changes it."""
DUPLICATE_IOU = 0.7


@cache
def load(source: str, device: torch.device) -> tuple[Any, Any]:
    """Return the model and its image processor from a local folder or a hub name that the operator chose."""
    from transformers import SamImageProcessor, SamModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]  # a worker writes log lines, no bars
    model: Any = SamModel.from_pretrained(source, use_safetensors=True)
    return model.eval().requires_grad_(False).to(device), SamImageProcessor.from_pretrained(source)


@torch.no_grad()
def masks(
    pixels: NDArray[np.floating[Any]],
    source: str,
    *,
    device: torch.device,
    points_per_side: int,
    least_quality: float,
    least_stability: float,
    least_area: int,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.bool_]:
    """Return `(n, height, width)` masks, best first; n may be 0.

    Args:
        pixels: `(height, width, 3)` in [0, 1].
        source: See `load`.
        points_per_side: The grid has its square.
        least_quality: Lowest overlap with the true object that the model predicts for a mask, in [0, 1].
        least_stability: Lowest overlap of the masks at the two shifted cut-offs, in [0, 1].
        least_area: Parts and holes smaller than this many pixels are removed.
        report: Told the points done and in all.
    """
    model, processor = load(source, device)
    prepared = processor((pixels * 255).round().astype(np.uint8), return_tensors="pt").to(device)
    resized = tuple(prepared["reshaped_input_sizes"][0].tolist())
    embedding = model.get_image_embeddings(prepared["pixel_values"])
    points = _grid(points_per_side, *resized).to(device)  # (points, 2)
    found: list[tuple[Tensor, Tensor]] = []
    for start in range(0, len(points), POINTS_PER_BATCH):
        report(start, len(points))
        prompts = points[None, start : start + POINTS_PER_BATCH, None]  # (1, points, 1, 2)
        answer = model(image_embeddings=embedding, input_points=prompts, multimask_output=True)
        logits = processor.post_process_masks(
            answer.pred_masks, prepared["original_sizes"], prepared["reshaped_input_sizes"], binarize=False
        )[0].flatten(0, 1)
        quality = answer.iou_scores.flatten()
        found.append(_trusted(logits, quality, least_quality=least_quality, least_stability=least_stability))
    distinct = _distinct(torch.cat([part[0] for part in found]), torch.cat([part[1] for part in found]))
    return _tidied(distinct.cpu().numpy(), least_area=least_area)


def _grid(points_per_side: int, height: int, width: int) -> Tensor:
    """Return `(points, 2)` centres of the cells of a grid, x before y, in pixels of the resized picture."""
    centres = (torch.arange(points_per_side) + 0.5) / points_per_side
    y, x = torch.meshgrid(centres * height, centres * width, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


def _trusted(logits: Tensor, quality: Tensor, *, least_quality: float, least_stability: float) -> tuple[Tensor, Tensor]:
    """Return the masks, and their quality, that the model trusts and that do not hang on the cut-off."""
    core = (logits > STABILITY_OFFSET).sum(dim=(1, 2))
    reach = (logits > -STABILITY_OFFSET).sum(dim=(1, 2))
    kept = (quality > least_quality) & (core >= least_stability * reach)
    binary = logits > 0
    kept &= binary.any(dim=(1, 2))
    return binary[kept], quality[kept]


def _distinct(binary: Tensor, quality: Tensor) -> Tensor:
    if len(binary) == 0:
        return binary
    boxes = masks_to_boxes(binary)
    boxes[:, 2:] += 1  # the far side of the last pixel: a mask one pixel wide has an area too
    return binary[nms(boxes, quality, DUPLICATE_IOU)]


def _tidied(binary: NDArray[np.bool_], *, least_area: int) -> NDArray[np.bool_]:
    """Fill small holes, remove small parts, and drop what is empty then."""
    if least_area <= 1 or len(binary) == 0:
        return binary
    tidy = np.stack([_tidy(mask, least_area) for mask in binary])
    return tidy[tidy.any(axis=(1, 2))]


def _tidy(mask: NDArray[np.bool_], least_area: int) -> NDArray[np.bool_]:
    filled = remove_small_holes(mask, max_size=least_area - 1)
    tidy: NDArray[np.bool_] = remove_small_objects(filled, max_size=least_area - 1)
    return tidy
