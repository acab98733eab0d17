{#- Overpaid fines make the paid amount larger than what was imposed and is not outstanding, never smaller. -#}
select *
from {{ ref('enforcement__fines_by_court') }}
where amount_paid + amount_outstanding < amount_imposed or paid_in_full > fines
