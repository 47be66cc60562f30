"""Evaluate models on data with a known truth, as `avsync evaluate` does.

`evaluate_sync` measures the accuracy of a sync model, `evaluate_lipread` the word error rate of a
lip reader, `evaluate_talking` the quality of generated talking faces and `evaluate_separation` the
SDR of separated voices. Each takes a frozen dataclass whose fields are the flags of the command;
the `*_table` functions format the figures as plain text. `score` needs no truth: it scores the
talking faces in videos as they are.

    from pathlib import Path

    from avsync.pipelines.evaluate import SyncEvaluation, evaluate_sync, sync_table

    figures = evaluate_sync(SyncEvaluation(Path("stores/s1"), model="dense_sync", truth_ms=20))
    print(sync_table(figures))
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
