"""Losses of a frozen expert on generated faces: are they readable, and do they match the voice?

These are the lip-reading loss of TalkLip and the contrastive losses of TalkLip and SyncTalklip, by
an AV-SyncNet, and the sync loss of Wav2Lip, by a lip expert.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsync.data.augment_video import augment_mouth
from avsync.data.sampling.talking_frames import RUN_FRAMES
from avsync.encoders.dense_sync import LUMA
from avsync.losses.cosine_bce import CosineBceLoss
from avsync.losses.frame_contrast import AudioNegativesLoss, DistanceDifferenceLoss
from avsync.losses.label_smoothing import LabelSmoothedCrossEntropy
from avsync.tasks.sync.av_syncnet import AvSyncNet
from avsync.tasks.sync.lip_expert import LipExpert
from avsync.tasks.talking.synctalklip import SyncTalklip
from avsync.tasks.talking.wav2lip import Wav2Lip
from avsync.timing import SAMPLES_PER_FRAME
from avsync.training.steps.distillation import FrozenTeacher
from avsync.training.steps.talking import ExpertTerms

# The darkest grey that is augmented.
BLACK = 1e-3
Contrast = Literal["synctalklip", "talklip"]
Reference = Literal["frozen", "trained"]


class SpeechExpertLoss:
    """Losses of a frozen AV-SyncNet; an `ExpertLoss`, and no module, see `FrozenTeacher`.

    Args:
        expert: the AV-SyncNet.
        contrast: `synctalklip`, a difference of L1 distances, or `talklip`, InfoNCE.
        reference: audio tokens that lips are compared with: those of the expert itself, `frozen`,
            or those of the audio encoder in training, `trained`, as in TalkLip.
        alter: augment the mouths that the expert gets as for a lip reader in training: rotated,
            shifted, relit and blurred, differently at every step. What satisfies it must then hold
            beyond its own visual encoder.

    Raises:
        ValueError: an option is unknown, or `trained` for an expert with a convolution.
    """

    def __init__(
        self,
        expert: AvSyncNet,
        contrast: Contrast = "synctalklip",
        reference: Reference = "frozen",
        alter: bool = False,
    ) -> None:
        if contrast not in ("synctalklip", "talklip") or reference not in ("frozen", "trained"):
            raise ValueError(
                "contrast must be synctalklip or talklip and reference frozen or trained, "
                f"got {contrast!r} and {reference!r}"
            )
        if reference == "trained" and expert.conv_frames:
            raise ValueError(
                "reference must be frozen for an expert with a convolution: "
                "what is trained has none to compare with"
            )
        self.expert, self.reference, self.alter = FrozenTeacher(expert), reference, alter
        self.contrast = DistanceDifferenceLoss() if contrast == "synctalklip" else None
        self.matching = AudioNegativesLoss()
        self.reading = LabelSmoothedCrossEntropy(reduction="sum")
        self.edge, self.reach = expert.encoder.mouth.reach_frames, expert.window // 2

    @property
    def margin(self) -> int:
        """Frames of the clip that the expert needs on either side of a run."""
        return self.edge + self.reach

    def __call__(
        self,
        model: SyncTalklip | Wav2Lip,
        generated: Tensor,
        tokens: Tensor,
        audio: Tensor,
        indices: Tensor,
        expert_inputs: tuple[Tensor, ...],
    ) -> ExpertTerms:
        """Return the losses of generated frames, with the arguments of `ExpertLoss`.

        The lip-reading loss is a sum over symbols, 0 without text.
        """
        expert = self.expert.on(generated.device)
        mouths, affines, *text = expert_inputs
        composited = composite_mouths(mouths, generated, affines.unflatten(-1, (2, 3)), indices)
        if self.alter:
            generator = torch.Generator(generated.device).manual_seed(int(torch.randint(2**31, ())))
            # Black pixels would have an infinite slope where they are relit.
            composited = augment_mouth(composited.clamp(BLACK, 1), composited.shape[-1], generator)
        lengths, *symbols = text or (None,)
        # Every frame is encoded once, for reading and for the comparison.
        features = expert.encoder.encode_video(composited, lengths)
        lip = generated.new_zeros(())
        if symbols:
            inputs, targets = symbols
            video_tokens = expert.encoder.fuse(None, features, lengths)
            lip = self.reading(expert.reader.decode(video_tokens, inputs, lengths), targets)
        lips = expert.encode_visual_features(_gather_runs(features, indices, self.reach))
        if self.reference == "frozen":
            with torch.no_grad():
                voice = expert.encode_fbank(_gather_runs(audio, indices, self.reach))
        else:
            assert isinstance(model, SyncTalklip)
            voice = rearrange(model.embed_audio(tokens), "b (r n) d -> (b r) n d", n=RUN_FRAMES)
        contrast = self.contrast or self.matching
        return ExpertTerms(lip, contrast(voice, lips))


class LipExpertLoss:
    """Sync loss of a frozen lip expert on runs of five frames; an `ExpertLoss`, and no module.

    Args:
        expert: the lip expert, with windows of five frames.

    Raises:
        ValueError: its windows have another length.
    """

    def __init__(self, expert: LipExpert) -> None:
        if expert.spec.window_frames != RUN_FRAMES:
            raise ValueError(
                f"expert must look at {RUN_FRAMES} frames at a time, "
                f"got {expert.spec.window_frames}"
            )
        self.expert, self.criterion = FrozenTeacher(expert), CosineBceLoss()

    def __call__(
        self,
        model: nn.Module,
        generated: Tensor,
        tokens: Tensor,
        audio: Tensor,
        indices: Tensor,
        expert_inputs: tuple[Tensor, ...],
    ) -> ExpertTerms:
        """Return the losses of generated frames, with the arguments of `ExpertLoss`.

        The audio is the mel of the clips `(B, 80, S)`, which expert and Wav2Lip share. There is no
        lip-reading loss.
        """
        expert = self.expert.on(generated.device)
        lower = generated[..., generated.shape[3] // 2 :, :]
        runs = rearrange(lower, "b c (r t) h w -> (b r) c t h w", t=RUN_FRAMES)
        hop, count = expert.front_end.hop_length, expert.audio.window_columns
        firsts = indices[:, ::RUN_FRAMES, None] * SAMPLES_PER_FRAME // hop
        columns = firsts + torch.arange(count, device=generated.device)
        rows = torch.arange(len(audio), device=generated.device)[:, None, None]
        mel = rearrange(audio.mT[rows, columns], "b r s m -> (b r) m s")
        scores = expert(runs, mel)
        return ExpertTerms(generated.new_zeros(()), self.criterion(scores, torch.ones_like(scores)))


def composite_mouths(mouths: Tensor, generated: Tensor, affines: Tensor, indices: Tensor) -> Tensor:
    """Replace mouths of clips by those of generated faces.

    Where a mouth crop reaches beyond the face, its pixels stay.

    Args:
        mouths: grey mouths of whole clips `(B, T, S, S)`, in [0, 1].
        generated: generated faces `(B, 3, P, 96, 96)`.
        affines: maps of the mouths into the faces `(B, P, 2, 3)`, see `mouth_to_face_affine`.
        indices: index of each face in its clip `(B, P)`; of equal ones, one counts.

    Returns:
        Mouths `(B, T, S, S)`.
    """
    size = mouths.shape[-2:]
    grey = torch.einsum("bcphw,c->bphw", generated, generated.new_tensor(LUMA))
    faces = rearrange(grey, "b p h w -> (b p) 1 h w")
    grid = F.affine_grid(affines.flatten(0, 1), [len(faces), 1, *size], align_corners=False)
    new = F.grid_sample(faces, grid, padding_mode="border", align_corners=False)
    inside = (grid.abs() <= 1).all(-1)
    rows = torch.arange(len(mouths), device=mouths.device)[:, None]
    old = mouths[rows, indices]
    composited = mouths.clone()
    shape = (*indices.shape, *size)
    composited[rows, indices] = torch.where(inside.view(shape), new.view(shape), old)
    return composited


def _gather_runs(clips: Tensor, indices: Tensor, margin: int) -> Tensor:
    """Gather every run with its margins, `(B, T, ...)` -> `(B R, RUN_FRAMES + 2 margin, ...)`."""
    firsts = indices[:, ::RUN_FRAMES, None] - margin
    columns = firsts + torch.arange(RUN_FRAMES + 2 * margin, device=indices.device)
    rows = torch.arange(len(clips), device=indices.device)[:, None, None]
    return clips[rows, columns].flatten(0, 1)
