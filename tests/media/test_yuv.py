"""Planes to paint on are what was decoded, and colours in them are those that are seen."""

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from avsync.media.container import open_media, video_stream
from avsync.media.video_reader import RgbConverter, Rotation, decode_video_frames
from avsync.media.yuv import FORMATS, ColourProperties, Layout, YuvConverter, YuvFrame

RGB = np.array([0.8, 0.3, 0.45])


def flat(layout):
    samples = layout.encode(np.broadcast_to(RGB[:, None, None], (3, layout.height, layout.width)))
    dtype = np.uint8 if layout.peak == 255 else np.uint16
    planes = []
    for number, plane in enumerate(samples):
        across, down = layout.step(number)
        planes.append(np.rint(plane[::down, ::across]).astype(dtype))
    return YuvFrame(tuple(planes), layout)


@pytest.mark.parametrize("spread", [0, 1, 2])
@pytest.mark.parametrize("matrix", [1, 2, 5, 6, 7, 9])
@pytest.mark.parametrize("name", FORMATS)
def test_a_colour_that_is_painted_is_the_colour_that_is_read(name, matrix, spread):
    frame = flat(Layout(name, 64, 48, Rotation(), ColourProperties(matrix, spread, 2, 2)))
    read = RgbConverter()(frame.frame()) / 255
    np.testing.assert_allclose(read, np.broadcast_to(RGB, read.shape), atol=0.012)


@pytest.mark.parametrize("name", [*FORMATS, "yuvj420p", "yuvj444p"])
def test_planes_are_copies_to_the_bit_of_what_was_decoded(name):
    noise = np.random.default_rng(0).integers(0, 256, (36, 50, 3), dtype=np.uint8)
    decoded = VideoFrame.from_ndarray(noise, "rgb24").reformat(format=name)
    frame = YuvConverter()(decoded)
    for plane, copy in zip(decoded.planes, frame.planes, strict=True):
        rows = np.frombuffer(plane, copy.dtype).reshape(plane.height, -1)[:, : plane.width]
        np.testing.assert_array_equal(rows, copy)
    again = YuvConverter()(frame.frame())
    for copy, other in zip(frame.planes, again.planes, strict=True):
        np.testing.assert_array_equal(copy, other)
    np.testing.assert_array_equal(RgbConverter()(decoded), RgbConverter()(frame.frame()))


@pytest.mark.parametrize("name", ["rgb24", "gbrp", "gray", "nv12", "yuv411p", "yuva420p"])
def test_other_formats_look_the_same_when_they_are_converted(name):
    image = np.broadcast_to((255 * RGB).astype(np.uint8), (48, 64, 3))
    decoded = VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24").reformat(format=name)
    frame = YuvConverter()(decoded)
    assert frame.layout.format == "yuv420p"
    want, got = (RgbConverter()(each).astype(int) for each in (decoded, frame.frame()))
    assert abs(want - got).max() <= 3


def test_painting_does_not_reach_the_decoder():
    decoded = VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24").reformat(
        format="yuv420p"
    )
    before = bytes(decoded.planes[0])
    YuvConverter()(decoded).planes[0][:] = 200
    assert bytes(decoded.planes[0]) == before


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_turned_picture_is_painted_upright(make_clip, rotation):
    clip = make_clip("turned.mp4", rotation=rotation, duration_s=0.2)
    with open_media(clip) as container:
        _, decoded = next(decode_video_frames(container, video_stream(container)))
        frame, upright = YuvConverter()(decoded), RgbConverter()(decoded)
    assert (frame.layout.height, frame.layout.width) == upright.shape[:2]
    read = RgbConverter()(frame.frame()).astype(int)
    # ColourProperties are stored at half the size and read by another way round: the frame's noise.
    assert abs(read - upright).mean() < 8
    assert read[:20, :20, 0].mean() == pytest.approx(upright[:20, :20, 0].mean(), abs=5)


def test_what_an_encoder_cannot_take_is_converted():
    odd = VideoFrame.from_ndarray(np.zeros((35, 49, 3), np.uint8), "rgb24").reformat(
        format="yuv420p"
    )
    assert YuvConverter()(odd).layout.format == "yuv444p"
    assert YuvConverter(odd=True)(odd).layout.format == "yuv420p"
    ten = VideoFrame(16, 16, "yuv420p10le")
    assert YuvConverter(("yuv420p",))(ten).layout.format == "yuv420p"


def test_the_first_picture_gives_the_layout_of_all():
    painter = YuvConverter()
    first = painter(VideoFrame(32, 16, "yuv420p"))
    later = painter(av.VideoFrame.from_ndarray(np.full((24, 40, 3), 255, np.uint8), "rgb24"))
    assert later.layout == first.layout
    assert [plane.shape for plane in later.planes] == [(16, 32), (8, 16), (8, 16)]
