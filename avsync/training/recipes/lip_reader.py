"""Training of a lip reader: `avsync train lip-reader --data STORE --transcripts FOLDER -o FOLDER`.

Shi, Hsu, Lakhotia and Mohamed, Learning Audio-Visual Speech Representation by Masked Multimodal
Cluster Prediction (ICLR 2022), without the pre-training.
"""

import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from torch import Tensor, nn

from avsync.data.sampling.crops import crops_for
from avsync.data.store.reader import PreparedClip
from avsync.losses.label_smoothing import LabelSmoothedCrossEntropy
from avsync.tasks.lipreading.lip_reader import LipReader, LipReaderConfig, to_grey
from avsync.tasks.lipreading.vocabulary import END, IGNORED
from avsync.training.data.sync import ClipData, as_frames
from avsync.training.data.utterances import HeldOut, Speech, Spoken
from avsync.training.engine.batches import as_floats
from avsync.training.engine.checkpoint import save_model, start_model
from avsync.training.engine.loop import LoopSettings, Watch, fit

Streams = Literal["both", "video", "audio"]
CLIPS = ClipData(data=tyro.MISSING, batch=8)
LOOP = LoopSettings(output=tyro.MISSING, steps=20_000, lr=1e-3, validate_every=500)


@dataclass(frozen=True)
class LipReaderRecipe:
    """Trains a lip reader on clips with transcripts, by label-smoothed cross-entropy.

    Args:
        clips: what to train on.
        speech: what is said in it.
        loop: how long, how fast, where to.
        model: sizes; of `--unit words` the vocabulary is that of the training clips.
        streams: what it is shown; of `both`, each clip may lose one, see `--encoder`.
        smoothing: of the labels.
        ctc: weight of a second loss on the encoder's own tokens, connectionist temporal
            classification, which tells it where in the clip each symbol is; published is none. Its
            layer is not kept.
        by_frame: weight of a third loss on those tokens, which word is said in each frame: for
            `--unit words` and transcripts with times. It is told what CTC must find.
        init: weights to start from instead of fresh ones; their sizes hold.
    """

    speech: Annotated[Speech, tyro.conf.arg(name="")]
    clips: Annotated[ClipData, tyro.conf.arg(name="")] = CLIPS
    loop: Annotated[LoopSettings, tyro.conf.arg(name="")] = LOOP
    model: Annotated[LipReaderConfig, tyro.conf.arg(name="")] = field(
        default_factory=LipReaderConfig
    )
    streams: Streams = "both"
    smoothing: float = 0.1
    ctc: float = 0.0
    by_frame: float = 0.0
    init: Path | None = None


class Reading(nn.Module):
    """A lip reader with its loss: one training step's forward pass.

    The value is the cross-entropy, whose chance is the logarithm of the vocabulary; the gradient is
    that of the losses on the encoder's tokens as well.

    Args:
        model: the model.
        streams: what it is shown.
        smoothing: of the labels.
        ctc: weight of CTC on the encoder's tokens.
        by_frame: weight of telling the word of each frame.
    """

    def __init__(
        self,
        model: LipReader,
        streams: Streams = "both",
        smoothing: float = 0.1,
        ctc: float = 0.0,
        by_frame: float = 0.0,
    ) -> None:
        super().__init__()
        if min(ctc, by_frame) < 0:
            raise ValueError(f"ctc and by_frame must be 0 or more, got {ctc} and {by_frame}")
        if by_frame and model.vocabulary.unit != "words":
            raise ValueError("by_frame needs a vocabulary of words: --unit words")
        self.model, self.streams, self.ctc, self.by_frame = model, streams, ctc, by_frame
        self.criterion = LabelSmoothedCrossEntropy(smoothing)
        symbols = len(model.vocabulary)
        dim = model.encoder.config.dim
        self.frame_symbols = nn.Linear(dim, symbols) if ctc or by_frame else None
        self.chance = math.log(symbols)

    def forward(
        self,
        video: Tensor,
        lengths: Tensor,
        inputs: Tensor,
        targets: Tensor,
        said: Tensor,
        audio: Tensor,
    ) -> Tensor:
        """Map mouths `(B, T, H, W)`, voices `(B, T, 104)`, the frames of each that count `(B,)`,
        symbols `(B, L)` and the word of each frame `(B, T)` to the loss.
        """
        heard = None if self.streams == "video" else audio
        seen = None if self.streams == "audio" else video
        tokens = self.model.encoder(heard, seen, lengths)
        loss: Tensor = self.criterion(self.model.decode(tokens, inputs, lengths), targets)
        if self.frame_symbols is None:
            return loss
        logits = self.frame_symbols(tokens)
        aided = loss.new_zeros(())
        if self.ctc:
            aided = aided + self.ctc * frame_loss(logits, lengths, targets)
        if self.by_frame and (said != IGNORED).any():
            aided = aided + self.by_frame * F.cross_entropy(logits.mT, said)
        return loss + (aided - aided.detach())


def frame_loss(logits: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
    """CTC of logits `(B, T, V)` for the symbols of targets `(B, L)`; END stands for no symbol."""
    real = (targets != END) & (targets != IGNORED)
    log_probs = F.log_softmax(logits.float(), dim=-1).transpose(0, 1)
    return F.ctc_loss(
        log_probs, targets.clamp_min(0), lengths, real.sum(1), blank=END, zero_infinity=True
    )


class ReadingValidation:
    """Measures the `model` of a training step on held-out clips: the share of symbols that it tells
    when it is given those before, from each stream alone.

    The word error rate, where nothing is given, is that of `avsync evaluate lipread`.

    Args:
        held_out: clips, and what is said in them.
        streams: what the model is shown.
    """

    def __init__(self, held_out: HeldOut, streams: Streams) -> None:
        self.held_out = held_out
        self.streams = ("video", "audio") if streams == "both" else (streams,)
        self.watch = Watch(f"told_from_{self.streams[0]}")

    @torch.no_grad()
    def __call__(self, task: nn.Module) -> dict[str, float]:
        """Figures by name; the model is put into eval mode."""
        if not self.held_out.clips:
            return {}
        model = task.get_submodule("model").eval()
        assert isinstance(model, LipReader)
        shares = [
            [_told(model, clip, text, stream) for clip, text in zip(*self.held_out, strict=True)]
            for stream in self.streams
        ]
        return {
            f"told_from_{k}": float(np.mean(v)) for k, v in zip(self.streams, shares, strict=True)
        }


def _told(model: LipReader, clip: PreparedClip, text: str, stream: str) -> float:
    device = model.classifier.weight.device
    inputs, targets = (each.to(device) for each in model.vocabulary.batch([text]))
    audio = video = None
    if stream == "video":
        (frames,) = as_floats((as_frames([crops_for(model.spec, clip)]),))
        video = to_grey(frames.to(device))
    else:
        wav = torch.from_numpy(np.array(clip.wav_16k))[None]
        audio = model.front_end(wav.to(device), len(clip.face))
    return float((model(audio, video, inputs).argmax(-1) == targets).float().mean())


def train(recipe: LipReaderRecipe) -> Path:
    """Run the recipe, or what is left of it, and returns the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    spoken = Spoken(recipe.clips, recipe.speech)
    sizes = replace(recipe.model, symbols=recipe.model.symbols or spoken.symbols(recipe.model.unit))
    model, config = start_model("lip_reader", asdict(sizes), recipe.init)
    assert isinstance(model, LipReader)
    task = Reading(model, recipe.streams, recipe.smoothing, recipe.ctc, recipe.by_frame)
    measure = ReadingValidation(spoken.held_out(), recipe.streams)
    trained = fit(task, spoken.batches(model), recipe.loop, task.chance, measure, measure.watch)
    return save_model(recipe.loop.output, "lip_reader", trained, config)
