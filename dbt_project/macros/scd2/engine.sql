{#- What engines say differently. Everything else in this folder is plain SQL that DuckDB and Trino both read. -#}

{#- An identifier, quoted so that any name is only a name. -#}
{% macro scd2_quote(name) -%}
    "{{ name | replace('"', '""') }}"
{%- endmacro %}

{#- A text expression as bytes. -#}
{% macro scd2_bytes(expression) -%}
    {{ return(adapter.dispatch('scd2_bytes', 'dms_assets')(expression)) }}
{%- endmacro %}

{% macro default__scd2_bytes(expression) -%}
    {{ return('to_utf8(' ~ expression ~ ')') }}
{%- endmacro %}

{% macro duckdb__scd2_bytes(expression) -%}
    {{ return('encode(' ~ expression ~ ')') }}
{%- endmacro %}

{#- The type of an instant, microseconds, UTC. -#}
{% macro scd2_instant_type() -%}
    {{ return(adapter.dispatch('scd2_instant_type', 'dms_assets')()) }}
{%- endmacro %}

{% macro default__scd2_instant_type() -%}
    {{ return('timestamp(6) with time zone') }}
{%- endmacro %}

{% macro duckdb__scd2_instant_type() -%}
    {{ return('timestamptz') }}
{%- endmacro %}

{#- An instant from text such as 2999-01-01 00:00:00, which is UTC. -#}
{% macro scd2_instant(text) -%}
    {{ return("cast('" ~ text ~ " UTC' as " ~ scd2_instant_type() ~ ")") }}
{%- endmacro %}
