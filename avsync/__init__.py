"""avsync: where is the voice against the lips, and how to put it back.

The names below load when they are first used, so that `import avsync` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avsync.media.video import UnreadableMedia
    from avsync.pipelines.batch import check_files
    from avsync.pipelines.check import check
    from avsync.pipelines.demo import demo
    from avsync.pipelines.doctor import doctor
    from avsync.pipelines.fix import FixRefused, FixResult, fix
    from avsync.pipelines.prepare import prepare
    from avsync.pipelines.report import write_report
    from avsync.pipelines.separate import separate
    from avsync.pipelines.separate_result import SeparationResult
    from avsync.pipelines.talk import talk
    from avsync.pipelines.talk_result import TalkResult
    from avsync.registry import create_model, list_models
    from avsync.scoring.result import CheckResult, TrackResult, to_json
    from avsync.timing import PROFILES

__version__ = "0.1.0"

__all__ = [
    "PROFILES",
    "CheckResult",
    "FixRefused",
    "FixResult",
    "SeparationResult",
    "TalkResult",
    "TrackResult",
    "UnreadableMedia",
    "check",
    "check_files",
    "create_model",
    "demo",
    "doctor",
    "fix",
    "list_models",
    "prepare",
    "separate",
    "talk",
    "to_json",
    "write_report",
]

_HOMES = {
    "PROFILES": "avsync.timing",
    "CheckResult": "avsync.scoring.result",
    "FixRefused": "avsync.pipelines.fix",
    "FixResult": "avsync.pipelines.fix",
    "SeparationResult": "avsync.pipelines.separate_result",
    "TalkResult": "avsync.pipelines.talk_result",
    "TrackResult": "avsync.scoring.result",
    "UnreadableMedia": "avsync.media.video",
    "check": "avsync.pipelines.check",
    "check_files": "avsync.pipelines.batch",
    "create_model": "avsync.registry",
    "demo": "avsync.pipelines.demo",
    "doctor": "avsync.pipelines.doctor",
    "fix": "avsync.pipelines.fix",
    "list_models": "avsync.registry",
    "prepare": "avsync.pipelines.prepare",
    "separate": "avsync.pipelines.separate",
    "talk": "avsync.pipelines.talk",
    "to_json": "avsync.scoring.result",
    "write_report": "avsync.pipelines.report",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'avsync' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
