"""Imported before the ADBC driver, for its effect: the driver loads polars wherever it is installed.

Nothing in this process uses it, and it takes 30 MB of the memory that a large transaction needs.
"""

from __future__ import annotations

import sys

sys.modules.setdefault("polars", None)  # type: ignore[arg-type]  # documented: an import then fails
