"""avsync: where is the voice against the lips, and how to put it back.

The names below load when they are first used, so that `import avsync` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avsync.cli.demo import demo
    from avsync.media.video_reader import UnreadableMedia
    from avsync.pipelines.check.batch import check_files
    from avsync.pipelines.check.check_file import check
    from avsync.pipelines.doctor import doctor
    from avsync.pipelines.fix.fix_file import FixRefused, FixResult, fix
    from avsync.pipelines.prepare.prepare_store import prepare
    from avsync.pipelines.separate.result import SeparationResult
    from avsync.pipelines.separate.separate_file import separate
    from avsync.pipelines.talk.result import TalkResult
    from avsync.pipelines.talk.talk_file import talk
    from avsync.report import write_report
    from avsync.scoring.result import CheckResult, TrackResult, to_json
    from avsync.tasks.registry import create_model, list_models
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
    "FixRefused": "avsync.pipelines.fix.fix_file",
    "FixResult": "avsync.pipelines.fix.fix_file",
    "SeparationResult": "avsync.pipelines.separate.result",
    "TalkResult": "avsync.pipelines.talk.result",
    "TrackResult": "avsync.scoring.result",
    "UnreadableMedia": "avsync.media.video_reader",
    "check": "avsync.pipelines.check.check_file",
    "check_files": "avsync.pipelines.check.batch",
    "create_model": "avsync.tasks.registry",
    "demo": "avsync.cli.demo",
    "doctor": "avsync.pipelines.doctor",
    "fix": "avsync.pipelines.fix.fix_file",
    "list_models": "avsync.tasks.registry",
    "prepare": "avsync.pipelines.prepare.prepare_store",
    "separate": "avsync.pipelines.separate.separate_file",
    "talk": "avsync.pipelines.talk.talk_file",
    "to_json": "avsync.scoring.result",
    "write_report": "avsync.report",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'avsync' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
