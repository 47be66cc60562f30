"""Batches of spoken sentences for lip readers: video, audio and text."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from avsync.data.corpora.transcripts import Transcript, read_transcript
from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.sampling.utterances import Utterance, Utterances
from avsync.data.store.reader import Store, StoreClips
from avsync.data.store.records import ClipInfo
from avsync.data.store.splits import clips_of_split
from avsync.tasks.lipreading.lip_reader import LipReader
from avsync.tasks.lipreading.vocabulary import END, IGNORED, Unit, Vocabulary
from avsync.timing import SAMPLES_PER_FRAME
from avsync.training.data.avhubert_inputs import Augment, fbank_batch, mouth_batch, with_margin
from avsync.training.data.sync import ClipData, draw_shares, held_out_clips, open_sources
from avsync.training.engine.batches import MakeBatch


@dataclass(frozen=True)
class TranscriptData:
    """Transcripts of the clips, and how sentences are drawn.

    Args:
        transcripts: folder of NAME.align (GRID) or NAME.txt (LRS2, LRS3, plain) files.
        parts: share of the draws that are a run of words instead of the whole sentence, where the
            times of words are known.
        augment: what is augmented: mouths, voices, both, or none.
    """

    transcripts: Path
    parts: float = 0.5
    augment: Augment = "both"


class HeldOutTexts(NamedTuple):
    """Held-out clips, and what is said in each."""

    clips: StoreClips | tuple[()]
    texts: list[str]


class TranscribedClips:
    """Clips of stores with their transcripts.

    Args:
        clips: training clips and batch size.
        speech: their transcripts.
    """

    def __init__(self, clips: ClipData, speech: TranscriptData) -> None:
        self.clips, self.speech = clips, speech

    def held_out(self) -> HeldOutTexts:
        """Return the clips that are measured on, and what is said in them."""
        clips = held_out_clips(self.clips)
        rows = [clips.store.rows[index] for index in clips.indices] if clips else []
        return HeldOutTexts(clips, [self._transcript(row).text for row in rows])

    def symbols(self, unit: Unit) -> tuple[str, ...]:
        """Return the words of all clips that are trained or measured on, sorted.

        They are a closed vocabulary. For characters, which have their own, the result is empty.
        """
        if unit == "characters":
            return ()
        words: set[str] = set()
        for number, path in enumerate(self.clips.data):
            store = Store(path)
            splits = self.clips.splits if number == 0 else None
            indices = clips_of_split(store, splits, "train")
            if splits is not None:
                indices += clips_of_split(store, splits, "val")
            for index in indices:
                source = store.rows[index].source
                words |= set(read_transcript(self.speech.transcripts, source).words)
        return tuple(sorted(words))

    def batches(self, model: LipReader, batch: int | None = None) -> MakeBatch:
        """Make batches of sentences.

        A batch is mouths `(B, T, H, W)`, lengths `(B,)`, previous symbols `(B, L)`, next symbols
        `(B, L)`, the word said in each frame `(B, T)`, and filterbank energies `(B, T, 104)`.

        Args:
            model: the lip reader, for its input spec, front end and vocabulary.
            batch: sentences per batch; by default the batch size of the clips.
        """
        sources = [
            self._open(windows) for windows in open_sources(self.clips, with_margin(model.spec))
        ]
        shares = draw_shares(self.clips, [len(source) for source in sources])
        # Copies that stay on the CPU, where the batches are made.
        front_end, vocabulary = deepcopy(model.front_end), model.vocabulary
        size, augment, count = model.spec.width, self.speech.augment, batch or self.clips.batch

        def make_batch(rng: np.random.Generator, draws: Generator) -> tuple[Tensor, ...]:
            numbers = rng.choice(len(sources), count, p=shares)
            drawn = [sources[number].draw(rng) for number in numbers]
            video = mouth_batch([utterance.frames for utterance in drawn], size, augment, draws)
            frames = video.shape[1]
            wav = np.zeros((count, frames * SAMPLES_PER_FRAME), np.float32)
            for row, utterance in zip(wav, drawn, strict=True):
                row[: len(utterance.wav)] = utterance.wav
            bands = front_end.bands(torch.from_numpy(wav), front_end.stacked * frames)
            audio = fbank_batch(bands, front_end, augment, draws)
            lengths = torch.tensor([len(utterance.frames) for utterance in drawn])
            inputs, targets = vocabulary.batch([utterance.text for utterance in drawn])
            words = np.stack([_word_of_frames(u, vocabulary, frames) for u in drawn])
            return video, lengths, inputs, targets, torch.from_numpy(words), audio

        return make_batch

    def _open(self, windows: ClipWindows) -> Utterances:
        transcripts = [self._transcript(row) for row in windows.rows]
        starts_s = [row.start_s for row in windows.rows]
        return Utterances(windows, transcripts, starts_s, self.speech.parts)

    def _transcript(self, row: ClipInfo) -> Transcript:
        transcript = read_transcript(self.speech.transcripts, row.source)
        said = transcript.between(row.start_s, row.start_s + row.duration_s)
        if not said.words:
            raise ValueError(f"no word of {row.source} lies in its clip: leave it out by --clean")
        return said


def _word_of_frames(utterance: Utterance, vocabulary: Vocabulary, length: int) -> np.ndarray:
    """Return the word said in each frame `(length,)`: END for none, IGNORED if it is not known."""
    words = np.full(length, IGNORED)
    if utterance.word_indices is not None and vocabulary.unit == "words":
        # The last one stands for no word, which has index -1.
        numbers = np.array([*vocabulary.encode(utterance.text), END])
        words[: len(utterance.word_indices)] = numbers[utterance.word_indices]
    return words
