"""`python -m streams` is `weir`."""

from streams.terminal import interrupt


def main() -> None:
    """Run the command line; from the first moment Ctrl-C ends it quietly."""
    interrupt.end_at_once()
    from streams.cli import main as run

    run()


if __name__ == "__main__":
    main()
