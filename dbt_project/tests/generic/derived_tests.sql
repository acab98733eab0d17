{#- No two rows are alike in these columns together. -#}
{% test unique_together(model, columns) %}
select
    {{ scd2_list(columns) }},
    count(*) as copies
from {{ model }}
group by {{ scd2_list(columns) }}
having count(*) > 1
{% endtest %}
