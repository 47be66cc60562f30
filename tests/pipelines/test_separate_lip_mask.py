"""Separating a file with lip_mask."""

import numpy as np
import pytest
import torch
from pipelines.separators import FixedFaces
from pipelines.two_faces import LEFT, RIGHT, tones, write_faces
from tasks.separation.test_lip_mask import TINY

from avsync.media.audio_reader import read_audio
from avsync.pipelines.separate.separate_file import separate
from avsync.tasks.separation.lip_mask import build_lip_mask


@pytest.mark.parametrize(("rate", "seconds"), [(16000, 2.9), (44100, 1.3)])
def test_voices_and_rest_sum_to_the_audio_of_the_file(tmp_path, rate, seconds):
    torch.manual_seed(0)
    wave = tones(rate, seconds)
    path = write_faces(tmp_path / "two.mkv", wave, rate, seconds=seconds)
    model = build_lip_mask(TINY).eval()
    result = separate(path, tmp_path / "out", model=model, detector=FixedFaces(LEFT, RIGHT))
    assert (result.status, result.faces, result.sample_rate) == ("ok", 2, rate)
    waveforms = [
        np.concatenate(list(read_audio(tmp_path / "out" / name, 0.0, None)))
        for name in ("voice_0.wav", "voice_1.wav", "rest.wav")
    ]
    assert all(audio.shape == (wave.shape[1],) for audio in waveforms)
    np.testing.assert_allclose(sum(waveforms), wave[0], atol=1e-6)
    # An untrained network assigns about half of the mixture to each face.
    for voice in waveforms[:2]:
        share = float(voice @ wave[0] / (wave[0] @ wave[0]))
        assert 0.35 < share < 0.65
