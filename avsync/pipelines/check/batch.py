"""Check many files, in worker processes if wanted: one result each, in order, resumable."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from glob import glob, has_magic
from importlib import metadata
from pathlib import Path

import cv2
import torch
from torch import nn

from avsync.faces.detector import FaceDetector, find_detector
from avsync.hub import weights_path
from avsync.outputs import check_output
from avsync.pipelines.check.check_file import (
    MAX_SEARCH_S,
    check,
    load_model,
    unreadable_result,
)
from avsync.pipelines.check.jsonl import (
    JSONL_RESULTS,
    Fingerprint,
    ResultsFile,
    file_fingerprint,
)
from avsync.pipelines.check.messages import printable
from avsync.pipelines.check.workers import JobOutcome, Work, run_in_processes
from avsync.pipelines.progress import ProgressCallback, progress_bar
from avsync.pipelines.worker_limits import MEMORY_CAUSE, limit_file_cpu
from avsync.scoring.embeddings import SyncModel
from avsync.scoring.result import CheckResult, thin_score_maps
from avsync.tasks.catalog import DEFAULT_SYNC_MODEL
from avsync.tasks.registry import model_card
from avsync.timing import DEFAULT_PROFILE, tolerance
from avsync.weights import sha256_of_state

# File extensions that count as videos in a folder.
SUFFIXES = {
    *(".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"),
    *(".3gp", ".flv", ".m2ts", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".wmv"),
}


@dataclass(frozen=True)
class CheckOptions:
    """Arguments of `check` that all files of a batch share."""

    model: str | SyncModel
    weights: str | None
    profile: str
    search_s: float
    detector: str
    audio: str | None = None

    @property
    def name(self) -> str:
        return self.model if isinstance(self.model, str) else type(self.model).__name__

    def to_json(self) -> Fingerprint:
        """Return all that a result depends on besides the file, to decide if it is still valid."""
        made_with: Fingerprint = {
            "model": self.name,
            "weights": self.weights,
            "profile": self.profile,
            "search_s": self.search_s,
            "detector": self.detector,
            "audio": self.audio,
            "version": metadata.version("avsync"),
        }
        if self.weights is not None:
            made_with["weights_made_of"] = file_fingerprint(Path(self.weights))
            # It holds the calibration of the scores.
            made_with["config_made_of"] = file_fingerprint(Path(self.weights).with_suffix(".json"))
        if isinstance(self.model, nn.Module):
            made_with["state"] = sha256_of_state(self.model.state_dict())
        return made_with


def check_files(
    files: Iterable[str | Path],
    *,
    model: str | SyncModel = DEFAULT_SYNC_MODEL,
    weights: str | Path | None = None,
    profile: str = DEFAULT_PROFILE,
    search_s: float = 1.0,
    detector: str | None = None,
    audio: str | int | None = None,
    workers: int = 0,
    results: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> Iterator[CheckResult]:
    """Yield the result of each file, in the order of the files.

    A file that cannot be read, whatever the cause, is a result; the batch continues. With several
    files the score maps are thinned to the size of a small image.

    Args:
        files: videos, patterns, or folders, which stand for the videos in and below them.
        model: the name of a sync model that `avsync models` lists, or a model object in eval mode
            that keeps the contract of a sync task.
        weights: a checkpoint of the named model instead of the released one.
        profile: tolerance profile, as in `check`.
        search_s: seconds searched to either side.
        detector: name of the face detector, None for YuNet.
        audio: the audio streams to compare, as in `check`.
        workers: worker processes; 0 checks in this process, where a file that crashes a decoder
            ends the batch. Workers load the model by its name: not with a model object.
        results: a file of JSON lines to write, one line for each file as soon as it is checked; at
            the end in the order of the files.
        resume: reuse the results in `results` whose file and options have not changed.
        overwrite: without `resume`, replace what `results` holds, whatever that is.

    Raises:
        ValueError: if an argument is out of range, or `results` is one of the files.
        RuntimeError: if the weights cannot be used, or another batch writes to `results`.
        OSError: if `results` may not be replaced.
    """
    tolerance(profile)
    if not 0 < search_s <= MAX_SEARCH_S:
        raise ValueError(f"search_s must lie in (0, {MAX_SEARCH_S}] seconds, got {search_s}")
    if workers < 0:
        raise ValueError(f"workers must be 0 or more, got {workers}")
    if resume and results is None:
        raise ValueError("results must name the file to resume from")
    if workers and not isinstance(model, str):
        raise ValueError("workers must be 0 for a model object: other processes load it by name")
    # Wrong arguments are reported before anything is loaded.
    videos = find_videos(files)
    if isinstance(model, str):
        model_card(model)
    if results is not None:
        check_output(results, JSONL_RESULTS, videos, overwrite=overwrite or resume)
    # Resolved once, so that all workers load the same files.
    weights = None if weights is None else str(weights_path(weights))
    if not workers:
        load_model(model, weights)
    found = find_detector(detector).name
    choice = None if audio is None or audio == "all" else str(audio)
    options = CheckOptions(model, weights, profile, float(search_s), found, choice)
    lines = None if results is None else ResultsFile(results, resume=resume, overwrite=overwrite)
    return _in_order(videos, options, workers, lines)


def _in_order(
    videos: list[Path], options: CheckOptions, workers: int, lines: ResultsFile | None
) -> Iterator[CheckResult]:
    """Yield the results in order; write new ones to `lines` as soon as they are there."""
    made_with = options.to_json()
    made_of = {video: {**file_fingerprint(video), **made_with} for video in videos}
    known = {v for v in videos if lines is not None and lines.has(str(v), made_of[v])}
    todo = [video for video in videos if video not in known]
    label = printable(videos[0].name) if len(videos) == 1 else f"{len(todo)} files"
    ready: dict[Path, CheckResult] = {}
    try:
        with progress_bar(label) as bar:
            checked = _check_all(todo, options, workers, bar, thin=len(videos) > 1)
            for video in videos:
                while video not in known and video not in ready:
                    done, result = next(checked)
                    ready[done] = result
                    if lines is not None:
                        lines.add(result, made_of[done])
                with bar.aside():
                    if lines is not None and video in known:
                        yield lines.result(str(video))
                    else:
                        yield ready.pop(video)
        if lines is not None:
            lines.finish(map(str, videos))
    finally:
        if lines is not None:
            lines.close()


def _check_all(
    videos: list[Path], options: CheckOptions, workers: int, report: ProgressCallback, *, thin: bool
) -> Iterator[tuple[Path, CheckResult]]:
    """Yield files and their results as they are finished."""
    start = partial(_load, options, thin)
    if workers:
        outcomes = run_in_processes(partial(_load_single_threaded, start), videos, workers, report)
    else:
        outcomes = _run_in_this_process(start, videos, report)
    for number, outcome, died, cause in outcomes:
        video = videos[number]
        yield video, _unreadable(video, options, cause) if died else outcome


def _run_in_this_process(
    start: Callable[[], Work], videos: list[Path], report: ProgressCallback
) -> Iterator[JobOutcome]:
    work = start()
    for number, video in enumerate(videos):

        def report_share(share: float, before: int = number) -> None:
            report((before + share) / len(videos))

        yield JobOutcome(number, work(video, report_share))


def _load_single_threaded(start: Callable[[], Work]) -> Work:
    """Load in a worker process: threads of several processes would compete for the cores."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    work = start()

    def limited(video: Path, report: ProgressCallback) -> CheckResult:
        limit_file_cpu(video)
        result: CheckResult = work(video, report)
        return result

    return limited


def _load(options: CheckOptions, thin: bool) -> Work:
    """Load model and detector; an error here ends the batch, as no file is to blame."""
    load_model(options.model, options.weights)
    return partial(_check, options, find_detector(options.detector), thin)


def _check(
    options: CheckOptions, detector: FaceDetector, thin: bool, video: Path, report: ProgressCallback
) -> CheckResult:
    try:
        result = check(
            video,
            model=options.model,
            weights=options.weights,
            profile=options.profile,
            search_s=options.search_s,
            detector=detector,
            audio=options.audio,
            progress=report,
        )
    except MemoryError:
        return _unreadable(video, options, MEMORY_CAUSE)
    except Exception as error:  # A damaged file may fail anywhere in a decoder.
        return _unreadable(video, options, f"{type(error).__name__}: {error}")
    return thin_score_maps(result) if thin else result


def _unreadable(video: Path, options: CheckOptions, detail: str) -> CheckResult:
    return unreadable_result(
        video, options.name, options.profile, options.search_s, "damaged", detail
    )


def find_videos(named: Iterable[str | Path]) -> list[Path]:
    """Return the named files in order, each once; folders stand for the videos in and below them.

    Hidden files of a folder are left out. A missing file is kept: its result will say so.

    Raises:
        ValueError: if there is no video in a folder.
    """
    return list(dict.fromkeys(video for name in named for video in _videos(Path(name))))


def _videos(path: Path) -> Iterator[Path]:
    # Unlike `path.is_dir()`, it takes a name that no file can have, which costs only itself.
    if os.path.isdir(path):
        videos = sorted(
            p
            for p in path.rglob("*")
            # Hidden files are no videos: macOS leaves `._a.mp4` beside each a.mp4.
            if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()
        )
        if not videos:
            raise ValueError(f"there is no video in the folder {path}")
        yield from videos
    elif has_magic(str(path)) and not os.path.lexists(path):
        # Some shells do not expand patterns.
        yield from sorted(map(Path, glob(str(path), recursive=True))) or [path]
    else:
        yield path
