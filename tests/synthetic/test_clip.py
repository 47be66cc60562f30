"""Rendered clips: the same seed gives the same clip, and lips and voice are in sync."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from avsync.faces.crops import cut_mouth
from avsync.synthetic import SyntheticClip, iter_frames, render
from avsync.synthetic.lips import MouthPose
from avsync.synthetic.scene import RenderedFrame, Scene
from avsync.weights import PRETRAINED

SMALL = {"size": (160, 128), "sample_rate": 16000}


@pytest.fixture(scope="module")
def speech() -> SyntheticClip:
    return render(seed=8, duration_s=4.0, **SMALL)


def envelope(clip: SyntheticClip) -> np.ndarray:
    """Return the loudness in the 40 ms around each frame's instant, `(T,)`."""
    half = clip.sample_rate // 50
    padded = np.pad(clip.wav.astype(np.float64), half)
    at = np.round((np.arange(len(clip.frames)) + 0.5) / clip.fps * clip.sample_rate).astype(int)
    return np.array([np.sqrt(np.mean(padded[i : i + 2 * half] ** 2)) for i in at])


def correlation(clip: SyntheticClip, shift: int) -> float:
    """Correlate the mouth's opening with the loudness `shift` frames later."""
    return float(np.corrcoef(np.roll(envelope(clip), -shift), clip.aperture_mm[0])[0, 1])


def test_the_same_seed_gives_the_same_bytes():
    one, two = (render(seed=3, duration_s=0.4, mode="singing", **SMALL) for _ in range(2))
    np.testing.assert_array_equal(one.frames, two.frames)
    np.testing.assert_array_equal(one.wav, two.wav)


def test_another_seed_gives_other_people():
    one, two = (render(seed=seed, duration_s=0.4, **SMALL) for seed in (3, 4))
    assert np.abs(one.frames.astype(int) - two.frames).mean() > 5
    assert np.abs(np.corrcoef(one.wav, two.wav)[0, 1]) < 0.3


def test_mouth_and_loudness_correlate_most_without_shift(speech):
    clips = (speech, render(seed=6, duration_s=4.0, **SMALL))
    shifts = range(-6, 7)
    each_clip = [[correlation(clip, shift) for shift in shifts] for clip in clips]
    correlations = np.mean(each_clip, axis=0)
    assert shifts[int(np.argmax(correlations))] == 0
    assert max(correlations) > 0.6


def test_iterated_frames_are_those_of_the_clip():
    clip = render(seed=7, duration_s=0.3, faces=2, **SMALL)
    np.testing.assert_array_equal(
        clip.frames, list(iter_frames(seed=7, duration_s=0.3, faces=2, size=(160, 128)))
    )


def test_closed_lips_of_p_b_m_are_visible_while_they_are_audible(speech):
    (closures,) = speech.closures
    assert len(closures) >= 2
    for closure in closures:
        first = int(np.ceil(closure.start_s * speech.fps - 0.5))
        last = int(np.floor(closure.release_s * speech.fps - 0.5))
        for k in range(first, last + 1):
            assert speech.aperture_mm[0, k] < 0.05
        # One frame after the release the lips have parted, unless they close again at once.
        again = any(0 < c.start_s - closure.release_s < 0.08 for c in closures)
        if not again and last + 2 < len(speech.frames):
            assert speech.aperture_mm[0, last + 1 : last + 3].max() > 0.3


def test_the_rendered_mouth_opens_when_the_ground_truth_does(speech):
    # Open mouths are dark between the lips: measure the darkest part of the mouth's centre.
    dark = []
    for image, points in zip(speech.frames, speech.points[0], strict=True):
        crop = cut_mouth(image, points, 56).mean(-1)[20:44, 20:36]
        dark.append(-np.sort(crop.ravel())[:60].mean())
    shifts = range(-5, 6)
    correlations = [np.corrcoef(np.roll(dark, -k), speech.aperture_mm[0])[0, 1] for k in shifts]
    assert shifts[int(np.argmax(correlations))] == 0
    assert max(correlations) > 0.7


def test_points_are_inside_their_box_and_boxes_inside_the_frame():
    clip = render(seed=11, duration_s=0.2, faces=2, **SMALL)
    low, high = clip.boxes[..., None, :2], clip.boxes[..., None, 2:]
    assert ((clip.points > low) & (clip.points < high)).all()
    middle = (clip.boxes[..., :2] + clip.boxes[..., 2:]) / 2
    assert ((middle > 0) & (middle < np.array(SMALL["size"]))).all()
    assert clip.boxes[0, :, 0].max() < clip.boxes[1, :, 0].min()


def test_with_two_faces_one_speaks_at_a_time():
    clip = render(seed=0, duration_s=1.5, faces=2, **SMALL)
    assert clip.speaking.shape == (2, len(clip.frames))
    assert clip.speaking.sum(0).max() == 1
    assert clip.speaking.any()


def render_person(seed: int) -> RenderedFrame:
    """Render one frame of a person with a half-open mouth, without the voice."""
    return Scene(seed, 1, 360, 288).render(0, 0.0, (MouthPose(5.0, 6.0, 0.0, 0.0, 0.0, 0.0, 0.0),))


def find_with_haar(image: np.ndarray) -> list[np.ndarray]:
    cascade = cv2.CascadeClassifier(
        str(Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml")
    )
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return [np.array(box) for box in cascade.detectMultiScale(grey, 1.1, 3, minSize=(40, 40))]


def test_the_haar_cascade_finds_nearly_every_face():
    found = 0
    for seed in range(10):
        rendered = render_person(seed)
        nose = rendered.points[0, 2]
        boxes = find_with_haar(rendered.image)
        found += any((b[:2] < nose).all() and (nose < b[:2] + b[2:]).all() for b in boxes)
    assert found >= 9


def test_yunet_finds_every_face_and_its_points():
    model = str(PRETRAINED / "yunet_n_320_320.onnx")
    detector = cv2.FaceDetectorYN.create(model, "", (360, 288), 0.7)
    errors = []
    for seed in range(10):
        rendered = render_person(seed)
        _, found = detector.detect(np.ascontiguousarray(rendered.image[..., ::-1]))
        assert found is not None and len(found) == 1
        error = np.hypot(*(found[0, 4:14].reshape(5, 2) - rendered.points[0]).T)
        errors.append(error / (rendered.boxes[0, 2] - rendered.boxes[0, 0]))
    assert np.mean(errors) < 0.06


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"duration_s": 0}, "duration_s must be positive and finite, got 0"),
        ({"mode": "yodel"}, "mode must be one of speech, singing, got 'yodel'"),
        ({"faces": 3}, "faces must be 1 or 2, got 3"),
        ({"size": (640, 20)}, r"size must be \(width, height\) of 64 pixels at least"),
        ({"fps": 0}, "fps must be from 1 to 240, got 0"),
        ({"sample_rate": 100}, "sample_rate must be 8000 Hz or more, got 100"),
    ],
)
def test_invalid_arguments_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        render(**wrong)
