"""The gateway as ASGI servers find it: `uvicorn app.asgi:app`, set by the environment."""

from app.main import create_app
from jobs.settings import Settings

app = create_app(Settings())
