from .html import write_report as write_report
from .preview_clips import read_clips as read_clips
from .separation import write_separation_report as write_separation_report
from .timeline import Timeline as Timeline
from .timeline import draw_timeline as draw_timeline
from .view_model import FileView as FileView
from .view_model import view_of as view_of
