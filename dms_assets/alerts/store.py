"""Where alerts keep their memory: one versioned JSON document."""

from __future__ import annotations

import json
from typing import Any

from dms_assets.alerts.state import AlertState
from dms_assets.lake.object_store import ObjectStore
from dms_assets.lake.state_document import StateDocument

FORMAT = 1
KEY = "alerts/state.json"


class AlertStateError(ValueError):
    """What alerts remember cannot be read, or another process writes it too."""


class AlertStore:
    """Loads once, then saves over exactly what it loaded or saved last."""

    def __init__(self, store: ObjectStore) -> None:
        self._where = f"{store.uri}/{KEY}"
        self._document = StateDocument(store, KEY, format=FORMAT)
        self._known: dict[str, Any] | None = None

    def load(self) -> AlertState:
        """What is remembered. Raises AlertStateError."""
        try:
            self._known = self._document.read()
            return AlertState() if self._known is None else AlertState.from_json(self._known)
        except (ValueError, KeyError, TypeError) as error:
            raise AlertStateError(
                f"{self._where} cannot be read ({type(error).__name__}: {error}); move it away: alerts begin anew, "
                "and what is wrong is told again"
            ) from error

    def save(self, state: AlertState) -> None:
        """Remember. Raises AlertStateError if another process saved in between."""
        # As it will be read back: the same but for types that JSON does not have.
        content: dict[str, Any] = json.loads(json.dumps(state.to_json()))

        def edit(found: dict[str, Any] | None) -> dict[str, Any]:
            if found != self._known:
                raise AlertStateError(
                    f"{self._where} was changed by another process; run the sensor `alerts` in one daemon only"
                )
            return content

        self._document.change(edit)
        self._known = content
