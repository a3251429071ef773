"""`python -m streams` is `weir`."""

from streams.cli import main

main()
