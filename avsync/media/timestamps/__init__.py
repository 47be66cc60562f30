"""Follow the clock of a file across its discontinuities, as players do.

`ContinuousClock` (`continuous_clock.py`) puts the packets of all streams on one clock that goes on
where the file's starts again or leaps; `ts_programs.py` reads the programs of an MPEG-TS.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
