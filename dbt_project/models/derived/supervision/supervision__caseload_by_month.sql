with

allocation as (
    {{ complete(
        ref('probation_probation__case_allocation_history'),
        ['offender_id', 'practitioner_id', 'allocated_at', 'ended_at'],
    ) }}
),

practitioner as (
    {{ complete(ref('probation_probation__practitioner_history'), ['practitioner_id', 'full_name', 'office_id']) }}
),

office as (
    {{ complete(ref('probation_probation__office_history'), ['office_id', 'name', 'region_code']) }}
),

region as (
    {{ complete(ref('probation_probation__region_history'), ['code', 'name']) }}
),

month as (
    {{ months(24) }}
)

select
    month.month_start,
    practitioner.practitioner_id,
    practitioner.full_name as practitioner_name,
    office.office_id,
    office.name as office_name,
    region.code as region_code,
    region.name as region_name,
    count(
        case when allocation.allocated_at >= month.starts_at and allocation.allocated_at < month.ends_at
            then allocation.offender_id
        end
    ) as cases_opened,
    count(
        case when allocation.ended_at >= month.starts_at and allocation.ended_at < month.ends_at
            then allocation.offender_id
        end
    ) as cases_closed,
    count(
        case when allocation.allocated_at < month.ends_at and allocation.ended_at >= month.ends_at
            then allocation.offender_id
        end
    ) as cases_at_end,
    {{ complete_to() }} as complete_to
from month
cross join practitioner
inner join office
    on practitioner.office_id = office.office_id
inner join region
    on office.region_code = region.code
left join allocation
    on
        practitioner.practitioner_id = allocation.practitioner_id
        and allocation.allocated_at < month.ends_at
        and allocation.ended_at >= month.starts_at
group by 1, 2, 3, 4, 5, 6, 7
