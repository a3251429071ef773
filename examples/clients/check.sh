#!/bin/sh
# sh check.sh "text": exit status 3 where the policy blocks it, 2 where it was not judged.
url=${WEIR_URL:-http://127.0.0.1:9480}
json() { python3 -c "import json, sys; $1"; }
answer=$(printf '%s' "$1" | json 'print(json.dumps({"app": "shell", "text": sys.stdin.read()}))' |
  curl --silent --show-error --max-time 5 --header "x-api-key: ${WEIR_KEY:-}" --data-binary @- "$url/v1/check") || exit 2
action=$(printf '%s' "$answer" | json 'print(json.load(sys.stdin).get("action", ""))')
case $action in
  block | escalate) echo "$answer"; exit 3 ;;
  ?*) echo "$answer" ;;
  *) echo "$answer" >&2; exit 2 ;;
esac
