"""Compute: the Celery task, the runner process, models, methods and pictures. Never imports `app`."""
