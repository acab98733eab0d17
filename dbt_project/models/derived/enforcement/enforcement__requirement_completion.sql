with

sentence as (
    {{ complete(ref('probation_probation__sentence_history'), ['sentence_id', 'kind', 'ends_on']) }}
),

requirement as (
    {{ complete(ref('probation_probation__requirement_history')) }}
)

select
    sentence.kind as sentence_kind,
    requirement.category,
    count(distinct requirement.sentence_id) as sentences,
    count(requirement.requirement_no) as requirements,
    count(requirement.completed_at) as completed,
    count(
        case when requirement.completed_at is null and sentence.ends_on < {{ day_of(complete_to()) }}
            then requirement.requirement_no
        end
    ) as ended_incomplete,
    {{ share('count(requirement.completed_at)', 'count(requirement.requirement_no)') }} as completed_share,
    cast(sum(requirement.hours_set) as decimal(18, 2)) as hours_set,
    cast(sum(cast(requirement.hours_done as decimal(12, 2))) as decimal(18, 2)) as hours_done,
    {{ complete_to() }} as complete_to
from requirement
inner join sentence
    on requirement.sentence_id = sentence.sentence_id
group by sentence.kind, requirement.category
