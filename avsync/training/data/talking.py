"""Batches that a talking face learns from, and what the model that guides it asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from avsync.data.corpora.transcripts import read_transcript
from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.sampling.talking_frames import TalkingClips, TalkingDraw
from avsync.tasks.input_spec import ClipSpec
from avsync.tasks.lipreading.vocabulary import Vocabulary
from avsync.tasks.talking.generator import FACE_SPEC
from avsync.timing import FPS
from avsync.training.data.avhubert_inputs import mouths, with_margin
from avsync.training.data.sync import ClipData, as_frames, open_sources, shares_of
from avsync.training.engine.loop import MakeBatch


@dataclass(frozen=True)
class Guidance:
    """What a batch must hold so that a frozen AV-SyncNet can judge the frames that are drawn.

    Args:
        spec: of its mouth crops.
        margin: frames of the clip on either side of every run.
        vocabulary: of its reader, to have what is said as well; None for none.
        transcripts: folder of NAME.align or NAME.txt files.
    """

    spec: ClipSpec
    margin: int
    vocabulary: Vocabulary | None = None
    transcripts: Path | None = None


def talking_batches(clips: ClipData, runs: int, guidance: Guidance | None = None) -> MakeBatch:
    """Make batches for `fit`: frames that tell who it is and true frames, each `(B, 3, P, 96, 96)`
    RGB uint8, P = 5 `runs`; the true frames' places in their clips `(B, P)`; the clips' audio `(B,
    640 T)`.

    With guidance, before these: grey mouths of the whole clips `(B, T, 88, 88)`, where in the faces
    drawn the mouths lie `(B, P, 6)`, and with a vocabulary the clips' lengths `(B,)`, symbols so
    far `(B, L)` and those that follow `(B, L)`.
    """
    margin = 0 if guidance is None else guidance.margin
    sources = [TalkingClips(each, runs, margin) for each in open_sources(clips, FACE_SPEC)]
    shares = shares_of(clips, [len(source) for source in sources])
    judged = None
    if guidance is not None:
        judged = open_sources(clips, with_margin(guidance.spec))

    def make_batch(rng: np.random.Generator, draws: Generator) -> tuple[Tensor, ...]:
        numbers = rng.choice(len(sources), clips.batch, p=shares).tolist()
        drawn = [sources[number].draw(rng) for number in numbers]
        guided: tuple[Tensor, ...] = ()
        if guidance is not None and judged is not None:
            whole = [(judged[n], sources[n], each) for n, each in zip(numbers, drawn, strict=True)]
            guided = _guided(whole, guidance, draws)
        identity, pose = (
            as_frames([each[part] for each in drawn])
            for part in (TalkingDraw._fields.index("identity"), TalkingDraw._fields.index("pose"))
        )
        places = torch.from_numpy(np.stack([each.places for each in drawn]))
        return *guided, identity, pose, places, _padded([each.wav for each in drawn])

    return make_batch


def _guided(
    drawn: Sequence[tuple[ClipWindows, TalkingClips, TalkingDraw]],
    guidance: Guidance,
    draws: Generator,
) -> tuple[Tensor, ...]:
    lengths = [windows.lengths[each.clip] for windows, _, each in drawn]
    crops = [
        windows.frames(each.clip, 0, length)
        for (windows, _, each), length in zip(drawn, lengths, strict=True)
    ]
    grey = mouths(crops, guidance.spec.width, "none", draws)
    lies = [clips.mouths_at(each.clip, each.places).reshape(-1, 6) for _, clips, each in drawn]
    seen = (grey, torch.from_numpy(np.stack(lies)))
    if guidance.vocabulary is None or guidance.transcripts is None:
        return seen
    texts = [_text(windows.rows[each.clip], guidance.transcripts) for windows, _, each in drawn]
    return *seen, torch.tensor(lengths), *guidance.vocabulary.batch(texts)


def _text(row: dict[str, Any], transcripts: Path) -> str:
    end_s = row["start_s"] + row["frames"] / FPS
    return read_transcript(transcripts, row["source"]).inside(row["start_s"], end_s).text


def _padded(sounds: Sequence[np.ndarray]) -> Tensor:
    """Sounds as one tensor `(B, N)`, silence behind the shorter ones."""
    out = np.zeros((len(sounds), max(map(len, sounds))), np.float32)
    for row, audio in zip(out, sounds, strict=True):
        row[: len(audio)] = audio
    return torch.from_numpy(out)
