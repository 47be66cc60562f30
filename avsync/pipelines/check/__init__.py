"""Check files: estimate the audio-video offset, and report it as text, JSON, CSV and exit code.

`check_file.py` checks one file and reads from top to bottom; `batch.py` checks many, in worker
processes (`pipelines/workers`) and resumable (`jsonl.py`); `messages.py` and `export.py` present
the results.

    from avsync.pipelines.check import check, check_files, describe_result

    print(describe_result(check("video.mp4")))
    for result in check_files(["folder"], workers=4, results="results.jsonl", resume=True):
        print(result.file, result.verdict, result.offset_ms)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
