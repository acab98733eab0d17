"""Poll a source's DMS task through the resource, with errors that say what to do."""

from __future__ import annotations

from botocore.exceptions import EndpointConnectionError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

from dms_assets.dms.task_reader import read_task, task_identifier
from dms_assets.model.task_state import TaskState
from dms_assets.pipeline.resources import DmsResource

RESTART_S = 30.0
"""How long a restart of the DMS service may take."""


class DmsUnreachableError(ConnectionError):
    """The DMS service itself does not answer."""

    def __init__(self, error: EndpointConnectionError) -> None:
        super().__init__(
            f"DMS does not answer: {error}. Locally, start it (`dms-assets local-dms`); in AWS, check the network and "
            "AWS_ENDPOINT_URL_DATABASE_MIGRATION_SERVICE. Files wait in landing until it answers: only DMS can say "
            "which stream they are of"
        )


@retry(
    retry=retry_if_exception_type(DmsUnreachableError),
    wait=wait_exponential(multiplier=0.5, max=5),
    stop=stop_after_delay(RESTART_S),
    reraise=True,
)
def poll_task_patiently(resource: DmsResource, source: str) -> TaskState:
    """`poll_task`, for those who hold work in their hands: waits out a restart of the service."""
    return poll_task(resource, source)


def poll_task(resource: DmsResource, source: str) -> TaskState:
    """The task of a source now. Raises TaskNotFoundError or DmsUnreachableError."""
    try:
        return read_task(resource.client(), task_identifier(source))
    except EndpointConnectionError as error:
        raise DmsUnreachableError(error) from error
