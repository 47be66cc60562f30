"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .batches import BatchDataset as BatchDataset
from .batches import Curriculum as Curriculum
from .batches import MakeBatch as MakeBatch
from .batches import SeededBatch as SeededBatch
from .batches import as_floats as as_floats
from .chance_monitor import ChanceMonitor as ChanceMonitor
from .checkpoint import InitialModel as InitialModel
from .checkpoint import RunState as RunState
from .checkpoint import save_model as save_model
from .checkpoint import start_model as start_model
from .contact_sheet import write_contact_sheet as write_contact_sheet
from .early_stop import EarlyStop as EarlyStop
from .early_stop import Watch as Watch
from .loop import fit as fit
from .optimizer import learning_rate as learning_rate
from .optimizer import make_optimizer as make_optimizer
from .optimizer import make_schedule as make_schedule
from .overfit_test import OverfitResult as OverfitResult
from .overfit_test import describe_overfit as describe_overfit
from .overfit_test import overfit_one_batch as overfit_one_batch
from .run_log import LoggedStep as LoggedStep
from .run_log import RunLog as RunLog
from .settings import REQUIRED as REQUIRED
from .settings import FlagsOf as FlagsOf
from .settings import LoopSettings as LoopSettings
from .settings import constant_rate as constant_rate
