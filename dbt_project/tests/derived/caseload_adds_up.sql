{#- What a practitioner had at the end of a month, and what came and went in the next, is what they have at its end. -#}
with followed as (
    select
        *,
        lag(cases_at_end) over (partition by practitioner_id order by month_start) as cases_before
    from {{ ref('supervision__caseload_by_month') }}
)

select *
from followed
where cases_before + cases_opened - cases_closed <> cases_at_end
