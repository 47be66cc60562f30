"""Audio files to mix with voices: folders of music, and MIR-1K, split so that no singer is in two.

Hsu and Jang, On the Improvement of Singing Voice Separation for Monaural Recordings Using the
MIR-1K Dataset (2010): accompaniment in the left channel, the singer in the right one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
SUFFIXES = {".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus", ".wma", ".aif", ".aiff"}
# Of every five groups in the order of their names the fourth is `val`, the fifth `test`.
ORDER: tuple[Split, ...] = ("train", "train", "train", "val", "test")
LEFT, RIGHT = 0, 1


class AudioFile(NamedTuple):
    """A file, or one of its channels; `channel` None is the mix of all.

    `name` tells it from the others wherever the folder lies; files of a `group`, of one singer,
    belong to the same split.
    """

    name: str
    path: Path
    channel: int | None
    group: str


def list_audio_files(folder: str | Path) -> list[AudioFile]:
    """Return the audio files in and below a folder, by name: each is its own group.

    ValueError where there are none.
    """
    found = _files(folder)
    return [AudioFile(_name(folder, path), path, None, _name(folder, path)) for path in found]


def list_mir1k(folder: str | Path, part: Literal["music", "voice"]) -> list[AudioFile]:
    """Return the accompaniments, or the solo voices, of MIR-1K; what comes before the first `_` of a
    file's name is its singer, who is the group.
    """
    if part not in ("music", "voice"):
        raise ValueError(f"part must be music or voice, got {part!r}")
    side = "left" if part == "music" else "right"
    return [
        AudioFile(
            f"{_name(folder, path)}#{side}",
            path,
            LEFT if part == "music" else RIGHT,
            path.stem.split("_")[0],
        )
        for path in _files(folder)
    ]


def audio_files_of_split(sounds: Sequence[AudioFile], split: Split) -> list[AudioFile]:
    """Those that belong to a split: the folders `train`, `val` and `test` where the files lie in
    such, else three, one and one of every five groups.

    ValueError where a split would be empty, because there are too few groups.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    by_folder = [each for each in sounds if split in _folders(each)]
    if by_folder or any(set(SPLITS) & _folders(each) for each in sounds):
        chosen = by_folder
    else:
        groups = sorted({each.group for each in sounds})
        wanted = {group for k, group in enumerate(groups) if ORDER[k % len(ORDER)] == split}
        chosen = [each for each in sounds if each.group in wanted]
    if not chosen:
        raise ValueError(
            f"audio streams must hold five files or singers, or folders {', '.join(SPLITS)}, to leave any "
            f"for {split}; got {len({each.group for each in sounds})}"
        )
    return chosen


def _files(folder: str | Path) -> list[Path]:
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise ValueError(
            f"{folder} must hold audio files ({', '.join(sorted(SUFFIXES))}), has none"
        )
    return found


def _name(folder: str | Path, path: Path) -> str:
    return f"{Path(folder).resolve().name}/{path.relative_to(folder).as_posix()}"


def _folders(audio: AudioFile) -> set[str]:
    return set(audio.name.split("/")[1:-1])
