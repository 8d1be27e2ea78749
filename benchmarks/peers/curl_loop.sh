#!/bin/bash -e
# The loop found in countless workflows; the runner starts `run:` steps with `bash -e`.
auth="Authorization: Bearer $TOKEN"
job=$(curl -s -X POST -H "$auth" "$API_URL/workspaces/$WORKSPACE_ID/deployments" | jq -r .id)
while true; do
  status=$(curl -s -H "$auth" "$API_URL/jobs/$job" | jq -r .status)
  echo "$status"
  case "$status" in
    COMPLETE) exit 0 ;;
    ERROR | STOPPED) exit 1 ;;
  esac
  sleep 10
done
