"""The usual loop; the pause in seconds is its argument."""

# ruff: noqa: S113, T201 (that is how it is usually written)

import os
import sys
import time

import requests

API_URL, WORKSPACE_ID = os.environ["API_URL"], os.environ["WORKSPACE_ID"]
HEADERS = {"Authorization": f"Bearer {os.environ['TOKEN']}"}

response = requests.post(f"{API_URL}/workspaces/{WORKSPACE_ID}/deployments", headers=HEADERS)
response.raise_for_status()
job = response.json()["id"]
while True:
    response = requests.get(f"{API_URL}/jobs/{job}", headers=HEADERS)
    response.raise_for_status()
    status = response.json()["status"]
    print(status, flush=True)
    if status in ("COMPLETE", "ERROR", "STOPPED"):
        sys.exit(status != "COMPLETE")
    time.sleep(float(sys.argv[1]))
