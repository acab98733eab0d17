{#- What should hold of the records, whatever the source's constraints let in: the rule, the table, when a row fails. -#}
{%- set rules = [
    ('date of birth is known', 'offender', 'offender_id', 'date_of_birth is null'),
    ('risk is recorded', 'offender', 'offender_id', 'risk is null'),
    ('a practitioner is named', 'contact', 'contact_id', 'practitioner_id is null'),
    ('length is recorded where they attended', 'contact', 'contact_id', "outcome = 'ATTENDED' and minutes is null"),
    ('a contact of the past has an outcome', 'contact', 'contact_id', 'outcome is null and happened_at <= complete_to'),
    ('an end is known', 'sentence', 'sentence_id', 'ends_on is null'),
    ('ends after it starts', 'sentence', 'sentence_id', 'ends_on < starts_on'),
    ('no more hours done than set', 'requirement', 'requirement_no',
        'cast(hours_done as decimal(12, 2)) > hours_set'),
    ('completed only when all hours are done', 'requirement', 'requirement_no',
        'completed_at is not null and cast(hours_done as decimal(12, 2)) < hours_set'),
    ('no payment is above the fine', 'payment', 'payment_id', 'amount > fine'),
    ('post goes to an address with a postcode', 'address', 'address_id', 'main and postcode is null'),
] -%}
with

offender as (
    {{ complete(ref('probation_probation__offender_history'), ['offender_id', 'date_of_birth', 'risk']) }}
),

contact as (
    select
        *,
        {{ complete_to() }} as complete_to
    from (
        {{ complete(
            ref('probation_probation__contact_history'),
            ['contact_id', 'practitioner_id', 'happened_at', 'minutes', 'outcome'],
        ) }}
    ) as held
),

sentence as (
    {{ complete(ref('probation_probation__sentence_history'), ['sentence_id', 'starts_on', 'ends_on']) }}
),

requirement as (
    {{ complete(
        ref('probation_probation__requirement_history'), ['requirement_no', 'hours_set', 'hours_done', 'completed_at']
    ) }}
),

conviction as (
    {{ complete(ref('probation_probation__conviction_history'), ['conviction_id', 'fine']) }}
),

payment as (
    select
        paid.payment_id,
        paid.amount,
        conviction.fine
    from (
        {{ complete(ref('probation_probation__payment_history'), ['payment_id', 'conviction_id', 'amount']) }}
    ) as paid
    inner join conviction
        on paid.conviction_id = conviction.conviction_id
),

address as (
    {{ complete(ref('probation_probation__address_history'), ['address_id', 'main', 'postcode']) }}
),

checked as (
    {% for rule, table, key, failing in rules -%}
    select
        '{{ table }}' as table_name,
        '{{ rule }}' as rule_name,
        count({{ key }}) as rows_checked,
        count(case when {{ failing }} then {{ key }} end) as rows_failing
    from {{ table }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    table_name,
    rule_name,
    rows_checked,
    rows_failing,
    {{ share('rows_failing', 'rows_checked') }} as failing_share,
    {{ complete_to() }} as complete_to
from checked
where {{ complete_to() }} is not null
