import pytest
import torch

from avsync.encoders.av_hubert import AvHubertConfig
from avsync.tasks.lipreading.lip_reader import LipReaderConfig, build_lip_reader

pytestmark = pytest.mark.arithmetic

ENCODER = AvHubertConfig(12, 2, 2, 16, channels=(3, 4, 5, 6), position_frames=5, dropout=0.0)
TINY = LipReaderConfig(ENCODER, 1, "words", ("one", "two", "three"), crop_size=24)


@pytest.fixture(scope="module")
def reader():
    torch.manual_seed(0)
    return build_lip_reader(TINY).eval()


@pytest.fixture
def speech():
    g = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, 10, 24, 24, generator=g), torch.randn(2, 6400, generator=g)


@torch.no_grad()
def test_a_symbol_depends_only_on_those_before_it(reader):
    audio = torch.randn(1, 9, 104)
    logits = reader(audio, None, torch.tensor([[0, 1, 2]]))
    assert logits.shape == (1, 3, 4)
    torch.testing.assert_close(reader(audio, None, torch.tensor([[0, 1, 3]]))[:, :2], logits[:, :2])
    assert not torch.allclose(reader(audio, None, torch.tensor([[0, 1, 3]]))[:, 2], logits[:, 2])


@torch.no_grad()
def test_frames_beyond_a_clips_length_are_not_read(reader):
    audio, inputs = torch.randn(2, 9, 104), torch.tensor([[0, 1], [0, 3]])
    logits = reader(audio, None, inputs, torch.tensor([9, 5]))
    alone = reader(audio[1:, :5], None, inputs[1:])
    torch.testing.assert_close(logits[1:], alone, atol=1e-5, rtol=1e-5)


def test_it_transcribes_lips_audio_or_both(reader, speech):
    frames, wav = speech
    for texts in (reader.read(frames), reader.read(wav=wav), reader.read(frames, wav, beam=2)):
        assert len(texts) == 2 and all(isinstance(text, str) for text in texts)


def test_greedy_reading_follows_the_logits(reader, speech):
    frames = speech[0][:1]
    text = reader.read(frames, longest=3)[0]
    inputs = torch.tensor([[0, *reader.vocabulary.encode(text)]])
    grey = torch.einsum("bcthw,c->bthw", frames, torch.tensor([0.299, 0.587, 0.114]))
    best = reader(None, grey, inputs).argmax(-1)[0].tolist()[:3]
    assert reader.vocabulary.decode(best) == text


def test_it_overfits_one_batch():
    torch.manual_seed(0)
    model = build_lip_reader(TINY).train()
    audio = torch.randn(3, 6, 104)
    batch = model.vocabulary.batch(["one two", "three", "two"])
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        logits = model(audio, None, batch.inputs)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1


def test_frames_without_colours_are_named(reader):
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T, H, W\), got \(1, 9, 24, 24\)"):
        reader.read(torch.rand(1, 9, 24, 24))
