{#-
  scd2_current: the rows of a table as they are now: the last state of every key, as a history has them in its current
  rows, without the work of a whole history.

  versions   the relation that scd2_versions made, a ref()
  key        the key columns; without one, what was loaded last and inserted since, see scd2_log
  columns    the source columns, in order

  Of what was before the last load, nothing is left: a load has every row anew.
-#}
{% macro scd2_current(versions, key, columns) -%}
with {{ scd2_places(versions) }},

since_last_load as (
    select
        {{ scd2_list(columns, 'version') }},
        version._op,
        {% if key | length > 0 -%}
        row_number() over (
            partition by {{ scd2_list(key, 'version') }}
            order by {{ scd2_log_order('version', 'place', 'desc') }}
        )
        {%- else -%}
        1
        {%- endif %} as _scd2_from_last
    from {{ versions }} as version
    inner join places as place
        on version._stream = place._stream and version._follows_load = place._follows_load
    where version._op <> 'LOAD' and place.next_load is null
)

select
    {{ scd2_list(columns) }}
from since_last_load
where _scd2_from_last = 1 and _op {{ "<> 'D'" if key | length > 0 else "in ('L', 'I')" }}
{%- endmacro %}
