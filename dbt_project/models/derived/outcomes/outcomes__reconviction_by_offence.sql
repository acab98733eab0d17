with

conviction as (
    {{ complete(
        ref('probation_probation__conviction_history'), ['conviction_id', 'offender_id', 'offence_code', 'convicted_on']
    ) }}
),

offence as (
    {{ complete(ref('probation_probation__offence_code_history'), ['code', 'title']) }}
),

-- Convictions of one person on one day are one occasion: the next occasion is what counts.
occasion as (
    select
        offender_id,
        convicted_on,
        lead(convicted_on) over (partition by offender_id order by convicted_on) as next_on
    from (select distinct offender_id, convicted_on from conviction) as days
),

followed as (
    select
        conviction.conviction_id,
        conviction.offender_id,
        conviction.offence_code,
        conviction.convicted_on,
        occasion.next_on,
        -- Two years must have gone by, or nothing can be said of them.
        {{ add_months('conviction.convicted_on', 24) }} <= {{ day_of(complete_to()) }} as is_followed,
        occasion.next_on <= {{ add_months('conviction.convicted_on', 24) }} as is_reconvicted
    from conviction
    inner join occasion
        on conviction.offender_id = occasion.offender_id and conviction.convicted_on = occasion.convicted_on
)

select
    offence.code as offence_code,
    offence.title as offence_title,
    count(followed.conviction_id) as convictions,
    count(distinct followed.offender_id) as people,
    count(case when followed.is_followed then followed.conviction_id end) as followed_two_years,
    count(case when followed.is_followed and followed.is_reconvicted then followed.conviction_id end)
        as reconvicted_in_two_years,
    {{ share(
        'count(case when followed.is_followed and followed.is_reconvicted then followed.conviction_id end)',
        'count(case when followed.is_followed then followed.conviction_id end)',
    ) }} as reconvicted_share,
    max(followed.convicted_on) as last_convicted_on,
    {{ complete_to() }} as complete_to
from offence
inner join followed
    on offence.code = followed.offence_code
group by offence.code, offence.title
