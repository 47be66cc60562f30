"""Refuse a copy that lacks something that matters, and list what else it lacks."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from avsync.media.writers.comparison.differences import Difference


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
