"""Arrays in, bytes out: the pictures, the report and the archive of an explanation. Pure; equal input, equal bytes."""

from worker.render.archive import values
from worker.render.pictures import pictures
from worker.render.report import report

__all__ = ["pictures", "report", "values"]
