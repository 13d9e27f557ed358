"""Where a face lies: the similarity transform from its landmarks to what a network expects.

Not for: pixels (`farm.faces.paste`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from farm.media.warp import inverse

_ARCFACE_112 = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""Source: the alignment of the ArcFace paper's published code, 112x112 pixels."""

_FFHQ_512 = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.1936],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ]
)
"""Source: the five-point alignment that GFPGAN publishes for faces like those of FFHQ, 512x512."""


def arcface_template(size_px: int) -> NDArray[np.float64]:
    """[5, 2] landmark places in an ArcFace crop of this size.

    Multiples of 112 scale the 112 template; multiples of 128 scale it by size/128 and move it right
    by 8 of 128 pixels, as the swap network was trained.

    Raises:
        ValueError: The size is a multiple of neither.
    """
    if size_px % 112 == 0:
        return _ARCFACE_112 * (size_px / 112)
    if size_px % 128 == 0:
        aside = np.array([8.0, 0.0])
        return np.asarray((_ARCFACE_112 + aside) * (size_px / 128), np.float64)
    raise ValueError(f"{size_px} is a multiple of neither 112 nor 128")


def ffhq_template(size_px: int) -> NDArray[np.float64]:
    """[5, 2] landmark places in an FFHQ crop of this size."""
    return _FFHQ_512 * (size_px / 512)


def similarity(
    landmarks_xy: NDArray[np.float32], template_xy: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """[2, 3] matrix that turns, scales and moves landmarks onto a template, least squares.

    None where the landmarks say nothing: not finite, or all in one place.
    Source: Umeyama, Least-squares estimation of transformation parameters, 1991.
    """
    points = np.asarray(landmarks_xy, np.float64)
    if not np.isfinite(points).all():
        return None
    centre, aim = points.mean(0), template_xy.mean(0)
    spread = float(((points - centre) ** 2).sum())
    if spread < 1e-3:
        return None
    u, singular, vt = np.linalg.svd((template_xy - aim).T @ (points - centre))
    signs = np.array([1.0, 1.0 if np.linalg.det(u @ vt) > 0 else -1.0])
    scale = float((singular * signs).sum()) / spread
    if scale < 1e-6:
        return None
    turn = scale * (u * signs) @ vt
    return np.hstack([turn, (aim - turn @ centre)[:, None]])


def crop_box(matrix: NDArray[np.float64], size_px: int) -> tuple[int, int, int, int]:
    """Smallest whole box of the picture that holds a crop of `size_px`, one pixel to spare."""
    corners = np.array([[0, 0], [size_px, 0], [0, size_px], [size_px, size_px]], np.float64)
    back = inverse(matrix)
    places = corners @ back[:, :2].T + back[:, 2]
    left, top = np.floor(places.min(0)).astype(int) - 1
    right, bottom = np.ceil(places.max(0)).astype(int) + 1
    return int(left), int(top), int(right), int(bottom)
