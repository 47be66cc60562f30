import pytest
import torch

from avsync.tasks.talking.generator import TalkingFaceConfig
from avsync.tasks.talking.wav2lip import Wav2LipConfig, build_wav2lip

pytestmark = pytest.mark.arithmetic

TINY = Wav2LipConfig((2, 3, 4, 5), TalkingFaceConfig((2, 3, 4, 5, 6, 7), (7, 6, 5, 4, 3), 2))


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build_wav2lip(TINY).eval()


@pytest.fixture
def wav():
    return 0.1 * torch.randn(2, 12 * 640, generator=torch.Generator().manual_seed(0))


def test_it_has_the_published_number_of_parameters():
    with torch.device("meta"):
        model = build_wav2lip(Wav2LipConfig())
    # As its training prints.
    assert sum(p.numel() for p in model.parameters()) == 36_298_035


@torch.no_grad()
def test_a_frame_has_sixteen_columns_from_the_frame_before_on(tiny, wav):
    tokens, mel = tiny.encode_speech(wav, 12), tiny.front_end(wav)
    assert tokens.shape == (2, 12, 7)
    for frame in (1, 4, 7):
        first = int(80 * (frame - 1) / 25)
        torch.testing.assert_close(tokens[:, frame], tiny.audio(mel[..., first : first + 16]))
    chosen = tiny.encode_at_frames(mel, torch.tensor([[4, 0], [11, 4]]))
    torch.testing.assert_close(chosen[0, 1], tokens[0, 0])
    torch.testing.assert_close(chosen[1, 0], tokens[1, 11])


@torch.no_grad()
def test_before_and_after_the_audio_there_is_silence(tiny, wav):
    silent = tiny.audio(torch.full((1, 80, 16), -4.0))
    torch.testing.assert_close(tiny.encode_speech(wav, 30)[:1, 25], silent)
    padded = torch.cat([torch.full((2, 80, 4), -4.0), tiny.front_end(wav)[..., :12]], dim=-1)
    torch.testing.assert_close(tiny.encode_speech(wav, 2)[:, 0], tiny.audio(padded))


@torch.no_grad()
def test_it_generates_frames(tiny, wav):
    tokens = tiny.encode_speech(wav, 3).flatten(0, 1)
    frames = tiny(tokens, torch.rand(6, 6, 96, 96))
    assert frames.shape == (6, 3, 96, 96) and ((frames > 0) & (frames < 1)).all()
