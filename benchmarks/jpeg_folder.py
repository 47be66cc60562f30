"""The field's usual loader, kept to be measured against: a folder of JPEGs per clip.

`CLIP/0.jpg`, `CLIP/1.jpg`, ... and `CLIP/audio.wav`. For every item the folder is listed and sorted
again, every frame is looked up, decoded, resized and turned to floats, and the sound is read out of
its file, as the public loaders of Wav2Lip and VocaLiST do. Which pairs are drawn is the same as in
`avsync.data.sampling.sync_pairs`: quiet right sound, loud wrong sound.
"""

import wave
from pathlib import Path

import cv2
import numpy as np

from avsync.data.sampling.sync_pairs import LOUD, TRIES, rms
from avsync.data.store.reader import PreparedClip
from avsync.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

SIZE = 96
# OpenCV's default, which the public preprocessing writes with.
QUALITY = 95


def write_folder(clip: PreparedClip, folder: Path) -> None:
    """Writes a prepared clip as the public preprocessing leaves it."""
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
    """Draws windows of frames `(3 T, 48, 96)` float BGR, sound `(N,)`, and whether they belong
    together.

    Args:
        folders: one for each clip.
        frames: pictures of a window.
    """

    def __init__(self, folders: list[Path], frames: int = 5) -> None:
        self.folders, self.frames = folders, frames

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
        """An item of a random clip."""
        while True:
            folder = self.folders[int(rng.integers(len(self.folders)))]
            names = sorted(folder.glob("*.jpg"), key=lambda name: int(name.stem))
            last = len(names) - self.frames
            right = int(rng.integers(last + 1))
            heard = self._sound(folder, right)
            in_sync = bool(rng.integers(2))
            if not in_sync:
                wrong = self._wrong(folder, right, last, rng, rms(heard) <= LOUD)
                if wrong is None:
                    continue
                heard = wrong
            window = self._window(folder, right)
            if window is not None:
                return window, heard, float(in_sync)

    def _wrong(
        self, folder: Path, right: int, last: int, rng: np.random.Generator, loud: bool
    ) -> np.ndarray | None:
        for _ in range(TRIES):
            start = right
            while start == right:
                start = int(rng.integers(last + 1))
            sound = self._sound(folder, start)
            if not loud or rms(sound) > LOUD:
                return sound
        return None

    def _window(self, folder: Path, start: int) -> np.ndarray | None:
        paths = [folder / f"{k}.jpg" for k in range(start, start + self.frames)]
        if not all(path.is_file() for path in paths):
            return None
        frames = [cv2.resize(cv2.imread(str(path)), (SIZE, SIZE)) for path in paths]
        stacked = np.concatenate(frames, axis=2) / 255.0
        return stacked.transpose(2, 0, 1)[:, SIZE // 2 :].astype(np.float32)

    def _sound(self, folder: Path, start: int) -> np.ndarray:
        with wave.open(str(folder / "audio.wav"), "rb") as file:
            file.setpos(start * SAMPLES_PER_FRAME)
            samples = np.frombuffer(file.readframes(self.frames * SAMPLES_PER_FRAME), np.int16)
        return samples.astype(np.float32) / 32768
