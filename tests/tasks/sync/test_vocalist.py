from typing import NamedTuple

import pytest
import torch
from einops import rearrange
from golden.float64 import FLOAT64_ONLY, float64_throughout
from golden.recipe import numbers
from golden.vocalists import (
    FLOAT32_INSIDE,
    POSITION_STEP,
    golden_inputs,
    golden_model,
)

from avsync.encoders.conv_block import ConvBlock, fold_batch_norms
from avsync.scoring.embeddings import tree_map
from avsync.tasks.sync.vocalist import VocalistConfig, build_vocalist
from avsync.timing import SAMPLE_RATE

pytestmark = pytest.mark.arithmetic

# In float32 all cases always run; in float64, which takes ten times as long, only the first.
OTHERS = ("T25", "T5_M80", "T5_M20", "T16_M16")
CASES = ("T5", *(pytest.param(case, marks=pytest.mark.slow) for case in OTHERS))
# Names in the reference of the modules whose outputs are recorded.
STAGES = {
    "vid_prenet": "visual.blocks",
    "aud_prenet": "audio.blocks",
    "av_transformer": "audio_to_video",
    "va_transformer": "video_to_audio",
    "mem_transformer": "fusion",
    "fc": "fc",
}
TINY = VocalistConfig(channels=(2, 2, 3, 4, 16), depth=2, heads=2)


@pytest.fixture(scope="module", params=["vocalist", "mtdvocalist"])
def exact(request):
    """A model with golden weights in float64, and its name."""
    return golden_model(request.param, torch.float64), request.param


class Encoded(NamedTuple):
    """A golden case, encoded by a model in float64.

    Args:
        model: the model.
        name: its name.
        case: name of the case.
        tokens: tokens of the frames and of the mel.
        stages: statistics of every stage of the encoders.
    """

    model: torch.nn.Module
    name: str
    case: str
    tokens: tuple[torch.Tensor, torch.Tensor]
    stages: dict[str, list[float]]


@pytest.fixture(scope="module", params=CASES)
def encoded(exact, request):
    """Run the encoders once for both arithmetics, as they have no float32 step."""
    model, name = exact
    inputs = golden_inputs(name, request.param, torch.float64)
    tokens, stages = watched(model, lambda: model.tokens(*inputs))
    return Encoded(model, name, request.param, tokens, stages)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build_vocalist(TINY).eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vocalist", "mtdvocalist"])
def test_float32_logits_are_the_references(name):
    model = golden_model(name, torch.float32)
    known = numbers(f"golden_{name}")
    assert sum(p.numel() for p in model.parameters()) == known["params"]
    for case, values in known["cases"].items():
        with torch.inference_mode():
            logits = model(*golden_inputs(name, case, torch.float32))
        expected = torch.tensor(values["float32"])
        torch.testing.assert_close(logits, expected, atol=5e-6, rtol=0, msg=case)


def test_float64_logits_and_every_stage_are_the_references(encoded):
    known = numbers(f"golden_{encoded.name}")["cases"][encoded.case]
    logits, stages = watched(encoded.model, lambda: encoded.model.join(*encoded.tokens))
    expected = torch.tensor(known["float64"], dtype=torch.float64)
    torch.testing.assert_close(logits, expected, atol=FLOAT32_INSIDE, rtol=0)
    # Tokens as far off as their positions may be; their sum by the square root of their count.
    count = max(t.shape[1] for t in encoded.tokens) * logits.numel() * encoded.tokens[0].shape[-1]
    for stage, figures in (encoded.stages | stages).items():
        wanted = known["stages"][stage]
        if "prenet" in stage:
            assert figures == pytest.approx(wanted, abs=1e-9, rel=1e-9), stage
        else:
            assert figures[:2] == pytest.approx(wanted[:2], abs=POSITION_STEP), stage
            assert figures[2] == pytest.approx(wanted[2], abs=POSITION_STEP * count**0.5), stage
    assert encoded.stages.keys() | stages.keys() == known["stages"].keys() - {"activ1"}


def test_without_float32_steps_logits_and_every_stage_are_the_references(encoded):
    known = numbers("golden_float64")[encoded.name][encoded.case]
    with float64_throughout():
        logits, stages = watched(encoded.model, lambda: encoded.model.join(*encoded.tokens))
    expected = torch.tensor(known["logits"], dtype=torch.float64)
    torch.testing.assert_close(logits, expected, atol=FLOAT64_ONLY, rtol=0)
    assert stages.keys() == known["stages"].keys()
    for stage, figures in stages.items():
        # Sums of up to 80,000 tokens' numbers of up to 100, with steps of 2^-53.
        assert figures == pytest.approx(known["stages"][stage], abs=1e-9, rel=1e-9), stage


def test_steps_whose_first_channel_is_zero_are_the_references(encoded):
    known = numbers(f"golden_{encoded.name}")["cases"][encoded.case]
    for tokens, key in zip(encoded.tokens, ("video_zero_steps", "audio_zero_steps"), strict=True):
        assert [row.nonzero()[:, 0].tolist() for row in tokens[..., 0] == 0] == known[key]


@pytest.mark.slow
def test_gradients_are_the_references():
    model = golden_model("vocalist", torch.float64)
    known = numbers("golden_vocalist")["gradients"]
    logits = model(*golden_inputs("vocalist", "T5", torch.float64))
    labels = torch.tensor([1.0, 0, 1, 0], dtype=torch.float64)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
    loss.backward()
    # A logit moves the loss by less than itself.
    assert loss.item() == pytest.approx(known["bce_with_logits_loss"], abs=FLOAT32_INSIDE)
    names = {**STAGES, "vid_prenet": "visual", "aud_prenet": "audio", "classifier": "classifier"}
    for part, norm in known["grad_l2_per_part"].items():
        squares = [p.grad.square().sum() for p in getattr(model, names[part]).parameters()]
        assert float(torch.stack(squares).sum().sqrt()) == pytest.approx(norm, rel=1e-6), part


def test_comparing_embeddings_equals_the_forward_pass(tiny):
    frames, mel = torch.rand(1, 3, 8, 48, 96), torch.randn(6, 80, 16)
    with torch.inference_mode():
        video, audio = tiny.encode_video(frames), tiny.encode_features(mel)
        grid = tiny.compare(
            tree_map(lambda e: e[0][:, None], video), tree_map(lambda e: e[None], audio)
        )
        pairs = tiny.compare(tree_map(lambda e: e[0], video), tree_map(lambda e: e[:4], audio))
        assert grid.shape == (4, 6)
        for i in range(4):
            window = frames[:, :, i : i + 5].expand(6, -1, -1, -1, -1)
            torch.testing.assert_close(grid[i], tiny(window, mel), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(pairs, grid.diagonal(), atol=1e-5, rtol=1e-5)


def test_comparing_longer_windows_equals_the_forward_pass():
    torch.manual_seed(1)
    model = build_vocalist(
        VocalistConfig((2, 2, 3, 4, 16), depth=2, heads=2, window_frames=10)
    ).eval()
    frames, mel = torch.rand(1, 3, 10, 48, 96), torch.randn(3, 80, 32)
    assert model.spec.audio_until_s == pytest.approx((31 * 200 + 400) / SAMPLE_RATE)
    with torch.inference_mode():
        video = tree_map(lambda e: e[0][:, None], model.encode_video(frames))
        scores = model.compare(video, tree_map(lambda e: e[None], model.encode_features(mel)))
        expected = model(frames.expand(3, -1, -1, -1, -1), mel)
    torch.testing.assert_close(scores[0], expected, atol=1e-5, rtol=1e-5)


def test_windows_of_a_clip_are_columns_of_its_mel(tiny):
    wav = torch.randn(1, SAMPLE_RATE)
    mel = tiny.front_end(wav)
    features = tiny.window_features(wav, 20)
    for frame in (0, 1, 7, 19):
        start = int(3.2 * frame)
        torch.testing.assert_close(features[:, frame], mel[:, :, start : start + 16])


def test_audio_cut_around_a_window_gives_the_clips_own_features(tiny):
    wav = torch.randn(1, 2 * SAMPLE_RATE)
    # Every fifth frame starts on a column of the clip's mel.
    frames = torch.arange(5, 40, 5)
    with torch.inference_mode():
        cut = tiny.encode_audio(wav, frames / 25)
        whole = tiny.encode_features(tiny.window_features(wav, 45)[0])
    torch.testing.assert_close(cut.tokens[0], whole.tokens[frames], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(cut.values[0], whole.values[frames], atol=1e-4, rtol=1e-4)


def test_folding_batch_norms_keeps_the_scores(tiny):
    torch.manual_seed(2)
    model = build_vocalist(TINY)
    model(torch.rand(4, 3, 5, 48, 96), torch.randn(4, 80, 16))  # gives the batch norms statistics
    model.eval()
    frames, mel = torch.rand(2, 3, 5, 48, 96), torch.randn(2, 80, 16)
    with torch.inference_mode():
        before = model(frames, mel)
        fold_batch_norms(model)
        blocks = [m for m in model.modules() if isinstance(m, ConvBlock)]
        assert all(isinstance(block.norm, torch.nn.Identity) for block in blocks)
        torch.testing.assert_close(model(frames, mel), before, atol=1e-5, rtol=1e-5)


def test_autocast_changes_scores_by_its_rounding_alone(tiny):
    frames, mel = torch.rand(2, 3, 5, 48, 96), torch.randn(2, 80, 16)
    with torch.inference_mode():
        video, audio = tiny.encode_video(frames), tiny.encode_features(mel)
        full = tiny.compare(tree_map(lambda e: e[:, 0], video), audio)
        with torch.autocast("cpu", torch.bfloat16):
            video, audio = tiny.encode_video(frames), tiny.encode_features(mel)
            half = tiny.compare(tree_map(lambda e: e[:, 0], video), audio)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, atol=0.02, rtol=0)
    assert not torch.equal(half, full)


def test_autocast_takes_the_forward_pass_too(tiny):
    frames, mel = torch.rand(2, 3, 5, 48, 96), torch.randn(2, 80, 16)
    with torch.inference_mode():
        full = tiny(frames, mel)
        with torch.autocast("cpu", torch.bfloat16):
            half = tiny(frames, mel)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, atol=0.02, rtol=0)


@pytest.mark.parametrize("shape", [(1, 3, 5, 96, 96), (1, 5, 3, 48, 96), (3, 5, 48, 96)])
def test_frames_of_another_shape_are_named(tiny, shape):
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T, 48, 96\)"):
        tiny(torch.zeros(shape), torch.zeros(1, 80, 16))


def watched(model, run):
    """Call `run`; return its result, and the statistics of every stage that ran."""
    seen = {}
    hooks = watch(model, seen)
    with torch.inference_mode():
        returned = run()
    for hook in hooks:
        hook.remove()
    return returned, seen


def watch(model, seen):
    """Add hooks that write the statistics of every stage to `seen`, by the reference's names."""

    def keep(stage):
        return lambda _, __, output: seen.__setitem__(stage, figures_of(layout(stage, output)))

    hooks = []
    for stage, ours in STAGES.items():
        module = model.get_submodule(ours)
        if stage.endswith("_transformer"):
            hooks.append(module.norm.register_forward_hook(keep(stage)))
            inner = module.layers
            names = [f"{stage}.layers.{i}" for i in range(len(inner))]
        else:
            hooks.append(module.register_forward_hook(keep(stage)))
            inner = module if stage.endswith("_prenet") else ()
            names = [f"{stage}.{i}" for i in range(len(inner))]
        hooks += [
            layer.register_forward_hook(keep(name))
            for layer, name in zip(inner, names, strict=True)
        ]
    return hooks


def layout(stage, output):
    """Return an output in the reference's order of axes: time last in frames, first in tokens."""
    if stage.startswith("vid_prenet"):
        return rearrange(output, "b c t h w -> b c h w t")
    if "transformer" in stage:
        return rearrange(output, "b l d -> l b d")
    return output


def figures_of(output):
    """Return mean, standard deviation, and a weighted sum that depends on the order."""
    x = output.reshape(-1).double()
    order = torch.arange(1, len(x) + 1, dtype=torch.float64)
    return [x.mean().item(), x.std(correction=0).item(), (x * order.cos()).sum().item()]
