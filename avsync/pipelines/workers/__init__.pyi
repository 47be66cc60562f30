"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .jobs import JobOutcome as JobOutcome
from .jobs import Pool as Pool
from .jobs import Shard as Shard
from .jobs import run_jobs as run_jobs
from .process_worker import ProcessWorker as ProcessWorker
from .ray_worker import RayWorker as RayWorker
