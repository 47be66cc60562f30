"""Recipe of a lip reader: `avsync train lip-reader --data STORE --transcripts FOLDER -o FOLDER`.

Source: Shi, Hsu, Lakhotia and Mohamed, Learning Audio-Visual Speech Representation by Masked
Multimodal Cluster Prediction (AV-HuBERT, ICLR 2022), without the pre-training.
"""

import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsync.data.sampling.crops import crops_for
from avsync.data.store.reader import PreparedClip
from avsync.losses.label_smoothing import LabelSmoothedCrossEntropy
from avsync.tasks.lipreading.lip_reader import LipReader, LipReaderConfig, to_grey
from avsync.tasks.lipreading.vocabulary import END, IGNORED
from avsync.training.data.sync import ClipData, as_frames
from avsync.training.data.utterances import HeldOutTexts, TranscribedClips, TranscriptData
from avsync.training.engine.batches import as_floats
from avsync.training.engine.checkpoint import save_model, start_model
from avsync.training.engine.early_stop import Watch
from avsync.training.engine.loop import fit
from avsync.training.engine.settings import REQUIRED, FlagsOf, LoopSettings

Streams = Literal["both", "video", "audio"]
CLIPS = ClipData(data=REQUIRED, batch=8)
LOOP = LoopSettings(output=REQUIRED, steps=20_000, lr=1e-3, validate_every=500)


@dataclass(frozen=True)
class LipReaderRecipe:
    """Train a lip reader on clips with transcripts, by label-smoothed cross-entropy.

    Args:
        speech: transcripts of the clips.
        clips: training clips.
        loop: length, optimiser and output.
        model: sizes; with `--unit words` the vocabulary is that of the clips.
        streams: input of the model; of `both`, each clip may lose one, see `--encoder`.
        smoothing: label smoothing.
        ctc: weight of a second loss on the encoder's own tokens, connectionist temporal
            classification, by which it learns where in the clip each symbol is; published is none.
            Its layer is not kept.
        by_frame: weight of a third loss on those tokens, the word said in each frame: for `--unit
            words` and transcripts with times. It is given what CTC must find.
        init: weights to start from instead of fresh ones; their sizes apply.
    """

    speech: FlagsOf[TranscriptData]
    clips: FlagsOf[ClipData] = CLIPS
    loop: FlagsOf[LoopSettings] = LOOP
    model: FlagsOf[LipReaderConfig] = field(default_factory=LipReaderConfig)
    streams: Streams = "both"
    smoothing: float = 0.1
    ctc: float = 0.0
    by_frame: float = 0.0
    init: Path | None = None


class LipReaderStep(nn.Module):
    """A lip reader with its losses: a training step's forward pass.

    The value is the cross-entropy, whose chance level is ln of the vocabulary size; the gradient is
    that of the losses on the encoder's tokens as well.

    Args:
        model: the model.
        streams: input of the model.
        smoothing: label smoothing.
        ctc: weight of CTC on the encoder's tokens.
        by_frame: weight of the cross-entropy of the word of each frame.
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
        words: Tensor,
        audio: Tensor,
    ) -> Tensor:
        """Map a batch of `TranscribedClips.batches` to the loss.

        Args:
            video: grey mouths `(B, T, H, W)`.
            lengths: valid frames of each clip `(B,)`.
            inputs: previous symbols `(B, L)`.
            targets: next symbols `(B, L)`.
            words: word said in each frame `(B, T)`.
            audio: filterbank energies `(B, T, 104)`.

        Returns:
            A scalar.
        """
        audio_input = None if self.streams == "video" else audio
        video_input = None if self.streams == "audio" else video
        tokens = self.model.encoder(audio_input, video_input, lengths)
        loss: Tensor = self.criterion(self.model.decode(tokens, inputs, lengths), targets)
        if self.frame_symbols is None:
            return loss
        logits = self.frame_symbols(tokens)
        auxiliary = loss.new_zeros(())
        if self.ctc:
            auxiliary = auxiliary + self.ctc * ctc_loss(logits, lengths, targets)
        if self.by_frame and (words != IGNORED).any():
            auxiliary = auxiliary + self.by_frame * F.cross_entropy(logits.mT, words)
        return loss + (auxiliary - auxiliary.detach())


def ctc_loss(logits: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
    """Compute the CTC loss of logits `(B, T, V)` and targets `(B, L)`; END is the blank."""
    real = (targets != END) & (targets != IGNORED)
    log_probs = F.log_softmax(logits.float(), dim=-1).transpose(0, 1)
    return F.ctc_loss(
        log_probs, targets.clamp_min(0), lengths, real.sum(1), blank=END, zero_infinity=True
    )


class ReadingValidation:
    """Measure the share of symbols that a lip reader predicts on held-out clips.

    It is given the previous symbols, and each stream alone. The word error rate, without given
    symbols, is measured by `avsync evaluate lipread`.

    Args:
        held_out: clips, and what is said in them.
        streams: input of the model.
    """

    def __init__(self, held_out: HeldOutTexts, streams: Streams) -> None:
        self.held_out = held_out
        self.streams = ("video", "audio") if streams == "both" else (streams,)
        self.watch = Watch(f"told_from_{self.streams[0]}")

    @torch.no_grad()
    def __call__(self, task: nn.Module) -> dict[str, float]:
        """Measure the `model` of a training step, which is put into eval mode.

        Returns:
            Figures by name, one for each stream; none without clips.
        """
        if not self.held_out.clips:
            return {}
        model = task.get_submodule("model").eval()
        assert isinstance(model, LipReader)
        figures = {}
        for stream in self.streams:
            shares = [
                _predicted_share(model, clip, text, stream)
                for clip, text in zip(*self.held_out, strict=True)
            ]
            figures[f"told_from_{stream}"] = float(np.mean(shares))
        return figures


def _predicted_share(model: LipReader, clip: PreparedClip, text: str, stream: str) -> float:
    device = model.classifier.weight.device
    inputs, targets = (symbols.to(device) for symbols in model.vocabulary.batch([text]))
    audio = video = None
    if stream == "video":
        (frames,) = as_floats((as_frames([crops_for(model.spec, clip)]),))
        video = to_grey(frames.to(device))
    else:
        wav = torch.from_numpy(np.array(clip.wav_16k))[None]
        audio = model.front_end(wav.to(device), len(clip.face))
    return float((model(audio, video, inputs).argmax(-1) == targets).float().mean())


def train(recipe: LipReaderRecipe) -> Path:
    """Train the lip reader, or resume the run; return the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    clips = TranscribedClips(recipe.clips, recipe.speech)
    sizes = replace(recipe.model, symbols=recipe.model.symbols or clips.symbols(recipe.model.unit))
    start = start_model("lip_reader", asdict(sizes), recipe.init)
    step = LipReaderStep(start.model, recipe.streams, recipe.smoothing, recipe.ctc, recipe.by_frame)
    validation = ReadingValidation(clips.held_out(), recipe.streams)
    batches = clips.batches(start.model)
    trained = fit(step, batches, recipe.loop, step.chance, validation, validation.watch)
    return save_model(recipe.loop.output, start.name, trained, start.config)
