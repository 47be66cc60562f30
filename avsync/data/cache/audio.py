"""Cache of audio at another sample rate: resampled once and mapped from disk afterwards."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from avsync.atomic import replacing
from avsync.audio.resampling import resample
from avsync.data.corpora.audio_files import AudioFile
from avsync.data.store.npy_items import ArrayFiles, map_items, read_header
from avsync.media.audio_reader import read_audio
from avsync.media.probe import header_sample_rate
from avsync.weights import sha256_of

# Part of every file's name: a new value makes every cache resample again.
METHOD = "polyphase 64 x 0.915"


class AudioCache:
    """Mono float32 audio at one sample rate, in .npy files that are named by a hash of the content.

    Nothing is resampled twice, in whichever run or process: the same audio under another name, or
    in another folder, is recognised.

    Args:
        folder: holds the files, each of which is written atomically.
        sample_rate: samples a second.
    """

    def __init__(self, folder: str | Path, sample_rate: int) -> None:
        self.folder, self.sample_rate, self.files = Path(folder), sample_rate, ArrayFiles()
        self.known: dict[tuple[str, int | None], str] = {}

    def add_file(self, audio: AudioFile) -> str:
        """Return the .npy file `(N,)` of an audio file, resampled now if it is not there.

        Raises:
            UnreadableMedia: the file has no audio.
            ValueError: it does not have the channel that is asked for.
        """
        return self._add(str(audio.path), audio.channel, lambda: _decode(audio))

    def add_array(self, path: str, sample_rate: int) -> str:
        """Return the .npy file `(N,)` of samples that another .npy file holds at `sample_rate`."""
        return self._add(path, None, lambda: (np.array(map_items(path)), sample_rate))

    def read(self, cached: str, start: int, count: int) -> np.ndarray:
        """Read samples `(count,)` of a file that was added, zeros beyond its ends."""
        low, high = max(start, 0), min(start + count, self.num_samples(cached))
        out = np.zeros(count, np.float32)
        if low < high:
            out[low - start : high - start] = self.files.items(cached, low, high)
        return out

    def num_samples(self, cached: str) -> int:
        """Return the length of a file that was added."""
        return read_header(cached).shape[0]

    def _add(
        self, path: str, channel: int | None, read: Callable[[], tuple[np.ndarray, int]]
    ) -> str:
        if (path, channel) not in self.known:
            content = f"{sha256_of(path)} {channel} {self.sample_rate} {METHOD}"
            key = hashlib.sha256(content.encode()).hexdigest()
            target = self.folder / key[:2] / f"{key[2:34]}.npy"
            if not target.is_file():
                wav, rate = read()
                resampled = resample(torch.from_numpy(np.array(wav)), rate, self.sample_rate)
                with replacing(target) as temporary:
                    np.save(temporary, resampled.numpy())
            self.known[path, channel] = str(target)
        return self.known[path, channel]


def _decode(audio: AudioFile) -> tuple[np.ndarray, int]:
    """Decode all samples `(N,)` of a file at its sample rate."""
    rate = header_sample_rate(audio.path)
    mono = audio.channel is None
    blocks = list(read_audio(audio.path, 0.0, None, mono=mono))
    wav = np.concatenate(blocks, axis=-1)
    if audio.channel is None:
        return wav, rate
    if audio.channel >= len(wav):
        raise ValueError(f"{audio.path} must have channel {audio.channel}, has {len(wav)} in all")
    return wav[audio.channel], rate
