"""`sandbox`: local fal and Replicate, on their own."""

import click

from consent_proxy.sandbox.server import serve_forever


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Where to begin listening; any free port if left out."
)
def sandbox(port: int) -> None:
    """Run local stand-ins for fal and Replicate that make real pictures and cost nothing."""
    serve_forever(port=port, announce=click.echo)
