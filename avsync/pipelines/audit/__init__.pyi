"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .audit_store import Audit as Audit
from .audit_store import audit as audit
from .clip_offsets import ClipOffset as ClipOffset
from .clip_offsets import clean_rows as clean_rows
from .clip_offsets import measure_offsets as measure_offsets
from .findings import AuditFinding as AuditFinding
