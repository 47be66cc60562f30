import json
from pathlib import Path

import pytest
import torch

from avsync.audio.fbank import StackedFbank
from avsync.encoders.av_hubert import LARGE, AvHubertConfig
from avsync.tasks.talking.generator import TalkingFaceConfig
from avsync.tasks.talking.synctalklip import SyncTalklip, SyncTalklipConfig, build_synctalklip

pytestmark = pytest.mark.arithmetic

GOLDEN = Path(__file__).parents[2] / "golden"
GENERATOR = TalkingFaceConfig((2, 3, 4, 5, 6, 7), (7, 6, 5, 4, 3), 2)
ENCODER = AvHubertConfig(16, 1, 2, 32, channels=(2, 3, 4, 5), position_frames=5)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build_synctalklip(SyncTalklipConfig(ENCODER, GENERATOR, window=5)).eval()


@pytest.fixture
def wav():
    return 0.1 * torch.randn(2, 12 * 640, generator=torch.Generator().manual_seed(0))


def test_without_its_encoder_it_has_the_parameters_of_the_public_code():
    with torch.device("meta"):
        model = build_synctalklip(SyncTalklipConfig(LARGE))
    parts = (model.generator, model.audio_proj)
    assert sum(p.numel() for part in parts for p in part.parameters()) == 35_059_763
    keys = json.loads((GOLDEN / "keys_talklip.json").read_text())
    shapes = [tuple(p.shape) for part in parts for p in part.parameters()]
    assert shapes == [tuple(shape) for shape in keys.values()]


@torch.no_grad()
def test_a_token_depends_on_the_audio_around_its_frame_alone(tiny, wav):
    tokens = tiny.encode_speech(wav, 12)
    assert tokens.shape == (2, 12, 16)
    later = wav.clone()
    later[:, 7 * 640 :] = 0
    changed = (tiny.encode_speech(later, 12) - tokens).abs().amax((0, 2)) > 1e-5
    # Frame 6 reaches into frame 7, a column being longer than its hop; windows reach 2 frames.
    assert changed.tolist() == [False] * 4 + [True] * 8


@torch.no_grad()
def test_tokens_of_chosen_frames_equal_those_of_all_frames(tiny, wav):
    audio, indices = tiny.front_end(wav, 12), torch.tensor([[3, 0, 11], [5, 5, 1]])
    chosen, every = tiny.encode_at_frames(audio, indices), tiny.encode_speech(wav, 12)
    for clip in range(2):
        torch.testing.assert_close(chosen[clip], every[clip, indices[clip]])


@torch.no_grad()
def test_the_whole_clip_can_be_encoded_at_once_as_published(tiny, wav):
    whole = SyncTalklip(tiny.encoder, StackedFbank(), tiny.generator, window=0).eval()
    tokens = whole.encode_speech(wav, 12)
    torch.testing.assert_close(tokens, tiny.encoder(tiny.front_end(wav, 12), None))
    with pytest.raises(ValueError, match="window must be odd, or 0 for the whole clip, got 4"):
        SyncTalklip(tiny.encoder, StackedFbank(), tiny.generator, window=4)


@torch.no_grad()
def test_embeddings_have_unit_length_whatever_that_of_the_tokens(tiny):
    tokens = torch.randn(2, 3, 16)
    unit = tiny.embed_audio(tokens)
    torch.testing.assert_close(unit.norm(dim=-1), torch.ones(2, 3))
    torch.testing.assert_close(tiny.embed_audio(5 * tokens), unit)


@torch.no_grad()
def test_after_the_end_of_the_audio_there_is_silence(tiny, wav):
    tokens = tiny.encode_speech(wav[:, : 5 * 640], 12)
    silent = tiny.encode_at_frames(torch.zeros(1, 12, 104), torch.tensor([[6]]))
    torch.testing.assert_close(tokens[0, 9], silent[0, 0])
