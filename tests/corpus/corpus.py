"""The corpus of change files: damaged, made to exhaust, of the wrong form, with wrong rows, and strange but right."""

from __future__ import annotations

import pyarrow as pa

from dms_assets.validation.outcome import Reason
from tests.corpus.damaged import DAMAGED
from tests.corpus.making import HostileFile, written
from tests.corpus.strange_but_right import STRANGE_BUT_RIGHT
from tests.corpus.wrong_rows import WRONG_ROWS
from tests.corpus.wrong_schema import WRONG_SCHEMA
from tests.lake.world import cdc_table, rows


def dictionary_bomb() -> bytes:
    """A few kilobytes that become a hundred gigabytes: one long word, a hundred thousand times."""
    count = 100_000
    word = pa.array(["x" * 1_000_000])
    names = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), word)
    table = cdc_table(rows(count))
    table = table.set_column(table.schema.get_field_index("name"), "name", names)
    return written(
        table, compression="zstd", use_dictionary=["name"], dictionary_pagesize_limit=1 << 30, row_group_size=count
    )


BOMBS = {"dictionary_bomb": HostileFile(dictionary_bomb, Reason.RESOURCE_LIMIT)}
CORPUS: dict[str, HostileFile] = {**DAMAGED, **BOMBS, **WRONG_SCHEMA, **WRONG_ROWS, **STRANGE_BUT_RIGHT}
