# Two images from one file: `docker build --target gateway .` (no torch) and `docker build --target worker .` (CUDA torch
# from PyPI; runs on CPU as well).

FROM python:3.13-slim AS base
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    INTERPLAY_DATA_DIR=/data INTERPLAY_LOG_FORMAT=json HOME=/tmp
RUN groupadd --gid 10001 interplay \
 && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin interplay \
 && install -d -o interplay -g interplay -m 0700 /data
WORKDIR /srv/interplay
COPY pyproject.toml constraints.txt README.md ./
COPY jobs jobs
VOLUME /data

FROM base AS gateway
COPY app app
RUN mkdir worker && pip install -c constraints.txt ".[redis]"
USER interplay
EXPOSE 8000
ENV INTERPLAY_HOST=0.0.0.0
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["interplay", "health"]
CMD ["interplay", "gateway"]

FROM base AS worker
COPY worker worker
COPY app app
RUN pip install -c constraints.txt ".[redis,worker]"
USER interplay
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["interplay", "health", "--worker"]
STOPSIGNAL SIGTERM
CMD ["interplay", "worker"]
