"""`python -m streams` is `weir`."""

import os

from streams.terminal import interrupt

# A BLAS that shares small products among threads has them spin for each other: twice the CPU alone, and
# many times the wall clock beside another busy process. Texts are what is shared among threads. It reads
# this when numpy is imported.
BLAS_THREADS = "OPENBLAS_NUM_THREADS"
THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


def reach_this_machine() -> None:
    """Except this machine from the proxies of the environment: none of them knows its servers."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if given.strip() != "*":
        os.environ["no_proxy"] = ",".join(filter(None, (given, *THIS_MACHINE)))


def main() -> None:
    """Run the command line; from the first moment Ctrl-C ends it quietly."""
    interrupt.end_at_once()
    os.environ.setdefault(BLAS_THREADS, "1")
    reach_this_machine()
    from streams.cli import main as run

    run()


if __name__ == "__main__":
    main()
