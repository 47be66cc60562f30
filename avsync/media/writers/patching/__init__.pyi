from .edit_lists import shift_edit_lists as shift_edit_lists
from .mxf_samples import replace_samples as replace_samples
from .mxf_samples import shift_samples as shift_samples
from .restored_index import restore_index as restore_index
from .shift import shift_by_patching as shift_by_patching
from .ts_packets import shift_timestamps as shift_timestamps
