"""A frozen sync model as a loss: does this video match this audio, differentiably in both?

Sources: Prajwal, Mukhopadhyay, Namboodiri and Jawahar, A Lip Sync Expert Is All You Need for Speech
to Lip Generation In the Wild (Wav2Lip, ACM Multimedia 2020) for a frozen expert as a loss and its
cosine BCE; van den Oord, Li and Vinyals, Representation Learning with Contrastive Predictive Coding
(2018) for InfoNCE; Chung, Chung and Kang, Perfect Match (ICASSP 2019) for candidates of one clip.
"""

import math
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsync.audio.resampling import resample_with_gradients
from avsync.losses.cosine_bce import CosineBceLoss
from avsync.losses.info_nce import InfoNceLoss
from avsync.scoring.embeddings import SYNC_CONTRACT, SyncModel, device_and_dtype, tree_map
from avsync.tasks.input_spec import ClipSpec
from avsync.tasks.registry import create_model, model_card, resolve_model
from avsync.tasks.sync.lip_expert import LipExpert
from avsync.tasks.sync.perfect_match import PerfectMatch
from avsync.timing import FPS, FRAME_MS, SAMPLE_RATE, SAMPLES_PER_FRAME
from avsync.training.steps.distillation import FrozenTeacher

ExpertCriterion = Literal["info_nce", "cosine_bce"]
# Scores of these are cosines, which differ by too little for a softmax.
COSINE_MODELS = (LipExpert, PerfectMatch)
COSINE_TEMPERATURE = 0.07
# What arithmetic may add to a cosine of 1.
ROUNDING = 1e-3


class OffsetScores(NamedTuple):
    """Scores of a batch of clips at offsets of whole frames.

    Args:
        offsets_ms: `(K,)`, rising; positive = the audio leads.
        scores: `(B, K)`, means over windows of the score less the window's mean over its offsets;
            NaN at offsets at which no window has audio.
    """

    offsets_ms: Tensor
    scores: Tensor


class SyncExpert(nn.Module):
    """A frozen sync model as a loss on video and audio, for any training loop.

    With s(w, k) the model's score of video window w and of the audio k frames later, t the
    temperature and M the `max_shift`, the loss is the mean over windows and clips of

    - `info_nce`: `-ln(exp(s(w, 0) / t) / sum_{|k| <= M} exp(s(w, k) / t))`, for every model;
    - `cosine_bce`: `-ln s(w, 0)`, for models whose scores are cosines in [0, 1]: the loss of
      Wav2Lip with its expert, `lip_expert`.

    Gradients reach the video and the audio, never the model. It is no submodule: whatever a module
    that holds the expert does with its submodules, such as `train()`, `requires_grad_()`,
    `state_dict()` and copies for averages, does not reach it. It follows the device of its input.

    Args:
        model: name of a sync model, or a model that keeps the contract of one, in eval mode; the
            model itself is frozen, not a copy.
        weights: a checkpoint of the named model instead of the released one.
        loss: see above.
        max_shift: largest shift of a candidate, in frames of 40 ms; 15 as in the published
            evaluations of accuracy.
        temperature: divides the scores, lower is sharper; by default 0.07 for models that compare
            by cosines (`lip_expert`, `perfect_match`), else 1.

    Raises:
        ValueError: an argument is invalid.
        RuntimeError: there are no such weights.
    """

    def __init__(
        self,
        model: str | nn.Module = "dense_sync",
        weights: str | Path | None = None,
        loss: ExpertCriterion = "info_nce",
        max_shift: int = 15,
        temperature: float | None = None,
    ) -> None:
        super().__init__()
        if loss not in get_args(ExpertCriterion):
            raise ValueError(f"loss must be info_nce or cosine_bce, got {loss!r}")
        if max_shift < 1:
            raise ValueError(f"max_shift must be 1 frame or more, got {max_shift}")
        self.name, found = resolve_model(model, weights, _load, SYNC_CONTRACT)
        if not isinstance(found, nn.Module):
            raise ValueError(f"model must be a name or an nn.Module, got a {self.name}")
        if temperature is None:
            temperature = COSINE_TEMPERATURE if isinstance(found, COSINE_MODELS) else 1.0
        self.loss, self.max_shift = loss, max_shift
        self.matching, self.cosine_bce = InfoNceLoss(temperature), CosineBceLoss()
        self._frozen = FrozenTeacher(found)

    @property
    def model(self) -> nn.Module:
        """The frozen model."""
        return self._frozen.model

    @property
    def spec(self) -> ClipSpec:
        """The model's input: `spec.crop` is the kind of crop that the video must show."""
        return cast(SyncModel, self.model).spec

    def forward(
        self,
        video: Tensor,
        wav: Tensor,
        fps: float = FPS,
        sample_rate: int = SAMPLE_RATE,
        start_s: float = 0.0,
    ) -> Tensor:
        """Compute the loss of clips.

        Args:
            video: RGB crops `(B, 3, T, H, W)` in [0, 1] of the kind `spec.crop`, square, of any
                size; for models of the lower half of a face, that half itself or the whole face.
                They are resized to the model's size, and brought to 25 fps by `to_model_rate`.
            wav: waveforms `(B, N)`, which last as long as the video or longer. What a model reads
                beyond their ends counts as silence.
            fps: frames of the video per second.
            sample_rate: samples of the waveforms per second.
            start_s: time in the waveforms at which frame 0 is shown. With audio before and after a
                run of frames, short runs have candidates too.

        Returns:
            A scalar.

        Raises:
            ValueError: an input is invalid.
        """
        if self.loss == "cosine_bce":
            cosines = self._score(video, wav, fps, sample_rate, start_s, reach=0)
            low, high = cosines.detach().aminmax()
            if low < -ROUNDING or high > 1 + ROUNDING:
                raise ValueError(
                    "loss cosine_bce needs a model whose scores are cosines in [0, 1], got "
                    f"{float(low):.2f} to {float(high):.2f} from {self.name}: use info_nce"
                )
            loss: Tensor = self.cosine_bce(cosines, torch.ones_like(cosines))
            return loss
        scores = self._score(video, wav, fps, sample_rate, start_s, self.max_shift)
        if int(scores[0].isfinite().sum(1).max()) == 1:
            raise ValueError(
                "info_nce needs more than one window of audio to choose from, got "
                f"{wav.shape[1] / sample_rate:.3f} s for windows of "
                f"{self.spec.window_frames / FPS:.3f} s: pass longer clips, or audio before and "
                "after the video with start_s"
            )
        pairs = rearrange(scores, "b w k -> (b w) k")
        target = torch.full_like(pairs[:, 0], self.max_shift, dtype=torch.long)
        loss = self.matching(pairs, target)
        return loss

    def scores(
        self,
        video: Tensor,
        wav: Tensor,
        fps: float = FPS,
        sample_rate: int = SAMPLE_RATE,
        start_s: float = 0.0,
    ) -> OffsetScores:
        """Score clips at every offset of up to `max_shift` frames, with the inputs of `forward`."""
        scores = self._score(video, wav, fps, sample_rate, start_s, self.max_shift)
        known = scores.isfinite()
        finite = scores.masked_fill(~known, 0)
        mean = finite.sum(-1, keepdim=True) / known.sum(-1, keepdim=True)
        evidence = (finite - mean).masked_fill(~known, 0).sum(1) / known.sum(1)
        steps = torch.arange(-self.max_shift, self.max_shift + 1, device=scores.device)
        return OffsetScores((FRAME_MS * steps).to(scores), evidence)

    def _score(
        self, video: Tensor, wav: Tensor, fps: float, sample_rate: int, start_s: float, reach: int
    ) -> Tensor:
        """Score windows at offsets of -reach to reach frames `(B, W, K)`, -inf without audio."""
        check_inputs(video, wav, fps, sample_rate, start_s)
        spec = self.spec
        model = cast(SyncModel, self._frozen.on(video.device))
        dtype = device_and_dtype(model).dtype
        # Candidates differ by less than half precision resolves.
        with torch.autocast(video.device.type, enabled=False):
            frames = to_model_rate(to_model_size(video.to(dtype), spec), fps)
            windows = frames.shape[2] - spec.window_frames + 1
            if windows < 1:
                raise ValueError(
                    f"video must last {spec.window_frames} frames of 40 ms at least, the window of "
                    f"{self.name}, got {video.shape[2]} frames at {fps:g} fps"
                )
            at_16k = resample_with_gradients(wav.to(dtype), sample_rate, SAMPLE_RATE)
            # Windows of audio are numbered by frames of the video, whole ones within the waveform.
            zero = round(start_s * SAMPLE_RATE)
            earliest = math.ceil(-zero / SAMPLES_PER_FRAME)
            latest = (at_16k.shape[1] - zero) // SAMPLES_PER_FRAME - spec.window_frames
            first, last = max(earliest, -reach), min(latest, windows - 1 + reach)
            # Frame 0 may begin, and the last end, within a frame of the waveform's end.
            first, last = min(first, 0), max(last, windows - 1)
            audio = encode_windows(model, at_16k, zero, first, last)
            own = torch.arange(windows, device=video.device)[:, None]
            # Audio that leads by k frames starts k frames before the window.
            index = own - torch.arange(-reach, reach + 1, device=video.device)
            known = (index >= first) & (index <= last)
            chosen = index.clamp(first, last) - first
            scores = model.compare(
                tree_map(lambda tensor: tensor[:, :, None], model.encode_video(frames)),
                tree_map(lambda tensor: tensor[:, chosen], audio),
            )
            return scores.masked_fill(~known, -torch.inf)


def check_inputs(video: Tensor, wav: Tensor, fps: float, sample_rate: int, start_s: float) -> None:
    """Raise ValueError for the first invalid input of `SyncExpert`."""
    if video.ndim != 5 or video.shape[1] != 3 or not video.numel() or not video.is_floating_point():
        raise ValueError(
            "video must be floats (B, 3, T, H, W) in [0, 1], "
            f"got {tuple(video.shape)} of {video.dtype}"
        )
    if wav.ndim != 2 or len(wav) != len(video) or not wav.is_floating_point():
        raise ValueError(
            f"wav must be floats (B, N) for video {tuple(video.shape)}, "
            f"got {tuple(wav.shape)} of {wav.dtype}"
        )
    if not 0 < fps < math.inf or sample_rate < 1:
        raise ValueError(f"fps and sample_rate must be positive, got {fps} and {sample_rate}")
    low, high = video.detach().aminmax()
    # A generator without a bound may overshoot, but not as far as [-1, 1] or bytes reach.
    if low < -0.75 or high > 2:
        raise ValueError(f"video must be in [0, 1], got {float(low):.2f} to {float(high):.2f}")
    length_s, shown_s = wav.shape[1] / sample_rate, video.shape[2] / fps
    if start_s < 0 or start_s + shown_s > length_s + 1 / FPS:
        raise ValueError(
            f"wav must hold the audio of the video, {start_s:.3f} to {start_s + shown_s:.3f} s "
            f"({video.shape[2]} frames at {fps:g} fps), got {length_s:.3f} s at {sample_rate} Hz"
        )


def to_model_size(video: Tensor, spec: ClipSpec) -> Tensor:
    """Resize crops `(B, 3, T, H, W)` to those of a spec, with gradients.

    Shrinking is antialiased. For a spec of the lower half of a crop, square crops are cut to it.

    Raises:
        ValueError: the crops have another aspect ratio, which resizing would distort.
    """
    height, width = video.shape[3:]
    halved = spec.lower_half and width == 2 * height
    if height != width and not halved:
        half = f", or their lower half ({spec.width // 2}, {spec.width})" if spec.lower_half else ""
        raise ValueError(
            f"video must be square crops of the kind {spec.crop}{half}, got ({height}, {width})"
        )
    size = (spec.width, spec.width) if spec.lower_half and not halved else (spec.height, spec.width)
    if (height, width) != size:
        flat = rearrange(video, "b c t h w -> (b t) c h w")
        resized = F.interpolate(flat, size, mode="bilinear", antialias=True)
        video = rearrange(resized, "(b t) c h w -> b c t h w", b=len(video))
    return video[..., size[0] - spec.height :, :]


def to_model_rate(video: Tensor, fps: float) -> Tensor:
    """Interpolate video `(B, 3, T, H, W)` in time to 25 fps, with gradients to every frame.

    Frame k is shown from k / fps to (k + 1) / fps. From higher rates, a frame is the mean of what
    was shown while it is, as in a camera with a longer exposure; from lower rates it is linear
    between the middles of two frames. Only frames that are shown to their end are kept.
    """
    total, ratio = video.shape[2], fps / FPS
    if ratio == 1:
        return video
    starts = ratio * torch.arange(int(total / ratio + 1e-6), dtype=torch.float64)[:, None]
    frames = torch.arange(total, dtype=torch.float64)
    if ratio > 1:
        ends = torch.minimum(starts + ratio, frames + 1)
        weights = (ends - torch.maximum(starts, frames)).clamp_min(0)
    else:
        middles = (starts + ratio / 2 - 0.5).clamp(0, total - 1)
        weights = (1 - (middles - frames).abs()).clamp_min(0)
    weights = weights / weights.sum(1, keepdim=True)
    return torch.einsum("bcthw,st->bcshw", video, weights.to(video))


def encode_windows(model: SyncModel, wav: Tensor, zero: int, first: int, last: int) -> Tensor:
    """Encode the audio of windows `first` to `last`, whose frame 0 is at sample `zero` of wav."""
    spec = model.spec
    # In whole frames, so that windows start where the model's own hops do.
    before = math.floor((spec.audio_from_s - spec.audio_context_s) * FPS)
    after = math.ceil((spec.audio_until_s + spec.audio_context_s) * FPS)
    begin = zero + SAMPLES_PER_FRAME * (first + before)
    end = zero + SAMPLES_PER_FRAME * (last + after)
    padding = (max(-begin, 0), max(end - wav.shape[1], 0))
    padded = F.pad(wav[:, max(begin, 0) : end], padding)
    starts_s = torch.arange(-before, last - first - before + 1, dtype=torch.float64) / FPS
    return cast(Tensor, model.encode_audio(padded, starts_s))


def _load(name: str, weights: str | None) -> nn.Module:
    card = model_card(name, "sync")
    return create_model(card.name, pretrained=weights is None, weights=weights)
