from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from avsync.evaluation import score_matrix as module
from avsync.evaluation.score_matrix import WavInMemory, score_clip_band
from avsync.tasks.input_spec import ClipSpec
from avsync.tasks.sync.vocalist import VocalistConfig, build_vocalist
from avsync.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

pytestmark = pytest.mark.arithmetic


class Brightness:
    """Compares the brightness of five frames with the level of their audio."""

    spec = ClipSpec("mouth", 8, 8, window_frames=5, audio_from_s=0.0, audio_until_s=0.2)

    def encode_video(self, frames):
        return frames.mean((1, 3, 4)).unfold(1, 5, 1)

    def encode_audio(self, wav, starts_s):
        starts = (starts_s * SAMPLE_RATE).round().long()
        cut = wav[:, starts[:, None] + torch.arange(5 * SAMPLES_PER_FRAME)]
        return cut.unflatten(-1, (5, SAMPLES_PER_FRAME)).mean(-1)

    def compare(self, video, audio):
        return -20 * ((video - audio) ** 2).sum(-1)


class Levels(NamedTuple):
    level: Tensor
    first: Tensor


class Reference(Brightness):
    """The same from features `(1, 5)` of a window, with embeddings of two tensors."""

    def __init__(self):
        self.encoded = 0

    def window_features(self, wav, windows):
        frames = wav.unflatten(1, (-1, SAMPLES_PER_FRAME)).mean(-1)
        return frames.unfold(1, 5, 1)[:, :windows, None]

    def encode_features(self, features):
        self.encoded += len(features)
        return Levels(features[:, 0], features[:, 0, 0])

    def encode_video(self, frames):
        level = super().encode_video(frames)
        return Levels(level, level[..., 0])

    def compare(self, video, audio):
        return super().compare(video.level, audio.level) - (video.first - audio.first).abs()


def clip(frames, seed=0):
    level = np.random.default_rng(seed).uniform(0, 1, frames)
    crops = np.broadcast_to((255 * level)[:, None, None, None], (frames, 8, 8, 3))
    crops = crops.astype(np.uint8)
    wav = np.repeat(crops[:, 0, 0, 0] / 255, SAMPLES_PER_FRAME).astype(np.float32)
    return crops, wav


def windows(crops):
    return torch.from_numpy(crops[:, 0, 0, 0] / 255).unfold(0, 5, 1)


@pytest.mark.parametrize("block", [7, 64])
def test_the_band_is_the_plain_loop_with_empty_windows_outside(monkeypatch, block):
    monkeypatch.setattr(module, "ENCODED_WINDOWS", block)
    crops, wav = clip(90)
    band = score_clip_band(Reference(), crops, wav).band
    assert band.shape == (85, 31)
    level = windows(crops)
    for i in range(85):
        for c in range(31):
            j = i + c - 15
            audio = level[j] if 0 <= j < 85 else torch.zeros(5)
            expected = -20 * ((level[i] - audio) ** 2).sum() - (level[i] - audio)[0].abs()
            assert float(band[i, c]) == pytest.approx(float(expected), rel=1e-5, abs=1e-5)


def test_a_model_without_features_has_nothing_outside():
    crops, wav = clip(40)
    band = score_clip_band(Brightness(), crops, wav).band
    index = torch.arange(35)[:, None] + torch.arange(-15, 16)
    outside = (index < 0) | (index >= 35)
    assert torch.equal(band.isnan(), outside)
    assert (band[:, 15].abs() < 1e-9).all()
    # The same holds for any model when asked for by the argument.
    torch.testing.assert_close(
        score_clip_band(Brightness(), crops, wav, empty_windows=False).band, band, equal_nan=True
    )


@pytest.mark.parametrize("model", [Brightness(), Reference()])
@pytest.mark.parametrize("lead_frames", [-3, 4])
def test_the_true_offset_is_subtracted(model, lead_frames):
    crops, wav = clip(60)
    early = np.roll(wav, -lead_frames * SAMPLES_PER_FRAME)
    inside = slice(5, 50)
    band = score_clip_band(model, crops, early, truth_ms=40.0 * lead_frames).band
    assert (band[inside].nan_to_num(-99).argmax(1) == 15).all()
    band = score_clip_band(model, crops, early).band
    assert (15 - band[inside].nan_to_num(-99).argmax(1) == lead_frames).all()


def test_every_window_is_encoded_once(monkeypatch):
    monkeypatch.setattr(module, "ENCODED_WINDOWS", 10)
    model = Reference()
    score_clip_band(model, *clip(70))
    assert model.encoded == 65 + 1  # and the empty one


def test_only_embeddings_that_are_vectors_are_returned(monkeypatch):
    monkeypatch.setattr(module, "ENCODED_WINDOWS", 9)
    crops, wav = clip(40)
    scored = score_clip_band(Brightness(), crops, wav)
    torch.testing.assert_close(scored.video, windows(crops)[:35].float())
    torch.testing.assert_close(scored.audio, scored.video, atol=1e-6, rtol=0)
    assert score_clip_band(Reference(), crops, wav)[1:] == (None, None)


def test_a_clip_of_one_window_is_refused():
    with pytest.raises(ValueError, match="a clip must have over 5 frames, got 5"):
        score_clip_band(Brightness(), *clip(5))


def test_audio_beyond_its_ends_is_silence():
    audio = WavInMemory(np.ones(SAMPLE_RATE, np.float32))
    assert audio.window(-0.5, 0.25).sum() == 0.25 * SAMPLE_RATE
    assert audio.window(0.75, 1.5).sum() == 0.25 * SAMPLE_RATE
    assert audio.window(2, 3).sum() == 0


def test_the_band_of_vocalist_is_its_forward_on_the_mel_of_the_whole_clip():
    torch.manual_seed(0)
    model = build_vocalist(VocalistConfig(channels=(2, 2, 3, 4, 16), depth=1, heads=2)).eval()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            part.running_var.fill_(0.3)  # fresh weights would score everything equally
    g = np.random.default_rng(0)
    crops = g.integers(0, 255, (7, 48, 96, 3), np.uint8)
    wav = g.normal(0, 0.1, 7 * SAMPLES_PER_FRAME).astype(np.float32)
    frames = torch.from_numpy(crops).permute(3, 0, 1, 2)[None] / 255
    mel = model.front_end(torch.from_numpy(wav)[None])[0]
    cut = {j: mel[:, int(3.2 * j) : int(3.2 * j) + 16] for j in range(2)}
    empty = torch.zeros(80, 16)
    expected = []
    for i in range(2):
        audio = torch.stack([cut.get(i + c - 15, empty) for c in range(31)])
        video = frames[:, :, i : i + 5].expand(31, -1, -1, -1, -1)
        expected.append(model(video, audio).detach())
    band = score_clip_band(model, crops, wav).band
    torch.testing.assert_close(band, torch.stack(expected), atol=1e-6, rtol=0)
    assert band.std(1).min() > 1e-4
