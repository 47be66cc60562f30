"""Judge a copy of a media file by ffprobe, ffmpeg, mkvmerge and mediainfo, not by this library."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

JUDGED_RATE = 16000
# Fields of a stream that depend on the shift, on the muxer, or on how much was probed.
IGNORED = {
    "rolled",
    *("index", "id", "start_pts", "start_time", "duration", "duration_ts", "nb_frames", "bit_rate"),
    *("codec_tag", "time_base", "tags", "disposition", "side_data_list", "codec_long_name"),
    *("r_frame_rate", "avg_frame_rate", "extradata_size", "nb_read_packets", "max_bit_rate"),
    *("bits_per_raw_sample", "is_avc", "nal_length_size", "initial_padding", "ts_packetsize"),
    *("ts_id", "codec_time_base", "display_aspect_ratio", "closed_captions", "film_grain"),
    *("coded_width", "coded_height", "divx_packed", "missing_streams", "level", "refs"),
}
IGNORED_TAGS = {
    *("encoder", "handler_name", "vendor_id", "duration", "major_brand", "minor_version"),
    *("compatible_brands", "bps", "number_of_frames", "number_of_bytes", "_statistics_tags"),
    *("_statistics_writing_app", "_statistics_writing_date_utc", "creation_time", "timecode"),
    *("location-eng", "software", "filename", "mimetype", "variant_bitrate"),
}
# Identifiers of an MXF.
MXF_TAG = re.compile("uid|umid|product|company|toolkit|operational|application|modification")
LANGUAGES = {"ger": "deu", "fre": "fra", "dut": "nld", "und": ""}
# Values that say as much as none.
DEFAULTS = ("unknown", "N/A", "1:1")
PROGRAM = (".mpg", ".vob")
# Containers that identify codecs by the tag that ffprobe shows.
TAGGED = ("mov,mp4,m4a,3gp,3g2,mj2", "avi")


def missing_tools() -> list[str]:
    """Return the names of the judges that are not installed."""
    return [
        name
        for name in ("ffmpeg", "ffprobe", "mkvinfo", "mkvmerge", "mediainfo")
        if not shutil.which(name)
    ]


def probe(path: Path) -> dict[str, Any]:
    """Return what ffprobe knows of a file, with counted packets."""
    shown = (
        "-show_streams",
        "-show_format",
        "-show_chapters",
        "-show_programs",
        "-count_packets",
    )
    done = _run("ffprobe", "-v", "error", *shown, "-of", "json", str(path))
    found = dict(json.loads(done.stdout))
    for stream in found["streams"]:
        if path.suffix == ".mkv" and stream.get("codec_type") == "video":
            stream["rolled"] = _roll(path)
    return found


def _roll(path: Path) -> int | None:
    """Return the rotation in a Matroska file, which ffprobe reads only from version 7 on."""
    roll = re.search(r"roll rotation: (-?\d+)", _run("mkvinfo", str(path)).stdout)
    return int(roll[1]) if roll else None


def losses(source: dict[str, Any], copy: dict[str, Any], shift_s: float) -> list[str]:
    """Return what the copy lacks of the source, by the answers of `probe`."""
    same_family = source["format"]["format_name"] == copy["format"]["format_name"]
    found = []
    same_tags = same_family and source["format"]["format_name"] in TAGGED
    pairs = _pairs(source["streams"], copy["streams"])
    timecode = _timecode(source)
    if timecode and _timecode(copy) != timecode:
        found.append(f"timecode {timecode}")
    for before, after in pairs:
        kind = before.get("codec_type", "unknown")
        name = f"{kind} (stream {before['index']})"
        if after is None:
            # Compared as timecode and as chapters.
            other = "timecode" in before.get("tags", {}) or before.get("codec_tag_string") == "text"
            if kind != "data" or not other:
                found.append(name)
            continue
        skipped = set(IGNORED) if same_tags else {*IGNORED, "codec_tag_string"}
        if not same_family:
            skipped |= {"profile", "sample_fmt", "bits_per_sample", "codec_name"}
        found += [f"{name}: {what}" for what in _stream_losses(before, after, skipped, shift_s)]
    if len(source["programs"]) > 1 and len(copy["programs"]) != len(source["programs"]):
        found.append("programs")
    found += _lost_tags(source["format"].get("tags", {}), copy["format"].get("tags", {}))
    titles = [[c.get("tags", {}).get("title") for c in f["chapters"]] for f in (source, copy)]
    if titles[0] != titles[1]:
        found.append("chapters")
    return found


def _pairs(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[tuple[Any, Any]]:
    free = list(after)
    pairs = []
    for stream in before:
        fitting = [s for s in free if _kind(s) == _kind(stream)]
        pairs.append((stream, fitting[0] if fitting else None))
        if fitting:
            free.remove(fitting[0])
    return pairs


def _kind(stream: dict[str, Any]) -> tuple[Any, ...]:
    codec = stream.get("codec_name") or stream.get("codec_tag_string")
    codec = "pcm" if str(codec).startswith("pcm_") else codec
    codec = "mpeg audio" if codec in ("mp2", "mp3") else codec
    cover = stream["disposition"].get("attached_pic")
    return stream.get("codec_type"), codec, cover, stream.get("tags", {}).get("filename")


def _stream_losses(
    before: dict[str, Any], after: dict[str, Any], skipped: set[str], shift_s: float
) -> list[str]:
    found = [
        f"{field} is {after.get(field)}, was {value}"
        for field, value in before.items()
        if field not in skipped and value not in DEFAULTS and after.get(field) != value
    ]
    lost = [k for k, v in before["disposition"].items() if v and not after["disposition"].get(k)]
    found += [f"disposition {name}" for name in lost if name != "default"]
    found += _lost_tags(before.get("tags", {}), after.get("tags", {}))
    records = after.get("side_data_list", [])
    rotated = after.get("rolled")
    found += [
        f"side data {record['side_data_type']}"
        for record in before.get("side_data_list", [])
        if record not in records
        and record["side_data_type"] != "CPB properties"
        and not (record["side_data_type"] == "Display Matrix" and rotated == record["rotation"])
    ]
    had, have = (int(stream.get("nb_read_packets", 0)) for stream in (before, after))
    if before.get("codec_type") in ("video", "subtitle", "data") and have < had:
        found.append(f"{had - have} of {had} packets")
    pcm = str(before.get("codec_name")).startswith("pcm_")
    if before.get("codec_type") == "audio" and not pcm and shift_s >= 0 and have < had:
        found.append(f"{had - have} of {had} packets")
    return found


def _timecode(file: dict[str, Any]) -> str | None:
    tags = [file["format"].get("tags", {}), *(s.get("tags", {}) for s in file["streams"])]
    named = [v for held in tags for k, v in held.items() if k.lower() == "timecode"]
    return named[0] if named else None


def _lost_tags(before: dict[str, str], after: dict[str, str]) -> list[str]:
    held = {key.lower(): value for key, value in after.items()}
    lost = []
    for key, value in before.items():
        name, now = key.lower(), held.get(key.lower(), "")
        if name == "language":
            value, now = LANGUAGES.get(value, value), LANGUAGES.get(now, now)
        if name not in IGNORED_TAGS and not MXF_TAG.search(name) and value and now != value:
            lost.append(f"tag {name}")
    return lost


def complaints(path: Path) -> set[str]:
    """Return what ffmpeg complains of when it decodes a file, without numbers."""
    done = _run("ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-map", "0:v", "-map", "0:a?",
                "-f", "null", "-")  # fmt: skip
    lines = done.stderr.replace(str(path), "").splitlines()
    # In a program stream a frame that begins at the end of a packet gets the time of the next one.
    lines = [
        line for line in lines if path.suffix not in PROGRAM or "non monotonically" not in line
    ]
    return {re.sub(r"0x[0-9a-f]+|-?\d+", "#", line) for line in lines if line.strip()}


def structure_complaints(path: Path) -> set[str]:
    """Return what mediainfo, and for Matroska mkvmerge, complain of in the structure of a file."""
    found = json.loads(_run("mediainfo", "--Output=JSON", str(path)).stdout or "{}")
    tracks = (found.get("media") or {}).get("track", [])
    extra = [track.get("extra", {}) for track in tracks]
    faults = {key for found in extra for key in found if re.search("Truncated|Conformance", key)}
    if len(tracks) < 2:
        faults.add("mediainfo finds no track")
    if path.suffix in (".mkv", ".webm"):
        # mkvinfo reads the head only; mkvmerge reads all of a file.
        with TemporaryDirectory() as work:
            done = _run("mkvmerge", "-q", "-o", f"{work}/again.mkv", str(path))
        faults |= {re.sub(r"\d+", "#", line) for line in done.stdout.splitlines()}
    return {fault.replace(path.name, "") for fault in faults}


def offset_ms(source: Path, copy: Path, position: int) -> float:
    """Return by how much an audio stream is later against the video than in the source."""
    before, after = decode(source, position), decode(copy, position)
    n_fft = 1 << (len(before) + len(after)).bit_length()
    spectrum = np.fft.rfft(after, n_fft) * np.conj(np.fft.rfft(before, n_fft))
    correlation = np.fft.irfft(spectrum, n_fft)
    lag = int(np.argmax(correlation))
    return 1000 * (lag if lag < n_fft // 2 else lag - n_fft) / JUDGED_RATE


def decode(path: Path, position: int) -> np.ndarray:
    """Decode an audio stream `(N,)` with ffmpeg; sample 0 is at the first frame of the video."""
    shown = (
        "-show_entries",
        "packet=pts_time",
        "-select_streams",
        "v:0",
        "-read_intervals",
        "%+#8",
    )
    done = _run("ffprobe", "-v", "error", *shown, "-of", "csv=p=0", str(path))
    times = [float(line.strip(",")) for line in done.stdout.split() if line.strip(",") != "N/A"]
    first = round(min(times) * JUDGED_RATE)
    # Filled with silence from time 0, since audio before `first_pts` is not cut off reliably.
    resample = f"aresample={JUDGED_RATE}:async=1:min_hard_comp=0.0001:first_pts=0"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-copyts", "-i", str(path)]
    command += ["-map", f"0:a:{position}", "-af", resample, "-ac", "1", "-f", "f32le", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.float32)[max(first, 0) :]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
