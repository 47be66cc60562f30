"""What a frozen AV-SyncNet says to frames that were drawn: can they be read, do they fit the voice?

The lip-reading loss of TalkLip and the contrastive losses of TalkLip and SyncTalklip.
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
from avsync.training.steps.talking import Costs

# The darkest grey that is altered.
BLACK = 1e-3
Contrast = Literal["synctalklip", "talklip"]
Reference = Literal["frozen", "trained"]


class SpeechExpertLoss:
    """Judges frames by a frozen AV-SyncNet; no module, see `FrozenTeacher`.

    Args:
        expert: the judge.
        contrast: `synctalklip`, a difference of L1 distances, or `talklip`, InfoNCE.
        reference: whose tokens of the voice lips are compared with: those of the expert itself,
            frozen, or those of the encoder that is trained, as in TalkLip.
        alter: shows it the mouths as readers are shown them in training: turned, moved, lit
            otherwise, blurred, another way at every step. What pleases it then must hold for more
            than its own eyes.
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
        """Frames of the clip that it sees on either side of a run."""
        return self.edge + self.reach

    def __call__(
        self,
        model: SyncTalklip | Wav2Lip,
        made: Tensor,
        tokens: Tensor,
        audio: Tensor,
        places: Tensor,
        guided: tuple[Tensor, ...],
    ) -> Costs:
        """Return what frames cost: reading a sum over symbols, 0 where there is no text.

        Args:
            model: what drew them.
            made: the frames `(B, 3, P, 96, 96)`.
            tokens: of the voice that they were drawn by `(B, P, D)`.
            audio: log energies of the whole clips `(B, T, 104)`.
            places: of the frames in their clips `(B, P)`.
            guided: what `talking_batches` puts before the rest of a batch.
        """
        expert = self.expert.on(made.device)
        mouths, lies, *said = guided
        pasted = paste(mouths, made, lies.unflatten(-1, (2, 3)), places)
        if self.alter:
            generator = torch.Generator(made.device).manual_seed(int(torch.randint(2**31, ())))
            # What is black would have an endless slope where it is lit otherwise.
            pasted = augment_mouth(pasted.clamp(BLACK, 1), pasted.shape[-1], generator)
        lengths, *text = said or (None,)
        # Every frame is seen once, to be read and to be compared.
        seen = expert.encoder.encode_video(pasted, lengths)
        lip = made.new_zeros(())
        if text:
            inputs, targets = text
            tokens_seen = expert.encoder.fuse(None, seen, lengths)
            lip = self.reading(expert.reader.decode(tokens_seen, inputs, lengths), targets)
        lips = expert.encode_visual_features(_around(seen, places, self.reach))
        if self.reference == "frozen":
            with torch.no_grad():
                voice = expert.encode_fbank(_around(audio, places, self.reach))
        else:
            assert isinstance(model, SyncTalklip)
            voice = rearrange(model.embed_audio(tokens), "b (r n) d -> (b r) n d", n=RUN_FRAMES)
        contrast = self.contrast or self.matching
        return Costs(lip, contrast(voice, lips))


def paste(mouths: Tensor, made: Tensor, lies: Tensor, places: Tensor) -> Tensor:
    """Grey mouths `(B, T, S, S)` with those of the faces drawn in their places; where a mouth crop
    reaches over the face, it stays as it was.

    Args:
        mouths: of whole clips, in [0, 1].
        made: faces drawn `(B, 3, P, 96, 96)`.
        lies: where their mouths lie in them `(B, P, 2, 3)`, see `mouth_to_face_affine`.
        places: of the faces in their clips `(B, P)`; of the same place drawn twice, one counts.
    """
    size = mouths.shape[-2:]
    grey = torch.einsum("bcphw,c->bphw", made, made.new_tensor(LUMA))
    faces = rearrange(grey, "b p h w -> (b p) 1 h w")
    grid = F.affine_grid(lies.flatten(0, 1), [len(faces), 1, *size], align_corners=False)
    new = F.grid_sample(faces, grid, padding_mode="border", align_corners=False)
    inside = (grid.abs() <= 1).all(-1)
    rows = torch.arange(len(mouths), device=mouths.device)[:, None]
    old = mouths[rows, places]
    pasted = mouths.clone()
    shape = (*places.shape, *size)
    pasted[rows, places] = torch.where(inside.view(shape), new.view(shape), old)
    return pasted


def _around(clips: Tensor, places: Tensor, margin: int) -> Tensor:
    """Return what lies around every run of frames, `(B, T, ...)` -> `(B R, RUN_FRAMES + 2 margin, ...)`."""
    firsts = places[:, ::RUN_FRAMES, None] - margin
    around = firsts + torch.arange(RUN_FRAMES + 2 * margin, device=places.device)
    rows = torch.arange(len(clips), device=places.device)[:, None, None]
    return clips[rows, around].flatten(0, 1)


class LipExpertLoss:
    """Judges runs of five frames by a frozen lip expert; no module, see `FrozenTeacher`.

    Args:
        expert: the judge, of windows of five frames.
    """

    def __init__(self, expert: LipExpert) -> None:
        if expert.spec.window_frames != RUN_FRAMES:
            raise ValueError(
                f"expert must look at {RUN_FRAMES} frames at a time, got {expert.spec.window_frames}"
            )
        self.expert, self.criterion = FrozenTeacher(expert), CosineBceLoss()

    def __call__(
        self,
        model: nn.Module,
        made: Tensor,
        tokens: Tensor,
        audio: Tensor,
        places: Tensor,
        guided: tuple[Tensor, ...],
    ) -> Costs:
        """Return what frames `(B, 3, P, 96, 96)` cost whose places in their clips are `(B, P)`; audio is
        the mel of the clips `(B, 80, S)`, which the expert and Wav2Lip share.
        """
        expert = self.expert.on(made.device)
        lower = made[..., made.shape[3] // 2 :, :]
        runs = rearrange(lower, "b c (r t) h w -> (b r) c t h w", t=RUN_FRAMES)
        hop, count = expert.front_end.hop_length, expert.audio.window_columns
        firsts = places[:, ::RUN_FRAMES, None] * SAMPLES_PER_FRAME // hop
        columns = firsts + torch.arange(count, device=made.device)
        rows = torch.arange(len(audio), device=made.device)[:, None, None]
        mel = rearrange(audio.mT[rows, columns], "b r s m -> (b r) m s")
        scores = expert(runs, mel)
        return Costs(made.new_zeros(()), self.criterion(scores, torch.ones_like(scores)))
