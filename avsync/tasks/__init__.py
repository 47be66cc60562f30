"""Tasks: models made of encoders, a fusion and a head, and the registry of released ones.

`sync` scores how well face and audio match in time, `separation` extracts one face's voice from a
mixture, `lipreading` transcribes speech, `talking` generates a face that speaks given audio. A task
returns scores or signals, never a loss, and declares its input in a spec. `create_model` builds a
released model by name.

    from avsync.tasks import create_model, list_models

    print([card.name for card in list_models()])
    model = create_model("dense_sync", pretrained=True)  # a torch.nn.Module in eval mode
    print(model.spec)  # ClipSpec: which crop, what size, how much audio
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
