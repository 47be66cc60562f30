"""Two made people, one bright and low, one dark and high, and stand-ins that know them."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from pipelines.separators import FixedFaces, LowHalf

from avsync.synthetic import render_clip
from avsync.tasks.separation.input_spec import SeparationSpec

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
BOXES = (16, 24, 64, 88), (112, 24, 160, 88)
FRAMES = 60


class LowForTheBright(LowHalf):
    """The low half of the band for a bright face, the high one for a dark face; or crosswise."""

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


@pytest.fixture
def two_faces(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("two_faces")
    sys.modules.pop("two_faces")


def clips(two_faces):
    at = np.arange(FRAMES * 640) / 16000
    made = []
    for speaker, light, hz, level in (
        ("grid_s1", 220, 500, 0.3),
        ("grid_other_speakers", 20, 6000, 0.01),
    ):
        frames = np.full((FRAMES, 112, 96, 3), light, np.uint8)
        wav = level * np.sin(2 * np.pi * hz * at)
        made.append(two_faces.Clip(speaker, speaker, frames, wav.astype(np.float32)))
    return tuple(made)


def test_voices_of_a_mixture_are_equally_loud_and_add_up_to_it(two_faces, tmp_path):
    voices = two_faces.mixed(tmp_path / "m.mkv", *clips(two_faces))
    power = np.square(voices).mean(1)
    assert power[0] == pytest.approx(power[1], rel=1e-3)
    heard = np.concatenate(list(two_faces.read_audio(tmp_path / "m.mkv", 0.0)))
    np.testing.assert_allclose(heard, voices.sum(0), atol=1e-4)


@pytest.mark.parametrize("crosswise", [False, True])
def test_a_voice_counts_for_the_face_it_was_given_to(two_faces, tmp_path, crosswise):
    told = two_faces.measure(
        tmp_path / "m.mkv",
        clips(two_faces),
        tmp_path / "out",
        model=LowForTheBright(crosswise),
        detector=FixedFaces(*BOXES),
    )
    assert [row.speaker for row in told] == ["grid_s1", "grid_other_speakers"]
    assert all(row.before_db == pytest.approx(0, abs=0.1) for row in told)
    assert all(row.closer != crosswise for row in told)
    if not crosswise:
        assert all(row.gain_db > 20 for row in told)
    figures = two_faces.report(told)
    assert figures["all"]["closer_to_own_face"] == (0.0 if crosswise else 1.0)
    assert figures["all"]["not_found"] == 0


def test_faces_that_are_not_found_count_as_nothing_gained(two_faces, tmp_path):
    told = two_faces.measure(
        tmp_path / "m.mkv",
        clips(two_faces),
        tmp_path / "out",
        model=LowForTheBright(),
        detector=FixedFaces(BOXES[0]),
    )
    assert [row.gain_db for row in told] == [0.0, 0.0] and not any(row.closer for row in told)
    assert two_faces.report(told)["all"]["not_found"] == 2


def test_the_separator_that_ships_gives_rendered_people_their_own_voices(two_faces, tmp_path):
    made = []
    for seed in (21, 34):
        path = tmp_path / f"{seed}.mkv"
        render_clip(path, seed=seed, duration_s=3.0, size=(360, 288), sample_rate=16000)
        made.append(two_faces.read_clip(path, "rendered"))
    told = two_faces.measure(
        tmp_path / "m.mkv", tuple(made), tmp_path / "out", model="lip_mask", detector="haar"
    )
    assert all(row.closer and row.gain_db > 1.5 for row in told)
