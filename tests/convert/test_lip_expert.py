"""The published network with weights from a hash, against outputs of the public code."""

import pytest
import torch
from einops import rearrange
from golden.recipe import make_input, numbers, upstream_keys, weights
from golden.summary import assert_summary, close

from avsync.convert.lip_expert import convert_lip_expert
from avsync.tasks.sync.lip_expert import LipExpert, LipExpertConfig, build_lip_expert

pytestmark = pytest.mark.arithmetic

GOLDEN = numbers("golden_lip_expert")
ATOL = {torch.float32: 5e-6, torch.float64: 1e-10}


@pytest.fixture(scope="module")
def upstream():
    return weights(upstream_keys("lip_expert"), lambda key: 1.0)


@pytest.fixture(scope="module", params=ATOL)
def model(request, upstream) -> LipExpert:
    given = {k: v.to(request.param) if v.ndim else v for k, v in upstream.items()}
    model = build_lip_expert(LipExpertConfig()).to(request.param)
    model.load_state_dict(convert_lip_expert(given), strict=True)
    return model.eval()


@pytest.fixture
def inputs(model):
    """Return four windows: frames in RGB, as ours takes them, and mel.

    The golden frames are five BGR frames stacked in the channels.
    """
    stacked = make_input("face.star", (4, 15, 48, 96), 0, 1)
    frames = rearrange(stacked, "b (t c) h w -> b c t h w", c=3).flip(1)
    dtype = model.visual.blocks[0].conv.weight.dtype
    return frames.to(dtype), make_input("mel.star", (4, 1, 80, 16), -4, 4).to(dtype)


def test_parameter_count_is_the_published_one():
    with torch.device("meta"):
        model = build_lip_expert(LipExpertConfig())
    assert sum(p.numel() for p in model.parameters()) == GOLDEN["params"] == 16_435_072


@torch.no_grad()
def test_outputs_match_the_public_code(model, inputs):
    stages = {}
    hooks = [
        model.get_submodule(name).register_forward_hook(
            lambda _, __, out, name=name: stages.__setitem__(name, out)
        )
        for name in GOLDEN["stages"]
    ]
    frames, mel = inputs
    video, audio = model.encode_video(frames)[:, 0], model.encode_features(mel[:, 0])
    for hook in hooks:
        hook.remove()
    atol, golden = ATOL[video.dtype], GOLDEN[str(video.dtype).removeprefix("torch.")]
    assert_summary(video, golden["video"], atol)
    assert_summary(audio, golden["audio"], atol)
    # The golden matrix has audio in its rows.
    close(model.compare(video[None], audio[:, None]), golden["cosines"], atol)
    if video.dtype == torch.float64:
        for name, expected in GOLDEN["stages"].items():
            assert_summary(stages[name], expected, atol)


@torch.no_grad()
def test_scores_are_cosine_similarities(model, inputs):
    frames, mel = inputs
    golden = GOLDEN[str(frames.dtype).removeprefix("torch.")]["cosines"]
    close(model(frames[:1], mel[:1]), golden[0][:1], ATOL[frames.dtype])


def test_every_key_is_of_the_published_network(upstream):
    with pytest.raises(RuntimeError, match=r"1 missing: face_encoder\.16\.conv_block\.0\.bias$"):
        missing = "face_encoder.16.conv_block.0.bias"
        convert_lip_expert({k: v for k, v in upstream.items() if k != missing})
    with pytest.raises(RuntimeError, match=r"1 unexpected: logloss\.weight$"):
        convert_lip_expert({**upstream, "logloss.weight": torch.zeros(3)})
