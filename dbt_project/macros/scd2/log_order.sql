{#- The order of a key's rows: the place in the table's loads, load rows first, then the sequence. -#}
{% macro scd2_log_order(version, place, direction='asc') -%}
{{ place }}.place {{ direction }},
                case when {{ version }}._op = 'L' then 0 else 1 end {{ direction }},
                coalesce({{ version }}._seq, '') {{ direction }},
                {{ version }}._commit_at {{ direction }},
                {{ version }}._file {{ direction }},
                {{ version }}._file_row {{ direction }}
{%- endmacro %}

{#- When a row begins to hold: at its commit, a load's row with the load, but never before a load it follows. -#}
{% macro scd2_begins(version, place) -%}
case
            when {{ version }}._op = 'L' then {{ place }}.load_floor
            else greatest({{ version }}._commit_at, coalesce({{ place }}.load_floor, {{ version }}._commit_at))
        end
{%- endmacro %}

{#-
  The places in a log, as the CTE `places`: each is a load, or a stream's beginning without one, numbered in log order.
  `load_floor` is the latest boundary so far, since a load touches every key; `next_load` the next place that is a
  load, and `next_load_floor` its `load_floor`.
-#}
{% macro scd2_places(versions) -%}
numbered as (
    select
        every_place._stream,
        every_place._follows_load,
        row_number() over in_order as place,
        max(loads._commit_at) over so_far as load_floor,
        loads._load_id is not null as is_load
    from (select distinct _stream, _follows_load from {{ versions }}) as every_place
    left join {{ versions }} as loads
        on loads._op = 'LOAD' and every_place._follows_load = loads._load_id
    window
        in_order as (order by every_place._stream, coalesce(loads._seq, ''), every_place._follows_load),
        so_far as (
            order by every_place._stream, coalesce(loads._seq, ''), every_place._follows_load
            rows between unbounded preceding and current row
        )
),

followed as (
    select
        *,
        min(case when is_load then place end) over (
            order by place rows between 1 following and unbounded following
        ) as next_load
    from numbered
),

places as (
    select
        followed.*,
        following_load.load_floor as next_load_floor
    from followed
    left join numbered as following_load
        on followed.next_load = following_load.place
)
{%- endmacro %}
