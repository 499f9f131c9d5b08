#!/bin/sh
# Explain a picture with curl alone: upload a model, ask, wait, download.
#
#   examples/explain.sh MODEL.safetensors MANIFEST.json PICTURE FOLDER [METHOD]
#
# INTERPLAY is the service's address (default http://127.0.0.1:8000). The simplest manifest is
#   {"architecture": "mobilenet_v2"}
set -eu

WEIGHTS=$1 MANIFEST=$2 PICTURE=$3 FOLDER=$4 METHOD=${5:-h-sets}
INTERPLAY=${INTERPLAY:-http://127.0.0.1:8000}
mkdir -p "$FOLDER"

# Upload the model. The service runs it once; -f makes curl fail if it cannot. The same bytes again give the same id.
MODEL=$(curl -sSf "$INTERPLAY/v1/models" -H 'Prefer: wait=60' -F "manifest=<$MANIFEST" -F "artifact=@$WEIGHTS" |
  grep -o 'model_[0-9a-f]\{32\}' | head -n 1)
echo "model: $MODEL"

# What would it cost? Then ask for it; the answer is the job.
REQUEST="{\"method\": \"$METHOD\", \"model\": \"$MODEL\"}"
curl -sSf "$INTERPLAY/v1/explanations:estimate" -F "request=$REQUEST" -F "image=@$PICTURE"
echo
JOB=$(curl -sSf "$INTERPLAY/v1/explanations" -F "request=$REQUEST" -F "image=@$PICTURE" |
  grep -o 'job_[0-9a-f]\{32\}' | head -n 1)
echo "job: $JOB"

# Wait: every request waits up to ten seconds for the job's end.
until curl -sSf "$INTERPLAY/v1/jobs/$JOB?wait=10" -o "$FOLDER/job.json" &&
  grep -q '"status": *"\(succeeded\|failed\|canceled\|expired\)"' "$FOLDER/job.json"; do :; done

# Download what came out.
curl -sSf "$INTERPLAY/v1/jobs/$JOB/result" -o "$FOLDER/result.json"
for NAME in $(grep -o '"[a-z_]*\.\(png\|html\|npz\)"' "$FOLDER/job.json" | tr -d '"' | sort -u); do
  curl -sSf "$INTERPLAY/v1/jobs/$JOB/artifacts/$NAME" -o "$FOLDER/$NAME"
  echo "saved: $FOLDER/$NAME"
done
