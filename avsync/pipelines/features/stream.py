"""Features of a prepared clip or of a video, as it is read: of the faces in it, or of its audio."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.data.sampling.crops import crops_for, cut_crop
from avsync.data.store.reader import PreparedClip
from avsync.evaluation.score_matrix import WavInMemory
from avsync.faces.detector import FaceDetector, find_detector
from avsync.faces.tracking import follow_faces
from avsync.media.audio_reader import AudioClock
from avsync.media.container import UnreadableMedia
from avsync.media.probe import MediaInfo, probe
from avsync.media.video_reader import at_rate, read_frames
from avsync.pipelines.crop_stream import MAX_SIDE
from avsync.pipelines.features.frozen import FrozenFeatures, middle_s
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import FPS

# Frames that are read before they are encoded: what is held of each face.
BLOCK_FRAMES = 100


class Rows(NamedTuple):
    """Features `(n, D)` float32 and the times `(n,)` of the middles of their windows, in seconds
    from the source's first frame; `track` is the face's number in a video, else None.
    """

    track: int | None
    times_s: np.ndarray
    features: np.ndarray


def of_clip(frozen: FrozenFeatures, clip: PreparedClip) -> Rows:
    """Return the features of a prepared clip; no rows where it is shorter than a window."""
    length = frozen.spec.window_frames
    count = len(clip.face) - length + 1
    times_s = clip.start_s + middle_s(length, 0, max(count, 0))
    if count < 1:
        return Rows(None, times_s, np.zeros((0, 0), np.float32))
    blocks = []
    crops = crops_for(frozen.spec, clip) if frozen.stream == "video" else None
    audio = WavInMemory(np.asarray(clip.wav_16k))
    for first in range(0, count, BLOCK_FRAMES):
        some = min(BLOCK_FRAMES, count - first)
        if crops is None:
            blocks.append(frozen.of_sound(audio, first, some))
        else:
            blocks.append(frozen.of_crops(crops[first : first + some + length - 1]))
    return Rows(None, times_s, np.concatenate(blocks))


def of_file(
    frozen: FrozenFeatures, path: str | Path, detector: FaceDetector | None = None
) -> Iterator[Rows]:
    """Yield the features of a video block by block, as it is read: of each face, or of the audio.

    A face that is lost for a while has no features there: its times tell. UnreadableMedia where the
    file cannot be used.
    """
    info = probe(path)
    if frozen.stream == "audio":
        yield from _of_sound(frozen, info)
    else:
        yield from _of_faces(frozen, info, detector or find_detector(None))


def _of_faces(frozen: FrozenFeatures, info: MediaInfo, detector: FaceDetector) -> Iterator[Rows]:
    spec = frozen.spec
    pieces: dict[int, _Piece] = {}
    ticks = at_rate(read_frames(info.path, MAX_SIDE), spec.fps)
    for number, _, image, faces in follow_faces(ticks, detector, detector.stride):
        # A score of 0 marks a face that was lost: nothing to look at.
        for face in (face for face in faces if face.score > 0):
            piece = pieces.get(face.track)
            if piece is None or piece.end != number:
                if piece is not None:
                    yield from _encoded(frozen, face.track, piece)
                piece = pieces[face.track] = _Piece(number, [])
            piece.crops.append(cut_crop(spec, image, face))
        if (number + 1) % BLOCK_FRAMES == 0:
            for track, piece in pieces.items():
                yield from _encoded(frozen, track, piece)
            pieces = {t: p.tail(spec) for t, p in pieces.items() if p.end == number + 1}
    for track, piece in pieces.items():
        yield from _encoded(frozen, track, piece)


class _Piece(NamedTuple):
    """Crops of one face without a gap, from tick `start` on."""

    start: int
    crops: list[np.ndarray]

    @property
    def end(self) -> int:
        return self.start + len(self.crops)

    def tail(self, spec: ClipSpec) -> "_Piece":
        """Return what the next windows overlap."""
        kept = self.crops[len(self.crops) - min(len(self.crops), spec.window_frames - 1) :]
        return _Piece(self.end - len(kept), kept)


def _encoded(frozen: FrozenFeatures, track: int, piece: _Piece) -> Iterator[Rows]:
    length = frozen.spec.window_frames
    count = len(piece.crops) - length + 1
    if count > 0:
        features = frozen.of_crops(np.stack(piece.crops))
        yield Rows(track, middle_s(length, piece.start, count), features)


def _of_sound(frozen: FrozenFeatures, info: MediaInfo) -> Iterator[Rows]:
    if not info.audio:
        raise UnreadableMedia("no_audio_stream", "the file has no audio")
    length = frozen.spec.window_frames
    audio = AudioClock(info.path, info.video_start_s)
    first, end = 0, None
    try:
        while end is None:
            last = first + BLOCK_FRAMES
            # Asking for audio is what tells where it ends.
            audio.window(first / FPS, (last + length) / FPS)
            if audio.end_s is not None:
                end = int(audio.end_s * FPS + 1e-6) - length + 1
                last = min(last, end)
            if last > first:
                features = frozen.of_sound(audio, first, last - first)
                yield Rows(None, middle_s(length, first, last - first), features)
            first = last
    finally:
        audio.close()
