{#- Versions: one row per change, each ordered by a load that is known. -#}
{% test scd2_versions_sound(model) %}
select
    _change_id,
    count(*) as copies,
    count(*) - count(_follows_load) as without_place
from {{ model }}
group by _change_id
having count(*) > 1 or count(_follows_load) = 0
{% endtest %}

{#- History: per key no interval without length, none that overlaps the next, at most one open, which is the last. -#}
{% test scd2_well_formed(model, key) %}
{%- set valid_from, valid_to = scd2_quote(var('scd2_valid_from')), scd2_quote(var('scd2_valid_to')) %}
{%- set is_current = scd2_quote(var('scd2_is_current')) %}
with followed as (
    select
        {{ scd2_list(key) }},
        {{ valid_from }},
        {{ valid_to }},
        {{ is_current }},
        lead({{ valid_from }}) over (
            partition by {{ scd2_list(key) }} order by {{ valid_from }}, {{ valid_to }}
        ) as _scd2_next_from
    from {{ model }}
)

select *
from followed
where
    {{ valid_from }} is null
    or {{ valid_to }} is null
    or {{ valid_from }} >= {{ valid_to }}
    or {{ valid_to }} > _scd2_next_from
    or {{ is_current }} <> ({{ valid_to }} = {{ scd2_instant(var('scd2_open_end')) }})
{% endtest %}

{#- Current rows: the key is there and tells rows apart. -#}
{% test scd2_key(model, key) %}
select
    {{ scd2_list(key) }},
    count(*) as copies
from {{ model }}
group by {{ scd2_list(key) }}
having
    count(*) > 1
    {%- for column in key %}
    or {{ scd2_quote(column) }} is null
    {%- endfor %}
{% endtest %}
