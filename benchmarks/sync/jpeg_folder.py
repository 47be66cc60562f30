"""Baseline data loader: a folder of JPEGs per clip, as in the public code of Wav2Lip and VocaLiST.

A clip is stored as `CLIP/0.jpg`, `CLIP/1.jpg`, ... and `CLIP/audio.wav`. For every item the folder
is listed and sorted, the frames are decoded, resized and converted to floats, and the audio is read
from its file. Pairs are drawn by the rule of `avsync.data.sampling.sync_pairs`: if the matching
audio is quiet, the audio of a negative pair must be loud.
"""

import wave
from pathlib import Path

import cv2
import numpy as np

from avsync.data.sampling.sync_pairs import LOUD, TRIES, rms
from avsync.data.store.reader import PreparedClip
from avsync.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

SIZE = 96
# OpenCV's default, used by the public preprocessing.
QUALITY = 95


def write_folder(clip: PreparedClip, folder: Path) -> None:
    """Write a prepared clip in the format of the public preprocessing."""
    folder.mkdir(parents=True)
    for number, crop in enumerate(clip.face):
        bgr = cv2.cvtColor(np.asarray(crop), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / f"{number}.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    with wave.open(str(folder / "audio.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((np.asarray(clip.wav_16k) * 32767).astype(np.int16).tobytes())


class JpegFolderPairs:
    """Draw pairs of frames `(3 T, 48, 96)` float BGR and audio `(N,)`, with labels.

    Args:
        folders: one folder for each clip.
        frames: frames of a window.
    """

    def __init__(self, folders: list[Path], frames: int = 5) -> None:
        self.folders, self.frames = folders, frames

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
        """Draw a pair from a random clip; the label is 1.0 for a positive pair."""
        while True:
            folder = self.folders[int(rng.integers(len(self.folders)))]
            names = sorted(folder.glob("*.jpg"), key=lambda name: int(name.stem))
            last = len(names) - self.frames
            start = int(rng.integers(last + 1))
            wav = self._audio(folder, start)
            in_sync = bool(rng.integers(2))
            if not in_sync:
                negative = self._negative(folder, start, last, rng, rms(wav) <= LOUD)
                if negative is None:
                    continue
                wav = negative
            window = self._window(folder, start)
            if window is not None:
                return window, wav, float(in_sync)

    def _negative(
        self, folder: Path, in_sync: int, last: int, rng: np.random.Generator, loud: bool
    ) -> np.ndarray | None:
        for _ in range(TRIES):
            start = in_sync
            while start == in_sync:
                start = int(rng.integers(last + 1))
            wav = self._audio(folder, start)
            if not loud or rms(wav) > LOUD:
                return wav
        return None

    def _window(self, folder: Path, start: int) -> np.ndarray | None:
        paths = [folder / f"{k}.jpg" for k in range(start, start + self.frames)]
        if not all(path.is_file() for path in paths):
            return None
        frames = [cv2.resize(cv2.imread(str(path)), (SIZE, SIZE)) for path in paths]
        stacked = np.concatenate(frames, axis=2) / 255.0
        return stacked.transpose(2, 0, 1)[:, SIZE // 2 :].astype(np.float32)

    def _audio(self, folder: Path, start: int) -> np.ndarray:
        with wave.open(str(folder / "audio.wav"), "rb") as file:
            file.setpos(start * SAMPLES_PER_FRAME)
            samples = np.frombuffer(file.readframes(self.frames * SAMPLES_PER_FRAME), np.int16)
        return samples.astype(np.float32) / 32768
