import pytest
import torch
from data.made_store import made_store
from data.mixed import FRAMES, SAMPLES, clips, faces_of, mixtures_of
from torch import nn

from avsync.data.sampling.mixture_manifest import draw_rows
from avsync.metrics.separation import si_sdr
from avsync.tasks.separation.input_spec import SeparationSpec
from avsync.training.steps.mask import MaskStep, SeparationValidation

pytestmark = pytest.mark.arithmetic


class LowPass(nn.Module):
    """Low-pass filter at 900 Hz, which keeps all faces of `mixed`, and no music."""

    sources = 3

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def separate(self, mixture):
        spectrum = torch.fft.rfft(mixture)
        spectrum[:, 900 * SAMPLES // 16384 :] = 0
        return self.gain * torch.fft.irfft(spectrum, mixture.shape[1])


@pytest.fixture(scope="module")
def mixtures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("validation")
    store = made_store(folder / "faces", clips())
    faces = faces_of(store, folder, spec=SeparationSpec(SAMPLES, FRAMES))
    return mixtures_of(store, folder, faces=faces)


def test_gains_are_separate_for_each_number_of_voices(mixtures):
    rows = draw_rows(mixtures, 12, 0)
    found = SeparationValidation(mixtures, rows)(MaskStep(LowPass()))
    # At equal levels the mixture is at 0 dB beside music and at -3 dB beside a second voice too.
    assert found["si_sdr_gain_1"] > 20
    assert found["si_sdr_gain_2"] == pytest.approx(3, abs=1)
    two = sum(row.second is not None for row in rows)
    together = (two * found["si_sdr_gain_2"] + (12 - two) * found["si_sdr_gain_1"]) / 12
    assert found["si_sdr_gain"] == pytest.approx(together, abs=1e-6)


def test_figures_do_not_depend_on_the_batch_size(mixtures):
    rows = draw_rows(mixtures, 3, 1)
    figures = [
        SeparationValidation(mixtures, rows, batch=size)(MaskStep(LowPass())) for size in (1, 2, 3)
    ]
    assert figures[0] == pytest.approx(figures[1], abs=1e-4)
    assert figures[0] == pytest.approx(figures[2], abs=1e-4)
    expected = []
    for made in map(mixtures.make, rows):
        voice = LowPass().separate(torch.from_numpy(made.audio)[None])[0].detach()
        expected.append(float(si_sdr(torch.from_numpy(made.target), voice)))
    assert figures[0]["si_sdr"] == pytest.approx(sum(expected) / 3, abs=1e-3)
    # SDR forgives a filter: it is never below SI-SDR.
    assert figures[0]["sdr"] > figures[0]["si_sdr"] - 0.01


def test_no_figure_is_given_for_kinds_without_mixtures(mixtures):
    alone = [row._replace(second=None) for row in draw_rows(mixtures, 2, 0)]
    assert "si_sdr_gain_2" not in SeparationValidation(mixtures, alone)(MaskStep(LowPass()))
    assert SeparationValidation(mixtures, [])(MaskStep(LowPass())) == {}
