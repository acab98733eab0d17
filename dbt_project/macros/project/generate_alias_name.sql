{#- The name a model asks for; else what follows `__` in its file's name: `supervision__first_contact` is first_contact. -#}
{% macro generate_alias_name(custom_alias_name=none, node=none) -%}
    {%- if custom_alias_name or node.resource_type != 'model' -%}
        {{ return(custom_alias_name or node.name) }}
    {%- endif -%}
    {{ return(node.name.split('__', 1)[-1]) }}
{%- endmacro %}
