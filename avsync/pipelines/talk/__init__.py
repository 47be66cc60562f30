"""Generate a talking face: a video whose mouth follows other speech.

`talk` writes a marked video; `track_video`, `SpeechTokens` and `TalkingFrameRenderer` are its
steps: face tracks, speech tokens, generated frames.

    from avsync.pipelines.talk import talk

    result = talk("anna.mp4", "german.wav", "anna_de.mp4", weights="synctalklip.safetensors")
    print(result.status, result.detail)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
