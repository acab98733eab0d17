"""`python -m dms_assets.local_dms`: run the service in the foreground."""

from __future__ import annotations

import logging
import sqlite3
import sys
from pathlib import Path

import click

import dms_assets.local_dms.without_polars  # noqa: F401 first, for its effect
from dms_assets.local_dms.lock import StateInUseError
from dms_assets.local_dms.server import serve
from dms_assets.model.document_format import DocumentFormatError

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--state", type=_FOLDER, required=True, help="Folder of the service's own state; made if missing.")
@click.option("--buckets", type=_FOLDER, required=True, help="Folder with one folder for each bucket.")
@click.option("--port", type=int, default=0, help="Port on 127.0.0.1; 0 takes a free one.")
@click.option("--secrets", type=_FOLDER, default=None, help="Folder of secrets, NAME.json with / as __.")
@click.option("--s3-endpoint", default=None, help="Write to S3 at this URL instead of folders.")
@click.option("--ready-file", type=click.Path(path_type=Path), default=None, help="Default: ready.json in --state.")
def main(
    *, state: Path, buckets: Path, port: int, secrets: Path | None, s3_endpoint: str | None, ready_file: Path | None
) -> None:
    """Serve the AWS DMS API on loopback, and move data from PostgreSQL to Parquet files in buckets."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        serve(state, buckets, port, secrets=secrets, s3_endpoint=s3_endpoint, ready_file=ready_file)
    except (StateInUseError, DocumentFormatError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except sqlite3.OperationalError as error:
        raise click.ClickException(
            f"the state in {state} cannot be read or written ({error}); make room on its disk, and start again"
        ) from error


if __name__ == "__main__":
    main()
