#!/bin/sh
# sh check.sh "text": exit status 3 where the policy blocks it.
url=${WEIR_URL:-http://127.0.0.1:9480}
answer=$(printf '%s' "$1" | python3 -c 'import json, sys; print(json.dumps({"app": "shell", "text": sys.stdin.read()}))' |
  curl --silent --show-error --fail-with-body --max-time 5 --json @- "$url/v1/check") || { echo "$answer" >&2; exit 2; }
echo "$answer"
case $answer in *'"action":"block"'* | *'"action":"escalate"'*) exit 3 ;; esac
