{#-
  scd2_log: the history of a table without a key, which is a log.

  Rows cannot be told apart, so none is followed: a row that was loaded or inserted holds from then on, until the next
  load, which has all rows anew. Updates and deletes stay in the versions only. At least once: a row is there as often
  as it was delivered.
-#}
{% macro scd2_log(versions, columns) -%}
with {{ scd2_places(versions) }},

rows_in_log as (
    select
        {{ scd2_list(columns, 'version') }},
        version._change_id,
        version._batch,
        {{ scd2_begins('version', 'place') }} as _scd2_begins,
        place.next_load_floor as _scd2_ends
    from {{ versions }} as version
    inner join places as place
        on version._stream = place._stream and version._follows_load = place._follows_load
    where version._op in ('L', 'I')
)

select
    {{ scd2_list(columns) }},
    _scd2_begins as {{ scd2_quote(var('scd2_valid_from')) }},
    coalesce(_scd2_ends, {{ scd2_instant(var('scd2_open_end')) }}) as {{ scd2_quote(var('scd2_valid_to')) }},
    _scd2_ends is null as {{ scd2_quote(var('scd2_is_current')) }},
    _change_id,
    _batch
from rows_in_log
where _scd2_ends is null or _scd2_ends > _scd2_begins
{%- endmacro %}
