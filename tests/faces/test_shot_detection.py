from collections.abc import Iterable

import cv2
import numpy as np
import pytest

from avsync.faces.shot_detection import detect_shots
from avsync.media.video_reader import Tick

SIZE = (90, 160)


def textured(seed: int, width: int = SIZE[1]) -> np.ndarray:
    """Return smooth blotches of colour, float in 0..255."""
    rough = np.random.default_rng(seed).uniform(0, 255, (6, max(3, width // 16), 3))
    return cv2.resize(rough, (width, SIZE[0]), interpolation=cv2.INTER_CUBIC).clip(0, 255)


def shots(images: Iterable[np.ndarray]) -> list[int]:
    """Return the indices at which shots start, after adding camera noise."""
    noise = np.random.default_rng(99)
    ticks = [
        Tick(i, i / 25, (image + noise.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8))
        for i, image in enumerate(images)
    ]
    marked = list(detect_shots(ticks))
    assert [tick.index for tick, _ in marked] == list(range(len(ticks)))
    return [tick.index for tick, first in marked if first]


def test_a_cut_is_found_at_its_frame():
    assert shots([textured(1)] * 17 + [textured(2)] * 13 + [textured(3)] * 9) == [0, 17, 30]


@pytest.mark.parametrize("last", [1, 2, 3])
def test_a_cut_close_to_the_end_is_found(last):
    assert shots([textured(1)] * 10 + [textured(2)] * last) == [0, 10]


def test_a_cut_between_two_moving_shots_is_found():
    one, other = textured(1, 400), textured(2, 400)
    before = [one[:, 3 * i : 3 * i + 160] for i in range(20)]
    after = [other[:, 3 * i : 3 * i + 160] for i in range(20)]
    assert shots(before + after) == [0, 20]


def test_a_moving_camera_is_no_cut():
    wide = textured(1, 900)
    assert shots([wide[:, 12 * i : 12 * i + 160] for i in range(60)]) == [0]


def test_a_sudden_movement_is_no_cut():
    wide = textured(1, 400)
    offsets = [0] * 10 + [0, 20, 45, 70, 90] + [90] * 10
    assert shots([wide[:, at : at + 160] for at in offsets]) == [0]


@pytest.mark.parametrize("ticks", [1, 2, 3])
def test_a_flash_of_light_is_no_cut(ticks):
    lit = np.full_like(textured(1), 250)
    assert shots([textured(1)] * 10 + [lit] * ticks + [textured(1)] * 10) == [0]


def test_lights_switched_on_are_no_cut():
    assert shots([0.3 * textured(1)] * 10 + [textured(1)] * 10) == [0]


def test_a_fade_to_black_and_back_is_no_cut():
    light = np.concatenate([np.linspace(1, 0, 15), np.zeros(5), np.linspace(0, 1, 15)])
    assert shots([level * textured(1) for level in light]) == [0]


def test_a_slow_dissolve_is_no_cut():
    weights = np.linspace(0, 1, 25)
    assert shots([(1 - w) * textured(1) + w * textured(2) for w in weights]) == [0]


def test_a_cut_to_and_from_black_is_found():
    black = np.zeros_like(textured(1))
    assert shots([textured(1)] * 10 + [black] * 10 + [textured(1)] * 10) == [0, 10, 20]


def test_repeated_frames_do_not_hide_a_cut():
    wide, other = textured(1, 400), textured(2)
    slow = [wide[:, 4 * (i // 2) : 4 * (i // 2) + 160] for i in range(20)]
    assert shots([*slow, *[other] * 10]) == [0, 20]


def test_no_frames_have_no_shots():
    assert shots([]) == []


def test_a_gap_in_the_frames_starts_a_shot():
    still = textured(1).astype(np.uint8)
    ticks = [Tick(i, i / 25, still) for i in (*range(10), *range(60, 70))]
    marked = list(detect_shots(ticks))
    assert [tick.index for tick, _ in marked] == [*range(10), *range(60, 70)]
    assert [tick.index for tick, first in marked if first] == [0, 60]
