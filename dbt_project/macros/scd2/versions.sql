{#-
  scd2_versions: every distinct change of a table, in its place, with what history needs to order it.

  source            the validated table, a source(); its loads are beside it, in `<table>__loads`
  columns           the source columns, in order
  unique_positions  true where the stream position tells two changes apart. Where it does not, the copies of a
                    `_change_id` are one transaction's changes of a key: the smallest sequence gives its place,
                    the largest its state.

  To the columns of the validated table it adds
    _state_seq, _state_file, _state_file_row   where the state comes from (only without unique positions)
    _follows_load    the load that the row belongs to, or that it follows in its stream ('' for none)
    _last_batch      the last batch that brought a copy, while `_batch` brought the one that gives the state

  A row with `_op` 'LOAD' stands for a load that is visible, also one without rows: the load and its rows
  come in by one statement, so that history never sees the one without the other.

  An increment is what is above the highest `_last_batch`, so a batch of copies counts as applied too. A load that
  is not here yet reads the whole log again: it changes which load the changes after it follow. Nothing is ever
  removed, hence the strategy is merge on every engine, and an increment ends as a full refresh would.
-#}
{% macro scd2_versions(source, columns, unique_positions) -%}
    {%- set known, known_columns = none, [] -%}
    {%- if is_incremental() -%}
        {%- set known = this -%}
        {%- set known_columns = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
    {%- endif -%}
    {{ scd2_versions_sql(source, scd2_loads(source), columns, unique_positions, known, known_columns) }}
{%- endmacro %}

{#- The loads table beside a validated table. It is not a dbt source: in the lineage it is the same asset. -#}
{% macro scd2_loads(source) -%}
    {{ return(source.incorporate(path={'identifier': source.identifier ~ '__loads'})) }}
{%- endmacro %}

{#-
  The select of the versions: all of them, or with `known` those a merge into it needs. `known_columns` are the columns
  it has: one that came into the metadata since is null in what is known.
-#}
{% macro scd2_versions_sql(source, loads, columns, unique_positions, known=none, known_columns=[]) -%}
with fresh as (
    select
        {{ scd2_list(columns) }},
        {{ scd2_list(scd2_platform_columns()) }}
    from {{ source }}
    {%- if known is not none %}
    where _batch > {{ scd2_applied_batch(known, loads) }}
    {%- endif %}
),

copies as (
    select
        *,
        {%- if not unique_positions %}
        _seq as _state_seq,
        _file as _state_file,
        _file_row as _state_file_row,
        {%- endif %}
        _batch as _last_batch
    from fresh
    {%- if known is not none %}
    union all
    select
        {%- for column in columns %}
        {{ scd2_quote(column) if column in known_columns else 'null' }},
        {%- endfor %}
        {{ scd2_list(scd2_platform_columns()) }},
        {%- if not unique_positions %}
        _state_seq,
        _state_file,
        _state_file_row,
        {%- endif %}
        _last_batch
    from {{ known }}
    where _change_id in (select _change_id from fresh)
    {%- endif %}
),

{{ scd2_standing(columns, unique_positions) }},

{{ scd2_followed_loads(loads) }}

select
    {{ scd2_list(columns, 'standing') }},
    {{ scd2_list(scd2_platform_columns(), 'standing') }},
    {%- if not unique_positions %}
    standing._state_seq,
    standing._state_file,
    standing._state_file_row,
    {%- endif %}
    case
        when standing._op = 'L' then own_load.load_id
        when standing._seq is null then coalesce(by_time.load_id, '')
        else coalesce(by_sequence.load_id, '')
    end as _follows_load,
    standing._last_batch
from standing
left join {{ loads }} as own_load
    on standing._op = 'L' and standing._load_id = own_load.load_id
left join loads_by_sequence as by_sequence
    on standing._op <> 'L'
    and standing._stream = by_sequence.stream
    and standing._seq >= by_sequence.boundary_seq
    and (standing._seq < by_sequence.next_seq or by_sequence.next_seq is null)
left join loads_by_time as by_time
    on standing._op <> 'L'
    and standing._seq is null
    and standing._stream = by_time.stream
    and standing._commit_at >= by_time.boundary_at
    and (standing._commit_at < by_time.next_at or by_time.next_at is null)
union all
select
    {%- for column in columns %}
    null as {{ scd2_quote(column) }},
    {%- endfor %}
    'LOAD' as _op,
    stream as _stream,
    boundary_seq as _seq,
    boundary_at as _commit_at,
    null as _position,
    load_id as _load_id,
    '' as _file,
    0 as _file_row,
    {{ scd2_bytes("'load ' || load_id") }} as _change_id,
    0 as _batch,
    '' as _metadata_version,
    {%- if not unique_positions %}
    null as _state_seq,
    null as _state_file,
    null as _state_file_row,
    {%- endif %}
    load_id as _follows_load,
    0 as _last_batch
from {{ loads }}
{%- endmacro %}

{#- One row of each `_change_id` in `copies`, as the CTE `standing`. Only what has copies is sorted: most has none. -#}
{% macro scd2_standing(columns, unique_positions) -%}
copied as (
    select _change_id from copies group by _change_id having count(*) > 1
),

ranked as (
    select
        *,
        row_number() over (
            partition by _change_id
            {%- if unique_positions %}
            order by coalesce(_seq, ''), _file, _file_row, _batch
            {%- else %}
            order by coalesce(_state_seq, '') desc, _state_file desc, _state_file_row desc, _batch desc
            {%- endif %}
        ) as _scd2_rank,
        max(_last_batch) over (partition by _change_id) as _scd2_latest_batch
        {%- if not unique_positions %},
        first_value(_seq) over place as _scd2_place_seq,
        first_value(_file) over place as _scd2_place_file,
        first_value(_file_row) over place as _scd2_place_file_row
        {%- endif %}
    from copies
    where _change_id in (select _change_id from copied)
    {%- if not unique_positions %}
    window place as (partition by _change_id order by coalesce(_seq, ''), _file, _file_row)
    {%- endif %}
),

standing as (
    select
        {{ scd2_list(columns) }},
        _op,
        _stream,
        {{ '_seq' if unique_positions else '_scd2_place_seq as _seq' }},
        _commit_at,
        _position,
        _load_id,
        {{ '_file' if unique_positions else '_scd2_place_file as _file' }},
        {{ '_file_row' if unique_positions else '_scd2_place_file_row as _file_row' }},
        _change_id,
        _batch,
        _metadata_version,
        {%- if not unique_positions %}
        _state_seq,
        _state_file,
        _state_file_row,
        {%- endif %}
        _scd2_latest_batch as _last_batch
    from ranked
    where _scd2_rank = 1
    union all
    select
        {{ scd2_list(columns) }},
        {{ scd2_list(scd2_platform_columns()) }},
        {%- if not unique_positions %}
        _state_seq,
        _state_file,
        _state_file_row,
        {%- endif %}
        _last_batch
    from copies
    where _change_id not in (select _change_id from copied)
)
{%- endmacro %}

{#-
  Which load changes follow, from where to where within a stream: by sequence, and by time for changes without one.
  Of loads at one boundary the one with the highest name counts; every change follows the load that began its stream.
-#}
{% macro scd2_followed_loads(loads) -%}
loads_by_sequence as (
    select
        stream,
        boundary_seq,
        load_id,
        lead(boundary_seq) over (partition by stream order by boundary_seq) as next_seq
    from (
        select
            stream,
            boundary_seq,
            max(load_id) as load_id
        from {{ loads }}
        group by stream, boundary_seq
    ) as last_of_sequence
),

loads_in_order as (
    select
        stream,
        load_id,
        case when boundary_seq = '' then {{ scd2_instant('0001-01-01 00:00:00') }} else boundary_at end as boundary_at,
        row_number() over (partition by stream order by boundary_seq, load_id) as ordinal
    from {{ loads }}
),

last_of_time as (
    select
        stream,
        boundary_at,
        max(max(ordinal)) over (partition by stream order by boundary_at) as ordinal,
        lead(boundary_at) over (partition by stream order by boundary_at) as next_at
    from loads_in_order
    group by stream, boundary_at
),

loads_by_time as (
    select
        last_of_time.stream,
        last_of_time.boundary_at,
        last_of_time.next_at,
        loads_in_order.load_id
    from last_of_time
    inner join loads_in_order
        on last_of_time.stream = loads_in_order.stream and last_of_time.ordinal = loads_in_order.ordinal
)
{%- endmacro %}

{#- The highest batch applied to `known`; -1, below every batch, when a visible load is not in it yet. -#}
{% macro scd2_applied_batch(known, loads) -%}
(
        select
            case
                when exists (
                    select 1 from {{ loads }} as visible
                    where visible.load_id not in (select _load_id from {{ known }} where _op = 'LOAD')
                ) then -1
                else (select coalesce(max(_last_batch), -1) from {{ known }})
            end
    )
{%- endmacro %}

{#- The columns of a validated table that are the platform's. -#}
{% macro scd2_platform_columns() -%}
    {{ return([
        '_op', '_stream', '_seq', '_commit_at', '_position', '_load_id', '_file', '_file_row',
        '_change_id', '_batch', '_metadata_version',
    ]) }}
{%- endmacro %}

{#- Column names as a select list. -#}
{% macro scd2_list(columns, relation=none) -%}
    {%- for column in columns -%}
        {{ relation ~ '.' if relation else '' }}{{ scd2_quote(column) }}
        {%- if not loop.last %},
        {% endif %}
    {%- endfor -%}
{%- endmacro %}
