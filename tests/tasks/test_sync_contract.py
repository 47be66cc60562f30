"""Test the contract of a sync model on every sync model in the registry.

A new registry row is tested without being added here, with its default config unless `SMALL` has a
smaller one. The constants below name the known exceptions and what those models do instead; a model
that is not named there must keep the whole contract.
"""

import contextlib
import copy
import math
import re
from pathlib import Path
from typing import NamedTuple, get_args

import pytest
import torch
import torch.nn.functional as F
from golden.face_mesh import drawn_face

import avsync
from avsync import weights
from avsync.faces.crops import CropKind
from avsync.tasks import SyncFeatures
from avsync.timing import FPS, FRAME_MS, SAMPLE_RATE

pytestmark = pytest.mark.arithmetic

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
# Small configs of models whose default size would take seconds.
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
# Models that round window starts to a hop of these seconds; the others round to a sample.
HOP_S = {"dense_sync": 0.01, "dense_sync_timm": 0.01, "perfect_match": 0.01}
# Empty `starts_s`, or audio shorter than a window, is refused by a layer, not by `encode_audio`.
UNNAMED = ("dense_sync", "dense_sync_timm")
# Crops of another size than that of the spec are accepted.
ANY_SIZE = ("dense_sync", "vocalist_mc3", "av_syncnet")
# Scores are of the dtype of the embeddings, but at least float32; here they are always float32,
FLOAT32_SCORES = ("av_syncnet",)
# and here bfloat16 for bfloat16 embeddings.
BFLOAT16_SCORES = ("vocalist", "mtdvocalist", "vocalist_mc3", "vocalist_timm")
# The front end runs in float32 and float64 only.
NO_BFLOAT16 = ("dense_sync", "dense_sync_timm", "avst")
# Parameters that scores do not depend on.
UNUSED = {"av_syncnet": ("reader.embedding", "reader.decoder", "reader.classifier")}

WINDOWS, STARTS = 6, 15
# Rows of a score matrix: more pairs than the models that compare in blocks of 256 take at once.
ROWS_COMPARED = 20
# More windows than any model encodes in one block.
LONG = 70


class Case(NamedTuple):
    """A model in eval mode, whose batch norms have seen its inputs, and embeddings of two clips."""

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


def random_frames(spec, batch, count):
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand((batch, 3, count, spec.height, spec.width), generator=generator)
    if spec.crop != "mesh":
        return noise
    # A face, or the mesh network finds none.
    face = torch.from_numpy(drawn_face()).permute(2, 0, 1)
    return 0.7 * face[None, :, None] + 0.3 * noise


def random_audio(batch, seconds):
    generator = torch.Generator().manual_seed(2)
    return 0.1 * torch.randn(batch, math.ceil(seconds * SAMPLE_RATE), generator=generator)


@pytest.fixture(scope="module", params=ROWS)
@torch.no_grad()
def case(request):
    model = small(request.param).train()
    spec = model.spec
    frames = random_frames(spec, 2, WINDOWS + spec.window_frames - 1)
    # A frame apart, and finer.
    before_s = spec.audio_context_s - spec.audio_from_s
    starts_s = 0.5 + max(0.0, before_s) + torch.arange(STARTS) / FPS
    starts_s[1::3] += 0.01
    starts_s[2::3] += 0.03
    wav = random_audio(2, float(starts_s[-1]) + spec.audio_until_s + spec.audio_context_s + 0.5)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # Plain average over all batches.
    model.encode_video(frames)
    model.encode_audio(wav, starts_s)
    model.eval()
    video, audio = model.encode_video(frames), model.encode_audio(wav, starts_s)
    return Case(request.param, model, frames, wav, starts_s, video, audio)


def parts(embeddings):
    """Return the tensors of embeddings: one, or those of a NamedTuple."""
    return (embeddings,) if isinstance(embeddings, torch.Tensor) else tuple(embeddings)


def tree_map(function, embeddings):
    if isinstance(embeddings, torch.Tensor):
        return function(embeddings)
    return type(embeddings)(*map(function, embeddings))


def assert_same(found, expected, embeddings=None):
    """Compare to within a thousandth of the standard deviation of the embeddings."""
    spread = parts(expected if embeddings is None else embeddings)
    for one, other, among in zip(parts(found), parts(expected), spread, strict=True):
        assert one.shape == other.shape
        atol = 1e-3 * float(among.std(correction=0))
        assert atol > 1e-6, "constant embeddings cannot be compared"
        torch.testing.assert_close(one, other, atol=atol, rtol=0)


@torch.no_grad()
def test_every_window_start_has_an_embedding(case):
    for video in parts(case.video):
        assert video.shape[:2] == (2, WINDOWS)
        assert video.isfinite().all()
    for audio in parts(case.audio):
        assert audio.shape[:2] == (2, STARTS)
        assert audio.isfinite().all()
    single = case.model.encode_video(case.frames[:, :, : case.model.spec.window_frames])
    assert all(video.shape[:2] == (2, 1) for video in parts(single))


@torch.no_grad()
def test_a_video_window_depends_on_its_own_frames_only(case):
    for k in (0, 1, WINDOWS // 2, WINDOWS - 1):
        alone = encode_window(case.model, case.frames, k)
        assert_same(alone, tree_map(lambda video, k=k: video[:, k : k + 1], case.video), case.video)


def encode_window(model, frames, k):
    """Encode window k of a clip from its own frames, and those of its context."""
    length, context = model.spec.window_frames, model.spec.context_frames
    low = max(0, k - context)
    video = model.encode_video(frames[:, :, low : k + length + context])
    return tree_map(lambda tensor: tensor[:, k - low : k - low + 1], video)


@torch.no_grad()
def test_a_clip_longer_than_a_block_is_encoded_window_by_window(case):
    length = case.model.spec.window_frames
    frames = random_frames(case.model.spec, 1, LONG + length - 1)
    embeddings = case.model.encode_video(frames)
    assert all(video.shape[:2] == (1, LONG) for video in parts(embeddings))
    # Both sides of block boundaries at 16, 32 and 64.
    for k in (0, 15, 16, 31, 32, 63, 64, LONG - 1):
        alone = encode_window(case.model, frames, k)
        assert_same(alone, tree_map(lambda video, k=k: video[:, k : k + 1], embeddings), embeddings)


@torch.no_grad()
def test_an_audio_window_depends_on_its_own_samples_only(case):
    spec = case.model.spec
    index = 6  # One that starts on a frame.
    start_s = float(case.starts_s[index])
    low = round((start_s + spec.audio_from_s - spec.audio_context_s) * SAMPLE_RATE)
    length_s = spec.audio_until_s - spec.audio_from_s + 2 * spec.audio_context_s
    high = low + round(length_s * SAMPLE_RATE)
    # Other audio, and louder: clip-wide statistics must not matter either.
    other = 10 * case.wav.flip(1)
    outside, inside = other.clone(), case.wav.clone()
    outside[:, low:high] = case.wav[:, low:high]
    inside[:, low:high] = other[:, low:high]
    expected = tree_map(lambda audio: audio[:, index : index + 1], case.audio)
    start_s = case.starts_s[index : index + 1]
    assert_same(case.model.encode_audio(outside, start_s), expected, case.audio)
    with pytest.raises(AssertionError, match="not close"):
        assert_same(case.model.encode_audio(inside, start_s), expected, case.audio)


@torch.no_grad()
def test_audio_embeddings_do_not_depend_on_the_order_of_starts(case):
    order = torch.tensor([3, 1, 0, 3, STARTS - 1])
    together = case.model.encode_audio(case.wav, case.starts_s[order])
    assert_same(together, tree_map(lambda audio: audio[:, order], case.audio), case.audio)
    for index in (0, 1, STARTS - 1):
        alone = case.model.encode_audio(case.wav, case.starts_s[index : index + 1])
        expected = tree_map(lambda audio, p=index: audio[:, p : p + 1], case.audio)
        assert_same(alone, expected, case.audio)
    # 10 ms later is another embedding: sub-frame offsets rely on it.
    later = case.model.encode_audio(case.wav, case.starts_s[:1] + 0.01)
    with pytest.raises(AssertionError, match="not close"):
        assert_same(later, tree_map(lambda audio: audio[:, :1], case.audio), case.audio)


# 7040 samples are a whole number of hops but not of frames, 7001 of neither.
@pytest.mark.parametrize("cut", [3200, 7001, 7040])
@torch.no_grad()
def test_audio_embeddings_do_not_depend_on_where_the_waveform_starts(case, cut):
    hop_s = HOP_S.get(case.name, 1 / SAMPLE_RATE)
    if not math.isclose(cut / SAMPLE_RATE / hop_s, round(cut / SAMPLE_RATE / hop_s)):
        pytest.skip("starts are rounded to a hop")
    starts_s = torch.tensor([0.5, 0.731]) + 7040 / SAMPLE_RATE + case.model.spec.audio_context_s
    cut_s = cut / SAMPLE_RATE
    later = case.model.encode_audio(case.wav[:, cut:], starts_s - cut_s)
    assert_same(later, case.model.encode_audio(case.wav, starts_s), case.audio)


@torch.no_grad()
def test_an_audio_window_needs_exactly_the_samples_of_its_spec(case):
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
def test_empty_starts_are_refused(case):
    if case.name in UNNAMED:
        pytest.skip("refused by a layer")
    with pytest.raises(ValueError, match=r"starts_s must leave .*, got none"):
        case.model.encode_audio(case.wav, case.starts_s[:0])


@torch.no_grad()
def test_items_of_a_batch_do_not_mix(case):
    for i in (0, 1):
        video = case.model.encode_video(case.frames[i : i + 1])
        assert_same(video, tree_map(lambda both, i=i: both[i : i + 1], case.video))
        audio = case.model.encode_audio(case.wav[i : i + 1], case.starts_s)
        assert_same(audio, tree_map(lambda both, i=i: both[i : i + 1], case.audio))


@torch.no_grad()
def test_compare_broadcasts_and_equals_pairwise_scores(case):
    compare = case.model.compare
    rows = torch.arange(ROWS_COMPARED) % WINDOWS
    video = tree_map(lambda both: both[0, rows], case.video)
    audio = tree_map(lambda both: both[0], case.audio)
    table = compare(tree_map(lambda v: v[:, None], video), tree_map(lambda a: a[None], audio))
    assert table.shape == (ROWS_COMPARED, STARTS)
    torch.testing.assert_close(table[WINDOWS : 2 * WINDOWS], table[:WINDOWS])
    # (W, 1) against (W, K), as the scoring engine calls it.
    index = (torch.arange(ROWS_COMPARED)[:, None] + torch.arange(4)) % STARTS
    own = compare(tree_map(lambda v: v[:, None], video), tree_map(lambda a: a[index], audio))
    assert_same(own, table.gather(1, index), table)
    # Pairwise.
    pairs = compare(tree_map(lambda v: v[:STARTS], video), audio)
    assert_same(pairs, table.diagonal(), table)
    last = compare(tree_map(lambda v: v[-1:], video), tree_map(lambda a: a[-1:], audio))
    assert_same(last, table[-1, -1:], table)
    # With a batch axis in front.
    both = compare(
        tree_map(lambda v: v[:, :3, None], case.video), tree_map(lambda a: a[:, None], case.audio)
    )
    assert_same(both[0], table[:3], table)
    assert both.shape == (2, 3, STARTS)


def test_the_spec_is_consistent(case):
    spec = case.model.spec
    assert spec.crop in get_args(CropKind)
    assert (spec.fps, spec.sample_rate) == (FPS, SAMPLE_RATE)
    assert spec.window_frames >= 1 and spec.audio_from_s < spec.audio_until_s
    assert FRAME_MS % spec.step_ms == 0
    assert spec.out_of_range_s >= 0 and spec.context_frames >= 0 and spec.audio_context_s >= 0
    assert not spec.lower_half or spec.width == 2 * spec.height


@torch.no_grad()
def test_frames_of_another_shape_are_refused_with_the_shape(case):
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
def test_a_crop_of_another_size_is_refused_with_the_size(case, more):
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
def test_float64_is_kept_and_agrees_with_float32(case):
    model = copy.deepcopy(case.model).double()
    video = encode_window(model, case.frames[:1].double(), 0)
    audio = model.encode_audio(case.wav[:1].double(), case.starts_s[:1])
    scores = model.compare(video, audio)
    assert all(embeddings.dtype == torch.float64 for embeddings in (*parts(video), *parts(audio)))
    assert scores.dtype == (torch.float32 if case.name in FLOAT32_SCORES else torch.float64)
    known = [tree_map(lambda both: both[:1, :1], stream) for stream in (case.video, case.audio)]
    assert all(
        embeddings.dtype == torch.float32 for stream in known for embeddings in parts(stream)
    )
    for found, expected, among in zip((video, audio), known, (case.video, case.audio), strict=True):
        assert_same(tree_map(torch.Tensor.float, found), expected, among)
    expected = case.model.compare(*known)
    assert expected.dtype == torch.float32
    torch.testing.assert_close(scores.float(), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_bfloat16_weights_take_float32_audio_and_give_float32_scores(case):
    if case.name in NO_BFLOAT16:
        pytest.skip("the front end takes float32 and float64 only")
    model = copy.deepcopy(case.model).bfloat16()
    audio = model.encode_audio(case.wav, case.starts_s)
    video = model.encode_video(case.frames.bfloat16())
    for found, expected in ((audio, case.audio), (video, case.video)):
        for one, other in zip(parts(found), parts(expected), strict=True):
            assert one.dtype == torch.bfloat16
            error = (one.float() - other).abs().mean() / other.std()
            assert error < 0.2, error
    scores = model.compare(video, tree_map(lambda a: a[:, :WINDOWS], audio))
    assert scores.dtype == (torch.bfloat16 if case.name in BFLOAT16_SCORES else torch.float32)


@torch.no_grad()
def test_results_are_on_the_device_of_the_input(case, monkeypatch):
    # A tensor left on the CPU fails with one of the meta device, which autocast does not support.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    model = copy.deepcopy(case.model).to("meta")
    wav = case.wav.to("meta")
    video = model.encode_video(case.frames.to("meta"))
    audio = model.encode_audio(wav, case.starts_s)
    embeddings = [*parts(video), *parts(audio)]
    if hasattr(model, "window_features"):
        windows = model.encode_features(model.window_features(wav, 2).flatten(0, 1))
        embeddings += parts(windows)
    scores = model.compare(video, tree_map(lambda a: a[:, :WINDOWS], audio))
    assert {tensor.device.type for tensor in (*embeddings, scores)} == {"meta"}


def test_gradients_reach_every_parameter(case):
    model = small(case.name).train()
    video = model.encode_video(case.frames)
    audio = model.encode_audio(case.wav, case.starts_s[:4])
    one, other = tree_map(lambda v: v[:, :, None], video), tree_map(lambda a: a[:, None], audio)
    scores = model.compare(one, other)
    assert scores.shape == (2, WINDOWS, 4)
    scores.square().sum().backward()
    unused = UNUSED.get(case.name, ())
    reached = {n: p.grad for n, p in model.named_parameters() if not n.startswith(unused)}
    assert [name for name, grad in reached.items() if grad is None] == []
    assert all(grad.isfinite().all() for grad in reached.values())


def test_a_frozen_model_passes_gradients_to_video_and_audio(case):
    expert = avsync.SyncExpert(copy.deepcopy(case.model), max_shift=1)
    length = case.model.spec.window_frames + 1
    frames = case.frames[:, :, :length].clone().requires_grad_()
    wav = random_audio(2, (length + 2) / FPS).requires_grad_()
    expert(frames, wav, start_s=1 / FPS).backward()
    assert frames.grad.isfinite().all() and wav.grad.isfinite().all()
    # Of two channels, none may be active in a window's first or last frame.
    assert (frames.grad[:, :, 1:-1].abs().amax((1, 3, 4)) > 0).all()
    assert (wav.grad.abs().amax(1) > 0).all()


@torch.no_grad()
def test_features_of_a_clip_are_those_of_its_windows_with_silence_around_it(case):
    features, total = SyncFeatures(case.model), case.frames.shape[2]
    wav = case.wav[:, : total * SAMPLE_RATE // FPS]
    found = features(case.frames, wav)
    assert found.video.shape == found.audio.shape == (2, WINDOWS, features.num_features)
    torch.testing.assert_close(
        found.times_s, (torch.arange(WINDOWS) + case.model.spec.window_frames / 2) / FPS
    )
    assert min(stream.std() for stream in found[:2]) > 1e-4
    if not isinstance(case.video, torch.Tensor) or case.video.ndim != 3:
        return
    assert_same(found.video, case.video)
    silence_s = 2.0 + case.model.spec.audio_context_s
    # Whole hops of the model before the first window.
    silence_s = math.ceil((silence_s - case.model.spec.audio_from_s) * 100) / 100
    around = F.pad(wav, [round(silence_s * SAMPLE_RATE)] * 2)
    starts_s = silence_s + torch.arange(WINDOWS) / FPS
    assert_same(found.audio, case.model.encode_audio(around, starts_s))


@torch.no_grad()
def test_analyses_of_parts_of_a_clip_give_its_embeddings(case):
    if not hasattr(case.model, "analyse_frames"):
        pytest.skip("no analyse_frames")
    frames = (255 * case.frames).round().byte()
    found = [case.model.analyse_frames(part) for part in frames.split(3, 2)]
    analysis = type(found[0])(*(torch.cat(tensors, 1) for tensors in zip(*found, strict=True)))
    video, expected = (
        case.model.encode_video(frames, analysis),
        case.model.encode_video(frames / 255),
    )
    assert video.abs().max() > 0
    torch.testing.assert_close(video, expected, atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_frames_that_are_not_analysed_are_interpolated(case):
    if not hasattr(case.model, "analyse_frames"):
        pytest.skip("no analyse_frames")
    # Of a still image, what is interpolated is what would have been found.
    frames = (255 * case.frames[:, :, :1]).round().byte().expand_as(case.frames)
    chosen = torch.arange(frames.shape[2]) % case.model.analysis_stride == 0
    chosen[-1] = True
    assert not chosen.all()
    video = case.model.encode_video(frames, case.model.analyse_frames(frames, chosen))
    expected = case.model.encode_video(frames, case.model.analyse_frames(frames))
    assert expected.abs().max() > 0
    torch.testing.assert_close(video, expected, atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_saved_weights_give_the_same_embeddings(case, tmp_path):
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
def test_a_clip_shorter_than_its_windows_is_refused_with_its_length(case):
    if not hasattr(case.model, "window_features"):
        pytest.skip("no window_features")
    frames = case.model.spec.window_frames
    with pytest.raises(
        ValueError, match=rf"wav must hold 30 windows of {frames} frames, got 1.000 s"
    ):
        case.model.window_features(torch.zeros(1, SAMPLE_RATE), 30)


@torch.no_grad()
def test_forward_equals_comparing_embeddings(case):
    if not hasattr(case.model, "window_features"):
        pytest.skip("no window_features")
    model, length = case.model, case.model.spec.window_frames
    frames = torch.cat([case.frames[:1, :, k : k + length] for k in range(WINDOWS)])
    features = model.window_features(case.wav[:1], WINDOWS)[0]
    scores = model(frames, features)
    assert scores.shape == (WINDOWS,)
    video = tree_map(lambda embeddings: embeddings[:, 0], model.encode_video(frames))
    torch.testing.assert_close(
        scores, model.compare(video, model.encode_features(features)), atol=1e-5, rtol=1e-5
    )
    assert scores.std() > 1e-4
    # Features may have a channel axis.
    torch.testing.assert_close(model(frames, features[:, None]), scores)


@pytest.mark.parametrize("name", ROWS)
def test_its_docs_page_exists(name):
    named = re.findall(r"docs/([\w/]+\.md)", ROWS[name].licence)
    pages = [DOCS / page for page in named] or list(DOCS.rglob(f"{name}.md"))
    assert pages, f"no page docs/{name}.md"
    assert all(name in page.read_text(encoding="utf-8") for page in pages)
