"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .audio_tokens import SpeechSource as SpeechSource
from .audio_tokens import SpeechTokens as SpeechTokens
from .render import TalkingFrameRenderer as TalkingFrameRenderer
from .result import Speaker as Speaker
from .result import TalkResult as TalkResult
from .result import talk_json as talk_json
from .talk_file import generated_metadata as generated_metadata
from .talk_file import load_talking_face as load_talking_face
from .talk_file import talk as talk
from .video_tracks import TrackBoxes as TrackBoxes
from .video_tracks import TrackedVideo as TrackedVideo
from .video_tracks import track_video as track_video
