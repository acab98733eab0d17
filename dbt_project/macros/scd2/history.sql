{#-
  scd2_history: the states of every key, each with the half-open interval in which it held (UTC).

  versions   the relation that scd2_versions made, a ref()
  key        the key columns; without one the relation is a log, see scd2_log
  columns    the source columns, in order

  Columns inside are called `_scd2_…`, a beginning that no source column may have.

  Per key, in log order: states of no length are dropped, then equal neighbours are merged; a merged state is named
  by the first change that made it. A load touches every key of its table: the keys that are not in it end at its
  boundary. The start of a state is the highest commit time so far, since the clocks behind commits go back.
-#}
{% macro scd2_history(versions, key, columns) -%}
{%- if key | length == 0 -%}
{{ scd2_log(versions, columns) }}
{%- else -%}
with {{ scd2_places(versions) }},

in_log_order as (
    select
        {{ scd2_list(columns, 'version') }},
        version._op,
        version._change_id,
        version._batch,
        max({{ scd2_begins('version', 'place') }}) over until_here as _scd2_begins,
        case
            when place.next_load <= coalesce(lead(place.place) over by_key, place.next_load) then place.next_load_floor
            else lead({{ scd2_begins('version', 'place') }}) over by_key
        end as _scd2_next_at,
        row_number() over by_key as _scd2_log_order
    from {{ versions }} as version
    inner join places as place
        on version._stream = place._stream and version._follows_load = place._follows_load
    where version._op <> 'LOAD'
    window
        by_key as (
            partition by {{ scd2_list(key, 'version') }}
            order by {{ scd2_log_order('version', 'place') }}
        ),
        until_here as (
            partition by {{ scd2_list(key, 'version') }}
            order by {{ scd2_log_order('version', 'place') }}
            rows between unbounded preceding and current row
        )
),

-- A state ends with what comes next: the key's next row, or the next load, which has the key anew or not at all.
intervals as (
    select
        *,
        case when _scd2_next_at is not null then greatest(_scd2_begins, _scd2_next_at) end as _scd2_ends
    from in_log_order
),

states as (
    select
        *,
        lag(_scd2_ends) over by_key as _scd2_previous_ends,
        last_value(_scd2_ends) over all_of_key as _scd2_last_ends,
        coalesce(
            lag(_scd2_ends) over by_key = _scd2_begins
            and lag({{ scd2_state(columns) }}) over by_key is not distinct from {{ scd2_state(columns) }},
            false
        ) as _scd2_is_merged
    from intervals
    where _op <> 'D' and (_scd2_ends is null or _scd2_ends > _scd2_begins)
    window
        by_key as (partition by {{ scd2_list(key) }} order by _scd2_log_order),
        all_of_key as (
            partition by {{ scd2_list(key) }} order by _scd2_log_order
            rows between unbounded preceding and unbounded following
        )
),

history as (
    select
        *,
        coalesce(
            lead(_scd2_previous_ends) over (partition by {{ scd2_list(key) }} order by _scd2_log_order),
            _scd2_last_ends
        ) as _scd2_state_ends
    from states
    where not _scd2_is_merged
)

select
    {{ scd2_list(columns) }},
    _scd2_begins as {{ scd2_quote(var('scd2_valid_from')) }},
    coalesce(_scd2_state_ends, {{ scd2_instant(var('scd2_open_end')) }}) as {{ scd2_quote(var('scd2_valid_to')) }},
    _scd2_state_ends is null as {{ scd2_quote(var('scd2_is_current')) }},
    _change_id,
    _batch
from history
{%- endif -%}
{%- endmacro %}

{#- All source columns as one value, to compare states: nulls are equal to nulls, NaN to NaN. -#}
{% macro scd2_state(columns) -%}
row(
    {%- for column in columns -%}
        {{ scd2_quote(column) }}{{ ', ' if not loop.last }}
    {%- endfor -%}
)
{%- endmacro %}
