"""The published network with weights from a hash, against outputs of the public code."""

import pytest
import torch
from golden.recipe import make_input, numbers, upstream_keys, weights
from golden.summary import assert_summary, close

from avsync.convert.syncnet import convert_syncnet
from avsync.tasks.sync.syncnet import SyncNet, SyncNetConfig, build_syncnet

pytestmark = pytest.mark.arithmetic

GOLDEN = numbers("golden_syncnet")
GAINS = {"netcnnlip.0.weight": 1 / 255, "netcnnaud.0.weight": 1 / 20}
ATOL = {torch.float32: 5e-6, torch.float64: 1e-10}


@pytest.fixture(scope="module")
def upstream():
    return weights(upstream_keys("syncnet"), lambda key: GAINS.get(key, 1.0))


@pytest.fixture(scope="module", params=ATOL)
def model(request, upstream) -> SyncNet:
    given = {k: v.to(request.param) if v.ndim else v for k, v in upstream.items()}
    model = build_syncnet(SyncNetConfig()).to(request.param)
    model.load_state_dict(convert_syncnet(given), strict=True)
    return model.eval()


@pytest.fixture
def inputs(model):
    """Return three windows: frames in RGB in [0, 1], as ours takes them, and MFCC.

    The golden frames are BGR in [0, 255].
    """
    bgr = make_input("lip.syncnet", (3, 3, 5, 224, 224), 0, 255)
    mfcc = make_input("mfcc.syncnet", (3, 1, 13, 20), -20, 20)
    dtype = model.visual.stem.conv.weight.dtype
    return bgr.to(dtype).flip(1) / 255, mfcc.to(dtype)


def test_parameter_count_is_the_published_one():
    with torch.device("meta"):
        model = build_syncnet(SyncNetConfig())
    assert sum(p.numel() for p in model.parameters()) == GOLDEN["params"] == 13_631_616


@torch.no_grad()
def test_outputs_match_the_public_code(model, inputs):
    stages = {}
    hooks = [
        model.get_submodule(name).register_forward_hook(
            # A copy: in-place activations overwrite their input later.
            lambda _, __, out, name=name: stages.__setitem__(name, out.clone())
        )
        for name in GOLDEN["stages"]
    ]
    frames, mfcc = inputs
    scores = model(frames, mfcc)
    for hook in hooks:
        hook.remove()
    atol, golden = ATOL[scores.dtype], GOLDEN[str(scores.dtype).removeprefix("torch.")]
    assert_summary(stages["visual.head.3"], golden["video"], atol)
    assert_summary(stages["audio.head.3"], golden["audio"], atol)
    video, audio = stages["visual.head.3"], stages["audio.head.3"]
    close(-model.compare(video[:, None], audio[None]), golden["distances"], atol)
    close(-scores, [golden["distances"][k][k] for k in range(3)], atol)
    if scores.dtype == torch.float64:
        for name, expected in GOLDEN["stages"].items():
            assert_summary(stages[name], expected, atol)


@torch.no_grad()
def test_features_before_the_head_match_forward_lipfeat(model, inputs):
    # Of the first window only: the golden values are those of all three.
    features = model.visual.features(inputs[0][:1])
    golden = GOLDEN[str(features.dtype).removeprefix("torch.")]["features"]
    close(features[0, 0, : len(golden["first"])], golden["first"], ATOL[features.dtype])


def test_every_key_is_of_the_published_network(upstream):
    with pytest.raises(RuntimeError, match=r"1 missing: netfcaud\.3\.bias$"):
        convert_syncnet({k: v for k, v in upstream.items() if k != "netfcaud.3.bias"})
    with pytest.raises(RuntimeError, match=r"1 unexpected: netcnnlip\.21\.weight$"):
        convert_syncnet({**upstream, "netcnnlip.21.weight": torch.zeros(3)})
    with pytest.raises(RuntimeError, match=r"misshapen: netcnnlip\.0\.weight \(96, 1, 5, 7, 7\)"):
        convert_syncnet({**upstream, "netcnnlip.0.weight": torch.zeros(96, 1, 5, 7, 7)})
