{#- The schema a model asks for, exactly: warehouse names are `<source>_<schema>_<layer>` on every engine. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ return((custom_schema_name or target.schema) | trim) }}
{%- endmacro %}
