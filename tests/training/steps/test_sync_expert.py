"""A frozen sync model as a loss: exact gradients to video and audio, none to the model."""

import copy
import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import avsync
from avsync.data.store.reader import Store
from avsync.faces.crops import cut_mouth
from avsync.faces.mesh_regions import cut_region, region_from_points
from avsync.pipelines.prepare import prepare
from avsync.synthetic import render
from avsync.tasks.registry import create_model
from avsync.tasks.sync.syncnet import SyncNetConfig, build_syncnet
from avsync.training.steps.sync_expert import to_model_rate, to_model_size

SAMPLES = 640
EXPERT = {"channels": [2, 3, 4, 5, 6]}


def spoken(seed, fps=25, sample_rate=16000, duration_s=2.0):
    """Return mouth crops `(1, 3, T, 56, 56)` of rendered speech, and its audio `(1, N)`."""
    clip = render(seed, duration_s, size=(320, 240), fps=fps, sample_rate=sample_rate)
    crops = [cut_mouth(*frame, 56) for frame in zip(clip.frames, clip.points[0], strict=True)]
    return to_video(crops), torch.from_numpy(clip.wav)[None]


def to_video(crops):
    return torch.from_numpy(np.stack(crops)).permute(3, 0, 1, 2)[None].float() / 255


def noise(frames=12, size=56, batch=2):
    """Return video and audio that mean nothing, of which every number counts."""
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(batch, 3, frames, size, size, generator=generator)
    return video, 0.1 * torch.randn(batch, frames * SAMPLES, generator=generator)


@pytest.fixture(scope="module")
def expert():
    return avsync.SyncExpert("dense_sync")


@pytest.fixture(scope="module")
def clip():
    return spoken(1)


@pytest.fixture(scope="module")
def lip_expert():
    torch.manual_seed(0)
    return create_model("lip_expert", config=EXPERT).eval()


def test_the_loss_is_the_cross_entropy_of_the_own_audio_among_shifts(expert):
    video, wav = noise(batch=1)
    model, windows = expert.model, 8
    # Candidates are windows of 5 frames that lie in the 12 frames of audio, as those of video do;
    # what the model reads beyond them is silence.
    audio = model.encode_audio(F.pad(wav, (0, 3200)), torch.arange(windows) / 25)
    scores = model.compare(model.encode_video(video)[0, :, None], audio[0])
    expected = F.cross_entropy(scores, torch.arange(windows))
    torch.testing.assert_close(expert(video, wav), expected, rtol=1e-4, atol=1e-5)


def test_candidates_are_no_further_than_max_shift_and_scores_are_divided_by_the_temperature(expert):
    video, wav = noise(batch=1)
    near = avsync.SyncExpert(expert.model, max_shift=1, temperature=2.0)
    model, windows = expert.model, 8
    audio = model.encode_audio(F.pad(wav, (0, 3200)), torch.arange(windows) / 25)
    scores = model.compare(model.encode_video(video)[0, :, None], audio[0]) / 2
    far = (torch.arange(windows)[:, None] - torch.arange(windows)).abs() > 1
    expected = F.cross_entropy(scores.masked_fill(far, -torch.inf), torch.arange(windows))
    torch.testing.assert_close(near(video, wav), expected, rtol=1e-4, atol=1e-5)


def test_cosine_bce_is_minus_the_logarithm_of_the_cosine(lip_expert):
    video, wav = noise(size=96)
    expert = avsync.SyncExpert(lip_expert, loss="cosine_bce")
    # Its windows begin 26 ms before their first frame.
    audio = lip_expert.encode_audio(F.pad(wav, (SAMPLES, SAMPLES)), (1 + torch.arange(8)) / 25)
    cosines = lip_expert.compare(lip_expert.encode_video(video[..., 48:, :]), audio)
    expected = -cosines.log().mean()
    torch.testing.assert_close(expert(video, wav), expected, rtol=1e-4, atol=1e-5)
    # The lower half of a face is what is left of the whole one.
    torch.testing.assert_close(expert(video[..., 48:, :], wav), expected, rtol=1e-4, atol=1e-5)


def test_cosines_are_divided_by_a_small_temperature(lip_expert):
    video, wav = noise(size=96)
    by_default, fixed = (
        avsync.SyncExpert(lip_expert, temperature=temperature)(video, wav)
        for temperature in (None, 0.07)
    )
    assert by_default == fixed


def test_gradients_equal_differences_of_the_loss_for_other_sizes_and_rates(expert):
    # Only float64 resolves steps so small that few rectifiers switch within them.
    precise = avsync.SyncExpert(copy.deepcopy(expert.model).double())
    video, wav = (tensor.double().requires_grad_() for tensor in noise(size=64))
    rates = {"fps": 30.0, "sample_rate": 19200}
    precise(video, wav, **rates).backward()
    # Every frame, and all audio but that before the first window, which begins 18 ms late.
    assert (video.grad.abs().amax((1, 3, 4)) > 0).all()
    assert (wav.grad[:, 19200 // 50 :].abs() > 0).float().mean() > 0.99
    generator = torch.Generator().manual_seed(1)
    for moved in (video, wav):
        step = 1e-8 * torch.randn(moved.shape, generator=generator, dtype=moved.dtype)
        with torch.no_grad():
            up, down = (
                precise(video + a * step, wav, **rates)
                if moved is video
                else precise(video, wav + a * step, **rates)
                for a in (1, -1)
            )
        torch.testing.assert_close((up - down) / 2, (moved.grad * step).sum(), rtol=1e-4, atol=0)


def test_a_step_against_the_gradient_lowers_the_loss_by_its_length(clip, expert):
    video, wav = (tensor.clone().requires_grad_() for tensor in clip)
    loss = expert(video, wav)
    loss.backward()
    for moved, size in ((video, 1e-4), (wav, 1e-5)):
        step = size * moved.grad.sign()
        with torch.no_grad():
            lower = expert(*(x - step if x is moved else x for x in (video, wav)))
        expected = size * moved.grad.abs().sum()
        torch.testing.assert_close(loss - lower, expected, rtol=0.2, atol=0)


class Holder(nn.Module):
    """A generator in training that holds the expert, as a user's module would."""

    def __init__(self, expert):
        super().__init__()
        self.expert, self.gain = expert, nn.Parameter(torch.ones(()))

    def forward(self, video, wav):
        return self.expert(self.gain * video, wav)


def test_nothing_that_its_holder_does_reaches_the_model():
    expert = avsync.SyncExpert("dense_sync")
    before = copy.deepcopy(expert.model.state_dict())
    holder = Holder(expert).train().requires_grad_(True)
    optimizer = torch.optim.AdamW(holder.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):
        holder(*noise()).backward()
        optimizer.step()
    assert holder.gain != 1
    assert not any(module.training for module in expert.model.modules())
    assert all(p.grad is None and not p.requires_grad for p in expert.model.parameters())
    # Batch norms have not moved either.
    torch.testing.assert_close(dict(expert.model.state_dict()), dict(before), rtol=0, atol=0)
    assert list(holder.state_dict()) == ["gain"]
    assert copy.deepcopy(holder).expert.model is expert.model


def test_autocast_does_not_change_the_loss(clip, expert):
    with torch.autocast("cpu", torch.bfloat16):
        loss = expert(*clip)
    assert loss == expert(*clip)


@torch.no_grad()
def test_the_true_audio_costs_less_than_shifted_audio(expert):
    for seed in (1, 2):
        video, wav = spoken(seed)
        true = expert(video, wav)
        # As good as sure, where 31 candidates of chance cost ln 31.
        assert true < math.log(31) / 3
        for frames in (-5, -2, 2, 5):
            assert expert(video, wav.roll(SAMPLES * frames, 1)) > 3 * true


@torch.no_grad()
def test_scores_are_highest_at_the_offset_of_the_clip(clip, expert):
    video, wav = clip
    for lead in (-3, 0, 4):
        offsets_ms, scores = expert.scores(video, wav.roll(-SAMPLES * lead, 1))
        assert scores.shape == (1, 31)
        assert offsets_ms[scores[0].argmax()] == 40 * lead


@torch.no_grad()
def test_scores_are_nan_at_offsets_without_audio(expert):
    offsets_ms, scores = expert.scores(*noise(frames=6))
    known = offsets_ms.abs() <= 40
    assert (scores.isfinite() == known).all()


@torch.no_grad()
def test_the_same_speech_costs_nearly_the_same_at_other_rates(clip, expert):
    true, off = expert(*clip), expert(clip[0], clip[1].roll(2 * SAMPLES, 1))
    for fps in (24, 30, 50):
        loss = expert(*spoken(1, fps), fps=fps)
        assert abs(loss - true) < 0.03 * (off - true)
    for sample_rate in (22050, 48000):
        loss = expert(*spoken(1, sample_rate=sample_rate), sample_rate=sample_rate)
        assert abs(loss - true) < 0.03 * (off - true)


@torch.no_grad()
def test_a_run_of_frames_within_longer_audio_costs_the_same_wherever_it_is_cut(clip, expert):
    video, wav = clip
    run = video[:, :, 20:25]
    whole = expert(run, wav, start_s=20 / 25)
    # The model reads 0.6 s to both sides, and a window more.
    cut = expert(run, wav[:, 3 * SAMPLES : 42 * SAMPLES], start_s=17 / 25)
    torch.testing.assert_close(cut, whole, rtol=1e-3, atol=1e-4)
    assert expert(run, wav, start_s=22 / 25) > whole


@torch.no_grad()
def test_clips_of_a_batch_do_not_mix(expert):
    video, wav = noise()
    alone = [expert(video[k : k + 1], wav[k : k + 1]) for k in (0, 1)]
    torch.testing.assert_close(expert(video, wav), sum(alone) / 2)


@pytest.mark.parametrize("fps", [12.5, 24, 30, 60000 / 1001])
def test_frames_are_interpolated_at_the_middles_of_the_time_that_they_are_shown(fps):
    times = (torch.arange(48, dtype=torch.float64) + 0.5) / fps
    video = times.expand(1, 3, 2, 2, 48).movedim(4, 2)
    found = to_model_rate(video, fps)
    expected = (torch.arange(found.shape[2], dtype=torch.float64) + 0.5) / 25
    assert found.shape[2] == math.floor(48 * 25 / fps + 1e-9)
    # Within half a frame of the ends there is nothing to interpolate.
    inside = slice(1, -1)
    error = (found[0, 0, inside, 0, 0] - expected[inside]).abs().max()
    # The mean of whole and partial frames is off by less than a tenth of a frame.
    assert error < (1e-12 if fps <= 25 else 0.1 / 25)


def test_the_mean_of_the_frames_of_50_fps_is_taken():
    video = torch.rand(1, 3, 6, 2, 2)
    torch.testing.assert_close(to_model_rate(video, 50), (video[:, :, ::2] + video[:, :, 1::2]) / 2)


def test_crops_are_shrunk_without_aliases_and_faces_halved(lip_expert):
    stripes = torch.zeros(1, 3, 1, 384, 384)
    stripes[..., 192:, ::4] = 1
    lower = to_model_size(stripes, lip_expert.spec)
    assert lower.shape == (1, 3, 1, 48, 96)
    # A quarter is white; points between pixels would meet none of it.
    torch.testing.assert_close(lower[..., 1:, 1:-1], torch.full((1, 3, 1, 47, 94), 0.25))
    assert (to_model_size(stripes[..., 192:, :], lip_expert.spec) - lower).abs().mean() < 0.01


def test_gradients_reach_the_pixels_through_the_face_mesh():
    clip = render(1, 0.6, size=(320, 240), sample_rate=16000)
    regions = map(region_from_points, clip.points[0])
    crops = [cut_region(*frame) for frame in zip(clip.frames, regions, strict=True)]
    expert = avsync.SyncExpert("face_sync")
    video, wav = to_video(crops).requires_grad_(), torch.from_numpy(clip.wav)[None]
    loss = expert(video, wav)
    loss.backward()
    assert expert.spec.crop == "mesh"
    assert video.grad.isfinite().all() and (video.grad.abs().amax((1, 3, 4)) > 0).all()
    # The mouth is cut out of the pixels; the mesh depends on the others too.
    assert (video.grad[0, :, 5, :100].abs() > 0).any()
    step = 1e-4 * video.grad / video.grad.abs().max()
    with torch.no_grad():
        change = (expert(video + step, wav) - expert(video - step, wav)) / 2
        assert expert(video, wav.roll(2 * SAMPLES, 1)) > 3 * loss
    torch.testing.assert_close(change, (step * video.grad).sum(), rtol=0.2, atol=0)


def test_frames_without_a_face_give_no_gradient_and_no_nan():
    video, wav = noise(frames=8, size=128, batch=1)
    video.requires_grad_()
    loss = avsync.SyncExpert("face_sync")(video, wav)
    loss.backward()
    torch.testing.assert_close(loss, torch.tensor(math.log(4)))
    assert (video.grad == 0).all()


class TimeShift(nn.Module):
    """The smallest generator: it shows true frames at a learnt shift, in frames."""

    def __init__(self, frames, margin, shift):
        super().__init__()
        self.frames, self.margin = frames, margin
        self.shift = nn.Parameter(torch.tensor(shift))

    def forward(self):
        low = int(self.shift.detach().floor())
        share, count = self.shift - low, self.frames.shape[2] - 2 * self.margin
        start = self.margin + low
        early, late = (self.frames[:, :, k : k + count] for k in (start, start + 1))
        return (1 - share) * early + share * late


def test_a_generator_with_one_weight_learns_to_be_in_sync(clip, expert):
    video, wav = clip
    generator = TimeShift(video, margin=6, shift=2.3)
    optimizer = torch.optim.Adam(generator.parameters(), lr=0.3)
    losses = []
    for _ in range(25):
        loss = expert(generator(), wav, start_s=6 / 25)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4
    assert abs(generator.shift) < 0.5


@pytest.mark.real_data
@torch.no_grad()
def test_real_speech_costs_less_than_shifted_speech(shared, tmp_path, expert):
    (tmp_path / "videos").mkdir()
    clip = shared / "data" / "grid_other_speakers" / "bbad1n.mpg"
    (tmp_path / "videos" / clip.name).symlink_to(clip)
    prepare(tmp_path / "videos", tmp_path / "store", detector="haar")
    prepared = Store(tmp_path / "store")[0]
    video, wav = to_video(prepared.mouth), torch.from_numpy(prepared.wav_16k.copy())[None].float()
    true = expert(video, wav)
    for frames in (-5, -3, 3, 5):
        assert expert(video, wav.roll(SAMPLES * frames, 1)) > 1.5 * true


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_loss_and_gradient_of_a_cpu():
    expert, losses, gradients = avsync.SyncExpert("dense_sync"), [], []
    for device in ("cpu", "cuda"):
        video, wav = (tensor.to(device).requires_grad_() for tensor in spoken(1))
        losses.append(expert(video, wav, fps=30.0, sample_rate=19200))
        losses[-1].backward()
        gradients.append(wav.grad.cpu())
    torch.testing.assert_close(losses[1].cpu(), losses[0], rtol=1e-2, atol=1e-3)
    assert F.cosine_similarity(*(g.flatten() for g in gradients), dim=0) > 0.99


def refused(message):
    return pytest.raises(ValueError, match=re.escape(message))


def test_invalid_settings_are_refused():
    with refused("loss must be info_nce or cosine_bce, got 'bce'"):
        avsync.SyncExpert("dense_sync", loss="bce")
    with refused("max_shift must be 1 frame or more, got 0"):
        avsync.SyncExpert("dense_sync", max_shift=0)
    with refused("temperature must be positive, got 0"):
        avsync.SyncExpert("dense_sync", temperature=0)
    with refused("model must be one of face_sync, "):
        avsync.SyncExpert("lip_mask")
    with refused("Linear has no spec, encode_video, encode_audio, compare"):
        avsync.SyncExpert(nn.Linear(1, 1).eval())
    with refused("model must be in eval mode"):
        avsync.SyncExpert(create_model("lip_expert", config=EXPERT))
    with pytest.raises(RuntimeError, match="avsync ships no weights for syncnet"):
        avsync.SyncExpert("syncnet")


def test_invalid_inputs_are_refused(expert):
    video, wav = noise()
    with refused(
        "video must be floats (B, 3, T, H, W) in [0, 1], got (2, 3, 12, 56, 56) of torch.u"
    ):
        expert((255 * video).byte(), wav)
    with refused("video must be floats (B, 3, T, H, W) in [0, 1], got (2, 12, 3, 56, 56)"):
        expert(video.transpose(1, 2), wav)
    with refused("video must be in [0, 1], got -1.00 to 1.00"):
        expert(2 * video - 1, wav)
    with refused("wav must be floats (B, N) for video (2, 3, 12, 56, 56), got (2, 1, 7680)"):
        expert(video, wav[:, None])
    with refused("wav must be floats (B, N) for video (2, 3, 12, 56, 56), got (1, 7680)"):
        expert(video, wav[:1])
    with refused("fps and sample_rate must be positive, got 0 and 16000"):
        expert(video, wav, fps=0)
    with refused("0.100 to 0.580 s (12 frames at 25 fps), got 0.480 s at 16000 Hz"):
        expert(video, wav, start_s=0.1)
    with refused("video must be square crops of the kind mouth, got (48, 56)"):
        expert(video[..., :48, :], wav)
    with refused("5 frames of 40 ms at least, the window of dense_sync, got 9 frames at 60 fps"):
        expert(video[:, :, :9], wav, fps=60)
    with refused("got 0.200 s for windows of 0.200 s: pass longer clips"):
        expert(video[:, :, :5], wav[:, : 5 * SAMPLES])


def test_cosine_bce_of_other_scores_is_refused(expert):
    distances = SyncNetConfig((2, 3, 4), (2, 3, 4, 4, 5), dim=6, size=64)
    for model in (expert.model, build_syncnet(distances).eval()):
        with pytest.raises(ValueError, match=r"cosines in \[0, 1\], got -?\d.* use info_nce"):
            avsync.SyncExpert(model, loss="cosine_bce")(*noise())
