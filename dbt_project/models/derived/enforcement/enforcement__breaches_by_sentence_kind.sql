with

sentence as (
    {{ complete(
        ref('probation_probation__sentence_history'), ['sentence_id', 'conviction_id', 'kind', 'starts_on', 'ends_on']
    ) }}
),

conviction as (
    {{ complete(ref('probation_probation__conviction_history'), ['conviction_id', 'offender_id']) }}
),

contact as (
    {{ complete(ref('probation_probation__contact_history'), ['contact_id', 'offender_id', 'happened_at', 'outcome']) }}
),

month as (
    {{ months(24) }}
),

served as (
    select
        sentence.sentence_id,
        sentence.kind,
        sentence.starts_on,
        coalesce(sentence.ends_on, cast('9999-12-31' as date)) as ends_on,
        conviction.offender_id
    from sentence
    inner join conviction
        on sentence.conviction_id = conviction.conviction_id
),

appointment as (
    select
        served.sentence_id,
        served.kind,
        contact.contact_id,
        contact.outcome,
        contact.happened_at,
        {{ day_of('contact.happened_at') }} as happened_on
    from served
    inner join contact
        on
            served.offender_id = contact.offender_id
            and {{ day_of('contact.happened_at') }} between served.starts_on and served.ends_on
    where contact.outcome is not null and contact.happened_at <= {{ complete_to() }}
),

failure as (
    select
        sentence_id,
        kind,
        happened_at,
        happened_on,
        lag(happened_on) over (partition by sentence_id order by happened_at, contact_id) as previous_on
    from appointment
    where outcome = 'FAILED TO ATTEND'
),

-- The second failure within twelve months starts breach action; a sentence counts once, when it first comes to that.
breach as (
    select
        sentence_id,
        kind,
        min(happened_at) as breached_at
    from failure
    where happened_on <= {{ add_months('previous_on', 12) }}
    group by sentence_id, kind
),

in_force as (
    select
        month.month_start,
        served.kind,
        count(served.sentence_id) as sentences,
        count(distinct served.offender_id) as people
    from month
    inner join served
        on
            served.starts_on < {{ add_months('month.month_start', 1) }}
            and served.ends_on >= month.month_start
            and served.starts_on <= {{ day_of(complete_to()) }}
    group by month.month_start, served.kind
),

attendance as (
    select
        month.month_start,
        appointment.kind,
        count(appointment.contact_id) as appointments,
        count(case when appointment.outcome = 'FAILED TO ATTEND' then appointment.contact_id end) as failed
    from month
    inner join appointment
        on month.starts_at <= appointment.happened_at and appointment.happened_at < month.ends_at
    group by month.month_start, appointment.kind
),

breached as (
    select
        month.month_start,
        breach.kind,
        count(breach.sentence_id) as breaches
    from month
    inner join breach
        on month.starts_at <= breach.breached_at and breach.breached_at < month.ends_at
    group by month.month_start, breach.kind
)

select
    in_force.month_start,
    in_force.kind as sentence_kind,
    in_force.sentences as sentences_in_force,
    in_force.people as people_in_force,
    coalesce(attendance.appointments, 0) as appointments,
    coalesce(attendance.failed, 0) as failed_appointments,
    {{ share('attendance.failed', 'attendance.appointments') }} as failed_share,
    coalesce(breached.breaches, 0) as breaches,
    {{ share('coalesce(breached.breaches, 0)', 'in_force.sentences') }} as breached_share,
    {{ complete_to() }} as complete_to
from in_force
left join attendance
    on in_force.month_start = attendance.month_start and in_force.kind = attendance.kind
left join breached
    on in_force.month_start = breached.month_start and in_force.kind = breached.kind
