{#-
  What a derived table is built from: curated tables, all as of one instant.

    with contact as (
        {{ complete(ref('probation_probation__contact_history'), ['contact_id', 'happened_at']) }}
    )
    select ..., {{ complete_to() }} as complete_to

  The instant is the latest one up to which every change of every table that the model reads is in. So a model never
  joins half a transaction, and when one of its tables is held, all of them are read as they were then. The pipeline
  keeps the instants in `platform.covered_instants`, one row a table.

  Read histories through `complete`, and nothing else: a current view has changes that came after the instant, and
  another derived table may have been built as of another one.
-#}

{#- The rows of a history that held at the model's instant. -#}
{% macro complete(history, columns=none) -%}
    {{ as_of(history, complete_to(), columns) }}
{%- endmacro %}

{#- The model's instant, as a SQL expression. Null, and so no rows, while a table it reads was never complete. -#}
{% macro complete_to() -%}
{%- set tables = _tables_of_histories() -%}
(
        select case when count(*) = {{ tables | length }} then min(complete_to) end
        from {{ api.Relation.create(database=target.database, schema='platform', identifier='covered_instants') }}
        where
            {%- for source, schema, table in tables %}
            {{ 'or ' if not loop.first }}(source = '{{ source }}' and table_schema = '{{ schema }}' and table_name = '{{ table }}')
            {%- else %}
            false
            {%- endfor %}
    )
{%- endmacro %}

{#- Source, schema and table of each history the model reads, in order. -#}
{% macro _tables_of_histories() -%}
    {%- set tables = [] -%}
    {%- if execute -%}
        {%- for unique_id in model.depends_on.nodes | sort -%}
            {%- set meta = graph.nodes.get(unique_id, {}).get('config', {}).get('meta', {}) -%}
            {%- if meta.get('relation') != 'history' -%}
                {{ exceptions.raise_compiler_error(
                    model.name ~ ' reads ' ~ unique_id ~ ', which is not a history: it cannot be read as of an instant.'
                    ~ " Read ref('<source>_<schema>__<table>_history') through complete()"
                ) }}
            {%- endif -%}
            {%- set path = meta.dagster.asset_key -%}
            {%- do tables.append((path[0], path[2], path[3][: -('_history' | length)])) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(tables) }}
{%- endmacro %}
