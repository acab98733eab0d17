{#- What engines say differently about days. Days and months are those of UTC. -#}

{#- The day of an instant. -#}
{% macro day_of(instant) -%}
    cast({{ instant }} at time zone 'UTC' as date)
{%- endmacro %}

{#- A day as an instant: its beginning. -#}
{% macro start_of(day) -%}
    {{ return(adapter.dispatch('start_of', 'dms_assets')(day)) }}
{%- endmacro %}

{% macro default__start_of(day) -%}
    {{ return("with_timezone(cast(" ~ day ~ " as timestamp), 'UTC')") }}
{%- endmacro %}

{% macro duckdb__start_of(day) -%}
    {{ return("(cast(" ~ day ~ " as timestamp) at time zone 'UTC')") }}
{%- endmacro %}

{#- A day some days later, or earlier for a negative number. -#}
{% macro add_days(day, days) -%}
    {{ return(adapter.dispatch('add_days', 'dms_assets')(day, days)) }}
{%- endmacro %}

{% macro default__add_days(day, days) -%}
    {{ return("date_add('day', " ~ days ~ ", " ~ day ~ ")") }}
{%- endmacro %}

{% macro duckdb__add_days(day, days) -%}
    {{ return("cast(" ~ day ~ " + cast(" ~ days ~ " as integer) as date)") }}
{%- endmacro %}

{#- A day some months later, or earlier for a negative number. -#}
{% macro add_months(day, months) -%}
    {{ return(adapter.dispatch('add_months', 'dms_assets')(day, months)) }}
{%- endmacro %}

{% macro default__add_months(day, months) -%}
    {{ return("date_add('month', " ~ months ~ ", " ~ day ~ ")") }}
{%- endmacro %}

{% macro duckdb__add_months(day, months) -%}
    {{ return("cast(" ~ day ~ " + to_months(" ~ months ~ ") as date)") }}
{%- endmacro %}

{#-
  The months up to the model's instant, the one it is in included: `month_start` (day), `starts_at` and `ends_at`
  (instants, half-open). The last month ends with the instant.
-#}
{% macro months(count) -%}
select
        month_start,
        {{ start_of('month_start') }} as starts_at,
        least({{ start_of(add_months('month_start', 1)) }}, complete_to) as ends_at
from (
        select
            {{ add_months("cast(date_trunc('month', " ~ day_of('instant.complete_to') ~ ") as date)", '-months.back') }}
                as month_start,
            instant.complete_to
        from (select {{ complete_to() }} as complete_to) as instant
        cross join (values {% for back in range(count) %}({{ back }}){{ ', ' if not loop.last }}{% endfor %}) as months (back)
    ) as every_month
    where complete_to is not null
{%- endmacro %}

{#- A share, between 0 and 1 to four places; null of nothing. -#}
{% macro share(part, whole) -%}
    cast(round(cast({{ part }} as double) / nullif({{ whole }}, 0), 4) as decimal(7, 4))
{%- endmacro %}
