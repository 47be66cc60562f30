"""Compare a copy with its source, and refuse one that lacks something that matters."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from av.stream import Disposition

from avsync.media.writers.comparison.file_facts import FileFacts, StreamFacts, read_facts

# Written by the muxer itself, or a count that players take from the file.
UNCOMPARED = (
    *("encoder", "encoder_options", "vendor_id", "handler_name", "duration", "language"),
    *("major_brand", "minor_version", "compatible_brands", "timecode", "location-eng"),
    *("bps", "number_of_frames", "number_of_bytes", "_statistics_tags", "variant_bitrate"),
    *("_statistics_writing_app", "_statistics_writing_date_utc", "creation_time", "filename"),
    *("mimetype", "id3v2_priv.com.apple.streaming.transportstreamtimestamp", "software"),
)
# Identifiers of an MXF, which another container has none of.
MXF_PARTS = ("uid", "umid", "product_", "company_name", "toolkit_", "operational_", "application_")
# Codes of ISO 639-2 for bibliographies, and the same for terminology.
BIBLIOGRAPHIC = {
    **{"alb": "sqi", "arm": "hye", "baq": "eus", "bur": "mya", "chi": "zho", "cze": "ces"},
    **{"dut": "nld", "fre": "fra", "geo": "kat", "ger": "deu", "gre": "ell", "ice": "isl"},
    **{"mac": "mkd", "mao": "mri", "may": "msa", "per": "fas", "rum": "ron", "slo": "slk"},
    **{"tib": "bod", "wel": "cym"},
}
# Properties of the copy that depend on its container, or that are the same in different words.
EQUIVALENT_TAGS = ("avc1", "avc3", "hvc1", "hev1", "dvh1", "dvhe", "dva1", "dvav")
MPEG_AUDIO = ("mp1", "mp2", "mp3")
MATTERING = ("rotation", "spherical", "HDR", "stereoscopic")
# Share of the packets of a stream whose loss is that of a damaged file, not of a copy.
SLACK = 0.01
# Decoders need a few packets before the first that is audible.
LEAD_IN_PACKETS = 4


class Difference(NamedTuple):
    """Something of the source that the copy lacks.

    Args:
        what: in words, such as `rotation (stream 0)`.
        matters: whether a copy without it is refused unless the loss is allowed.
        stream: index of a stream of the source that is left out.
    """

    what: str
    matters: bool
    stream: int | None = None


def compare_streams(
    source: str | os.PathLike[str] | FileFacts,
    copy: str | os.PathLike[str] | FileFacts,
    *,
    encoded: Collection[int] = (),
    shifts_s: Mapping[int, Fraction] | None = None,
    count_packets: bool = True,
) -> tuple[Difference, ...]:
    """Return what a copy of a media file lacks of its source.

    Compared are streams and their order, codecs, packets, side data (rotation, HDR, Dolby Vision,
    spherical), tags, languages, dispositions, chapters, timecode, colour, aspect ratio, field
    order, attachments, and the position of the index.

    Args:
        source: the source, or its facts.
        copy: the copy, or its facts.
        encoded: indices of audio streams of the source that were re-encoded.
        shifts_s: shifts of audio streams in seconds, by index in the source.
        count_packets: whether packets are counted, for which both files are read to the end.
    """
    old, new = (
        file if isinstance(file, FileFacts) else read_facts(file, count_packets=count_packets)
        for file in (source, copy)
    )
    pairs = _pairs(old, new, encoded)
    found = list(_missing_streams(old, new, pairs))
    for one, other in pairs.items():
        before, after = old.streams[one], new.streams[other]
        same_family = old.family == new.family
        found += _stream_differences(before, after, same_family, one in encoded)
        if count_packets and one not in encoded:
            shift_s = (shifts_s or {}).get(one, Fraction(0))
            found += _missing_packets(before, after, shift_s)
    found += _order(old, new, pairs)
    found += _file_differences(old, new)
    return tuple(dict.fromkeys(found))


def _pairs(old: FileFacts, new: FileFacts, encoded: Collection[int]) -> dict[int, int]:
    """Return the index in the copy of each stream of the source, as far as there is one."""
    pairs: dict[int, int] = {}
    free = list(new.streams)
    for before in old.streams:
        fitting = [s for s in free if _same_kind(before, s, before.number in encoded)]
        # Streams of one kind keep their order; attachments are found by name.
        named = [s for s in fitting if s.data == before.data]
        for after in (named or fitting)[:1]:
            pairs[before.number] = after.number
            free.remove(after)
    return pairs


def _same_kind(before: StreamFacts, after: StreamFacts, encoded: bool) -> bool:
    if before.kind != after.kind:
        return False
    if encoded or before.kind == "attachment":
        return True
    pcm = before.codec.startswith("pcm_") and after.codec.startswith("pcm_")
    # MP4 does not tell the layers of MPEG audio apart.
    mpeg = before.codec in MPEG_AUDIO and after.codec in MPEG_AUDIO
    return before.codec == after.codec or pcm or mpeg


def _missing_streams(
    old: FileFacts, new: FileFacts, pairs: Mapping[int, int]
) -> Iterator[Difference]:
    timecodes = {f.get("timecode") for f in (new.tags, *(s.tags for s in new.streams))}
    for stream in old.streams:
        timecode = stream.tags.get("timecode")
        if stream.number in pairs or (stream.kind == "data" and timecode in timecodes - {None}):
            continue
        if stream.kind == "chapters" and new.chapters:
            continue
        words = describe_stream(stream)
        if stream.kind == "data" and timecode:
            what = f"timecode {timecode} (stream {stream.number})"
            yield Difference(what, True, stream.number)
        else:
            # Some muxers leave out a stream without packets.
            matters = stream.kind in ("video", "audio", "subtitle") and stream.packets != 0
            yield Difference(words, matters, stream.number)
    before = old.tags.get("timecode") or next(
        (s.tags["timecode"] for s in old.streams if "timecode" in s.tags), None
    )
    held = any(s.kind == "data" and "timecode" in s.tags for s in old.streams)
    if before and before not in timecodes and not held:
        yield Difference(f"timecode {before}", True)


def describe_stream(stream: StreamFacts) -> str:
    """Return words for a stream, such as `attachment (stream 2): a.ttf`."""
    name = stream.tags.get("filename") or stream.tags.get("title")
    if stream.kind == "data":
        name = name or stream.tag or stream.tags.get("handler_name")
    kind = {"attached_pic": "cover image", "unknown": "data"}.get(stream.kind, stream.kind)
    words = f"{kind} (stream {stream.number})"
    return f"{words}: {name}" if name else words


def _stream_differences(
    before: StreamFacts, after: StreamFacts, same_family: bool, encoded: bool
) -> Iterator[Difference]:
    where = f"(stream {before.number})"
    if same_family and not encoded and before.tag != after.tag and before.tag in EQUIVALENT_TAGS:
        yield Difference(f"codec tag {before.tag} {where}: it is {after.tag}", False)
    for name, content in before.side_data.items():
        if after.side_data.get(name) != content:
            yield Difference(f"{name} {where}", name.startswith(MATTERING))
    for name, value in before.look.items() if not encoded else ():
        if value is not None and after.look.get(name) != value:
            yield Difference(f"{name} {where}", False)
    if before.kind == "attachment" and (before.data != after.data or not _same_file(before, after)):
        yield Difference(f"content or name of the attachment {where}", False)
    language = before.tags.get("language", "und")
    if _language(language) not in ("und", _language(after.tags.get("language", "und"))):
        yield Difference(f"language {language} {where}", False)
    # Every container makes its own choice of a default stream.
    lost = before.disposition & ~after.disposition & ~Disposition.default
    if lost and before.kind != "attachment":
        yield Difference(f"disposition {lost.name} {where}", False)
    for name in _lost_tags(before.tags, after.tags):
        yield Difference(f"{name} {where}: {before.tags[name]}", False)


def _same_file(before: StreamFacts, after: StreamFacts) -> bool:
    return all(before.tags.get(k) == after.tags.get(k) for k in ("filename", "mimetype"))


def _language(code: str) -> str:
    return BIBLIOGRAPHIC.get(code, code)


def _lost_tags(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return [
        name
        for name, value in before.items()
        if value.strip()
        and name not in UNCOMPARED
        and not any(part in name for part in MXF_PARTS)
        and after.get(name, "").strip() != value.strip()
    ]


def _missing_packets(
    before: StreamFacts, after: StreamFacts, shift_s: Fraction
) -> Iterator[Difference]:
    if before.kind not in ("video", "audio", "subtitle", "data") or not before.packets:
        return
    if before.codec.startswith("pcm_"):  # Containers cut PCM into packets of their own.
        have, had = after.size, before.size
    else:
        have, had = after.packets or 0, before.packets
    dropped = 0.0
    if before.kind == "audio" and shift_s < 0:
        rate = before.look.get("sample rate") or 48000
        # No common codec has packets of less than 120 samples.
        dropped = float(-shift_s) * rate / 120 if not before.codec.startswith("pcm_") else had
    slack = LEAD_IN_PACKETS if before.kind == "audio" else 0
    if have < had - dropped - slack:
        lost = f"{had - have} of {had} packets (stream {before.number})"
        yield Difference(lost, have < had * (1 - SLACK) - dropped)


def _order(old: FileFacts, new: FileFacts, pairs: Mapping[int, int]) -> Iterator[Difference]:
    shown = [i for i in pairs if old.streams[i].kind in ("video", "audio", "subtitle")]
    if [pairs[i] for i in shown] != sorted(pairs[i] for i in shown):
        yield Difference("the order of the streams", False)


def _file_differences(old: FileFacts, new: FileFacts) -> Iterator[Difference]:
    if old.programs > 1 and new.programs != old.programs:
        yield Difference(f"the division into {old.programs} programs", False)
    if old.dolby_vision and not new.dolby_vision:
        yield Difference("Dolby Vision configuration", True)
    if len(new.chapters) < len(old.chapters):
        yield Difference("chapters", True)
    elif [c[2] for c in old.chapters] != [c[2] for c in new.chapters[: len(old.chapters)]]:
        yield Difference("titles of chapters", False)
    if old.front_loaded and not new.front_loaded and "mp4" in new.family:
        yield Difference("the index before the media data", False)
    lost = _lost_tags(old.tags, new.tags)
    created = old.tags.get("creation_time", "")
    if created[:19] and created[:19] != new.tags.get("creation_time", "")[:19]:
        lost.append("creation_time")
    if lost:
        yield Difference(f"metadata: {', '.join(lost)}", False)


def refuse_loss(
    source: Path,
    destination: Path,
    found: Iterable[Difference],
    *,
    allow_loss: bool,
    causes: Mapping[int, str] | None = None,
) -> tuple[str, ...]:
    """Return what a copy lacks, in words.

    Args:
        source: the source, named in the error.
        destination: the new file, named in the error.
        found: the differences.
        allow_loss: whether a loss that matters is accepted.
        causes: why the container cannot hold streams, by index in the source.

    Raises:
        RuntimeError: if something that matters is lost.
    """
    found, causes = tuple(found), causes or {}
    lost = [difference for difference in found if difference.matters]
    if lost and not allow_loss:
        reasons = [
            f"{what} ({causes[stream]})" if stream is not None and stream in causes else what
            for what, _, stream in lost
        ]
        suffix = destination.suffix or "this container"
        raise RuntimeError(
            f"{source.name} cannot be copied into {suffix} without losing {'; '.join(reasons)}. "
            f"Choose another container{_suggestion(source, destination)}, or allow the loss "
            "(allow_loss, --allow-loss)"
        )
    return tuple(difference.what for difference in found)


def _suggestion(source: Path, destination: Path) -> str:
    """Return the container of the source, which holds what it has, if it is another one."""
    same = source.suffix.lower()
    return f", such as {same}" if same and same != destination.suffix.lower() else ""
