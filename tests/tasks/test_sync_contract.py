"""The contract of a sync model, asked of every one in the registry: a new row is tested by being
there, with its default config unless `SMALL` has another.

A model that keeps less of the contract than the others is named, with what it does instead, in the
constants below; one that is not named there keeps all of it.
"""

import contextlib
import copy
import math
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import avsync
from avsync import weights
from avsync.timing import FPS, FRAME_MS, SAMPLE_RATE

DOCS = Path(__file__).parents[2] / "docs"
ROWS = {row.name: row for row in avsync.list_models() if row.job == "sync"}
CHANNELS = [2, 2, 3, 4, 16]
STREAMS = {"lip_channels": [2, 3, 4], "mfcc_channels": [2, 3, 4, 4, 5], "dim": 6}
MEL = {"dim": 16, "mel_channels": [4, 8, 8, 8, 16], "n_mels": 32, "crop_size": 40}
READER = {
    "encoder": {
        "dim": 12,
        "depth": 2,
        "heads": 2,
        "ffn": 16,
        "channels": [3, 4, 5, 6],
        "position_frames": 5,
        "dropout": 0.0,
    },
    "decoder_depth": 1,
    "crop_size": 24,
}
# Configs of models that would take seconds at their default size.
SMALL = {
    "dense_sync": {**MEL, "mouth_channels": [4, 8, 8, 16]},
    "vocalist": {"channels": CHANNELS, "depth": 2, "heads": 2},
    "mtdvocalist": {"channels": CHANNELS, "depth": 2, "heads": 2},
    "syncnet": {**STREAMS, "size": 64, "crop": "face"},
    "lip_expert": {"channels": [2, 3, 4, 5, 6]},
    "perfect_match": {**STREAMS, "size": 64, "crop": "face"},
    "avst": {
        "visual_channels": [2, 3, 4, 8],
        "audio_channels": [2, 3, 4, 4, 8],
        "size": 32,
        "heads": 2,
    },
    "vocalist_mc3": {"visual_channels": [2, 4, 16], "channels": CHANNELS, "depth": 1, "heads": 2},
    "vocalist_timm": {"backbone": "test_resnet", "channels": CHANNELS, "depth": 1, "heads": 2},
    "dense_sync_timm": {**MEL, "backbone": "test_resnet"},
    "av_syncnet": {"reader": READER, "window": 5},
}
# Starts are rounded to a hop, of features of the waveform as a whole; elsewhere to a sample.
HOP_S = {"dense_sync": 0.01, "dense_sync_timm": 0.01, "perfect_match": 0.01}
# No starts at all, and less audio than one window's, fail in a layer, in its words.
UNNAMED = ("dense_sync", "dense_sync_timm")
# Crops of another size than that of the spec are taken.
ANY_SIZE = ("dense_sync", "vocalist_mc3", "av_syncnet")
# Scores are float32 whatever the dtype of the weights; those of the others below are bfloat16.
FLOAT32_SCORES = ("av_syncnet",)
BFLOAT16_SCORES = ("vocalist", "mtdvocalist", "vocalist_mc3", "vocalist_timm")
# The front end works in float32 and float64 alone.
NO_BFLOAT16 = ("dense_sync", "dense_sync_timm", "avst")
# Weights that no score depends on.
BESIDE = {"av_syncnet": ("reader.embedding", "reader.decoder", "reader.classifier")}

WINDOWS, STARTS = 6, 15
# Of windows in a table of pairs: enough for two blocks of the models that compare 256 at a time.
ROWS_COMPARED = 20
# More windows than any model encodes together.
LONG = 70


class Case(NamedTuple):
    """A model in float32 whose batch norms know what they will be given, and the entries of two
    clips."""

    name: str
    model: torch.nn.Module
    frames: torch.Tensor
    wav: torch.Tensor
    starts_s: torch.Tensor
    video: object
    audio: object


def small(name):
    torch.manual_seed(0)
    return avsync.create_model(name, config=SMALL.get(name, {}))


def pictures(spec, batch, count):
    generator = torch.Generator().manual_seed(1)
    return torch.rand((batch, 3, count, spec.height, spec.width), generator=generator)


def sound(batch, seconds):
    generator = torch.Generator().manual_seed(2)
    return 0.1 * torch.randn(batch, math.ceil(seconds * SAMPLE_RATE), generator=generator)


@pytest.fixture(scope="module", params=ROWS)
@torch.no_grad()
def case(request):
    model = small(request.param).train()
    spec = model.spec
    frames = pictures(spec, 2, WINDOWS + spec.window_frames - 1)
    # A frame apart, and finer.
    starts_s = 0.5 - min(0.0, spec.audio_from_s) + torch.arange(STARTS) / FPS
    starts_s[1::3] += 0.01
    starts_s[2::3] += 0.03
    wav = sound(2, float(starts_s[-1]) + spec.audio_until_s + 0.5)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # The statistics are those of all there was.
    model.encode_video(frames)
    model.encode_audio(wav, starts_s)
    model.eval()
    video, audio = model.encode_video(frames), model.encode_audio(wav, starts_s)
    return Case(request.param, model, frames, wav, starts_s, video, audio)


def parts(embeddings):
    """Entries are a tensor, or a NamedTuple of tensors with the same leading axes."""
    return (embeddings,) if isinstance(embeddings, torch.Tensor) else tuple(embeddings)


def mapped(function, embeddings):
    if isinstance(embeddings, torch.Tensor):
        return function(embeddings)
    return type(embeddings)(*map(function, embeddings))


def assert_same(found, expected, embeddings=None):
    """Equal to a thousandth of how much the entries differ from each other."""
    spread = parts(expected if embeddings is None else embeddings)
    for one, other, among in zip(parts(found), parts(expected), spread, strict=True):
        assert one.shape == other.shape
        atol = 1e-3 * float(among.std(correction=0))
        assert atol > 1e-6, "entries that are all but the same show nothing"
        torch.testing.assert_close(one, other, atol=atol, rtol=0)


@torch.no_grad()
def test_every_window_start_has_an_entry(case):
    for video in parts(case.video):
        assert video.shape[:2] == (2, WINDOWS)
        assert video.isfinite().all()
    for audio in parts(case.audio):
        assert audio.shape[:2] == (2, STARTS)
        assert audio.isfinite().all()
    single = case.model.encode_video(case.frames[:, :, : case.model.spec.window_frames])
    assert all(video.shape[:2] == (2, 1) for video in parts(single))


@torch.no_grad()
def test_a_window_of_pictures_depends_on_its_own_frames_alone(case):
    length = case.model.spec.window_frames
    for k in (0, 1, WINDOWS // 2, WINDOWS - 1):
        alone = case.model.encode_video(case.frames[:, :, k : k + length])
        assert_same(alone, mapped(lambda video, k=k: video[:, k : k + 1], case.video), case.video)


@torch.no_grad()
def test_a_clip_longer_than_a_block_is_encoded_window_by_window(case):
    length = case.model.spec.window_frames
    frames = pictures(case.model.spec, 1, LONG + length - 1)
    embeddings = case.model.encode_video(frames)
    assert all(video.shape[:2] == (1, LONG) for video in parts(embeddings))
    # To either side of the ends of blocks of 16, 32 and 64.
    for k in (0, 15, 16, 31, 32, 63, 64, LONG - 1):
        alone = case.model.encode_video(frames[:, :, k : k + length])
        assert_same(alone, mapped(lambda video, k=k: video[:, k : k + 1], embeddings), embeddings)


@torch.no_grad()
def test_sound_outside_the_window_does_not_matter_and_sound_inside_does(case):
    spec = case.model.spec
    place = 6  # One that begins on a frame.
    start_s = float(case.starts_s[place])
    low = round((start_s + spec.audio_from_s) * SAMPLE_RATE)
    high = low + round((spec.audio_until_s - spec.audio_from_s) * SAMPLE_RATE)
    outside, inside = case.wav.flip(1), case.wav.clone()
    outside[:, low:high] = case.wav[:, low:high]
    inside[:, low:high] = case.wav.flip(1)[:, low:high]
    expected = mapped(lambda audio: audio[:, place : place + 1], case.audio)
    start_s = case.starts_s[place : place + 1]
    assert_same(case.model.encode_audio(outside, start_s), expected, case.audio)
    with pytest.raises(AssertionError, match="not close"):
        assert_same(case.model.encode_audio(inside, start_s), expected, case.audio)


@torch.no_grad()
def test_entries_belong_to_their_start_in_any_order_and_between_frames(case):
    order = torch.tensor([3, 1, 0, 3, STARTS - 1])
    together = case.model.encode_audio(case.wav, case.starts_s[order])
    assert_same(together, mapped(lambda audio: audio[:, order], case.audio), case.audio)
    for place in (0, 1, STARTS - 1):
        alone = case.model.encode_audio(case.wav, case.starts_s[place : place + 1])
        expected = mapped(lambda audio, p=place: audio[:, p : p + 1], case.audio)
        assert_same(alone, expected, case.audio)
    # A hundredth of a second is heard: it is what offsets finer than a frame are told by.
    later = case.model.encode_audio(case.wav, case.starts_s[:1] + 0.01)
    with pytest.raises(AssertionError, match="not close"):
        assert_same(later, mapped(lambda audio: audio[:, :1], case.audio), case.audio)


# 7040 samples: whole hops, but no whole number of frames. 7001: not even these.
@pytest.mark.parametrize("cut", [3200, 7001, 7040])
@torch.no_grad()
def test_entries_belong_to_their_start_wherever_the_sound_was_cut(case, cut):
    hop_s = HOP_S.get(case.name, 1 / SAMPLE_RATE)
    if not math.isclose(cut / SAMPLE_RATE / hop_s, round(cut / SAMPLE_RATE / hop_s)):
        pytest.skip("starts are rounded to a hop")
    # Starts that are no multiple of anything are still rounded the same way.
    starts_s = torch.tensor([0.5, 0.731]) + 7040 / SAMPLE_RATE
    cut_s = cut / SAMPLE_RATE
    later = case.model.encode_audio(case.wav[:, cut:], starts_s - cut_s)
    assert_same(later, case.model.encode_audio(case.wav, starts_s), case.audio)


@torch.no_grad()
def test_a_window_needs_exactly_the_sound_it_declares(case):
    spec, encode = case.model.spec, case.model.encode_audio
    samples = round((spec.audio_until_s - spec.audio_from_s) * SAMPLE_RATE)
    start_s = torch.tensor([-spec.audio_from_s])
    wav = case.wav[:1]
    embeddings = encode(wav[:, :samples], start_s)
    assert all(audio.shape[:2] == (1, 1) for audio in parts(embeddings))
    assert all(audio.isfinite().all() for audio in parts(encode(0 * wav[:, :samples], start_s)))
    refused = "starts_s must leave each window's audio, .* inside wav of .* s, got"
    with pytest.raises(ValueError, match=refused):
        encode(wav[:, :samples], start_s - 0.01)
    with pytest.raises(ValueError, match=refused):
        encode(wav[:, : 1600 + samples - 1], start_s + 0.1)
    with pytest.raises(ValueError, match="got" if case.name in UNNAMED else refused):
        encode(wav[:, : samples - 1], start_s)


@torch.no_grad()
def test_no_starts_at_all_are_refused(case):
    if case.name in UNNAMED:
        pytest.skip("fails in a layer")
    with pytest.raises(ValueError, match=r"starts_s must leave .*, got none"):
        case.model.encode_audio(case.wav, case.starts_s[:0])


@torch.no_grad()
def test_items_of_a_batch_do_not_mix(case):
    for i in (0, 1):
        video = case.model.encode_video(case.frames[i : i + 1])
        assert_same(video, mapped(lambda both, i=i: both[i : i + 1], case.video))
        audio = case.model.encode_audio(case.wav[i : i + 1], case.starts_s)
        assert_same(audio, mapped(lambda both, i=i: both[i : i + 1], case.audio))


@torch.no_grad()
def test_leading_axes_broadcast_and_give_the_scores_of_pairs(case):
    compare = case.model.compare
    rows = torch.arange(ROWS_COMPARED) % WINDOWS
    video = mapped(lambda both: both[0, rows], case.video)
    audio = mapped(lambda both: both[0], case.audio)
    table = compare(mapped(lambda v: v[:, None], video), mapped(lambda a: a[None], audio))
    assert table.shape == (ROWS_COMPARED, STARTS)
    torch.testing.assert_close(table[WINDOWS : 2 * WINDOWS], table[:WINDOWS])
    # Each window with candidates of its own, as the engine asks.
    index = (torch.arange(ROWS_COMPARED)[:, None] + torch.arange(4)) % STARTS
    own = compare(mapped(lambda v: v[:, None], video), mapped(lambda a: a[index], audio))
    assert_same(own, table.gather(1, index), table)
    # One by one.
    pairs = compare(mapped(lambda v: v[:STARTS], video), audio)
    assert_same(pairs, table.diagonal(), table)
    last = compare(mapped(lambda v: v[-1:], video), mapped(lambda a: a[-1:], audio))
    assert_same(last, table[-1, -1:], table)
    # With a batch axis before both.
    both = compare(
        mapped(lambda v: v[:, :3, None], case.video), mapped(lambda a: a[:, None], case.audio)
    )
    assert_same(both[0], table[:3], table)
    assert both.shape == (2, 3, STARTS)


def test_the_spec_can_be_fed(case):
    spec = case.model.spec
    assert spec.crop in ("mouth", "face", "head")
    assert (spec.fps, spec.sample_rate) == (FPS, SAMPLE_RATE)
    assert spec.window_frames >= 1 and spec.audio_from_s < spec.audio_until_s
    assert FRAME_MS % spec.step_ms == 0
    assert spec.far_s >= 0
    # A lower half is half of a square.
    assert not spec.lower_half or spec.width == 2 * spec.height


@torch.no_grad()
def test_frames_of_another_shape_are_refused_by_name(case):
    spec = case.model.spec
    length, high, wide = spec.window_frames, spec.height, spec.width
    for shape in ((3, length, high, wide), (1, 1, length, high, wide), (1, length, 3, high, wide)):
        with pytest.raises(ValueError, match=r"frames must be \(B, 3, T.*\), got \("):
            case.model.encode_video(torch.zeros(shape))
    short = (1, 3, length - 1, high, wide)
    named = rf"frames must be \(B, 3, T >= {length}, .*\), got {re.escape(str(short))}"
    with pytest.raises(ValueError, match=named):
        case.model.encode_video(torch.zeros(short))


@torch.no_grad()
@pytest.mark.parametrize("more", [(8, 0), (0, 8)])
def test_a_crop_of_another_size_is_refused_by_name(case, more):
    spec = case.model.spec
    shape = (1, 3, spec.window_frames, spec.height + more[0], spec.width + more[1])
    if case.name in ANY_SIZE:
        embeddings = parts(case.model.encode_video(torch.zeros(shape)))
        assert [e.shape[2:] for e in embeddings] == [e.shape[2:] for e in parts(case.video)]
        return
    size = rf"{spec.height}, {spec.width}\), got {re.escape(str(shape))}"
    with pytest.raises(ValueError, match=rf"frames must be \(B, 3, T.*, {size}"):
        case.model.encode_video(torch.zeros(shape))


@torch.no_grad()
def test_float64_goes_all_the_way_and_agrees_with_float32(case):
    model = copy.deepcopy(case.model).double()
    frames = case.frames[:1, :, : case.model.spec.window_frames].double()
    video = model.encode_video(frames)
    audio = model.encode_audio(case.wav[:1].double(), case.starts_s[:1])
    scores = model.compare(video, audio)
    assert all(embeddings.dtype == torch.float64 for embeddings in (*parts(video), *parts(audio)))
    assert scores.dtype == (torch.float32 if case.name in FLOAT32_SCORES else torch.float64)
    known = [mapped(lambda both: both[:1, :1], each) for each in (case.video, case.audio)]
    assert all(embeddings.dtype == torch.float32 for each in known for embeddings in parts(each))
    for found, expected, among in zip((video, audio), known, (case.video, case.audio), strict=True):
        assert_same(mapped(torch.Tensor.float, found), expected, among)
    expected = case.model.compare(*known)
    assert expected.dtype == torch.float32
    torch.testing.assert_close(scores.float(), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_half_precision_weights_take_float32_sound_and_give_precise_scores(case):
    if case.name in NO_BFLOAT16:
        pytest.skip("the front end takes float32 and float64 alone")
    model = copy.deepcopy(case.model).bfloat16()
    audio = model.encode_audio(case.wav, case.starts_s)
    video = model.encode_video(case.frames.bfloat16())
    for found, expected in ((audio, case.audio), (video, case.video)):
        for one, other in zip(parts(found), parts(expected), strict=True):
            assert one.dtype == torch.bfloat16
            far = (one.float() - other).abs().mean() / other.std()
            assert far < 0.2, far
    scores = model.compare(video, mapped(lambda a: a[:, :WINDOWS], audio))
    assert scores.dtype == (torch.bfloat16 if case.name in BFLOAT16_SCORES else torch.float32)


@torch.no_grad()
def test_all_work_stays_on_the_device_of_the_input(case, monkeypatch):
    # A tensor left on the CPU cannot meet one of the meta device, of which autocast knows nothing.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    model = copy.deepcopy(case.model).to("meta")
    wav = case.wav.to("meta")
    video = model.encode_video(case.frames.to("meta"))
    audio = model.encode_audio(wav, case.starts_s)
    embeddings = [*parts(video), *parts(audio)]
    if hasattr(model, "window_features"):
        windows = model.encode_features(model.window_features(wav, 2).flatten(0, 1))
        embeddings += parts(windows)
    scores = model.compare(video, mapped(lambda a: a[:, :WINDOWS], audio))
    assert {each.device.type for each in (*embeddings, scores)} == {"meta"}


def test_gradients_reach_every_weight_through_all_pairs(case):
    model = small(case.name).train()
    video = model.encode_video(case.frames)
    audio = model.encode_audio(case.wav, case.starts_s[:4])
    one, other = mapped(lambda v: v[:, :, None], video), mapped(lambda a: a[:, None], audio)
    scores = model.compare(one, other)
    assert scores.shape == (2, WINDOWS, 4)
    scores.square().sum().backward()
    beside = BESIDE.get(case.name, ())
    reached = {n: p.grad for n, p in model.named_parameters() if not n.startswith(beside)}
    assert [name for name, grad in reached.items() if grad is None] == []
    assert all(grad.isfinite().all() for grad in reached.values())


@torch.no_grad()
def test_weights_make_a_round_trip(case, tmp_path):
    path = tmp_path / "model.safetensors"
    weights.save(path, case.model.state_dict(), SMALL.get(case.name, {}))
    again = avsync.create_model(case.name, weights=path)
    assert not again.training and again.spec == case.model.spec
    assert_equal(again.encode_video(case.frames), case.video)
    assert_equal(again.encode_audio(case.wav, case.starts_s), case.audio)


def assert_equal(found, expected):
    for one, other in zip(parts(found), parts(expected), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


@torch.no_grad()
def test_a_clip_too_short_for_its_windows_is_named(case):
    if not hasattr(case.model, "window_features"):
        pytest.skip("has no published evaluation")
    frames = case.model.spec.window_frames
    with pytest.raises(
        ValueError, match=rf"wav must hold 30 windows of {frames} frames, got 1.000 s"
    ):
        case.model.window_features(torch.zeros(1, SAMPLE_RATE), 30)


@torch.no_grad()
def test_forward_scores_windows_as_their_entries_compare(case):
    if not hasattr(case.model, "window_features"):
        pytest.skip("has no published evaluation")
    model, length = case.model, case.model.spec.window_frames
    frames = torch.cat([case.frames[:1, :, k : k + length] for k in range(WINDOWS)])
    features = model.window_features(case.wav[:1], WINDOWS)[0]
    scores = model(frames, features)
    assert scores.shape == (WINDOWS,)
    video = mapped(lambda embeddings: embeddings[:, 0], model.encode_video(frames))
    torch.testing.assert_close(
        scores, model.compare(video, model.encode_features(features)), atol=1e-5, rtol=1e-5
    )
    assert scores.std() > 1e-4
    # With a channel axis, as others have it, too.
    torch.testing.assert_close(model(frames, features[:, None]), scores)


@pytest.mark.parametrize("name", ROWS)
def test_a_page_of_the_docs_tells_of_it(name):
    named = re.findall(r"docs/([\w/]+\.md)", ROWS[name].licence)
    pages = [DOCS / page for page in named] or list(DOCS.rglob(f"{name}.md"))
    assert pages, f"no page docs/{name}.md"
    assert all(name in page.read_text(encoding="utf-8") for page in pages)
