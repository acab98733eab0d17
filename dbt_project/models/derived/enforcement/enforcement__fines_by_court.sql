with

conviction as (
    {{ complete(ref('probation_probation__conviction_history'), ['conviction_id', 'court', 'convicted_on', 'fine']) }}
),

payment as (
    {{ complete(ref('probation_probation__payment_history'), ['payment_id', 'conviction_id', 'amount', 'paid_on']) }}
),

paid as (
    select
        conviction_id,
        count(payment_id) as payments,
        sum(amount) as amount,
        max(paid_on) as last_paid_on
    from payment
    group by conviction_id
),

fined as (
    select
        conviction.conviction_id,
        conviction.court,
        cast(extract(year from conviction.convicted_on) as integer) as convicted_in,
        conviction.fine,
        coalesce(paid.payments, 0) as payments,
        coalesce(paid.amount, 0) as amount,
        paid.last_paid_on
    from conviction
    left join paid
        on conviction.conviction_id = paid.conviction_id
    where conviction.fine is not null
)

select
    court,
    convicted_in,
    count(conviction_id) as fines,
    cast(sum(payments) as bigint) as payments,
    count(case when amount >= fine then conviction_id end) as paid_in_full,
    cast(sum(fine) as decimal(18, 2)) as amount_imposed,
    cast(sum(amount) as decimal(18, 2)) as amount_paid,
    cast(sum(greatest(fine - amount, 0)) as decimal(18, 2)) as amount_outstanding,
    max(last_paid_on) as last_paid_on,
    {{ complete_to() }} as complete_to
from fined
group by court, convicted_in
