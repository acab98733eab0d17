"""Column lineage read from SQL: what it follows, and that it says so when it cannot."""

from __future__ import annotations

from dms_assets.curation.sql_lineage import NO_COLUMN, Origins, sql_lineage

CONTACT, OFFENDER = ("c", "contact_history"), ("c", "offender_history")
SCHEMAS = {
    CONTACT: {"contact_id": "bigint", "offender_id": "bigint", "outcome": "varchar", "happened_at": "timestamptz"},
    OFFENDER: {"offender_id": "bigint", "crn": "varchar"},
}


def origins(sql: str, column: str = "x") -> Origins:
    return sql_lineage(sql, SCHEMAS, [column])[column]


def test_through_ctes_stars_joins_unions_and_windows() -> None:
    found = origins(
        """
        with contact as (select * from "warehouse"."c"."contact_history"),
        firsts as (
            select offender_id, min(happened_at) as at, lag(at) over (partition by offender_id order by contact_id) as x
            from contact group by 1, contact_id
        )
        select firsts.x from firsts join c.offender_history using (offender_id)
        union all
        select cast(crn as timestamptz) from c.offender_history
        """
    )
    assert set(found.columns) >= {(CONTACT, "happened_at"), (OFFENDER, "crn")}
    assert found.known


def test_a_counted_column_is_an_origin_and_a_count_of_rows_has_none() -> None:
    assert origins("select count(contact_id) as x from c.contact_history").columns == ((CONTACT, "contact_id"),)
    assert origins("select count(*) as x from c.contact_history") == Origins(note=NO_COLUMN)
    assert origins("select 'constant' as x from c.contact_history") == Origins(note=NO_COLUMN)


def test_what_an_expression_compares_is_an_origin_and_what_filters_rows_is_not() -> None:
    found = origins(
        "select count(case when outcome = 'FAILED' then contact_id end) as x from c.contact_history"
        " where happened_at is not null"
    )
    assert set(found.columns) == {(CONTACT, "contact_id"), (CONTACT, "outcome")}


def test_what_cannot_be_followed_is_told() -> None:
    for sql in (
        "selct 1",
        "select nothing_of_the_kind as x from c.contact_history",
        "select crn as x from c.not_known_at_all",
        "select crn as other from c.offender_history",
    ):
        found = origins(sql)
        assert not found.known, sql
        assert not found.columns
        assert (found.note or "").startswith("Lineage unknown: "), sql
