"""Results of a check."""

import math
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from avsync.scoring.score_map import ScoreMap
from avsync.timing import Verdict, is_borderline, tolerance

Status = Literal["ok", "cannot_tell", "unreadable"]
Reason = Literal[
    "no_face",
    "face_too_small",
    "too_short",
    "silence",
    "too_quiet",
    "invalid_audio",
    "still_lips",
    "music",
    "no_match",
    "out_of_range",
    "inconsistent",
    "incomplete",
    "no_video_stream",
    "no_audio_stream",
    "damaged",
]
FaultKind = Literal["none", "constant", "drift", "jumps", "intermittent"]
Interval = tuple[float, float]


@dataclass(frozen=True)
class TimelinePoint:
    """Offset around one moment of the file; None where its evidence is not enough for an offset."""

    t_s: float
    offset_ms: float | None
    confidence: float


@dataclass(frozen=True)
class TrackResult:
    """Result for one face track, from its first frame to its last.

    Args:
        track: number of the track.
        start_s: first frame, in seconds of the file.
        end_s: end of the last frame.
        box: median x0, y0, x1, y1 in pixels of the upright frame.
        status: `ok` if there is an offset.
        reason: why there is none, else None.
        offset_ms: positive = the audio leads.
        interval_ms: interval around the offset.
        confidence: probability that the interval holds the true offset.
        timeline: offsets over the track.
        speaking: segments, in seconds of the file, in which the speech is this face's and no
            other's; empty where the file's offset is not known.
        score_map: mean scores over time and offset, for the report.
    """

    track: int
    start_s: float
    end_s: float
    box: tuple[float, float, float, float]
    status: Status
    reason: Reason | None
    offset_ms: float | None
    interval_ms: Interval | None
    confidence: float
    timeline: tuple[TimelinePoint, ...] = ()
    speaking: tuple[Interval, ...] = ()
    score_map: ScoreMap | None = field(default=None, compare=False, repr=False)


class OffsetSegment(NamedTuple):
    """Time segment of a file, in seconds, over which the offset is constant or linear.

    At `t` the offset is `offset_ms + ppm / 1000 * (t - start_s)`, positive = the audio leads.
    """

    start_s: float
    end_s: float
    offset_ms: float
    ppm: float

    def at(self, t_s: float) -> float:
        """Return the offset in ms at `t_s` seconds of the file."""
        return self.offset_ms + self.ppm / 1000 * (t_s - self.start_s)


@dataclass(frozen=True)
class Fault:
    """Offset trajectory of a file, and what is wrong with it.

    `pieces` holds the trajectory as segments in order: a single one for `none`, `constant` and
    `drift`.

    Args:
        kind: `none`: a constant offset in tolerance. `constant`: a constant offset out of
            tolerance. `drift`: it changes linearly. `jumps`: it changes abruptly. `intermittent`:
            it goes out of tolerance and returns.
        drift_ppm: slope of a drift; positive = the audio gets earlier and earlier: its clock runs
            fast.
        cause: likely cause of a drift, in words.
        out_s: seconds out of the profile's tolerance.
        worst_t_s: when the offset is furthest out of tolerance, None if it never is.
        worst_ms: the offset there.
    """

    kind: FaultKind
    pieces: tuple[OffsetSegment, ...]
    drift_ppm: float | None = None
    cause: str | None = None
    out_s: float = 0.0
    worst_t_s: float | None = None
    worst_ms: float | None = None


class Coverage(NamedTuple):
    """Seconds of a video whose own evidence supports the answer, speaks against it, or neither."""

    supports_s: float
    against_s: float
    unknown_s: float


@dataclass(frozen=True)
class StreamResult:
    """Result for one audio stream of a file.

    Args:
        audio: position among the audio streams, from 0.
        stream: position among all streams of the file.
        codec: FFmpeg's name of the codec.
        channels: number of channels.
        layout: channel layout: `stereo`, `5.1`.
        language: language tag of the file, or None.
        title: title of the stream, or None.
        dispositions: flags that are set: `default`, `dub`, `original`, `comment`, ...
        channel: the channel that was compared, `FC` for instance; None for the mix of all.
        status: `ok` if there is an offset.
        reason: why there is none, else None.
        detail: the reason in words.
        verdict: whether the offset is in the profile's tolerance.
        borderline: whether the interval crosses a limit of the tolerance.
        offset_ms: positive = the audio leads.
        interval_ms: interval around the offset.
        confidence: probability that the interval holds the true offset.
        fault: how the offset changes over the file; None without an offset.
        coverage: how much of the video supports the offset; None without an offset.
        tracks: results of the faces.
    """

    audio: int
    stream: int
    codec: str
    channels: int
    layout: str = ""
    language: str | None = None
    title: str | None = None
    dispositions: tuple[str, ...] = ()
    channel: str | None = None
    status: Status = "cannot_tell"
    reason: Reason | None = None
    detail: str = ""
    verdict: Verdict | None = None
    borderline: bool = False
    offset_ms: float | None = None
    interval_ms: Interval | None = None
    confidence: float = 0.0
    fault: Fault | None = None
    coverage: Coverage | None = None
    tracks: tuple[TrackResult, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """`audio 1 (fra)`, `audio 0 (eng, Commentary)`."""
        words = ", ".join(word for word in (self.language, self.title) if word)
        return f"audio {self.audio} ({words})" if words else f"audio {self.audio}"


@dataclass(frozen=True)
class CheckResult:
    """Result for one file: that of the audio stream by which the file is judged, and of each.

    Args:
        file: path as given.
        status: `ok` if there is an offset; otherwise the numbers are None, never 0.
        reason: why there is no offset, else None.
        detail: the reason in words.
        verdict: whether the offset is in the profile's tolerance.
        borderline: whether the interval crosses a limit of the tolerance.
        offset_ms: offset of the file in ms, positive = the audio leads.
        interval_ms: interval around the offset.
        confidence: probability that the interval holds the true offset.
        duration_s: length of the video.
        tracks: results of the faces.
        model: name of the sync model.
        profile: name of the tolerance profile.
        search_s: seconds searched to either side.
        fault: how the offset changes over the file; None without an offset.
        audio: position of the audio stream by which the file is judged; None if none was compared.
        channel: the channel of it that was compared; None for the mix of all.
        video: position of the video stream that was looked at, cover art not counted.
        coverage: how much of the video supports the offset; None without an offset.
        not_read: parts of the video that could not be read, in seconds.
        streams: results of all audio streams that were compared.
        zero_uncertainty_ms: how far the model's zero may be from lips and voice together, to either
            side; one error for all files, and no part of `interval_ms`. None where unknown.
        source_spread_ms: half-width around zero in which nine of ten people's recordings lie whose
            audio nobody moved: constants of cameras and of broadcast chains, which are a part of
            the offset. None where unknown.
    """

    file: str
    status: Status
    reason: Reason | None
    detail: str
    verdict: Verdict | None
    borderline: bool
    offset_ms: float | None
    interval_ms: Interval | None
    confidence: float
    duration_s: float | None
    tracks: tuple[TrackResult, ...]
    model: str
    profile: str
    search_s: float
    fault: Fault | None = None
    audio: int | None = None
    channel: str | None = None
    video: int = 0
    coverage: Coverage | None = None
    not_read: tuple[Interval, ...] = ()
    streams: tuple[StreamResult, ...] = ()
    zero_uncertainty_ms: float | None = None
    source_spread_ms: float | None = None

    @property
    def absolute_interval_ms(self) -> Interval | None:
        """Interval with the uncertainty of the model's zero, as independent errors add."""
        if self.interval_ms is None or self.offset_ms is None or self.zero_uncertainty_ms is None:
            return None
        low, high = (
            math.hypot(end_ms - self.offset_ms, self.zero_uncertainty_ms)
            for end_ms in self.interval_ms
        )
        return self.offset_ms - low, self.offset_ms + high

    @property
    def absolute_borderline(self) -> bool:
        """Whether the interval with the model's zero crosses a limit of the tolerance."""
        interval_ms = self.absolute_interval_ms
        if interval_ms is None or self.verdict is None:
            return self.borderline
        return self.borderline or is_borderline(interval_ms, tolerance(self.profile))


def thin_score_maps(result: CheckResult) -> CheckResult:
    """Return the result with thinned score maps: at most 60 kB for each face of the whole file.

    Streams other than the one by which the file is judged keep none.
    """
    end_s = max((track.end_s for track in result.tracks), default=0.0)
    tracks = tuple(
        track
        if track.score_map is None
        else replace(track, score_map=track.score_map.thinned(end_s))
        for track in result.tracks
    )
    return replace(without_tracks(result), tracks=tracks)


def without_tracks(result: CheckResult) -> CheckResult:
    """Return the result without those of single faces, which take most of its memory."""
    streams = tuple(replace(stream, tracks=()) for stream in result.streams)
    return replace(result, tracks=(), streams=streams)
