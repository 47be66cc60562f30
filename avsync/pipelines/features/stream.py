"""Features of a prepared clip, or of the faces or the audio of a video while it is read."""

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
from avsync.media.probe import MediaInfo, probe_media
from avsync.media.video_reader import at_rate, read_frames
from avsync.pipelines.crop_stream import MAX_SIDE
from avsync.pipelines.features.frozen import FrozenFeatures, window_centres_s
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import FPS

# Frames that are read before they are encoded: this many crops of each face are held.
BLOCK_FRAMES = 100


class FeatureBlock(NamedTuple):
    """Features of consecutive windows.

    Args:
        track: number of the face in a video, else None.
        times_s: middles of the windows `(n,)`, in seconds from the source's first frame.
        features: `(n, D)` float32.
    """

    track: int | None
    times_s: np.ndarray
    features: np.ndarray


def clip_features(frozen: FrozenFeatures, clip: PreparedClip) -> FeatureBlock:
    """Return the features of a prepared clip; no rows if it is shorter than a window."""
    length, context = frozen.spec.window_frames, frozen.spec.context_frames
    count = len(clip.face) - length + 1
    times_s = clip.start_s + window_centres_s(length, 0, max(count, 0))
    if count < 1:
        return FeatureBlock(None, times_s, np.zeros((0, 0), np.float32))
    blocks = []
    crops = crops_for(frozen.spec, clip) if frozen.stream == "video" else None
    audio = WavInMemory(np.asarray(clip.wav_16k))
    for first in range(0, count, BLOCK_FRAMES):
        windows = min(BLOCK_FRAMES, count - first)
        if crops is None:
            blocks.append(frozen.encode_audio(audio, first, windows))
        else:
            low = max(0, first - context)
            part = crops[low : first + windows + length - 1 + context]
            blocks.append(frozen.encode_crops(part, first - low, first - low + windows))
    return FeatureBlock(None, times_s, np.concatenate(blocks))


def video_features(
    frozen: FrozenFeatures, path: str | Path, detector: FaceDetector | None = None
) -> Iterator[FeatureBlock]:
    """Yield the features of a video block by block while it is read: of each face, or of the audio.

    There are no features of a face while it is lost; the times have a gap there.

    Args:
        frozen: computes the features of its stream.
        path: the video.
        detector: detects the faces, if the stream is `video`; None for YuNet.

    Raises:
        UnreadableMedia: the file cannot be used.
    """
    info = probe_media(path)
    if frozen.stream == "audio":
        yield from _audio_features(frozen, info)
    else:
        yield from _face_features(frozen, info, detector or find_detector(None))


def _face_features(
    frozen: FrozenFeatures, info: MediaInfo, detector: FaceDetector
) -> Iterator[FeatureBlock]:
    spec = frozen.spec
    runs: dict[int, _CropRun] = {}
    ticks = at_rate(read_frames(info.path, MAX_SIDE), spec.fps)
    for number, _, image, faces in follow_faces(ticks, detector, detector.stride):
        # A score of 0 marks a face that is lost: its crop would show something else.
        for face in (face for face in faces if face.score > 0):
            run = runs.get(face.track)
            if run is None or run.end != number:
                if run is not None:
                    yield from _encode(frozen, face.track, run, ended=True)
                run = runs[face.track] = _CropRun(number, number, [])
            run.crops.append(cut_crop(spec, image, face))
        if (number + 1) % BLOCK_FRAMES == 0:
            for track, run in runs.items():
                yield from _encode(frozen, track, run, ended=run.end <= number)
            runs = {t: r.tail(spec) for t, r in runs.items() if r.end == number + 1}
    for track, run in runs.items():
        yield from _encode(frozen, track, run, ended=True)


class _CropRun(NamedTuple):
    """Crops of one face without a gap, from tick `start` on; `next` is the next window's tick."""

    start: int
    next: int
    crops: list[np.ndarray]

    @property
    def end(self) -> int:
        return self.start + len(self.crops)

    def windows_end(self, spec: ClipSpec, ended: bool) -> int:
        """Return the end of the windows whose context is complete, or of all if the face ended."""
        return self.end - spec.window_frames + 1 - (0 if ended else spec.context_frames)

    def tail(self, spec: ClipSpec) -> "_CropRun":
        """Return what the windows that are left need."""
        following = max(self.next, self.windows_end(spec, ended=False))
        start = max(self.start, following - spec.context_frames)
        return _CropRun(start, following, self.crops[start - self.start :])


def _encode(
    frozen: FrozenFeatures, track: int, run: _CropRun, ended: bool
) -> Iterator[FeatureBlock]:
    length = frozen.spec.window_frames
    first, end = run.next, run.windows_end(frozen.spec, ended)
    if end > first:
        features = frozen.encode_crops(np.stack(run.crops), first - run.start, end - run.start)
        yield FeatureBlock(track, window_centres_s(length, first, end - first), features)


def _audio_features(frozen: FrozenFeatures, info: MediaInfo) -> Iterator[FeatureBlock]:
    if not info.audio:
        raise UnreadableMedia("no_audio_stream", "the file has no audio")
    length = frozen.spec.window_frames
    audio = AudioClock(info.path, info.video_start_s)
    first, end = 0, None
    try:
        while end is None:
            last = first + BLOCK_FRAMES
            # The end of the audio is known once audio beyond it has been requested.
            audio.window(first / FPS, (last + length) / FPS)
            if audio.end_s is not None:
                end = int(audio.end_s * FPS + 1e-6) - length + 1
                last = min(last, end)
            if last > first:
                features = frozen.encode_audio(audio, first, last - first)
                yield FeatureBlock(None, window_centres_s(length, first, last - first), features)
            first = last
    finally:
        audio.close()
