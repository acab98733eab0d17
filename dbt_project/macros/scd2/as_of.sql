{#-
  as_of: the rows of a history that held at an instant.

  history   a `<table>_history`, a ref()
  instant   a SQL expression of an instant, such as scd2_instant('2026-11-22 08:00:00')
  columns   what to select, all columns by default
-#}
{% macro as_of(history, instant, columns=none) -%}
select {% if columns is none %}*{% else %}
    {{ scd2_list(columns) }}
{%- endif %}
from {{ history }}
where {{ scd2_quote(var('scd2_valid_from')) }} <= {{ instant }} and {{ instant }} < {{ scd2_quote(var('scd2_valid_to')) }}
{%- endmacro %}
