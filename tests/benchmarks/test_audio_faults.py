"""Faulty audio is stored as it was made."""

import av
import numpy as np
import pytest

from avsync.timing import SAMPLE_RATE
from benchmarks.sync.audio_faults import FAULTS, write_faulty

WAV = np.sin(np.arange(SAMPLE_RATE) / 7).astype(np.float32) / 2
FRAMES = np.zeros((25, 64, 96, 3), np.uint8)


@pytest.mark.parametrize("name", FAULTS)
def test_samples_are_stored_unchanged(tmp_path, name):
    with np.errstate(all="ignore"):
        wanted = np.atleast_2d(FAULTS[name](WAV)).astype(np.float32)
    path = write_faulty(tmp_path / "a.mkv", FRAMES, wanted[0] if len(wanted) == 1 else wanted)
    with av.open(str(path)) as container:
        blocks = [block.to_ndarray() for block in container.decode(audio=0)]
    stored = np.concatenate(blocks, axis=1).reshape(-1, len(wanted)).T
    np.testing.assert_array_equal(stored, wanted)


def test_faults_have_the_levels_and_shares_that_their_names_say():
    def dbfs(wav):
        return 10 * np.log10(np.mean(wav.astype(float) ** 2))

    assert dbfs(FAULTS["voice at -60 dBFS"](WAV)) == pytest.approx(-60, abs=0.01)
    assert np.isnan(FAULTS["NaN in 1 % of samples"](WAV)).mean() == pytest.approx(0.01, abs=0.003)
    assert np.isnan(FAULTS["NaN in all samples"](WAV)).all()
    assert FAULTS["DC offset of 0.5"](WAV).mean() == pytest.approx(0.5, abs=0.01)
    assert np.abs(FAULTS["right channel inverted"](WAV).sum(0)).max() == 0
