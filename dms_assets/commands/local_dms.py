"""`dms-assets local-dms`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("local-dms")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="Folder for its own state.")
@click.option("--buckets", type=click.Path(path_type=Path), required=True, help="Folder whose children are buckets.")
@click.option("--secrets", type=click.Path(path_type=Path), help="Folder of secrets that endpoints may name.")
@click.option("--port", type=int, default=0, show_default=True, help="On 127.0.0.1; 0 takes a free one.")
def local_dms(state: Path, buckets: Path, secrets: Path | None, port: int) -> None:
    """Serve the AWS DMS API on this machine, moving real data from PostgreSQL to folders that stand for buckets."""
    from dms_assets.local_dms.server import serve  # noqa: PLC0415

    serve(state=state, buckets=buckets, port=port, secrets=secrets)
