"""`python -m streams` is `weir`."""

import os

from streams.terminal import interrupt

# A BLAS that shares small products among threads has them spin for each other: twice the CPU alone, and
# many times the wall clock beside another busy process. Texts are what is shared among threads. It reads
# this when numpy is imported.
BLAS_THREADS = "OPENBLAS_NUM_THREADS"


def main() -> None:
    """Run the command line; from the first moment Ctrl-C ends it quietly."""
    interrupt.end_at_once()
    os.environ.setdefault(BLAS_THREADS, "1")
    from streams.cli import main as run

    run()


if __name__ == "__main__":
    main()
