"""`weir up`."""

from pathlib import Path

import click

from streams.terminal.command import Command, say


@click.command(cls=Command)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".weir"),
    show_default=True,
    help="Folder for the topics, the tables and the logs.",
)
@click.option("--no-broker", is_flag=True, help="Use the broker of WEIR_KAFKA instead of the embedded one.")
@click.option(
    "--no-store", is_flag=True, help="Use the store of WEIR_CLICKHOUSE instead of the embedded one."
)
def command(data: Path, no_broker: bool, no_store: bool) -> None:
    """Run everything on this machine until Ctrl-C: a broker, a store, the roles, a gate and a desk.

    Topics and tables stay in the folder and are there again at the next start: what the roles have not
    finished when they are killed is finished then.

    \b
    Example:
      weir up
      weir up --data /var/lib/weir
      WEIR_KAFKA=127.0.0.1:9092 weir up --no-broker
    """
    import signal

    from streams.alerts.routes import load as load_routes
    from streams.decisions.scoring import make_runner, owners
    from streams.errors import SettingsError
    from streams.local.files import require_addresses
    from streams.local.stack import Stack, export_addresses
    from streams.monitors.settings import unknown_watched
    from streams.policy.file import load as load_policy
    from streams.settings import load
    from streams.terminal.interrupt import orderly

    settings = load()
    if not no_store:
        require_addresses()
    runner = make_runner(settings)
    load_policy(settings.policy, owners(runner), runner.ranges).compile(runner.metrics, runner.counted)
    if problems := unknown_watched(settings, runner.metrics):
        raise SettingsError("\n".join(problems))
    runner.close()
    if settings.routes is not None:
        load_routes(settings.routes)
    export_addresses(settings)
    stack = Stack(settings, data.resolve(), say, broker=not no_broker, store=not no_store)
    # While it starts, both break off; then both let the roles finish.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with orderly():
        try:
            stack.start(list(runner.metrics))
            for name in (signal.SIGTERM, signal.SIGINT):
                signal.signal(name, lambda *_: stack.request_stop())
            click.echo(
                "\nready: publish with `weir publish`, follow with `weir tail decisions`, ask with "
                "`weir sql`; Ctrl-C stops"
            )
            stack.run()
            click.echo(
                f"\nstopping: finishing what was published, for {settings.drain_timeout_s:g} s at most; "
                "Ctrl-C again stops at once"
            )
        finally:
            stack.stop()
    click.echo("stopped")
