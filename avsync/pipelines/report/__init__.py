"""The report page of a check: one self-contained HTML file (see docs/how_to/report.md)."""

from avsync.pipelines.report.page import write_report

__all__ = ["write_report"]
