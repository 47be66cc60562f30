from dataclasses import replace

import pytest
import torch

from avsync.encoders.av_hubert import (
    BASE,
    LARGE,
    AvHubertConfig,
    AvHubertEncoder,
    MouthResnetEncoder,
)

pytestmark = pytest.mark.arithmetic

TINY = AvHubertConfig(12, 2, 2, 16, channels=(3, 4, 5, 6), position_frames=5, dropout=0.0)
WIDTHS = (4, 5, 6, 7)


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
def test_a_missing_stream_is_zeros_after_its_projection(encoder, speech):
    audio = encoder.encode_audio(speech[0])
    expected = encoder.fuse(audio, torch.zeros_like(audio))
    torch.testing.assert_close(encoder(speech[0], None), expected)


@torch.no_grad()
def test_audio_is_concatenated_before_video(encoder, speech):
    fused = {}
    encoder.fused_norm.register_forward_pre_hook(lambda _, inputs: fused.update(x=inputs[0]))
    audio = encoder.encode_audio(speech[0])
    encoder(speech[0], None)
    torch.testing.assert_close(fused["x"], torch.cat([audio, 0 * audio], dim=-1))


@torch.no_grad()
def test_frames_beyond_a_clips_length_change_nothing(encoder, speech):
    lengths = torch.tensor([9, 6, 4])
    padded = encoder(*speech, lengths)
    # The front end sees two frames ahead, so features are computed before the clip is cut.
    audio, video = encoder.encode_audio(speech[0]), encoder.encode_video(speech[1])
    for clip, length in enumerate(lengths.tolist()):
        alone = encoder.fuse(audio[clip, None, :length], video[clip, None, :length])
        torch.testing.assert_close(padded[clip, :length], alone[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_a_subset_of_tokens_equals_those_of_the_whole_clip(encoder, speech, training):
    encoder.train(training).config = replace(TINY, modality_dropout=0.0)
    lengths = torch.tensor([9, 6, 5])
    audio, video = encoder.encode_audio(speech[0]), encoder.encode_video(speech[1], lengths)
    whole = encoder.fuse(audio, video, lengths)[:, 3:5]
    subset = encoder.fuse(audio, video, lengths, keep=slice(3, 5))
    torch.testing.assert_close(subset, whole, atol=1e-5, rtol=1e-5)
    gradients = [
        torch.autograd.grad(tokens.square().sum(), audio, retain_graph=True)[0]
        for tokens in (subset, whole)
    ]
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


def test_modality_dropout_drops_either_stream_with_its_probability():
    torch.manual_seed(0)
    encoder = AvHubertEncoder(replace(TINY, modality_dropout=0.5, audio_dropout=0.25)).train()
    audio = torch.ones(4000, 1, 12)
    audio, video = encoder._drop_modalities(audio, 2 * audio)
    lost_audio, lost_video = (audio[:, 0, 0] == 0), (video[:, 0, 0] == 0)
    assert not (lost_audio & lost_video).any()
    assert lost_audio.float().mean().item() == pytest.approx(0.125, abs=0.02)
    assert lost_video.float().mean().item() == pytest.approx(0.375, abs=0.02)


@torch.no_grad()
def test_clips_of_a_batch_do_not_mix(encoder, speech):
    alone = torch.cat([encoder(a[None], v[None]) for a, v in zip(*speech, strict=True)])
    torch.testing.assert_close(encoder(*speech), alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("config", "d", "depth", "ffn"), [(BASE, 768, 12, 3072)])
def test_parameters_of_the_published_sizes(config, d, depth, ffn):
    layer = 4 * d * d + 4 * d + 2 * d * ffn + ffn + d + 4 * d
    fused = 4 * d + 2 * d * d + d
    positions = d * d // 16 * 128 + d
    with torch.device("meta"):
        encoder = AvHubertEncoder(config)
    mouth = sum(p.numel() for p in encoder.mouth.parameters())
    expected = mouth + 105 * d + 513 * d + fused + positions + depth * layer + 2 * d
    assert sum(p.numel() for p in encoder.parameters()) == expected


def test_the_large_config_is_the_published_one():
    assert (LARGE.dim, LARGE.depth, LARGE.heads, LARGE.ffn) == (1024, 24, 16, 4096)


def test_wrong_input_is_named(encoder, speech):
    audio, video = speech
    with pytest.raises(ValueError, match="audio or video must be given, got neither"):
        encoder(None, None)
    with pytest.raises(ValueError, match=r"audio must be \(B, T, 104\), got \(3, 9, 103\)"):
        encoder(audio[..., 1:], None)
    with pytest.raises(ValueError, match="equally many frames, got 8 and 9"):
        encoder(audio[:, 1:], video)


@pytest.mark.parametrize("wrong", [{"heads": 5}, {"depth": 0}, {"modality_dropout": 1.5}])
def test_wrong_sizes_are_named(wrong):
    with pytest.raises(ValueError, match="must"):
        AvHubertEncoder(replace(TINY, **wrong))


@pytest.fixture
def mouth():
    torch.manual_seed(0)
    return MouthResnetEncoder(WIDTHS).eval()


@torch.no_grad()
def test_the_stem_is_a_3d_convolution(mouth):
    grey = torch.rand(2, 7, 32, 40)
    captured = {}
    mouth.stem_norm.register_forward_pre_hook(lambda _, inputs: captured.update(x=inputs[0]))
    mouth(grey)
    normalised = (grey[:, None] - 0.421) / 0.165
    weight = mouth.stem.weight
    whole = torch.nn.functional.conv3d(normalised, weight, stride=(1, 2, 2), padding=(2, 3, 3))
    expected = whole.transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(captured["x"], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_token_sees_two_frames_to_either_side(mouth):
    grey = torch.rand(1, 11, 24, 24)
    changed = grey.clone()
    changed[:, 5] = 0
    difference = (mouth(changed) - mouth(grey)).abs().amax(-1)[0]
    assert (difference > 1e-6).nonzero()[:, 0].tolist() == [3, 4, 5, 6, 7]


@torch.no_grad()
def test_frames_beyond_the_length_are_not_computed(mouth):
    grey, lengths = torch.rand(2, 6, 24, 24), torch.tensor([6, 3])
    batch_sizes = []
    mouth.trunk.register_forward_pre_hook(lambda _, inputs: batch_sizes.append(len(inputs[0])))
    tokens = mouth(grey, lengths)
    assert batch_sizes == [9] and not tokens[1, 3:].any()
    whole = mouth(grey)
    torch.testing.assert_close(tokens[0], whole[0])
    torch.testing.assert_close(tokens[1, :3], whole[1, :3])


def test_an_88_pixel_crop_ends_as_a_3_by_3_map(mouth):
    sizes = []
    mouth.trunk.register_forward_hook(lambda _, __, out: sizes.append(tuple(out.shape)))
    assert mouth(torch.rand(1, 3, 88, 88)).shape == (1, 3, 7)
    assert sizes == [(3, 7, 3, 3)]


def test_parameters_are_those_of_the_published_front_end():
    # Stem 64 * 5 * 49 + 64 * 2 + 64; the trunk is ResNet-18's of 11 166 976 with the norms of its
    # stem, 128, apart, and a learned PReLU slope for each channel of two activations in each block.
    stem = 64 * 5 * 49 + 3 * 64
    trunk = 11_176_512 - 64 * 3 * 49 - 128 + 2 * 2 * (64 + 128 + 256 + 512)
    assert sum(p.numel() for p in MouthResnetEncoder().parameters()) == stem + trunk


def test_frames_that_are_not_grey_or_too_small_are_named(mouth):
    with pytest.raises(ValueError, match=r"video must be grey \(B, T, H, W\) of at least 16"):
        mouth(torch.rand(1, 3, 5, 88, 88))
    with pytest.raises(ValueError, match=r"got \(1, 5, 8, 88\)"):
        mouth(torch.rand(1, 5, 8, 88))
