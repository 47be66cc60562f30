import numpy as np
import pytest
import torch
import torch.nn.functional as F
from training.recipes.test_synctalklip import DRAWS, EXPERT, HEARS

from avsync.data.augment_video import augment_mouth
from avsync.encoders.dense_sync import LUMA
from avsync.faces.crops import cut_face, cut_mouth, mouth_to_face_affine
from avsync.tasks.registry import create_model
from avsync.tasks.talking.synctalklip import SyncTalklipConfig, build_synctalklip
from avsync.training.steps.expert_losses import SpeechExpertLoss, paste

pytestmark = pytest.mark.arithmetic

POINTS = np.array([[120.0, 90], [180, 90], [150, 125], [130, 155], [170, 155]])
BOX = np.array([95.0, 60, 205, 190])
PLACES = torch.tensor([[6, 7, 8, 9, 10], [5, 6, 7, 8, 9]])


@pytest.fixture(scope="module")
def expert():
    torch.manual_seed(0)
    return create_model("av_syncnet", config=EXPERT).eval()


@pytest.fixture
def drawn():
    generator = torch.Generator().manual_seed(0)
    mouths = torch.rand(2, 16, 24, 24, generator=generator)
    made = torch.rand(2, 3, 5, 96, 96, generator=generator).requires_grad_()
    lies = torch.tensor([0.5, 0, 0, 0, 0.5, 0.3]).expand(2, 5, 6)
    return mouths, made, torch.randn(2, 16, 104, generator=generator), lies


def costs(guide, model, drawn, *said):
    mouths, made, audio, lies = drawn
    tokens = model.encode_at_frames(audio, PLACES)
    return guide(model, made, tokens, audio, PLACES, (mouths, lies, *said))


def test_a_true_face_pasted_gives_the_true_mouth():
    y, x = np.mgrid[:240, :320]
    image = np.stack([x, y, 255 * ((x // 16 + y // 16) % 2)], -1).clip(0, 255).astype(np.uint8)
    face = torch.from_numpy(cut_face(image, BOX, 96)).permute(2, 0, 1)[None, :, None] / 255
    mouth = torch.from_numpy(cut_mouth(image, POINTS, 96)).float() @ torch.tensor(LUMA) / 255
    lies = torch.from_numpy(mouth_to_face_affine(BOX, POINTS)).float()[None, None]
    before = torch.full((1, 3, 96, 96), -1.0)
    pasted = paste(before, face, lies, torch.tensor([[1]]))
    assert (pasted[0, [0, 2]] == -1).all()
    inside = pasted[0, 1] != -1
    assert 0.7 < inside.float().mean() < 1
    # Edges are a little softer, crop out of crop.
    assert (pasted[0, 1] - mouth)[inside].abs().mean() < 0.02


def test_gradients_reach_the_faces_that_were_drawn(expert, drawn):
    model = build_synctalklip(SyncTalklipConfig(HEARS, DRAWS, window=5)).eval()
    text = expert.reader.vocabulary.batch(["bin", "lay"])
    found = costs(SpeechExpertLoss(expert), model, drawn, torch.tensor([16, 16]), *text)
    for cost in found:
        (gradient,) = torch.autograd.grad(cost, drawn[1], retain_graph=True)
        assert gradient.abs().sum() > 0
        # The forehead is in no mouth crop.
        assert gradient[..., :10, :].abs().sum() == 0


def test_lips_are_compared_with_the_frozen_voice_of_their_frames(expert, drawn):
    mouths, made, audio, lies = drawn
    model = build_synctalklip(SyncTalklipConfig(HEARS, DRAWS, window=5)).eval()
    guide = SpeechExpertLoss(expert)
    assert guide.margin == 2 + expert.encoder.mouth.reach_frames
    torch.manual_seed(3)
    found = costs(guide, model, drawn)
    pasted = paste(mouths, made, lies.unflatten(-1, (2, 3)), PLACES)
    lips = expert.encode_grey_mouths(pasted)
    voice = expert.encode_fbank(audio)
    rows = torch.arange(2)[:, None]
    torch.manual_seed(3)
    expected = guide.contrast(voice[rows, PLACES - 2], lips[rows, PLACES - guide.margin])
    torch.testing.assert_close(found.contrast, expected)
    assert found.lip == 0


def test_talklip_compares_with_the_voice_that_is_trained(expert, drawn):
    torch.manual_seed(0)
    model = build_synctalklip(SyncTalklipConfig(HEARS, DRAWS, window=5)).eval()
    costs(SpeechExpertLoss(expert, "talklip", "trained"), model, drawn).contrast.backward()
    assert model.audio_proj.weight.grad.abs().sum() > 0
    frozen = build_synctalklip(SyncTalklipConfig(HEARS, DRAWS, window=5)).eval()
    costs(SpeechExpertLoss(expert, "talklip", "frozen"), frozen, drawn).contrast.backward()
    assert frozen.audio_proj.weight.grad is None
    assert all(each.grad is None for each in expert.parameters())


def test_reading_is_a_sum_over_symbols(expert, drawn):
    mouths, made, _, lies = drawn
    model = build_synctalklip(SyncTalklipConfig(HEARS, DRAWS, window=5)).eval()
    inputs, targets = expert.reader.vocabulary.batch(["ab", "c"])
    lengths = torch.tensor([16, 16])
    found = costs(SpeechExpertLoss(expert), model, drawn, lengths, inputs, targets).lip
    pasted = paste(mouths, made, lies.unflatten(-1, (2, 3)), PLACES)
    logits = expert.reader(None, pasted, inputs, lengths)
    right = F.log_softmax(logits, -1)
    smooth = 0.1 / (logits.shape[-1] - 1)
    total = 0.0
    for row, length in ((0, 3), (1, 2)):
        for k in range(length):
            own = right[row, k, targets[row, k]]
            total -= 0.9 * own + smooth * (right[row, k].sum() - own)
    torch.testing.assert_close(found, total)


def test_it_may_be_shown_the_mouths_altered(expert, drawn):
    mouths, made, audio, lies = drawn
    model = build_synctalklip(SyncTalklipConfig(HEARS, DRAWS, window=5)).eval()
    inputs, targets = expert.reader.vocabulary.batch(["ab", "c"])
    said = (torch.tensor([16, 16]), inputs, targets)
    guide = SpeechExpertLoss(expert, alter=True)
    dark = made.detach().clone()
    dark[..., :48] = 0
    dark.requires_grad_()
    black = (torch.zeros_like(mouths), dark, audio, lies)
    for seed in range(4):
        torch.manual_seed(seed)
        found = costs(guide, model, drawn, *said)
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        pasted = paste(mouths, made, lies.unflatten(-1, (2, 3)), PLACES)
        altered = augment_mouth(pasted, 24, generator)
        logits = expert.reader(None, altered, inputs, said[0])
        torch.testing.assert_close(found.lip, guide.reading(logits, targets))
        assert not torch.allclose(altered, pasted, atol=0.01)
        (slope,) = torch.autograd.grad(sum(costs(guide, model, black, *said)), dark)
        assert slope.isfinite().all() and slope.abs().sum() > 0


def test_what_cannot_be_is_named(expert):
    with pytest.raises(ValueError, match="contrast must be synctalklip or talklip and reference"):
        SpeechExpertLoss(expert, "l2")
    convolved = create_model("av_syncnet", config={**EXPERT, "conv_frames": 3})
    with pytest.raises(ValueError, match="reference must be frozen for an expert with a conv"):
        SpeechExpertLoss(convolved, "talklip", "trained")
