"""Audio files to mix with speech: folders of music and MIR-1K, split so that singers are disjoint.

Source: Hsu and Jang, On the Improvement of Singing Voice Separation for Monaural Recordings Using
the MIR-1K Dataset (2010): accompaniment in the left channel, the singer in the right one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
AUDIO_SUFFIXES = {".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus", ".wma", ".aif", ".aiff"}
# Of every five groups in the order of their names the fourth is `val`, the fifth `test`.
SPLIT_ORDER: tuple[Split, ...] = ("train", "train", "train", "val", "test")
LEFT, RIGHT = 0, 1


class AudioFile(NamedTuple):
    """An audio file, or one of its channels.

    Args:
        name: unique name, the same wherever the folder lies.
        path: the file.
        channel: index of the channel; None for the mean of all.
        group: files of one group, such as one singer, belong to the same split.
    """

    name: str
    path: Path
    channel: int | None
    group: str


def list_audio_files(folder: str | Path) -> list[AudioFile]:
    """List the audio files in and below a folder by name, each in a group by itself.

    Raises:
        ValueError: there are none.
    """
    found = _files(folder)
    return [AudioFile(_name(folder, path), path, None, _name(folder, path)) for path in found]


def list_mir1k(folder: str | Path, part: Literal["music", "voice"]) -> list[AudioFile]:
    """List the accompaniments, or the solo voices, of MIR-1K.

    What precedes the first `_` in a file's name is its singer, who is the group.
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


def audio_files_of_split(files: Sequence[AudioFile], split: Split) -> list[AudioFile]:
    """Select the files of a split.

    If files lie in folders named `train`, `val` and `test`, these are the splits; otherwise three,
    one and one of every five groups.

    Raises:
        ValueError: a split would be empty, because there are too few groups.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    by_folder = [file for file in files if split in _folders(file)]
    groups = sorted({file.group for file in files})
    if by_folder or any(set(SPLITS) & _folders(file) for file in files):
        chosen = by_folder
    else:
        count = len(SPLIT_ORDER)
        wanted = {group for k, group in enumerate(groups) if SPLIT_ORDER[k % count] == split}
        chosen = [file for file in files if file.group in wanted]
    if not chosen:
        raise ValueError(
            f"audio files must be five files or singers, or lie in folders {', '.join(SPLITS)}, "
            f"to leave any for {split}; got {len(groups)}"
        )
    return chosen


def _files(folder: str | Path) -> list[Path]:
    paths = Path(folder).rglob("*")
    found = sorted(path for path in paths if path.suffix.lower() in AUDIO_SUFFIXES)
    if not found:
        raise ValueError(
            f"{folder} must hold audio files ({', '.join(sorted(AUDIO_SUFFIXES))}), has none"
        )
    return found


def _name(folder: str | Path, path: Path) -> str:
    return f"{Path(folder).resolve().name}/{path.relative_to(folder).as_posix()}"


def _folders(audio: AudioFile) -> set[str]:
    return set(audio.name.split("/")[1:-1])
