"""The two-face benchmark on synthetic people whose voices a filter can separate.

One person is bright with a low voice, the other dark with a high voice.
"""

import numpy as np
import pytest
from pipelines.separators import FixedFaces, LowHalf

from avsync.synthetic import render
from avsync.tasks.separation.input_spec import SeparationSpec
from benchmarks.separation import two_faces

BOXES = (16, 24, 64, 88), (112, 24, 160, 88)
FRAMES = 60


class LowForTheBright(LowHalf):
    """Return the low half of the band for a bright face, the high one for a dark face.

    `crosswise` exchanges the two.
    """

    def __init__(self, crosswise=False):
        super().__init__()
        self.crosswise = crosswise
        self.spec = SeparationSpec(32000, 50, "face", 8, 8, sample_rate=16000)

    def encode_video(self, frames):
        return frames.mean((1, 2, 3, 4))[:, None, None]

    def separate(self, mixture, tokens):
        low = super().separate(mixture, tokens)
        bright = bool(tokens.mean() > 0.5)
        return low if bright != self.crosswise else mixture - low


def make_clips():
    at = np.arange(FRAMES * 640) / 16000
    clips = []
    for speaker, light, hz, level in (
        ("grid_s1", 220, 500, 0.3),
        ("grid_other_speakers", 20, 6000, 0.01),
    ):
        frames = np.full((FRAMES, 112, 96, 3), light, np.uint8)
        wav = level * np.sin(2 * np.pi * hz * at)
        clips.append(two_faces.Clip(speaker, speaker, frames, wav.astype(np.float32)))
    return tuple(clips)


def test_voices_of_a_mixture_have_equal_power_and_sum_to_it(tmp_path):
    voices = two_faces.write_mixture(tmp_path / "m.mkv", *make_clips())
    power = np.square(voices).mean(1)
    assert power[0] == pytest.approx(power[1], rel=1e-3)
    wav = np.concatenate(list(two_faces.read_audio(tmp_path / "m.mkv", 0.0)))
    np.testing.assert_allclose(wav, voices.sum(0), atol=1e-4)


@pytest.mark.parametrize("crosswise", [False, True])
def test_a_voice_counts_for_the_face_it_was_assigned_to(tmp_path, crosswise):
    separated = two_faces.measure(
        tmp_path / "m.mkv",
        make_clips(),
        tmp_path / "out",
        model=LowForTheBright(crosswise),
        detector=FixedFaces(*BOXES),
    )
    assert [row.speaker for row in separated] == ["grid_s1", "grid_other_speakers"]
    assert all(row.before_db == pytest.approx(0, abs=0.1) for row in separated)
    assert all(row.closer != crosswise for row in separated)
    if not crosswise:
        assert all(row.gain_db > 20 for row in separated)
    figures = two_faces.report(separated)
    assert figures["all"]["closer_to_own_face"] == (0.0 if crosswise else 1.0)
    assert figures["all"]["not_found"] == 0


def test_faces_that_are_not_detected_have_a_gain_of_zero(tmp_path):
    separated = two_faces.measure(
        tmp_path / "m.mkv",
        make_clips(),
        tmp_path / "out",
        model=LowForTheBright(),
        detector=FixedFaces(BOXES[0]),
    )
    assert [row.gain_db for row in separated] == [0.0, 0.0]
    assert not any(row.closer for row in separated)
    assert two_faces.report(separated)["all"]["not_found"] == 2


# The released separator on real people is in pipelines/test_separate_real.py.
@pytest.mark.slow
def test_the_released_separator_assigns_rendered_people_their_own_voices(tmp_path):
    clips = []
    for seed in (21, 34):
        clip = render(seed, duration_s=3.0, size=(360, 288), sample_rate=16000)
        clips.append(two_faces.Clip(str(seed), "rendered", clip.frames, clip.wav))
    separated = two_faces.measure(
        tmp_path / "m.mkv", tuple(clips), tmp_path / "out", model="lip_mask", detector="haar"
    )
    assert all(row.closer and row.gain_db > 1.5 for row in separated)
