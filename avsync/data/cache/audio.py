"""Audio at another rate, resampled once and mapped from disk ever after."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from avsync.atomic import replacing
from avsync.audio.features import resample
from avsync.data.corpora.audio_files import AudioFile
from avsync.data.store.npy_items import ArrayFiles, read_header
from avsync.media.audio_reader import read_audio
from avsync.media.container import audio_stream, open_media
from avsync.weights import sha256_of

# What changes here makes every file anew.
MADE_BY = "polyphase 64 x 0.915"


class AudioCache:
    """Sounds as mono float32 at one rate, each in a file that is called by its content.

    Nothing is resampled twice, by whichever run or process; the same audio under another name, or
    in another folder, is known again.

    Args:
        folder: where they are kept, whole or not at all.
        sample_rate: samples a second.
    """

    def __init__(self, folder: str | Path, sample_rate: int) -> None:
        self.folder, self.sample_rate, self.files = Path(folder), sample_rate, ArrayFiles()
        self.known: dict[tuple[str, int | None], str] = {}

    def of_file(self, audio: AudioFile) -> str:
        """Return the array file `(N,)` of an audio file, from its first sample on.

        UnreadableMedia where it has no audio.
        """
        return self._kept(str(audio.path), audio.channel, lambda: _decoded(audio))

    def of_array(self, path: str, sample_rate: int) -> str:
        """Return the array file `(N,)` of samples at `sample_rate` that are in a .npy file."""
        return self._kept(path, None, lambda: (np.load(path, allow_pickle=False), sample_rate))

    def part(self, kept: str, start: int, count: int) -> np.ndarray:
        """Sample `(count,)` of what `of_file` or `of_array` gave; silence beyond its ends."""
        low, high = max(start, 0), min(start + count, self.samples(kept))
        out = np.zeros(count, np.float32)
        if low < high:
            out[low - start : high - start] = self.files.items(kept, low, high)
        return out

    def samples(self, kept: str) -> int:
        """Return how many there are in all."""
        return read_header(kept).shape[0]

    def _kept(
        self, path: str, channel: int | None, read: Callable[[], tuple[np.ndarray, int]]
    ) -> str:
        if (path, channel) not in self.known:
            said = f"{sha256_of(path)} {channel} {self.sample_rate} {MADE_BY}"
            key = hashlib.sha256(said.encode()).hexdigest()
            target = self.folder / key[:2] / f"{key[2:34]}.npy"
            if not target.is_file():
                wav, rate = read()
                made = resample(torch.from_numpy(np.array(wav)), rate, self.sample_rate)
                with replacing(target) as beside:
                    np.save(beside, made.numpy())
            self.known[path, channel] = str(target)
        return self.known[path, channel]


def _decoded(audio: AudioFile) -> tuple[np.ndarray, int]:
    """All samples `(N,)` of a file at its own rate."""
    with open_media(audio.path) as container:
        rate = int(audio_stream(container, 0).sample_rate)
    mono = audio.channel is None
    blocks = list(read_audio(audio.path, 0.0, None, mono=mono))
    wav = np.concatenate(blocks, axis=-1)
    if audio.channel is None:
        return wav, rate
    if audio.channel >= len(wav):
        raise ValueError(f"{audio.path} must have channel {audio.channel}, has {len(wav)} in all")
    return wav[audio.channel], rate
