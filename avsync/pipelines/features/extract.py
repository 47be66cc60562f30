"""Extract features of videos and stores to files: `avsync features FILE|STORE -o FOLDER`."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import nn

from avsync.atomic import partial_path, replacing, write_text
from avsync.data.store.reader import CLIPS_TABLE, PreparedClip, Store
from avsync.faces.detector import FaceDetector, find_detector
from avsync.hub import weights_path
from avsync.json_files import parse_json, read_json, read_text
from avsync.locks import locked
from avsync.media.container import UnreadableMedia
from avsync.media.video_files import find_videos
from avsync.outputs import OutputKind, check_output, json_kind
from avsync.pipelines.features.frozen import FrozenFeatures
from avsync.pipelines.features.stream import FeatureBlock, clip_features, video_features
from avsync.scoring.embeddings import SYNC_CONTRACT, SyncModel
from avsync.tasks.features import Stream
from avsync.tasks.registry import create_model, model_card, resolve_model
from avsync.weights import sha256_of, sha256_of_state

SETTINGS_FILE, INDEX_FILE = "features.json", "index.jsonl"
# Names of the tensors in a file.
FEATURES, TIMES = "features", "times_s"
# By their beginnings our files are recognised: an earlier one may be replaced.
ABOUT = json_kind("the settings of an avsync features", "model", "stream", "layer")
FEATURES_KIND = OutputKind(
    "a file of features of avsync",
    lambda head: head[8:9] == b"{" and b'"times_s"' in head and b'"stream"' in head,
)
TOO_SHORT = {
    "video": "no face stays in the frame for as long as a window of the model",
    "audio": "the audio is shorter than a window of the model",
}


class ExtractionResult(NamedTuple):
    """Files written for a source, or in plain words why there are none."""

    source: str
    files: tuple[Path, ...]
    problem: str = ""

    def describe(self) -> str:
        """Return one line in plain words."""
        return self.problem or ", ".join(str(path) for path in self.files)


def extract_features(
    sources: Iterable[str | Path],
    output: str | Path,
    *,
    model: str | SyncModel = "dense_sync",
    weights: str | Path | None = None,
    stream: Stream = "video",
    layer: str = "",
    detector: str | FaceDetector | None = None,
    say: Callable[[ExtractionResult], None] | None = None,
) -> list[ExtractionResult]:
    """Write the features of videos and of stores as safetensors; run again, it resumes.

    A file holds `features` `(n, D)` and `times_s` `(n,)` of a clip, of a face in a video, or of a
    video's audio. `index.jsonl` lists the files of each source, or what is wrong with it.

    Args:
        sources: videos, folders of videos, and stores of prepared clips.
        output: folder for the files.
        model: the name of a sync model that `avsync models` lists, or a model object in eval mode
            that keeps the contract of a sync task.
        weights: a checkpoint of the named model instead of the released one.
        stream: `video` or `audio`.
        layer: a module of the model, by its dotted name; see `FrozenFeatures`.
        detector: the face detector, by name or object; None for YuNet.
        say: called with the result of each source.

    Returns:
        Results of the sources that had not been extracted before.

    Raises:
        ValueError: the output holds features of another model, stream or layer.
        InUseError: another process writes to the output.
        OSError: the output has files that avsync did not write, or cannot be written to.
    """
    output = Path(output)
    name, sync_model = resolve_model(model, weights, _load, SYNC_CONTRACT)
    frozen = FrozenFeatures(sync_model, stream, layer)
    about = {"model": name, "stream": stream, "layer": frozen.layer}
    about["weights"] = "released" if weights is None else sha256_of(weights_path(weights))
    if isinstance(model, nn.Module):
        about["weights"] = sha256_of_state(model.state_dict())

    @cache
    def face_detector() -> FaceDetector:
        named = detector is None or isinstance(detector, str)
        return find_detector(detector) if named else detector  # type: ignore[arg-type,return-value]

    results = []
    with locked(output / SETTINGS_FILE):
        done = _resume(output, about)
        for source in _list(sources):
            if source.key in done:
                continue
            done.add(source.key)
            if isinstance(source.media, PreparedClip):
                blocks: Iterator[FeatureBlock] = iter([clip_features(frozen, source.media)])
            else:
                blocks = video_features(
                    frozen, source.media, face_detector() if stream == "video" else None
                )
            results.append(_write(blocks, source.name, output, about))
            _append_to_index(output, source.key, results[-1])
            if say is not None:
                say(results[-1])
    return results


class _MediaSource(NamedTuple):
    """A clip or a video, its name under the output, and a key that changes with it."""

    key: str
    name: str
    media: Path | PreparedClip


def _list(sources: Iterable[str | Path]) -> Iterator[_MediaSource]:
    keys: dict[str, str] = {}
    for given in map(Path, sources):
        if (given / CLIPS_TABLE).is_file():
            found = (_MediaSource(f"clip {clip.id}", clip.id, clip) for clip in Store(given))
        else:
            found = (_video(path, given) for path in find_videos([given]))
        for source in found:
            if keys.setdefault(source.name, source.key) != source.key:
                raise ValueError(f"two sources would be written to {source.name}: do one at a time")
            yield source


def _video(path: Path, given: Path) -> _MediaSource:
    name = path.relative_to(given).as_posix() if given.is_dir() else path.name
    stat = path.stat() if path.is_file() else None
    state = "" if stat is None else f" {stat.st_size} {stat.st_mtime_ns}"
    return _MediaSource(f"{path.resolve()}{state}", name, path)


def _write(
    blocks: Iterator[FeatureBlock], name: str, output: Path, about: dict[str, str]
) -> ExtractionResult:
    files: dict[int | None, FeatureFile] = {}
    with ExitStack() as stack:
        try:
            for track, times_s, features in blocks:
                if track not in files and len(times_s):
                    ending = "" if track is None else f".{track}"
                    path = output / f"{name}{ending}.safetensors"
                    files[track] = stack.enter_context(FeatureFile(path, about | {"source": name}))
                if len(times_s):
                    files[track].append(times_s, features)
        except UnreadableMedia as error:
            return ExtractionResult(name, (), str(error))
        for file in files.values():
            file.finish()
    problem = "" if files else TOO_SHORT[about["stream"]]
    return ExtractionResult(name, tuple(file.path for file in files.values()), problem)


def _resume(output: Path, about: dict[str, str]) -> set[str]:
    """Return the keys of finished sources; ValueError if they have other features."""
    settings, index = output / SETTINGS_FILE, output / INDEX_FILE
    if not settings.is_file():
        check_output(settings, ABOUT, overwrite=None)
        if index.exists():
            raise FileExistsError(f"{index} exists, but {settings} does not: choose another output")
        write_text(settings, json.dumps(about, indent=1) + "\n")
    try:
        found = read_json(settings)
        lines = read_text(index).splitlines() if index.exists() else []
        # The line that a killed run was writing last is incomplete: its source is done again.
        whole = lines[:-1] if lines and not lines[-1].endswith("}") else lines
        done = {parse_json(line)["key"] for line in whole}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RuntimeError(
            f"{output} must hold features.json and index.jsonl of avsync features, got: {error!r}"
        ) from error
    if not isinstance(found, dict) or set(found) != set(about):
        raise RuntimeError(f"{settings} must be a JSON object with {', '.join(about)}")
    if found != about:
        there, asked = (", ".join(f"{k} {v}" for k, v in e.items() if v) for e in (found, about))
        raise ValueError(f"output {output} holds features of {there}, not of {asked}")
    write_text(index, "".join(f"{line}\n" for line in whole))
    return done


def _append_to_index(output: Path, key: str, result: ExtractionResult) -> None:
    files = [path.relative_to(output).as_posix() for path in result.files]
    row = {"key": key, "source": result.source, "files": files, "problem": result.problem}
    with open(output / INDEX_FILE, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _load(name: str, weights: str | Path | None) -> SyncModel:
    # Batch norms are not folded, unlike in `check`: a layer's output is what it was in training.
    model_card(name, "sync")
    model = create_model(name, pretrained=weights is None, weights=weights)
    return cast(SyncModel, model.to("cuda" if torch.cuda.is_available() else "cpu"))


class FeatureFile:
    """Writer of `features` `(n, D)` float32 and `times_s` `(n,)` float64, in seconds, to one file.

    Features are buffered in a temporary file beside it, so that hours need no memory; `finish`
    writes the file itself.

    Args:
        path: the file, replaced.
        about: metadata kept in the file's header.
    """

    def __init__(self, path: Path, about: Mapping[str, str]) -> None:
        check_output(path, FEATURES_KIND, overwrite=None)
        self.path, self.about = path, dict(about)
        self.times: list[np.ndarray] = []
        self.dim = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        # Its name is that of a partial file, which the next run removes if this one is killed.
        self._buffer = partial_path(path)
        self._buffer.write_bytes(b"")

    def __enter__(self) -> "FeatureFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._buffer.unlink(missing_ok=True)

    def append(self, times_s: np.ndarray, features: np.ndarray) -> None:
        """Append vectors `(n, D)` with their times `(n,)`; D is that of the first ones."""
        self.dim = self.dim or features.shape[-1]
        if features.shape != (len(times_s), self.dim):
            raise ValueError(f"features must be ({len(times_s)}, {self.dim}), got {features.shape}")
        self.times.append(times_s)
        # Opened each time: a video has more tracks than a process may have files open.
        with open(self._buffer, "ab") as file:
            file.write(np.ascontiguousarray(features, "<f4").data)

    @property
    def length(self) -> int:
        return sum(map(len, self.times))

    def finish(self) -> None:
        """Write the file."""
        times = np.concatenate([np.zeros(0), *self.times]).astype("<f8")
        tensors = {
            TIMES: ("F64", [len(times)], times.nbytes),
            FEATURES: ("F32", [len(times), self.dim], 4 * len(times) * self.dim),
        }
        header: dict[str, object] = {"__metadata__": self.about}
        at = 0
        for name, (dtype, shape, size) in tensors.items():
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
            at += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with replacing(self.path) as temporary, open(temporary, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text + times.tobytes())
            with open(self._buffer, "rb") as buffer:
                shutil.copyfileobj(buffer, file)
