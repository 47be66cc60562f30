"""Batches of sentences: what is seen, what is heard, and what is said."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from avsync.data.corpora.transcripts import Transcript, read_transcript
from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.sampling.utterances import Utterance, Utterances
from avsync.data.store.reader import PreparedClip, Store
from avsync.data.store.splits import clips_of_split
from avsync.tasks.lipreading.lip_reader import LipReader
from avsync.tasks.lipreading.vocabulary import END, IGNORED, Unit, Vocabulary
from avsync.timing import FPS, SAMPLES_PER_FRAME
from avsync.training.data.avhubert_inputs import Augment, mouths, voices, with_margin
from avsync.training.data.sync import ClipData, open_sources, shares_of
from avsync.training.engine.loop import MakeBatch


@dataclass(frozen=True)
class Speech:
    """What is said in the clips.

    Args:
        transcripts: folder of NAME.align (GRID) or NAME.txt (LRS2, LRS3, plain) files.
        parts: share of the draws that are a run of words instead of the whole sentence, where the
            times of words are known.
        augment: what is altered: mouths, voices, both, or neither.
    """

    transcripts: Path
    parts: float = 0.5
    augment: Augment = "both"


class Spoken:
    """Clips of stores with what is said in them.

    Args:
        clips: which clips.
        speech: where their transcripts are.
    """

    def __init__(self, clips: ClipData, speech: Speech) -> None:
        self.clips, self.speech = clips, speech

    def held_out(self) -> list[tuple[PreparedClip, str]]:
        """Return the clips that are measured on, and what is said in them."""
        if self.clips.splits is None:
            return []
        store = Store(self.clips.data[0])
        places = clips_of_split(store, self.clips.splits, "val")
        found = [store[place] for place in places[: self.clips.validate_clips or None]]
        texts = [self._said(c.source, c.start_s, c.duration_s).text for c in found]
        return list(zip(found, texts, strict=True))

    def symbols(self, unit: Unit) -> tuple[str, ...]:
        """Return the words of all clips that are trained on or measured on, in order: a closed vocabulary.
        None for characters, which have their own.
        """
        if unit == "characters":
            return ()
        words: set[str] = set()
        for number, path in enumerate(self.clips.data):
            store = Store(path)
            splits = self.clips.splits if number == 0 else None
            places = clips_of_split(store, splits, "train")
            if splits is not None:
                places += clips_of_split(store, splits, "val")
            for place in places:
                source = store.rows[place]["source"]
                words |= set(read_transcript(self.speech.transcripts, source).words)
        return tuple(sorted(words))

    def batches(self, model: LipReader, batch: int | None = None) -> MakeBatch:
        """Make batches for `fit`: mouths `(B, T, H, W)`, lengths `(B,)`, symbols so far `(B, L)`,
        those that follow `(B, L)`, the word that is said in each frame `(B, T)`, and voices `(B, T,
        104)`.
        """
        sources = [self._open(each) for each in open_sources(self.clips, with_margin(model.spec))]
        shares = shares_of(self.clips, [len(source) for source in sources])
        # Copies that stay on the CPU, where the batches are made.
        front_end, vocabulary = deepcopy(model.front_end), model.vocabulary
        size, augment, count = model.spec.width, self.speech.augment, batch or self.clips.batch

        def make_batch(rng: np.random.Generator, draws: Generator) -> tuple[Tensor, ...]:
            numbers = rng.choice(len(sources), count, p=shares)
            drawn = [sources[number].draw(rng) for number in numbers]
            video = mouths([each.frames for each in drawn], size, augment, draws)
            wav = np.zeros((count, video.shape[1] * SAMPLES_PER_FRAME), np.float32)
            for row, each in zip(wav, drawn, strict=True):
                row[: len(each.wav)] = each.wav
            bands = front_end.bands(torch.from_numpy(wav), front_end.stacked * video.shape[1])
            audio = voices(bands, front_end, augment, draws)
            lengths = torch.tensor([len(each.frames) for each in drawn])
            inputs, targets = vocabulary.batch([each.text for each in drawn])
            said = np.stack([_said_when(each, vocabulary, video.shape[1]) for each in drawn])
            return video, lengths, inputs, targets, torch.from_numpy(said), audio

        return make_batch

    def _open(self, windows: ClipWindows) -> Utterances:
        said = [
            self._said(row["source"], row["start_s"], row["frames"] / FPS) for row in windows.rows
        ]
        starts_s = [row["start_s"] for row in windows.rows]
        return Utterances(windows, said, starts_s, self.speech.parts)

    def _said(self, source: str, start_s: float, duration_s: float) -> Transcript:
        transcript = read_transcript(self.speech.transcripts, source)
        said = transcript.inside(start_s, start_s + duration_s)
        if not said.words:
            raise ValueError(f"no word of {source} lies in its clip: leave it out by --clean")
        return said


def _said_when(utterance: Utterance, vocabulary: Vocabulary, length: int) -> np.ndarray:
    """Return the word that is said in each frame `(length,)`, END for none, IGNORED where not known."""
    said = np.full(length, IGNORED)
    if utterance.places is not None and vocabulary.unit == "words":
        # The last one stands for no word: place -1.
        numbers = np.array([*vocabulary.encode(utterance.text), END])
        said[: len(utterance.places)] = numbers[utterance.places]
    return said
