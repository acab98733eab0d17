with

offender as (
    {{ complete(
        ref('probation_probation__offender_history'), ['offender_id', 'crn', 'risk', 'practitioner_id', 'created_at']
    ) }}
),

allocation as (
    {{ complete(ref('probation_probation__case_allocation_history'), ['offender_id', 'ended_at']) }}
),

assessment as (
    {{ complete(ref('probation_probation__assessment_history'), ['assessment_id', 'offender_id', 'completed_at']) }}
),

supervised as (
    select distinct offender_id
    from allocation
    where ended_at > {{ complete_to() }}
),

last_assessment as (
    select
        offender_id,
        max(completed_at) as last_assessed_at,
        count(assessment_id) as assessments
    from assessment
    where completed_at <= {{ complete_to() }}
    group by offender_id
),

due as (
    select
        offender.offender_id,
        offender.crn,
        offender.practitioner_id,
        coalesce(offender.risk, 'NOT RECORDED') as risk,
        last_assessment.last_assessed_at,
        coalesce(last_assessment.assessments, 0) as assessments,
        case offender.risk
            when 'VERY HIGH' then 91
            when 'HIGH' then 122
            when 'MEDIUM' then 182
            when 'LOW' then 365
            else 91
        end as days_allowed,
        {{ day_of('coalesce(last_assessment.last_assessed_at, offender.created_at)') }} as counted_from,
        {{ complete_to() }} as complete_to
    from supervised
    inner join offender
        on supervised.offender_id = offender.offender_id
    left join last_assessment
        on supervised.offender_id = last_assessment.offender_id
)

select
    offender_id,
    crn,
    practitioner_id,
    risk,
    last_assessed_at,
    assessments,
    days_allowed,
    {{ add_days('counted_from', 'days_allowed') }} as due_on,
    greatest(date_diff('day', {{ add_days('counted_from', 'days_allowed') }}, {{ day_of('complete_to') }}), 0)
        as days_overdue,
    {{ add_days('counted_from', 'days_allowed') }} < {{ day_of('complete_to') }} as is_overdue,
    complete_to
from due
