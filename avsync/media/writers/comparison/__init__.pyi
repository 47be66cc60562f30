from .differences import Difference as Difference
from .differences import compare_streams as compare_streams
from .differences import refuse_loss as refuse_loss
from .file_facts import FileFacts as FileFacts
from .file_facts import StreamFacts as StreamFacts
from .file_facts import read_facts as read_facts
from .forecast import CopyForecast as CopyForecast
from .forecast import forecast_copy as forecast_copy
