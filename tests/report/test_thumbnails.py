import base64
from dataclasses import replace

import cv2
import numpy as np
import pytest

from avsync.media.video_reader import UnreadableMedia
from avsync.report.thumbnails import (
    AROUND_S,
    BARS,
    MediaSource,
    Moment,
    choose_moments,
    read_images,
)
from avsync.report.track_rows import group_tracks
from avsync.timing import tolerance

EBU = tolerance("ebu")
FLASH_S = 1.2


def light(picture) -> float:
    data = np.frombuffer(base64.b64decode(picture.data_uri.split(",")[1]), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert image.shape[:2] == (picture.height, picture.width)
    return float(image.mean())


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm", "mpg", "avi"])
def test_the_image_is_that_of_the_moment(make_clip, suffix):
    clip = str(make_clip(f"clip.{suffix}", flashes=[FLASH_S], clicks=[FLASH_S]))
    moments = [Moment(FLASH_S), Moment(FLASH_S - 0.2), Moment(FLASH_S + 0.2)]
    at, before, after = read_images(MediaSource(clip), moments)
    assert light(at) > 200
    assert max(light(before), light(after)) < 150


def test_times_count_from_the_first_frame(make_clip):
    clip = str(make_clip("clip.mkv", duration_s=3.0, video_start_s=0.48, flashes=[1.68]))
    assert light(read_images(MediaSource(clip), [Moment(FLASH_S)])[0]) > 200


def test_loudness_peaks_where_the_audio_is(make_clip):
    clip = str(make_clip("clip.mp4", flashes=[FLASH_S], clicks=[FLASH_S + 0.2]))
    loudness = read_images(MediaSource(clip), [Moment(FLASH_S)])[0].loudness
    assert loudness.shape == (BARS,)
    found_s = (loudness.argmax() + 0.5) / BARS * 2 * AROUND_S - AROUND_S
    assert found_s == pytest.approx(0.2, abs=0.03)
    assert loudness.max() == pytest.approx(1.0)


def test_a_file_without_audio_still_has_images(make_clip):
    clip = str(make_clip("clip.mp4", audio=False))
    assert read_images(MediaSource(clip), [Moment(0.5)])[0].loudness is None


@pytest.mark.parametrize(
    ("rotation", "corner"), [(0, (0, 0)), (90, (0, 1)), (180, (1, 1)), (270, (1, 0))]
)
def test_the_box_is_one_of_the_upright_image(make_clip, rotation, corner):
    # The stored image's top left quarter is red: a small box inside shows nothing else.
    clip = str(make_clip("clip.mp4", rotation=rotation, flashes=[]))
    width, height = (96, 64) if rotation in (0, 180) else (64, 96)
    top, left = corner[0] * height * 3 / 4 + height / 8, corner[1] * width * 3 / 4 + width / 8
    box = (left - 2, top - 2, left + 2, top + 2)
    if corner[1]:
        box = (box[0] - width / 8, box[1], box[2] - width / 8, box[3])
    if corner[0]:
        box = (box[0], box[1] - height / 8, box[2], box[3] - height / 8)
    image = read_images(MediaSource(clip), [Moment(0.5, box)])[0]
    data = np.frombuffer(base64.b64decode(image.data_uri.split(",")[1]), np.uint8)
    blue, _, red = cv2.imdecode(data, cv2.IMREAD_COLOR)[2:-2, 2:-2].mean((0, 1))
    assert red > 100 > blue


def test_a_box_over_the_edge_is_moved_inside(make_clip):
    clip = str(make_clip("clip.mp4"))
    image = read_images(MediaSource(clip), [Moment(0.5, (-30, -30, 10, 10))])[0]
    assert image.width == image.height == 64


def test_no_time_left_means_no_images(make_clip):
    clip = str(make_clip("clip.mp4"))
    assert read_images(MediaSource(clip), [Moment(0.5), Moment(1.0)], budget_s=0.0) == [None, None]


def test_a_moment_past_the_end_has_no_image(make_clip):
    assert read_images(MediaSource(str(make_clip("clip.mp4"))), [Moment(60.0)]) == [None]


def test_a_file_that_is_gone_is_named(tmp_path):
    with pytest.raises(UnreadableMedia, match="does not exist"):
        read_images(MediaSource(str(tmp_path / "gone.mp4")), [Moment(0.5)])


def test_the_furthest_and_the_surest_moments_are_chosen(make_track):
    track = make_track(10.0)
    points = list(track.timeline)
    points[7] = replace(points[7], offset_ms=-70.0)
    # Later than it is early, yet less: 50 of 40 ms tolerated against 70 of 60.
    points[21] = replace(points[21], offset_ms=50.0)
    points[33] = replace(points[33], confidence=0.99)
    points[44] = replace(points[44], offset_ms=900.0, confidence=0.1)
    row = group_tracks((replace(track, timeline=tuple(points)),))[0]
    moments = choose_moments(row, EBU)
    assert {moment.note: moment.t_s for moment in moments if moment.note} == {
        "furthest from sync": 21.5,
        "surest": 33.5,
    }
    assert len(moments) == 5
    assert [moment.t_s for moment in moments] == sorted(moment.t_s for moment in moments)


def test_a_face_that_cannot_tell_is_shown_all_the_same(make_track):
    row = group_tracks((make_track(None, start_s=10, end_s=20),))[0]
    assert [moment.t_s for moment in choose_moments(row, EBU)] == [11, 13, 15, 17, 19]


def test_faces_that_cannot_tell_are_shown_from_first_to_last(make_track):
    tracks = tuple(make_track(None, k, 10 * k, 10 * k + 10) for k in range(20))
    moments = choose_moments(group_tracks(tracks)[0], EBU)
    assert [moment.t_s for moment in moments] == [5, 55, 105, 145, 195]
