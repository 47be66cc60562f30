from .html import write_report as write_report
from .separation import write_separation_report as write_separation_report
from .view_model import FileView as FileView
from .view_model import view_of as view_of
