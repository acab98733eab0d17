{%- set standard_days = 10 %}
with

sentence as (
    {{ complete(
        ref('probation_probation__sentence_history'), ['sentence_id', 'conviction_id', 'kind', 'imposed_at']
    ) }}
),

conviction as (
    {{ complete(ref('probation_probation__conviction_history'), ['conviction_id', 'offender_id']) }}
),

offender as (
    {{ complete(ref('probation_probation__offender_history'), ['offender_id', 'crn', 'practitioner_id']) }}
),

contact as (
    {{ complete(ref('probation_probation__contact_history'), ['contact_id', 'offender_id', 'happened_at', 'outcome']) }}
),

-- Only what happened: the diary has contacts of the future too.
imposed as (
    select
        sentence.sentence_id,
        sentence.kind,
        sentence.imposed_at,
        offender.offender_id,
        offender.crn,
        offender.practitioner_id,
        {{ complete_to() }} as complete_to
    from sentence
    inner join conviction
        on sentence.conviction_id = conviction.conviction_id
    inner join offender
        on conviction.offender_id = offender.offender_id
    where sentence.imposed_at <= {{ complete_to() }}
),

firsts as (
    select
        imposed.sentence_id,
        min(contact.happened_at) as first_contact_at,
        min(case when contact.outcome = 'ATTENDED' then contact.happened_at end) as first_attended_at,
        count(case when contact.outcome = 'FAILED TO ATTEND' then contact.contact_id end) as failed_contacts
    from imposed
    inner join contact
        on
            imposed.offender_id = contact.offender_id
            and contact.happened_at >= imposed.imposed_at
            and contact.happened_at <= imposed.complete_to
    group by imposed.sentence_id
)

select
    imposed.sentence_id,
    imposed.offender_id,
    imposed.crn,
    imposed.practitioner_id,
    imposed.kind as sentence_kind,
    imposed.imposed_at,
    firsts.first_contact_at,
    firsts.first_attended_at,
    date_diff('day', {{ day_of('imposed.imposed_at') }}, {{ day_of('firsts.first_contact_at') }}) as days_to_contact,
    date_diff('day', {{ day_of('imposed.imposed_at') }}, {{ day_of('firsts.first_attended_at') }}) as days_to_attendance,
    case
        when
            {{ day_of('firsts.first_attended_at') }}
            <= {{ add_days(day_of('imposed.imposed_at'), standard_days) }} then 'MET'
        when
            {{ day_of('imposed.complete_to') }}
            > {{ add_days(day_of('imposed.imposed_at'), standard_days) }} then 'MISSED'
        else 'OPEN'
    end as standard,
    coalesce(firsts.failed_contacts, 0) as failed_contacts,
    imposed.complete_to
from imposed
left join firsts
    on imposed.sentence_id = firsts.sentence_id
