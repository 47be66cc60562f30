"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .cli.demo import demo as demo
from .media.video_reader import UnreadableMedia as UnreadableMedia
from .pipelines.check.batch import check_files as check_files
from .pipelines.check.check_file import check as check
from .pipelines.doctor import doctor as doctor
from .pipelines.evaluate.talking_scores import score as score
from .pipelines.fix.fix_file import FixRefused as FixRefused
from .pipelines.fix.fix_file import FixResult as FixResult
from .pipelines.fix.fix_file import fix as fix
from .pipelines.prepare.prepare_store import prepare as prepare
from .pipelines.separate.result import SeparationResult as SeparationResult
from .pipelines.separate.separate_file import separate as separate
from .pipelines.talk.result import TalkResult as TalkResult
from .pipelines.talk.talk_file import talk as talk
from .report import write_report as write_report
from .scoring.result import CheckResult as CheckResult
from .scoring.result import TrackResult as TrackResult
from .scoring.result_json import to_json as to_json
from .tasks.publish import push_to_hub as push_to_hub
from .tasks.registry import create_model as create_model
from .tasks.registry import list_models as list_models
from .timing import PROFILES as PROFILES
from .training.steps.sync_expert import SyncExpert as SyncExpert

__version__: str
