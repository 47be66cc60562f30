import numpy as np
import pytest
import torch
import torch.nn.functional as F
from training.recipes.talking.test_synctalklip import DRAWS, EXPERT, HEARS

from avsync.data.augment_video import augment_mouth
from avsync.encoders.dense_sync import LUMA
from avsync.faces.crops import cut_face, cut_mouth, mouth_to_face_affine
from avsync.tasks.registry import create_model
from avsync.tasks.talking.synctalklip import SyncTalklipConfig, build_synctalklip
from avsync.training.steps.expert_losses import SpeechExpertLoss, composite_mouths

pytestmark = pytest.mark.arithmetic

POINTS = np.array([[120.0, 90], [180, 90], [150, 125], [130, 155], [170, 155]])
BOX = np.array([95.0, 60, 205, 190])
INDICES = torch.tensor([[6, 7, 8, 9, 10], [5, 6, 7, 8, 9]])


@pytest.fixture(scope="module")
def expert():
    torch.manual_seed(0)
    return create_model("av_syncnet", config=EXPERT).eval()


@pytest.fixture
def generated_batch():
    generator = torch.Generator().manual_seed(0)
    mouths = torch.rand(2, 16, 24, 24, generator=generator)
    generated = torch.rand(2, 3, 5, 96, 96, generator=generator).requires_grad_()
    affines = torch.tensor([0.5, 0, 0, 0, 0.5, 0.3]).expand(2, 5, 6)
    return mouths, generated, torch.randn(2, 16, 104, generator=generator), affines


def costs(loss, model, generated_batch, *text):
    mouths, generated, audio, affines = generated_batch
    tokens = model.encode_at_frames(audio, INDICES)
    return loss(model, generated, tokens, audio, INDICES, (mouths, affines, *text))


def test_a_true_face_composited_gives_the_true_mouth():
    y, x = np.mgrid[:240, :320]
    image = np.stack([x, y, 255 * ((x // 16 + y // 16) % 2)], -1).clip(0, 255).astype(np.uint8)
    face = torch.from_numpy(cut_face(image, BOX, 96)).permute(2, 0, 1)[None, :, None] / 255
    mouth = torch.from_numpy(cut_mouth(image, POINTS, 96)).float() @ torch.tensor(LUMA) / 255
    affines = torch.from_numpy(mouth_to_face_affine(BOX, POINTS)).float()[None, None]
    before = torch.full((1, 3, 96, 96), -1.0)
    composited = composite_mouths(before, face, affines, torch.tensor([[1]]))
    assert (composited[0, [0, 2]] == -1).all()
    inside = composited[0, 1] != -1
    assert 0.7 < inside.float().mean() < 1
    # Edges are a little softer, crop out of crop.
    assert (composited[0, 1] - mouth)[inside].abs().mean() < 0.02


def test_gradients_reach_the_generated_faces(expert, generated_batch):
    model = build_synctalklip(SyncTalklipConfig(HEARS, DRAWS, window=5)).eval()
    text = expert.reader.vocabulary.batch(["bin", "lay"])
    found = costs(SpeechExpertLoss(expert), model, generated_batch, torch.tensor([16, 16]), *text)
    for cost in found:
        (gradient,) = torch.autograd.grad(cost, generated_batch[1], retain_graph=True)
        assert gradient.abs().sum() > 0
        # The forehead is in no mouth crop.
        assert gradient[..., :10, :].abs().sum() == 0


def test_lips_are_compared_with_the_frozen_voice_of_their_frames(expert, generated_batch):
    mouths, generated, audio, affines = generated_batch
    model = build_synctalklip(SyncTalklipConfig(HEARS, DRAWS, window=5)).eval()
    loss = SpeechExpertLoss(expert)
    assert loss.margin == 2 + expert.encoder.mouth.reach_frames
    torch.manual_seed(3)
    found = costs(loss, model, generated_batch)
    composited = composite_mouths(mouths, generated, affines.unflatten(-1, (2, 3)), INDICES)
    lips = expert.encode_grey_mouths(composited)
    voice = expert.encode_fbank(audio)
    rows = torch.arange(2)[:, None]
    torch.manual_seed(3)
    expected = loss.contrast(voice[rows, INDICES - 2], lips[rows, INDICES - loss.margin])
    torch.testing.assert_close(found.contrast, expected)
    assert found.lip == 0


def test_talklip_compares_with_the_voice_that_is_trained(expert, generated_batch):
    torch.manual_seed(0)
    model = build_synctalklip(SyncTalklipConfig(HEARS, DRAWS, window=5)).eval()
    costs(
        SpeechExpertLoss(expert, "talklip", "trained"), model, generated_batch
    ).contrast.backward()
    assert model.audio_proj.weight.grad.abs().sum() > 0
    frozen = build_synctalklip(SyncTalklipConfig(HEARS, DRAWS, window=5)).eval()
    costs(
        SpeechExpertLoss(expert, "talklip", "frozen"), frozen, generated_batch
    ).contrast.backward()
    assert frozen.audio_proj.weight.grad is None
    assert all(p.grad is None for p in expert.parameters())


def test_reading_is_a_sum_over_symbols(expert, generated_batch):
    mouths, generated, _, affines = generated_batch
    model = build_synctalklip(SyncTalklipConfig(HEARS, DRAWS, window=5)).eval()
    inputs, targets = expert.reader.vocabulary.batch(["ab", "c"])
    lengths = torch.tensor([16, 16])
    found = costs(SpeechExpertLoss(expert), model, generated_batch, lengths, inputs, targets).lip
    composited = composite_mouths(mouths, generated, affines.unflatten(-1, (2, 3)), INDICES)
    logits = expert.reader(None, composited, inputs, lengths)
    right = F.log_softmax(logits, -1)
    smooth = 0.1 / (logits.shape[-1] - 1)
    total = 0.0
    for row, length in ((0, 3), (1, 2)):
        for k in range(length):
            own = right[row, k, targets[row, k]]
            total -= 0.9 * own + smooth * (right[row, k].sum() - own)
    torch.testing.assert_close(found, total)


def test_its_mouths_may_be_augmented(expert, generated_batch):
    mouths, generated, audio, affines = generated_batch
    model = build_synctalklip(SyncTalklipConfig(HEARS, DRAWS, window=5)).eval()
    inputs, targets = expert.reader.vocabulary.batch(["ab", "c"])
    text = (torch.tensor([16, 16]), inputs, targets)
    loss = SpeechExpertLoss(expert, alter=True)
    dark = generated.detach().clone()
    dark[..., :48] = 0
    dark.requires_grad_()
    black = (torch.zeros_like(mouths), dark, audio, affines)
    for seed in range(4):
        torch.manual_seed(seed)
        found = costs(loss, model, generated_batch, *text)
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        composited = composite_mouths(mouths, generated, affines.unflatten(-1, (2, 3)), INDICES)
        altered = augment_mouth(composited, 24, generator)
        logits = expert.reader(None, altered, inputs, text[0])
        torch.testing.assert_close(found.lip, loss.reading(logits, targets))
        assert not torch.allclose(altered, composited, atol=0.01)
        (slope,) = torch.autograd.grad(sum(costs(loss, model, black, *text)), dark)
        assert slope.isfinite().all() and slope.abs().sum() > 0


def test_impossible_options_are_named(expert):
    with pytest.raises(ValueError, match="contrast must be synctalklip or talklip and reference"):
        SpeechExpertLoss(expert, "l2")
    convolved = create_model("av_syncnet", config={**EXPERT, "conv_frames": 3})
    with pytest.raises(ValueError, match="reference must be frozen for an expert with a conv"):
        SpeechExpertLoss(convolved, "talklip", "trained")
