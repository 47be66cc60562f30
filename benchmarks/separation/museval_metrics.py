"""Load museval's `metrics.py` alone: `import museval` needs ffmpeg and ffprobe on the PATH."""

import importlib.util
from pathlib import Path
from types import ModuleType


def load_museval_metrics() -> ModuleType:
    """Load the module `museval.metrics` of the installed museval.

    Raises:
        RuntimeError: if museval is not installed.
    """
    package = importlib.util.find_spec("museval")
    if package is None or package.origin is None:
        raise RuntimeError("museval is not installed: pip install museval")
    path = Path(package.origin).with_name("metrics.py")
    spec = importlib.util.spec_from_file_location("museval_metrics_alone", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
