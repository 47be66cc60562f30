from .continuous_clock import ContinuousClock as ContinuousClock
from .continuous_clock import can_leap as can_leap
from .ts_programs import stream_programs as stream_programs
