"""Many files, one after the other: each gets its answer, whatever is wrong with the others."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from avsync.pipelines.check import check
from avsync.pipelines.progress import progress_bar
from avsync.pipelines.videos import find_videos
from avsync.pipelines.words import printable
from avsync.scoring.result import CheckResult
from avsync.timing import DEFAULT_PROFILE


def check_files(
    files: Iterable[str | Path],
    *,
    model: str = "dense_sync",
    weights: str | Path | None = None,
    profile: str = DEFAULT_PROFILE,
    search_s: float = 1.0,
    detector: str | None = None,
) -> Iterator[CheckResult]:
    """Yields the result of each file as soon as it is there; arguments are those of `check`.

    Args:
        files: videos, patterns, or folders, which stand for the videos in and below them.
    """
    for video in find_videos(files):
        with progress_bar(printable(video.name)) as progress:
            result = check(
                video,
                model=model,
                weights=weights,
                profile=profile,
                search_s=search_s,
                detector=detector,
                progress=progress,
            )
        yield result
