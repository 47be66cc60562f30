"""Check many files, in worker processes if wanted: one result each, in order, resumable."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import cv2
import torch
from torch import nn

from avsync.faces.detector import FaceDetector, find_detector
from avsync.hub import weights_path
from avsync.media.video_files import content_hash, find_videos
from avsync.outputs import check_output
from avsync.pipelines.check.check_file import (
    MAX_SEARCH_S,
    check,
    load_model,
    unreadable_result,
)
from avsync.pipelines.check.jsonl import JSONL_RESULTS, ResultsFile, file_fingerprint
from avsync.pipelines.check.line_index import CONTENT, Fingerprint
from avsync.pipelines.check.messages import printable
from avsync.pipelines.progress import ProgressCallback, progress_bar
from avsync.pipelines.workers.jobs import Pool, Shard
from avsync.pipelines.workers.limits import MEMORY_CAUSE, limit_file_cpu
from avsync.pipelines.workers.process_worker import Work
from avsync.scoring.embeddings import SyncModel
from avsync.scoring.result import CheckResult, thin_score_maps
from avsync.tasks.catalog import DEFAULT_SYNC_MODEL
from avsync.tasks.registry import model_card
from avsync.timing import DEFAULT_PROFILE, tolerance
from avsync.weights import sha256_of_state


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
    timeout_s: float | None = None,
    shard: str | None = None,
    ray: str | None = None,
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
            ends the batch. Workers load the model by its name: not with a model object. A file that
            kills its worker is `unreadable` after two attempts.
        timeout_s: seconds that a worker may take for a file, by the clock on the wall; a file that
            takes longer is `unreadable` after two attempts.
        shard: `i/n` checks every n-th file from the i-th on, for n calls on n machines.
        ray: address of a Ray cluster whose machines run the workers, or `local`; with 0 workers,
            one for each CPU. All machines see the files under the same paths.
        results: a file of JSON lines to write, one line for each file as soon as it is checked; at
            the end in the order of the files. A file whose content has been checked before gets a
            copy of that result.
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
    pool = Pool(workers, timeout_s, ray)
    if resume and results is None:
        raise ValueError("results must name the file to resume from")
    if not pool.is_this_process and not isinstance(model, str):
        raise ValueError("workers must be 0 for a model object: other processes load it by name")
    # Wrong arguments are reported before anything is loaded.
    videos = find_videos(files)
    if shard is not None:
        videos = Shard.parse(shard).of_list(videos)
    if isinstance(model, str):
        model_card(model)
    if results is not None:
        check_output(results, JSONL_RESULTS, videos, overwrite=overwrite or resume)
    # Resolved once, so that all workers load the same files.
    weights = None if weights is None else str(weights_path(weights))
    if pool.is_this_process:
        load_model(model, weights)
    found = find_detector(detector).name
    choice = None if audio is None or audio == "all" else str(audio)
    options = CheckOptions(model, weights, profile, float(search_s), found, choice)
    lines = None if results is None else ResultsFile(results, resume=resume, overwrite=overwrite)
    return _in_order(videos, options, pool, lines)


class _FileJob(NamedTuple):
    """A file to check, and the hashes of files whose results it may share; None to hash nothing."""

    video: Path
    contents: frozenset[str] | None


class _Checked(NamedTuple):
    """Result of a file, None if that of its content is known, and the hash of its content."""

    result: CheckResult | None
    content: str | None


def _in_order(
    videos: list[Path], options: CheckOptions, pool: Pool, lines: ResultsFile | None
) -> Iterator[CheckResult]:
    """Yield the results in order; write new ones to `lines` as soon as they are there."""
    made_with = options.to_json()
    known = set()
    if lines is not None:
        known = {v for v in videos if lines.has(str(v), {**file_fingerprint(v), **made_with})}
    todo = [video for video in videos if video not in known]
    label = printable(videos[0].name) if len(videos) == 1 else f"{len(todo)} files"
    ready: dict[Path, CheckResult] = {}
    try:
        with progress_bar(label) as bar:
            checked = _check_all(todo, options, made_with, pool, lines, bar, thin=len(videos) > 1)
            for video in videos:
                while video not in known and video not in ready:
                    done, result = next(checked)
                    ready[done] = result
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
    videos: list[Path],
    options: CheckOptions,
    made_with: Fingerprint,
    pool: Pool,
    lines: ResultsFile | None,
    report: ProgressCallback,
    *,
    thin: bool,
) -> Iterator[tuple[Path, CheckResult]]:
    """Yield files and their results as they are finished and written."""
    made_of: dict[int, Fingerprint] = {}

    def jobs() -> Iterator[_FileJob]:
        for number, video in enumerate(videos):
            made_of[number] = {**file_fingerprint(video), **made_with}
            known = None if lines is None else lines.contents(str(video), made_of[number])
            yield _FileJob(video, known)

    start = partial(_load, options, thin)
    if not pool.is_this_process:
        start = partial(_load_single_threaded, start)
    outcomes = pool.run(start, jobs(), total=len(videos), report=report)
    for number, outcome, died, cause in outcomes:
        video, inputs = videos[number], made_of.pop(number)
        if died:
            outcome = _Checked(_unreadable(video, options, cause), None)
        if outcome.content is not None:
            inputs[CONTENT] = outcome.content
        if outcome.result is None and lines is not None:
            yield video, lines.add_copy(str(video), inputs)
            continue
        if lines is not None:
            lines.add(outcome.result, inputs)
        yield video, outcome.result


def _load_single_threaded(start: Callable[[int], Work], index: int) -> Work:
    """Load in a worker process: threads of several processes would compete for the cores."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    work = start(index)

    def limited(job: _FileJob, report: ProgressCallback) -> _Checked:
        limit_file_cpu(job.video)
        checked: _Checked = work(job, report)
        return checked

    return limited


def _load(options: CheckOptions, thin: bool, index: int) -> Work:
    """Load model and detector; an error here ends the batch, as no file is to blame."""
    load_model(options.model, options.weights)
    return partial(_check_new, options, find_detector(options.detector), thin)


def _check_new(
    options: CheckOptions,
    detector: FaceDetector,
    thin: bool,
    job: _FileJob,
    report: ProgressCallback,
) -> _Checked:
    """Check a file, unless one of equal content has a result."""
    content = None if job.contents is None else content_hash(job.video)
    if job.contents and content in job.contents:
        return _Checked(None, content)
    return _Checked(_check(options, detector, thin, job.video, report), content)


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
