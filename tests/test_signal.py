import numpy as np
import pytest
import torch

from avsync.signal import LogMel


def test_a_tone_is_loudest_in_the_band_that_holds_it():
    # Slaney's scale is linear below 1 kHz: 66.7 Hz a mel.
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


def test_columns_do_not_depend_on_where_the_sound_was_cut():
    wav = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(LogMel()(wav[:, 1600:]), LogMel()(wav)[:, :, 10:])


def test_silence_is_finite():
    assert LogMel()(torch.zeros(1, 4000)).isfinite().all()


def test_too_short_a_waveform_is_named():
    with pytest.raises(ValueError, match=r"wav must be \(B, N\) with N >= 512, got \(1, 100\)"):
        LogMel()(torch.zeros(1, 100))
