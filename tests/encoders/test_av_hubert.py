from dataclasses import replace

import pytest
import torch

from avsync.encoders.av_hubert import BASE, LARGE, AvHubertConfig, AvHubertEncoder

TINY = AvHubertConfig(12, 2, 2, 16, channels=(3, 4, 5, 6), position_frames=5, dropout=0.0)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return AvHubertEncoder(TINY).eval()


@pytest.fixture
def speech():
    g = torch.Generator().manual_seed(0)
    return torch.randn(3, 9, 104, generator=g), torch.rand(3, 9, 24, 24, generator=g)


@torch.no_grad()
def test_any_stream_gives_a_token_per_frame(encoder, speech):
    audio, video = speech
    both = encoder(audio, video)
    assert both.shape == encoder(audio, None).shape == encoder(None, video).shape == (3, 9, 12)
    assert not torch.allclose(both, encoder(audio, None))


@torch.no_grad()
def test_a_stream_that_is_not_there_is_zeros_after_its_projection(encoder, speech):
    heard = encoder.hear(speech[0])
    expected = encoder.join(heard, torch.zeros_like(heard))
    torch.testing.assert_close(encoder(speech[0], None), expected)


@torch.no_grad()
def test_sound_comes_before_pictures_where_they_meet(encoder, speech):
    fused = {}
    encoder.fused_norm.register_forward_pre_hook(lambda _, given: fused.update(x=given[0]))
    heard = encoder.hear(speech[0])
    encoder(speech[0], None)
    torch.testing.assert_close(fused["x"], torch.cat([heard, 0 * heard], dim=-1))


@torch.no_grad()
def test_frames_beyond_a_clips_length_change_nothing(encoder, speech):
    audio, video = speech
    lengths = torch.tensor([9, 6, 4])
    whole = encoder(audio, video, lengths)
    for clip, length in enumerate(lengths.tolist()):
        # The mouth sees two frames ahead: what follows must be the same.
        heard, seen = encoder.hear(audio)[clip, :length], encoder.see(video)[clip, :length]
        alone = encoder.join(heard[None], seen[None])
        torch.testing.assert_close(whole[clip, :length], alone[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_tokens_that_are_kept_are_those_of_the_whole_clip(encoder, speech, training):
    encoder.train(training).config = replace(TINY, modality_dropout=0.0)
    lengths = torch.tensor([9, 6, 5])
    heard, seen = encoder.hear(speech[0]), encoder.see(speech[1], lengths)
    whole = encoder.join(heard, seen, lengths)[:, 3:5]
    kept = encoder.join(heard, seen, lengths, kept=slice(3, 5))
    torch.testing.assert_close(kept, whole, atol=1e-5, rtol=1e-5)
    slopes = [
        torch.autograd.grad(tokens.square().sum(), heard, retain_graph=True)[0]
        for tokens in (kept, whole)
    ]
    torch.testing.assert_close(*slopes, atol=1e-4, rtol=1e-4)


def test_half_of_the_clips_lose_a_stream_in_training():
    torch.manual_seed(0)
    encoder = AvHubertEncoder(replace(TINY, modality_dropout=0.5, audio_dropout=0.25)).train()
    heard = torch.ones(4000, 1, 12)
    heard, seen = encoder._drop_streams(heard, 2 * heard)
    lost_sound, lost_picture = (heard[:, 0, 0] == 0), (seen[:, 0, 0] == 0)
    assert not (lost_sound & lost_picture).any()
    assert lost_sound.float().mean().item() == pytest.approx(0.125, abs=0.02)
    assert lost_picture.float().mean().item() == pytest.approx(0.375, abs=0.02)


@torch.no_grad()
def test_clips_of_a_batch_do_not_mix(encoder, speech):
    alone = torch.cat([encoder(a[None], v[None]) for a, v in zip(*speech, strict=True)])
    torch.testing.assert_close(encoder(*speech), alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("config", "d", "depth", "ffn"), [(BASE, 768, 12, 3072)])
def test_parameters_of_the_published_sizes(config, d, depth, ffn):
    layer = 4 * d * d + 4 * d + 2 * d * ffn + ffn + d + 4 * d
    fused = 4 * d + 2 * d * d + d
    places = d * d // 16 * 128 + d
    with torch.device("meta"):
        encoder = AvHubertEncoder(config)
    mouth = sum(p.numel() for p in encoder.mouth.parameters())
    expected = mouth + 105 * d + 513 * d + fused + places + depth * layer + 2 * d
    assert sum(p.numel() for p in encoder.parameters()) == expected


def test_the_large_one_is_as_published():
    assert (LARGE.dim, LARGE.depth, LARGE.heads, LARGE.ffn) == (1024, 24, 16, 4096)


def test_wrong_input_is_named(encoder, speech):
    audio, video = speech
    with pytest.raises(ValueError, match="audio or video must be given, got neither"):
        encoder(None, None)
    with pytest.raises(ValueError, match=r"audio must be \(B, T, 104\), got \(3, 9, 103\)"):
        encoder(audio[..., 1:], None)
    with pytest.raises(ValueError, match="as many frames, got 8 and 9"):
        encoder(audio[:, 1:], video)


@pytest.mark.parametrize("wrong", [{"heads": 5}, {"depth": 0}, {"modality_dropout": 1.5}])
def test_wrong_sizes_are_named(wrong):
    with pytest.raises(ValueError, match="must"):
        AvHubertEncoder(replace(TINY, **wrong))
