"""Two references to one picture: alike until one is edited."""

import numpy as np
import pytest
from av.video.frame import VideoFrame

from farm.media.planes import plane_lines
from farm.media.reference import second_reference


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv422p10le", "gray", "rgba", "gbrp"])
def test_editing_one_leaves_the_other(pix_fmt: str) -> None:
    frame = VideoFrame(64, 48, pix_fmt)
    for plane in range(len(frame.planes)):
        plane_lines(frame, plane)[:] = 7 + plane
    frame.pts, frame.colorspace, frame.color_range = 41, 1, 2
    other = second_reference(frame)
    assert (other.pts, other.format.name, other.width, other.height) == (41, pix_fmt, 64, 48)
    assert (other.colorspace, other.color_range) == (1, 2)
    assert other.planes[0].buffer_ptr == frame.planes[0].buffer_ptr
    frame.make_writable()
    plane_lines(frame, 0)[:] = 0
    assert np.unique(plane_lines(other, 0)).tolist() == [7]
    del frame
    other.make_writable()
    assert np.unique(plane_lines(other, len(other.planes) - 1)).tolist() == [
        7 + len(other.planes) - 1
    ]
