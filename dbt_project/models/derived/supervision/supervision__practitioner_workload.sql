with

practitioner as (
    {{ complete(ref('probation_probation__practitioner_history')) }}
),

office as (
    {{ complete(ref('probation_probation__office_history'), ['office_id', 'name', 'region_code']) }}
),

allocation as (
    {{ complete(
        ref('probation_probation__case_allocation_history'), ['offender_id', 'practitioner_id', 'ended_at']
    ) }}
),

offender as (
    {{ complete(ref('probation_probation__offender_history'), ['offender_id', 'risk']) }}
),

contact as (
    {{ complete(
        ref('probation_probation__contact_history'),
        ['contact_id', 'practitioner_id', 'happened_at', 'minutes', 'outcome'],
    ) }}
),

cases as (
    select
        allocation.practitioner_id,
        count(allocation.offender_id) as cases,
        count(case when offender.risk in ('HIGH', 'VERY HIGH') then offender.offender_id end) as high_risk_cases
    from allocation
    inner join offender
        on allocation.offender_id = offender.offender_id
    where allocation.ended_at > {{ complete_to() }}
    group by allocation.practitioner_id
),

recent as (
    select
        practitioner_id,
        count(contact_id) as contacts,
        count(case when outcome = 'FAILED TO ATTEND' then contact_id end) as failed_contacts,
        coalesce(sum(minutes), 0) as minutes
    from contact
    where
        {{ day_of('happened_at') }} > {{ add_days(day_of(complete_to()), -28) }}
        and happened_at <= {{ complete_to() }}
    group by practitioner_id
),

in_service as (
    select
        *,
        -- Kept as the source writes it: {1,2,3}.
        length(working_days) - length(replace(working_days, ',', '')) + 1 as days_a_week
    from practitioner
    where left_on is null or left_on >= {{ day_of(complete_to()) }}
)

select
    in_service.practitioner_id,
    in_service.staff_code,
    in_service.full_name as practitioner_name,
    in_service.grade,
    office.office_id,
    office.name as office_name,
    office.region_code,
    in_service.days_a_week,
    coalesce(cases.cases, 0) as cases,
    coalesce(cases.high_risk_cases, 0) as high_risk_cases,
    cast(round(cast(coalesce(cases.cases, 0) as double) / in_service.days_a_week, 2) as decimal(9, 2)) as cases_a_day,
    in_service.workload as recorded_workload,
    coalesce(recent.contacts, 0) as contacts_28_days,
    coalesce(recent.failed_contacts, 0) as failed_contacts_28_days,
    cast(coalesce(recent.minutes, 0) as bigint) as minutes_28_days,
    {{ complete_to() }} as complete_to
from in_service
inner join office
    on in_service.office_id = office.office_id
left join cases
    on in_service.practitioner_id = cases.practitioner_id
left join recent
    on in_service.practitioner_id = recent.practitioner_id
