"""Overlap-add of blocks of audio: no sample is lost, and chunk borders cannot be noticed."""

import numpy as np
import pytest
import torch
from pipelines.separators import LowHalf, Share

from avsync.pipelines.separate.overlap_add import ChunkGrid, FaceChunk, separate_blocks
from avsync.pipelines.separate.people import NoFaces
from avsync.tasks.separation.input_spec import SeparationSpec, chunk_lengths

pytestmark = pytest.mark.arithmetic


def noise(rate, seconds, channels=1, seed=0):
    shape = (channels, round(rate * seconds))
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def smooth(rate, seconds, channels=1):
    """Noise below 3 kHz, which resampling to the task's rate and back keeps."""
    spectrum = np.fft.rfft(noise(rate, seconds, channels))
    spectrum[:, round(3000 * seconds) :] = 0
    return np.fft.irfft(spectrum, round(rate * seconds)).astype(np.float32)


def separated(model, audio, rate, cut=5000, faces=None):
    blocks = (audio[:, at : at + cut] for at in range(0, audio.shape[1], cut))
    parts = list(separate_blocks(model, blocks, rate, faces or NoFaces()))
    return (np.concatenate([getattr(p, name) for p in parts], -1) for name in ("mixture", "voices"))


@pytest.mark.parametrize("rate", [8000, 16384, 44100, 48000])
@pytest.mark.parametrize("seconds", [0.3, 2.0, 5.37])
def test_a_share_of_the_mixture_is_that_share_everywhere(rate, seconds):
    audio = smooth(rate, seconds)
    mixture, voices = separated(Share(0.25), audio, rate)
    np.testing.assert_array_equal(mixture, audio)
    inner = slice(rate // 50, -rate // 50)
    np.testing.assert_allclose(voices[0, :, inner], 0.25 * audio[:, inner], atol=2e-4)


@pytest.mark.parametrize("rate", [16384, 44100])
def test_the_size_of_blocks_changes_nothing(rate):
    audio = noise(rate, 6.2)
    _, whole = separated(LowHalf(), audio, rate, cut=10**7)
    _, cut = separated(LowHalf(), audio, rate, cut=3331)
    np.testing.assert_array_equal(cut, whole)


def test_the_length_of_chunks_does_not_matter():
    audio = noise(16384, 6.5)
    results = [list(separated(LowHalf(seconds), audio, 16384))[1] for seconds in (2, 3)]
    whole = LowHalf().separate(torch.from_numpy(audio), None).numpy()
    for voices in results:
        # The filter lacks context at the ends of chunks, but those samples have low weights.
        assert abs(voices[0] - whole).max() < 1e-5


def test_channels_are_separated_independently():
    audio = noise(16384, 4, channels=2)
    _, both = separated(LowHalf(), audio, 16384)
    _, right = separated(LowHalf(), audio[1:], 16384)
    np.testing.assert_allclose(both[0, 1], right[0, 0], atol=1e-6)


def test_identical_channels_are_separated_once():
    class Counting(Share):
        channels = 0

        def separate(self, mixture, tokens):
            self.channels += len(mixture)
            return super().separate(mixture, tokens)

    model, audio = Counting(), noise(16384, 1)
    _, voices = separated(model, np.concatenate([audio, audio]), 16384)
    assert model.channels == 1
    np.testing.assert_array_equal(voices[0, 0], voices[0, 1])


def test_chunks_are_normalised_for_the_task_and_scaled_back():
    class Limiter(Share):
        def separate(self, mixture, tokens):
            return mixture.clamp(-0.5, 0.5)

    audio = noise(16384, 3)
    _, loud = separated(Limiter(), audio, 16384)
    _, faint = separated(Limiter(), audio / 64, 16384)
    np.testing.assert_allclose(64 * faint, loud, atol=1e-6)


def test_silence_stays_silence_and_no_audio_gives_nothing():
    _, voices = separated(Share(), np.zeros((2, 40000), np.float32), 16384)
    assert voices.shape == (1, 2, 40000) and not voices.any()
    assert not list(separate_blocks(Share(), [], 16384, NoFaces()))


def test_a_face_that_is_not_visible_has_no_voice():
    class Half(NoFaces):
        def chunk(self, first_frame, frames, samples, sample_rate):
            faces = super().chunk(first_frame, frames, samples, sample_rate)
            half = FaceChunk(None, (faces[0].gain * 0.5).astype(np.float32))
            return [None, half, *faces]

    audio = noise(16384, 3)
    _, voices = separated(Share(), audio, 16384, faces=Half())
    assert not voices[0].any()
    np.testing.assert_allclose(2 * voices[1], voices[2], atol=1e-7)


@pytest.mark.parametrize("seconds", range(1, 9))
def test_the_weights_of_every_sample_sum_to_one(seconds):
    grid = ChunkGrid.from_spec(SeparationSpec(*chunk_lengths(seconds)))
    assert (1 + grid.samples // 256) % 16 == 0, "a spectrum that the U-Net can halve"
    assert grid.hop * 25 == grid.hop_frames * 16384
    assert 2 * grid.hop >= grid.samples > grid.hop
    total = np.zeros(4 * grid.samples)
    for k in range(4):
        total[k * grid.hop :][: grid.samples] += grid.weights(first=k == 0, last=k == 3)
    np.testing.assert_allclose(total[: 3 * grid.hop + grid.samples], 1, atol=1e-6)


def test_at_most_two_chunks_are_held():
    taken = 0

    def blocks():
        nonlocal taken
        for _ in range(120):
            taken += 4000
            yield noise(8000, 0.5)

    given = 0
    for part in separate_blocks(Share(), blocks(), 8000, NoFaces()):
        given += part.mixture.shape[1]
        assert taken - given <= 2 * 2 * 8000
    assert given == taken == 120 * 4000


def test_faces_are_requested_in_order_with_the_time_of_the_audio():
    asked = []

    class Recorder(NoFaces):
        def chunk(self, first_frame, frames, samples, sample_rate):
            asked.append((first_frame, frames, samples, sample_rate))
            return super().chunk(first_frame, frames, samples, sample_rate)

    list(separate_blocks(Share(), [noise(8000, 3.1)], 8000, Recorder(), first_frame=-25))
    assert asked == [(first, 50, 32767, 16384) for first in (-25, 0, 25)]


@pytest.mark.parametrize(("seconds", "chunks"), [(0.1, 1), (2, 1), (2.01, 2), (3, 2), (3.01, 3)])
def test_no_chunk_is_separated_needlessly(seconds, chunks):
    class Counting(Share):
        count = 0

        def separate(self, mixture, tokens):
            self.count += 1
            return mixture

    model, audio = Counting(), smooth(16384, seconds)
    _, voices = separated(model, audio, 16384)
    assert model.count == chunks
    # The last sample of four seconds is beyond the input of the task.
    np.testing.assert_allclose(voices[0, :, :-1], audio[:, :-1], atol=1e-6)
