"""Score audio against lips at every offset, and decide offset, confidence and reason.

`score_tracks` (`engine.py`) encodes every window once and sums evidence over offsets;
`decide_track` (`decision.py`) finds the peak and compares its confidence with thresholds; the
confidence rule itself is `confidence` in `peak.py`. `avsync.scoring.trajectory` finds drifts and
jumps, and `result.py` holds the results and their JSON.

    from avsync.scoring import confidence, find_peak, score_tracks
    from avsync.tasks.calibration import calibration_of

    scores = score_tracks(model, ticks, audio, reach_s=2.0)
    curve = scores.tracks[0].curve
    peak = find_peak(curve, search_ms=1000)
    print(peak.offset_ms, confidence(peak, calibration_of(model)))
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
