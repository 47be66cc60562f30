"""Choose the video stream of a file, and score its faces against audio in one pass over it."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np

from avsync.faces.detector import FaceDetector
from avsync.media.audio_reader import AudioClock
from avsync.media.container import UnreadableMedia
from avsync.media.probe import MediaInfo, probe_media
from avsync.media.read_log import ReadLog
from avsync.media.seek import VideoSeeker
from avsync.pipelines.crop_stream import CropStream
from avsync.pipelines.progress import ProgressCallback
from avsync.scoring.decision import MIN_FACE_PX, SEARCH_MARGIN_S, TrackExtent
from avsync.scoring.embeddings import SyncModel
from avsync.scoring.engine import FileScores, score_audio_streams
from avsync.timing import FPS

# Frames of each video stream in which faces are counted, spread over the file.
CHOICE_FRAMES = 9
# Where the duration is unknown, frames of the first seconds are taken.
CHOICE_S = 10.0
# Audio is kept this much longer than offsets reach, in seconds.
KEPT_S = 15.0


class AudioChoice(NamedTuple):
    """Audio stream by its position, and one channel of it; None for the mix of all."""

    audio: int
    channel: int | None = None


class ScoredFile(NamedTuple):
    """Faces of a file and their scores.

    Args:
        faces: where and when each face was seen, by track.
        scores: scores against each of the audio streams or channels.
        duration_s: length of the video that was read.
        log: what the reader of the frames met.
        audio_logs: what the readers of the audio met.
    """

    faces: dict[int, TrackExtent]
    scores: dict[AudioChoice, FileScores]
    duration_s: float
    log: ReadLog
    audio_logs: dict[AudioChoice, ReadLog]


def choose_video(path: str, detector: FaceDetector) -> MediaInfo:
    """Read the properties of a file with those of the video stream that shows faces.

    Of several streams, a screen and a webcam for instance, it is the one with most faces in a few
    frames; without any, the first one.

    Raises:
        UnreadableMedia: if no video stream can be decoded.
    """
    info = probe_media(path)
    if len(info.videos) < 2:
        return info
    counts = [_count_faces(path, video.index, info.duration_s, detector) for video in info.videos]
    best = int(np.argmax(counts))  # Of equal ones the first.
    return probe_media(path, best) if best != info.video and counts[best] else info


def _count_faces(path: str, video: int, duration_s: float | None, detector: FaceDetector) -> int:
    """Count the faces that are large enough in a few frames of a video stream."""
    count = 0
    try:
        with VideoSeeker(path, stream=video) as seeker:
            for share in (np.arange(CHOICE_FRAMES) + 0.5) / CHOICE_FRAMES:
                image = seeker.frame_at(seeker.first_s + share * (duration_s or CHOICE_S))
                if image is not None:
                    faces = detector(image)
                    count += sum(face.box[2] - face.box[0] >= MIN_FACE_PX for face in faces)
    except UnreadableMedia:
        pass
    return count


def score_file(
    info: MediaInfo,
    choices: Sequence[AudioChoice],
    model: SyncModel,
    detector: FaceDetector,
    search_s: float,
    progress: ProgressCallback | None,
) -> ScoredFile:
    """Track, crop and encode the faces of a file once, and score them against each audio."""
    log = ReadLog()
    crops = CropStream(info, model.spec, detector, log=log)
    reach_s, out_of_range_s = search_s + SEARCH_MARGIN_S, model.spec.out_of_range_s
    keep_s = max(reach_s, out_of_range_s) + KEPT_S

    def report(ticks: int) -> None:
        if progress is not None and info.duration_s:
            progress(min(1.0, ticks / FPS / info.duration_s))

    logs = {choice: ReadLog() for choice in choices}
    with ExitStack() as readers:
        clocks = []
        for choice in choices:
            clock = AudioClock(
                info.path,
                info.video_start_s,
                keep_s=keep_s,
                stream=choice.audio,
                channel=choice.channel,
                log=logs[choice],
            )
            readers.callback(clock.close)
            clocks.append(clock)
        scores = score_audio_streams(model, crops, clocks, reach_s, report, out_of_range_s)
    found = dict(zip(choices, scores, strict=True))
    return ScoredFile(crops.faces(), found, crops.ticks / FPS, log, logs)
