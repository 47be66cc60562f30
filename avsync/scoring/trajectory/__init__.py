"""Offset trajectories: whether the offset of a file is constant, drifts or jumps.

The evidence of the faces becomes a map over time and offset (`evidence_map.py`), to which constant
and linear (`linear.py`) and piecewise constant trajectories (`piecewise.py`: penalised
changepoints, found by the Viterbi algorithm) are fitted. `fit_trajectory` selects one
(`model_selection.py`), and `find_fault` classifies it (`fault.py`). `distant_jumps.py` adds
segments beyond the search range, and measures how much of the file supports the result.

    from avsync.scoring.trajectory import find_fault

    fault = find_fault(tracks, offset_ms, duration_s, search_s, limits, calibration)
    print(fault.kind, fault.drift_ppm, fault.worst_ms)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
