"""Arrays in, bytes out: the pictures, the report and the archive of a result. Pure; equal input, equal bytes."""

from worker.render.archive import archive, values
from worker.render.pictures import pictures
from worker.render.report import report
from worker.render.training import training_pictures, training_report

__all__ = ["archive", "pictures", "report", "training_pictures", "training_report", "values"]
