"""Convert published checkpoints to our models.

`read_upstream` reads a `.pth` file without running code; the model's `convert_*` function renames
and adapts its tensors to a state dict that our model loads with `strict=True`:

    from avsync.convert import convert_syncnet, read_upstream

    state_dict = convert_syncnet(read_upstream("syncnet_v2.model"))

`convert_face_mesh` takes MediaPipe's file itself, of which `read_tflite` reads the network.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
