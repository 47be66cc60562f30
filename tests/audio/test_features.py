import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden.recipe import hash_u, numbers
from golden.summary import assert_summary, close

from avsync.audio.fbank import Mfcc, StackedFbank
from avsync.audio.features import DecibelMel, LogMel, WhisperMel

pytestmark = pytest.mark.arithmetic

GOLDEN = numbers("golden_mel")
# A float32 transform of 800 samples is off by 2^-24 sqrt(log2 800) of the norm of what it is given,
# 2.6 here, so by 5e-7 a bin; the quietest band has a magnitude of 0.03. Of a relative error the
# decibels, scaled, are off by 0.7: 1e-5, twice for two transforms. Measured: 1e-5 in 6480 numbers.
# In float64 there are the filters, whose corners are float32 frequencies, off by up to 1e-3 Hz of
# bands 230 Hz wide on either side: 4e-6. Measured: 3e-6.
MEL_ATOL = {torch.float32: 2e-5, torch.float64: 5e-6}


def golden_wave() -> np.ndarray:
    """Return the waveform of the golden features: two tones, a sweep and noise."""
    n = np.arange(16000)
    beat = 0.3 * np.sin(2 * np.pi * 440 * n / 16000) * np.sin(2 * np.pi * 3 * n / 16000)
    sweep = 0.1 * np.sin(2 * np.pi * (200 + 1500 * n / 16000) * n / 16000)
    return beat + sweep + 0.02 * (2 * hash_u("wave", 16000) - 1)


@pytest.fixture(scope="module")
def wave():
    return torch.from_numpy(golden_wave().astype(np.float32))[None]


@pytest.fixture(scope="module")
def wave_int16():
    return torch.from_numpy((golden_wave() * 20000).astype(np.int16) / 32768)[None]


def test_a_tone_is_loudest_in_the_band_that_holds_it():
    # Slaney's scale is linear below 1 kHz, with 66.7 Hz per mel.
    seconds = torch.arange(16000) / 16000
    front_end = LogMel(n_mels=64)
    for hz in (312.5, 1000.0, 4000.0):
        mel = front_end(torch.sin(2 * np.pi * hz * seconds)[None])[0].mean(-1)
        band = front_end.mel.mel_scale.fb[round(hz / 31.25)].argmax()
        assert mel.argmax() == band


def test_ten_times_the_amplitude_is_a_hundredfold_power():
    wav = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    difference = LogMel()(10 * wav) - LogMel()(wav)
    torch.testing.assert_close(
        difference, torch.full_like(difference, np.log(100)), atol=0.02, rtol=0
    )


def test_columns_do_not_depend_on_the_cut_of_the_waveform():
    wav = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(LogMel()(wav[:, 1600:]), LogMel()(wav)[:, :, 10:])


def test_silence_has_finite_log_mel():
    assert LogMel()(torch.zeros(1, 4000)).isfinite().all()


def test_too_short_a_waveform_is_named():
    with pytest.raises(ValueError, match=r"wav must be \(B, N\) with N >= 512, got \(1, 100\)"):
        LogMel()(torch.zeros(1, 100))
    for front_end, least in ((DecibelMel(), 800), (DecibelMel(0.97), 801), (Mfcc(), 401)):
        with pytest.raises(ValueError, match=rf"with N >= {least}, got \(1, 100\)"):
            front_end.columns(torch.zeros(1, 100))
    with pytest.raises(ValueError, match=r"with N >= 401, got \(400,\)"):
        DecibelMel()(torch.zeros(400))


def test_the_mel_filters_are_those_of_the_reference():
    filters, golden = DecibelMel().filters.double(), GOLDEN["filters"]
    assert filters.argmax(0).tolist() == golden["argmax_col"]
    close(filters.sum(), golden["sum"], 1e-6)
    # The corners of the lowest band are 133 Hz and less, of three float32 roundings each: off by
    # 2e-5 Hz of 33 on either side, times a height of 0.03.
    close(filters.max(), golden["max"], 2e-8)
    lowest = {str(bin): value for bin, value in enumerate(filters[:, 0].tolist()) if value}
    assert lowest == pytest.approx(golden["col0_nonzero"], abs=2e-8, rel=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_vocalists_mel_of_a_whole_clip(wave, dtype):
    mel = DecibelMel()(wave.to(dtype))
    assert mel.dtype == dtype
    assert_summary(mel[0], GOLDEN["vocalist_full"], MEL_ATOL[dtype])
    close(mel[0, :, 40], GOLDEN["vocalist_full_frame40"], MEL_ATOL[dtype])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_vocalists_mel_of_a_training_window(wave, dtype):
    mel = DecibelMel()(wave[:, 3200:6400].to(dtype))[0, :, :-1]
    assert_summary(mel, GOLDEN["vocalist_chunk_3200_6400_train"], MEL_ATOL[dtype])
    close(mel[:, 0], GOLDEN["vocalist_chunk_frame0"], MEL_ATOL[dtype])


def test_training_and_test_mels_differ_in_the_outer_columns_only(wave):
    whole = DecibelMel()(wave)[0, :, 16:32]
    cut = DecibelMel()(wave[:, 3200:6400])[0, :, :-1]
    difference = (whole - cut).abs().amax(0)
    assert (difference[[0, 1, 15]] > 0.1).all() and difference.max() < 8 / 3
    assert (difference[2:15] < MEL_ATOL[torch.float32]).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_lip_experts_mel(wave, dtype):
    mel = DecibelMel(preemphasis=0.97)(wave.to(dtype))
    # In float64 either way, for the pre-emphasis.
    assert_summary(mel[0], GOLDEN["wav2lip_full_reflect"], MEL_ATOL[torch.float64])
    close(mel[0, :, 40], GOLDEN["wav2lip_frame40"], MEL_ATOL[torch.float64])


def test_the_two_mels_cannot_be_exchanged(wave):
    difference = (DecibelMel()(wave) - DecibelMel(preemphasis=0.97)(wave)).abs()
    assert 0.5 < difference.mean() < 0.7 and difference.max() > 2


def test_decibels_span_minus_80_to_20(wave):
    assert (DecibelMel()(torch.zeros(1, 4000)) == -4).all()
    assert DecibelMel()(1e6 * wave).max() == 4
    # In float64: a quiet band of a float32 spectrum holds rounding errors, which are others at a
    # tenth of the amplitude.
    loud = wave.double()
    softer = DecibelMel()(loud / 10) - DecibelMel()(loud)
    close(softer, torch.full_like(softer, -8 * 20 / 100), 1e-12)


@pytest.mark.parametrize("preemphasis", [0.0, 0.97])
def test_unpadded_mel_columns_equal_those_of_the_whole_clip(wave, preemphasis):
    front_end = DecibelMel(preemphasis)
    whole = front_end(wave)
    cut = front_end.columns(wave[:, 2000 - 400 - front_end.samples_before : 8000])
    close(cut, whole[..., 10 : 10 + cut.shape[-1]], MEL_ATOL[torch.float32])
    assert cut.shape[-1] == 1 + (8000 - 1600 - 800) // 200


def test_mfcc_equal_those_of_the_published_package(wave_int16):
    for dtype, atol in ((torch.float64, 1e-10), (torch.float32, 5e-6)):
        mfcc, golden = Mfcc()(wave_int16.to(dtype)), GOLDEN["mfcc_int16_scale20000"]
        assert mfcc.dtype == dtype
        assert list(mfcc[0].T.shape) == golden["shape"]
        for row, name in ((0, "first_row"), (50, "row50"), (98, "row98")):
            close(mfcc[0, :, row], golden[name], atol)


def test_mfcc_are_liftered_cosines_of_the_log_energies(wave_int16):
    bands = StackedFbank().columns(F.pad(wave_int16, (1, 0)))[0, :, 50]
    order = torch.arange(1, 13, dtype=torch.float64)
    turns = math.pi / 26 * order[:, None] * (torch.arange(26) + 0.5)
    cepstra = (turns.cos() * math.sqrt(2 / 26)) @ bands
    lifted = cepstra * (1 + 11 * torch.sin(math.pi / 22 * order))
    expected = GOLDEN["mfcc_int16_scale20000"]["row50"][1:]
    close(lifted, expected, 1e-10)


def test_unpadded_mfcc_columns_equal_those_of_the_whole_clip(wave_int16):
    columns = Mfcc().columns(wave_int16[:, 1599:])
    close(columns, Mfcc()(wave_int16)[..., 10 : 10 + columns.shape[-1]], 1e-10)
    assert columns.shape[-1] == 1 + (16000 - 1600 - 400) // 160


def test_loudness_changes_only_the_first_coefficient(wave_int16):
    change = Mfcc()(wave_int16 / 10) - Mfcc()(wave_int16)
    close(change[:, 0], torch.full((1, 99), -math.log(100), dtype=torch.float64), 1e-10)
    close(change[:, 1:], torch.zeros(1, 12, 99), 1e-10)


@pytest.mark.parametrize("front_end", [DecibelMel(), DecibelMel(0.97), WhisperMel(), Mfcc()])
def test_features_keep_their_precision_in_a_model_of_another_dtype(wave, front_end):
    expected = front_end(wave)
    torch.testing.assert_close(front_end.bfloat16()(wave), expected, atol=0, rtol=0)
    assert front_end(wave.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("kind", [DecibelMel, WhisperMel, Mfcc])
def test_filters_are_real_in_a_model_built_on_the_meta_device(wave, kind):
    with torch.device("meta"):
        front_end = kind()
    torch.testing.assert_close(front_end(wave), kind()(wave), atol=0, rtol=0)


def test_whispers_limit_is_80_db_below_the_loudest_power_or_fixed(wave):
    mel = WhisperMel()
    silence = torch.zeros(1, 4000)
    close(mel(silence), torch.full((1, 80, 25), (-10 + 4) / 4), 1e-6)
    close(mel.columns(silence), torch.full((1, 80, 23), (-6 + 4) / 4), 1e-6)
    # A power of 10 ** 2 in a band of its own, and silence after it.
    wav = F.pad(wave.float(), (0, 8000))
    scale = 10 ** ((2 - (4 * mel(wav).max() - 4)) / 2)
    expected = mel(scale * wav)
    close(4 * expected.amax() - 4, 2.0, 1e-4)
    close(expected.amin(), (-6 + 4) / 4, 1e-4)
    # Column k of the whole is centred on sample 160 k, so the first ones saw mirrored audio.
    columns = mel.columns((scale * wav)[:, 120:])
    close(columns[..., :120], expected[..., 2:122], 1e-4)


def test_clips_of_a_batch_do_not_mix(wave):
    both = torch.cat([wave, 0.1 * wave.flip(1)])
    for front_end in (DecibelMel(0.97), Mfcc()):
        alone = torch.cat([front_end(clip[None]) for clip in both])
        torch.testing.assert_close(front_end(both), alone)


def test_digital_silence_has_finite_mfcc():
    assert Mfcc()(torch.zeros(1, 16000)).isfinite().all()


@pytest.mark.parametrize("front_end", [LogMel(), DecibelMel(), DecibelMel(0.97), Mfcc()])
def test_autocast_does_not_reduce_precision(front_end):
    wav = torch.randn(1, 8000)
    expected = front_end(wav)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(front_end(wav), expected, atol=0, rtol=0)
