"""Pipelines: what the commands do, as functions. Files go in, results or files come out.

Each subpackage does one job: `check` measures offsets, `fix` repairs them, `separate` extracts
voices, `talk` generates talking faces, `prepare`, `audit` and `features` work on training data, and
`evaluate` measures models. `train_recipe` trains, `convert_file` converts published checkpoints.
The functions used most are also in `avsync`.

    from avsync.pipelines import convert_file

    convert_file("syncnet", "syncnet_v2.model", "syncnet.safetensors")
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
