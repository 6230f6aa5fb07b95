"""`sandbox`: local fal and Replicate, on their own."""

import click

from consent_proxy.cli.exits import Unavailable
from consent_proxy.sandbox.server import serve_forever


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="any that is free",
    help="The first of the ports to listen on.",
)
def sandbox(port: int) -> None:
    """Run local stand-ins for fal and Replicate that make real pictures and cost nothing."""
    try:
        serve_forever(port=port, announce=click.echo)
    except OSError as error:
        raise Unavailable(f"port {port} cannot be listened on ({error.strerror}): choose another --port") from None
