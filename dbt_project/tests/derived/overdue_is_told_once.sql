select *
from {{ ref('supervision__reassessment_due') }}
where is_overdue <> (days_overdue > 0)
