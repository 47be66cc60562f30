"""Inputs for `stream_diff.py`, made by ffmpeg: containers and contents as users have them."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.media import box_patches

SECONDS = 6
RATE = 48000
VIDEO = ["-f", "lavfi", "-i", f"testsrc2=s=320x240:r=25:d={SECONDS}"]
NTSC = ["-f", "lavfi", "-i", f"testsrc2=s=720x480:r=30000/1001:d={SECONDS}"]
PAL = ["-f", "lavfi", "-i", f"testsrc2=s=720x576:r=25:d={SECONDS}"]
H264 = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "25", "-pix_fmt", "yuv420p"]
X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1"]
HEVC = [*X265, "-x265-params", "log-level=error"]
HDR = [
    *(*X265, "-pix_fmt", "yuv420p10le", "-x265-params"),
    "log-level=error:hdr10=1:repeat-headers=1:max-cll=1000,400:master-display="
    "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)",
    *("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"),
]
TEXT = "1\n00:00:01,000 --> 00:00:02,000\nHello\n\n2\n00:00:03,000 --> 00:00:04,000\nGoodbye\n"
CHAPTERS = (
    ";FFMETADATA1\ntitle=A video\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=3000\ntitle=One\n"
    "[CHAPTER]\nTIMEBASE=1/1000\nSTART=3000\nEND=6000\ntitle=Two\n"
)
ANDROID = {
    "com.android.version": "14",
    "com.android.capture.fps": "30.0",
    "location": "+48.2082+016.3738/",
    "creation_time": "2024-05-18T18:36:54Z",
    "title": "Holiday",
}
APPLE = {
    "com.apple.quicktime.make": "Apple",
    "com.apple.quicktime.model": "iPhone 15 Pro",
    "com.apple.quicktime.location.ISO6709": "+48.2082+016.3738+180.0/",
    "com.apple.quicktime.creationdate": "2024-05-18T20:36:54+0200",
}
KEYS = ["-movflags", "+use_metadata_tags+faststart"]


class Case(NamedTuple):
    """An input and the container it is copied to.

    Args:
        group: who has such files.
        name: what it is.
        source: extension of the input.
        arguments: arguments of ffmpeg after its inputs of video and audio.
        audio: number of audio streams.
        video: input of the video.
        target: extension of the copy; that of the input if empty.
        patch: changes the file afterwards.
        refused: a word of the expected refusal, empty if the copy is made.
        packets_ms: tolerance of the offset in ms.
        extra: number of further audio streams, which the patch makes something else.
    """

    group: str
    name: str
    source: str
    arguments: list[str]
    audio: int = 1
    video: list[str] = VIDEO
    target: str = ""
    patch: Callable[[Path], None] | None = None
    refused: str = ""
    packets_ms: float = 1.0
    extra: int = 0


def tags(values: dict[str, str]) -> list[str]:
    """Return the arguments that set metadata."""
    return [word for key, value in values.items() for word in ("-metadata", f"{key}={value}")]


def make(case: Case, folder: Path) -> Path:
    """Make the input of a case in a folder.

    Raises:
        RuntimeError: if ffmpeg cannot.
    """
    path = folder / f"source{case.source}"
    (folder / "text.srt").write_text(TEXT)
    (folder / "chapters.txt").write_text(CHAPTERS)
    (folder / "font.ttf").write_bytes(b"a font" * 100)
    noises = []
    count = case.audio + case.extra
    for number in range(count):
        noise = f"anoisesrc=c=pink:a=0.4:r={RATE}:d={SECONDS}:seed={7 + number}"
        noises += ["-f", "lavfi", "-i", noise]
    arguments = [word.format(folder=folder) for word in case.arguments]
    maps = [] if "-map" in arguments else ["-map", "0:v"]
    maps += [w for n in range(count if maps else 0) for w in ("-map", f"{n + 1}:a")]
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *case.video, *noises]
    extra = arguments[: arguments.index("--") + 1] if "--" in arguments else []
    rest = arguments[len(extra) :]
    command += [*extra[:-1], *maps, *rest, "-t", str(SECONDS), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ffmpeg cannot make {case.name}: {done.stderr[-400:]}")
    if case.patch:
        case.patch(path)
    return path


def mapped(audio: int, *streams: str) -> list[str]:
    """Return the arguments that select the video, the audio and more streams."""
    chosen = ["0:v", *(f"{n + 1}:a" for n in range(audio)), *streams]
    return [word for stream in chosen for word in ("-map", stream)]


AAC, PCM = ["-c:a", "aac"], ["-c:a", "pcm_s16le"]
SRT = ["-i", "{folder}/text.srt", "--", *mapped(1, "2:s")]
COVER = ["-f", "lavfi", "-i", "color=red:s=64x64:d=0.04", "--", *mapped(1, "2:v")]
TIMECODE = ["-timecode", "10:00:00:00"]
XDCAM = [
    *("-c:v", "mpeg2video", "-pix_fmt", "yuv422p", "-b:v", "8M", "-flags", "+ilme+ildct"),
    *("-c:a", "pcm_s24le", "-timecode", "09:59:59:12"),
]
TWO = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra"]
PROGRAMS = ["-program", "title=One:st=0:st=1", "-program", "title=Two:st=0:st=2"]
FONTS = ["-attach", "{folder}/font.ttf", "-metadata:s:t", "mimetype=font/ttf"]

PHONES = [
    Case("phone", "hevc hvc1, index first", ".mp4", [*HEVC, *AAC, "-movflags", "+faststart"]),
    Case("phone", "hevc, rotated", ".mov", [*HEVC, *AAC], patch=box_patches.rotate),
    Case("phone", "h264, rotated, to mp4", ".mov", [*H264, *AAC], target=".mp4",
         patch=box_patches.rotate),
    Case("phone", "h264, rotated, to mkv", ".mp4", [*H264, *AAC], target=".mkv",
         patch=box_patches.rotate),
    Case("phone", "Android keys", ".mp4", [*H264, *AAC, *KEYS, *tags(ANDROID)]),
    Case("phone", "Android keys, to mkv", ".mp4", [*H264, *AAC, *KEYS, *tags(ANDROID)],
         target=".mkv"),
    Case("phone", "Apple keys", ".mov", [*HEVC, *AAC, *KEYS, *tags(APPLE)]),
    Case("phone", "Apple keys, to mp4", ".mov", [*HEVC, *AAC, *KEYS, *tags(APPLE)], target=".mp4"),
    Case("phone", "slow motion edits", ".mov", [*H264, *AAC], patch=box_patches.slow_motion),
    Case("phone", "mebx track", ".mov", [*SRT, *H264, *AAC, "-c:s", "mov_text"],
         patch=box_patches.data_track(b"mebx", b"meta")),
    Case("phone", "mebx track, to mp4", ".mov", [*SRT, *H264, *AAC, "-c:s", "mov_text"],
         patch=box_patches.data_track(b"mebx", b"meta"), target=".mp4"),
    Case("phone", "spatial audio apac", ".mov", [*H264, *AAC, *TWO], 2,
         patch=box_patches.unknown_audio),
    Case("phone", "Dolby Vision", ".mp4", [*HEVC, *AAC], patch=box_patches.dolby_vision),
    Case("phone", "Dolby Vision, to mov", ".mp4", [*HEVC, *AAC], target=".mov",
         patch=box_patches.dolby_vision),
    Case("phone", "Dolby Vision, to mkv", ".mp4", [*HEVC, *AAC], target=".mkv",
         patch=box_patches.dolby_vision),
    Case("phone", "Dolby Vision, to ts", ".mp4", [*HEVC, *AAC], target=".ts",
         patch=box_patches.dolby_vision, refused="Dolby Vision"),
    Case("phone", "spherical", ".mp4", [*H264, *AAC], patch=box_patches.spherical),
    Case("phone", "spherical, to mkv", ".mp4", [*H264, *AAC], target=".mkv",
         patch=box_patches.spherical),
    Case("phone", "3gp", ".3gp", ["-c:v", "mpeg4", *AAC]),
]  # fmt: skip
CAMERAS = [
    *(
        Case("camera", f"{tag.decode()} track", ".mp4", [*SRT, *H264, *AAC, "-c:s", "mov_text"],
             patch=box_patches.data_track(tag, handler))
        for tag, handler in ((b"rtmd", b"meta"), (b"gpmd", b"meta"), (b"camm", b"camm"))
    ),
    Case("camera", "HDR10", ".mp4", [*HDR, *AAC]),
    Case("camera", "HDR10, to mkv", ".mp4", [*HDR, *AAC], target=".mkv"),
    Case("camera", "timecode", ".mp4", [*H264, *AAC, *TIMECODE]),
    Case("camera", "timecode, to mov", ".mp4", [*H264, *AAC, *TIMECODE], target=".mov"),
    Case("camera", "timecode, to mkv", ".mp4", [*H264, *AAC, *TIMECODE], target=".mkv"),
    Case("camera", "prores, timecode", ".mov", ["-c:v", "prores", "-c:a", "pcm_s24le", *TIMECODE]),
    Case("camera", "xdcam, 4 mono", ".mxf", XDCAM, 4, PAL),
    Case("camera", "xdcam, 29.97", ".mxf", XDCAM, 2, NTSC),
    Case("camera", "xdcam, to mov", ".mxf", XDCAM, 2, PAL, target=".mov"),
    Case("camera", "xdcam, to mkv", ".mxf", XDCAM, 2, PAL, target=".mkv"),
    Case("camera", "AVCHD", ".mts", [*H264, "-c:a", "ac3"]),
    Case("camera", "mjpeg, pcm", ".mov", ["-c:v", "mjpeg", "-pix_fmt", "yuvj422p", *PCM]),
]  # fmt: skip
BROADCAST = [
    Case("broadcast", "two languages", ".ts", [*H264, "-c:a:0", "mp2", "-c:a:1", "ac3", *TWO], 2),
    Case("broadcast", "dvb subtitles", ".ts", [*H264, "-c:a", "mp2"], 1, extra=1,
         patch=box_patches.private_stream(6, "5908656e671000010001")),
    Case("broadcast", "teletext", ".ts", [*H264, "-c:a", "mp2"], 1, extra=1,
         patch=box_patches.private_stream(6, "5605656e670888")),
    Case("broadcast", "two programs", ".ts", [*H264, "-c:a", "mp2", *PROGRAMS], 2),
    Case("broadcast", "scte35", ".ts", [*H264, "-c:a", "mp2"], 1, extra=1,
         patch=box_patches.private_stream(0x86)),
    Case("broadcast", "scte35, to mp4", ".ts", [*H264, *AAC], 1, extra=1, target=".mp4",
         patch=box_patches.private_stream(0x86)),
    Case("broadcast", "hevc, eac3", ".ts", [*HEVC, "-c:a", "eac3"]),
    Case("broadcast", "latm", ".ts", [*H264, *AAC, "-mpegts_flags", "latm"]),
    Case("broadcast", "mpeg2, mp2, to mp4", ".ts", ["-c:v", "mpeg2video", "-c:a", "mp2"],
         target=".mp4"),
    Case("broadcast", "h264, ac3, to mkv", ".ts", [*H264, "-c:a", "ac3"], target=".mkv"),
    Case("broadcast", "program stream", ".vob", ["-c:v", "mpeg2video", "-c:a", "ac3"]),
    Case("broadcast", "interlaced mxf", ".mxf", [*XDCAM, "-field_order", "tt"], 2, PAL),
]  # fmt: skip
WEB = [
    Case("web", "vp8, opus", ".webm", ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8",
                                        "-c:a", "libopus"]),
    Case("web", "vp9, vorbis, webvtt", ".webm", [*SRT, "-c:v", "libvpx-vp9", "-deadline",
         "realtime", "-cpu-used", "8", "-c:a", "libvorbis", "-c:s", "webvtt"]),
    Case("web", "live", ".webm", ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8",
                                   "-c:a", "libopus", "-live", "1"]),
    Case("web", "subtitles, font, chapters", ".mkv",
         ["-i", "{folder}/text.srt", "-i", "{folder}/chapters.txt", "--", *mapped(1, "2:s"),
          "-map_chapters", "3", "-map_metadata", "3", *H264, *AAC, "-c:s", "ass", *FONTS]),
    Case("web", "font, to mp4", ".mkv", [*H264, *AAC, *FONTS], target=".mp4"),
    Case("web", "chapters", ".mp4", ["-i", "{folder}/chapters.txt", "--", *mapped(1),
         "-map_chapters", "2", "-map_metadata", "2", *H264, *AAC]),
    Case("web", "chapters, to mkv", ".mp4", ["-i", "{folder}/chapters.txt", "--", *mapped(1),
         "-map_chapters", "2", "-map_metadata", "2", *H264, *AAC], target=".mkv"),
    Case("web", "chapters, to ts", ".mp4", ["-i", "{folder}/chapters.txt", "--", *mapped(1),
         "-map_chapters", "2", *H264, *AAC], target=".ts", refused="chapters"),
    Case("web", "cover", ".mp4", [*COVER, *H264, *AAC, "-c:v:1", "png", "-disposition:v:1",
                                   "attached_pic"]),
    Case("web", "fragmented", ".mp4", [*H264, *AAC, "-movflags", "+frag_keyframe+empty_moov"
                                        "+default_base_moof"]),
    Case("web", "flv", ".flv", [*H264, *AAC]),
    Case("web", "subtitles", ".mp4", [*SRT, *H264, *AAC, "-c:s", "mov_text",
                                       "-metadata:s:s:0", "language=deu"]),
    Case("web", "two languages", ".mp4", [*H264, *AAC, *TWO, "-disposition:a:1", "dub"], 2),
    Case("web", "two languages", ".mkv", [*H264, *AAC, *TWO, "-disposition:a:1", "comment"], 2),
    Case("web", "hevc, to mp4", ".mkv", [*HEVC, *AAC], target=".mp4"),
    Case("web", "opus", ".mp4", [*H264, "-c:a", "libopus"]),
]  # fmt: skip
ARCHIVES = [
    Case("archive", "xvid, pcm", ".avi", ["-c:v", "mpeg4", "-tag:v", "XVID", *PCM]),
    Case("archive", "mpeg4, mp3", ".avi", ["-c:v", "mpeg4", "-c:a", "libmp3lame"],
         packets_ms=14.0),
    Case("archive", "dv", ".avi", ["-c:v", "dvvideo", "-pix_fmt", "yuv420p", *PCM], 1, PAL),
    Case("archive", "mpeg1, mp2", ".mpg", ["-c:v", "mpeg1video", "-c:a", "mp2"]),
    Case("archive", "ffv1, flac", ".mkv", ["-c:v", "ffv1", "-c:a", "flac"]),
    Case("archive", "ffv1, pcm 24", ".mkv", ["-c:v", "ffv1", "-c:a", "pcm_s24le", *FONTS]),
    Case("archive", "prores, pcm 24", ".mov", ["-c:v", "prores", "-c:a", "pcm_s24le"], 2),
    Case("archive", "interlaced, 16:11", ".mov", ["-c:v", "prores_ks", "-flags", "+ildct+ilme",
         "-field_order", "tt", "-vf", "setsar=16/11,setfield=tff", *PCM], 1, PAL),
    Case("archive", "dv", ".mov", ["-c:v", "dvvideo", "-pix_fmt", "yuv420p", *PCM], 1, PAL),
    Case("archive", "wmv, wma", ".asf", ["-c:v", "wmv2", "-c:a", "wmav2"]),
    Case("archive", "theora, vorbis", ".ogg", ["-c:v", "libtheora", "-c:a", "libvorbis"]),
]  # fmt: skip
CASES = [*PHONES, *CAMERAS, *BROADCAST, *WEB, *ARCHIVES]
