"""What weir costs, measured on the machine at hand: `python -m bench`."""

import os

# As `weir` does itself: what is measured here runs without its command line.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
