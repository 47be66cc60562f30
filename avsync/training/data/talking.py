"""Batches for talking faces, with the inputs of a frozen expert where its losses are used."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from avsync.data.corpora.transcripts import read_transcript
from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.sampling.talking_frames import TalkingClips, TalkingSample
from avsync.data.store.records import ClipInfo
from avsync.tasks.input_spec import ClipSpec
from avsync.tasks.lipreading.vocabulary import Vocabulary
from avsync.tasks.talking.generator import FACE_SPEC
from avsync.training.data.avhubert_inputs import mouth_batch, with_margin
from avsync.training.data.sync import ClipData, as_frames, draw_shares, open_sources
from avsync.training.engine.batches import MakeBatch


@dataclass(frozen=True)
class ExpertInputs:
    """What a batch must contain for a frozen AV-SyncNet to judge the generated frames.

    Args:
        spec: input spec of the expert, for its mouth crops.
        margin: frames of the clip on either side of every run.
        vocabulary: vocabulary of its lip reader, to include what is said; None for no text.
        transcripts: folder of NAME.align or NAME.txt files.
    """

    spec: ClipSpec
    margin: int
    vocabulary: Vocabulary | None = None
    transcripts: Path | None = None


class _DrawnClip(NamedTuple):
    """A sample with the clips it was drawn from, in face crops and in the expert's mouth crops."""

    mouths: ClipWindows
    faces: TalkingClips
    sample: TalkingSample


def talking_batches(clips: ClipData, runs: int, expert: ExpertInputs | None = None) -> MakeBatch:
    """Make batches for a talking face.

    A batch is identity frames and true frames, each `(B, 3, P, 96, 96)` RGB uint8 with P = 5
    `runs`; the indices of the true frames in their clips `(B, P)`; and the audio of the clips `(B,
    640 T)`.

    With expert inputs, these come first: grey mouths of the whole clips `(B, T, 88, 88)`, affine
    maps of the mouths into the generated faces `(B, P, 6)`, and with a vocabulary the lengths of
    the clips `(B,)`, previous symbols `(B, L)` and next symbols `(B, L)`.

    Args:
        clips: training clips and batch size.
        runs: runs of five frames of each clip.
        expert: inputs of the expert, None without one.
    """
    margin = 0 if expert is None else expert.margin
    faces = [TalkingClips(source, runs, margin) for source in open_sources(clips, FACE_SPEC)]
    shares = draw_shares(clips, [len(source) for source in faces])
    mouths = [] if expert is None else open_sources(clips, with_margin(expert.spec))

    def make_batch(rng: np.random.Generator, draws: Generator) -> tuple[Tensor, ...]:
        numbers = rng.choice(len(faces), clips.batch, p=shares).tolist()
        samples = [faces[number].draw(rng) for number in numbers]
        expert_inputs: tuple[Tensor, ...] = ()
        if expert is not None:
            drawn = [
                _DrawnClip(mouths[number], faces[number], sample)
                for number, sample in zip(numbers, samples, strict=True)
            ]
            expert_inputs = _expert_inputs(drawn, expert, draws)
        identity = as_frames([sample.identity for sample in samples])
        pose = as_frames([sample.pose for sample in samples])
        indices = torch.from_numpy(np.stack([sample.pose_indices for sample in samples]))
        return *expert_inputs, identity, pose, indices, _padded([s.wav for s in samples])

    return make_batch


def _expert_inputs(
    drawn: Sequence[_DrawnClip], expert: ExpertInputs, draws: Generator
) -> tuple[Tensor, ...]:
    lengths = [mouths.lengths[sample.clip] for mouths, _, sample in drawn]
    crops = [
        mouths.frames(sample.clip, 0, length)
        for (mouths, _, sample), length in zip(drawn, lengths, strict=True)
    ]
    grey = mouth_batch(crops, expert.spec.width, "none", draws)
    affines = [
        faces.mouth_affines(sample.clip, sample.pose_indices).reshape(-1, 6)
        for _, faces, sample in drawn
    ]
    video = (grey, torch.from_numpy(np.stack(affines)))
    if expert.vocabulary is None or expert.transcripts is None:
        return video
    texts = [_text(mouths.rows[sample.clip], expert.transcripts) for mouths, _, sample in drawn]
    return *video, torch.tensor(lengths), *expert.vocabulary.batch(texts)


def _text(row: ClipInfo, transcripts: Path) -> str:
    end_s = row.start_s + row.duration_s
    return read_transcript(transcripts, row.source).between(row.start_s, end_s).text


def _padded(waveforms: Sequence[np.ndarray]) -> Tensor:
    """Stack waveforms as one tensor `(B, N)`, with silence after the shorter ones."""
    out = np.zeros((len(waveforms), max(map(len, waveforms))), np.float32)
    for row, wav in zip(out, waveforms, strict=True):
        row[: len(wav)] = wav
    return torch.from_numpy(out)
