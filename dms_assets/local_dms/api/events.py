"""Events and tags."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from botocore.utils import parse_timestamp

from dms_assets.local_dms.api.pages import page
from dms_assets.local_dms.api.wire import Handler
from dms_assets.local_dms.context import now
from dms_assets.local_dms.faults import not_found
from dms_assets.local_dms.store import Store

_DEFAULT_MINUTES = 60


class Events:
    """DescribeEvents and ListTagsForResource."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def handlers(self) -> dict[str, Handler]:
        """Operations by name."""
        return {"DescribeEvents": self.describe, "ListTagsForResource": self.tags}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeEvents: of the last hour, unless a start or a duration (minutes) is given."""
        end = _time(request.get("EndTime")) or now()
        start = _time(request.get("StartTime")) or end - timedelta(minutes=request.get("Duration", _DEFAULT_MINUTES))
        wanted = [c.lower() for c in request.get("EventCategories", [])]
        chosen = [
            {
                "SourceIdentifier": event["SourceIdentifier"],
                "SourceType": event["SourceType"],
                "Message": event["Message"],
                "EventCategories": [event["Category"]],
                "Date": event["Date"],
            }
            for event in self._store.events()
            if start.timestamp() <= event["Date"] <= end.timestamp()
            and request.get("SourceIdentifier") in {None, event["SourceIdentifier"]}
            and request.get("SourceType") in {None, event["SourceType"]}
            and (not wanted or event["Category"] in wanted)
        ]
        return page("Events", chosen, request)

    def tags(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListTagsForResource, for one ARN or several."""
        arns = [request["ResourceArn"]] if request.get("ResourceArn") else request.get("ResourceArnList", [])
        found: list[dict[str, str]] = []
        for arn in arns:
            try:
                document = self._store.get(arn)
            except KeyError as error:
                raise not_found("Resource", arn) from error
            found += [{**tag, "ResourceArn": arn} for tag in document.get("Tags", [])]
        return {"TagList": found}


def _time(value: Any) -> datetime | None:
    return None if value is None else parse_timestamp(value)
