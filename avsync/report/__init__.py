"""HTML reports: `write_report` for checks, `write_separation_report` for separations.

A view model (`view_model.py`) gathers texts, drawings and images; jinja2 templates put them into
one self-contained page.

    import avsync
    from avsync.report import write_report

    write_report(avsync.check("video.mp4"), "report.html")
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
