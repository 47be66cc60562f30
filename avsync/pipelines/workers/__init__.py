"""Worker processes, on one machine or on a Ray cluster: a file that kills its worker costs itself.

Example:
    from avsync.pipelines.workers import run_jobs

    for number, outcome, died, cause in run_jobs(start, jobs, workers=4, timeout_s=60):
        ...
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
