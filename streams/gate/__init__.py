"""The gate: HTTP in, decisions out, for apps and gateways that wait for an answer."""
