"""What every derived table must say, asked of the source database itself, in other SQL than the models' own.

Each query takes the instant `at`; columns come in the order of the table, without shares and without the instant.
"""

from __future__ import annotations

MONTHS = """
    select month::date as starts_on, month at time zone 'UTC' as starts,
           least((month + interval '1 month') at time zone 'UTC', %(at)s) as ends
    from generate_series(date_trunc('month', %(at)s at time zone 'UTC') - interval '23 months',
                         date_trunc('month', %(at)s at time zone 'UTC'), interval '1 month') as month
"""

FIGURES: dict[str, str] = {
    "supervision_derived.caseload_by_month": f"""
        select m.starts_on, p.practitioner_id, p.full_name, o.office_id, o.name, trim(r.code), r.name,
               (select count(*) from case_allocation a
                where a.practitioner_id = p.practitioner_id and a.allocated_at >= m.starts and a.allocated_at < m.ends),
               (select count(*) from case_allocation a
                where a.practitioner_id = p.practitioner_id and a.ended_at >= m.starts and a.ended_at < m.ends),
               (select count(*) from case_allocation a
                where a.practitioner_id = p.practitioner_id and a.allocated_at < m.ends and a.ended_at >= m.ends)
        from ({MONTHS}) m, practitioner p join office o using (office_id) join region r on r.code = o.region_code
    """,
    "supervision_derived.practitioner_workload": """
        select p.practitioner_id, p.staff_code, p.full_name, p.grade::text, o.office_id, o.name, trim(o.region_code),
               cardinality(p.working_days), held.cases, held.high,
               round(held.cases::numeric / cardinality(p.working_days), 2), p.workload::double precision,
               done.contacts, done.failed, done.minutes
        from practitioner p
        join office o using (office_id)
        cross join lateral (
            select count(*) as cases, count(*) filter (where f.risk in ('HIGH', 'VERY HIGH')) as high
            from case_allocation a join offender f using (offender_id)
            where a.practitioner_id = p.practitioner_id and a.ended_at > %(at)s
        ) held
        cross join lateral (
            select count(*) as contacts, count(*) filter (where c.outcome = 'FAILED TO ATTEND') as failed,
                   coalesce(sum(c.minutes), 0) as minutes
            from contact c
            where c.practitioner_id = p.practitioner_id and c.happened_at <= %(at)s
              and (c.happened_at at time zone 'UTC')::date > (%(at)s at time zone 'UTC')::date - 28
        ) done
        where p.left_on is null or p.left_on >= (%(at)s at time zone 'UTC')::date
    """,
    "supervision_derived.first_contact": """
        with seen as (
            select s.sentence_id::text as id, f.offender_id, f.crn, f.practitioner_id, s.kind::text as kind,
                   s.imposed_at,
                   (select min(c.happened_at) from contact c
                    where c.offender_id = f.offender_id and c.happened_at between s.imposed_at and %(at)s) as first,
                   (select min(c.happened_at) from contact c
                    where c.offender_id = f.offender_id and c.happened_at between s.imposed_at and %(at)s
                      and c.outcome = 'ATTENDED') as attended,
                   (select count(*) from contact c
                    where c.offender_id = f.offender_id and c.happened_at between s.imposed_at and %(at)s
                      and c.outcome = 'FAILED TO ATTEND') as failed
            from sentence s join conviction v using (conviction_id) join offender f using (offender_id)
            where s.imposed_at <= %(at)s
        ), days as (
            select *, (first at time zone 'UTC')::date - (imposed_at at time zone 'UTC')::date as d1,
                   (attended at time zone 'UTC')::date - (imposed_at at time zone 'UTC')::date as d2,
                   (%(at)s at time zone 'UTC')::date - (imposed_at at time zone 'UTC')::date as gone
            from seen
        )
        select id, offender_id, crn, practitioner_id, kind, imposed_at, first, attended, d1, d2,
               case when d2 <= 10 then 'MET' when gone > 10 then 'MISSED' else 'OPEN' end, failed
        from days
    """,
    "supervision_derived.reassessment_due": """
        with person as (
            select f.*, (select max(a.completed_at) from assessment a
                         where a.offender_id = f.offender_id and a.completed_at <= %(at)s) as last,
                   (select count(*) from assessment a
                    where a.offender_id = f.offender_id and a.completed_at <= %(at)s) as times,
                   coalesce((select days
                             from (values ('LOW', 365), ('MEDIUM', 182), ('HIGH', 122)) as allowed (risk, days)
                             where allowed.risk = f.risk::text), 91) as days
            from offender f
            where exists (select from case_allocation a where a.offender_id = f.offender_id and a.ended_at > %(at)s)
        ), due as (
            select *, (coalesce(last, created_at) at time zone 'UTC')::date + days as due_on,
                   (%(at)s at time zone 'UTC')::date as today
            from person
        )
        select offender_id, crn, practitioner_id, coalesce(risk::text, 'NOT RECORDED'), last, times, days, due_on,
               greatest(today - due_on, 0), today > due_on
        from due
    """,
    "enforcement_derived.breaches_by_sentence_kind": f"""
        with served as (
            select s.sentence_id, s.kind, v.offender_id, daterange(s.starts_on, s.ends_on, '[]') as days
            from sentence s join conviction v using (conviction_id)
        ), appointment as (
            select s.sentence_id, s.kind, c.contact_id, c.outcome, c.happened_at,
                   (c.happened_at at time zone 'UTC')::date as on_day
            from served s join contact c using (offender_id)
            where c.outcome is not null and c.happened_at <= %(at)s
              and (c.happened_at at time zone 'UTC')::date <@ s.days
        ), second as (
            select a.sentence_id, a.kind, min(a.happened_at) as at
            from appointment a
            where a.outcome = 'FAILED TO ATTEND' and exists (
                select from appointment b
                where b.sentence_id = a.sentence_id and b.outcome = 'FAILED TO ATTEND'
                  and (b.happened_at, b.contact_id) < (a.happened_at, a.contact_id)
                  and a.on_day <= b.on_day + interval '12 months')
            group by 1, 2
        )
        select m.starts_on, s.kind::text, count(*), count(distinct s.offender_id),
               (select count(*) from appointment a
                where a.kind = s.kind and a.happened_at >= m.starts and a.happened_at < m.ends),
               (select count(*) from appointment a
                where a.kind = s.kind and a.happened_at >= m.starts and a.happened_at < m.ends
                  and a.outcome = 'FAILED TO ATTEND'),
               (select count(*) from second b where b.kind = s.kind and b.at >= m.starts and b.at < m.ends)
        from ({MONTHS}) m
        join served s on s.days && daterange(m.starts_on, (m.starts_on + interval '1 month')::date)
            and lower(s.days) <= (%(at)s at time zone 'UTC')::date
        group by m.starts_on, m.starts, m.ends, s.kind
    """,
    "enforcement_derived.requirement_completion": """
        select s.kind::text, r.category, count(distinct r.sentence_id), count(*),
               count(*) filter (where r.completed_at is not null),
               count(*) filter (where r.completed_at is null and s.ends_on < (%(at)s at time zone 'UTC')::date),
               sum(r.hours_set), sum(r.hours_done::numeric(12, 2))
        from requirement r join sentence s using (sentence_id)
        group by 1, 2
    """,
    "enforcement_derived.fines_by_court": """
        with fined as (
            select v.court, date_part('year', v.convicted_on)::integer as year, v.fine::numeric as fine,
                   (select count(*) from payment p where p.conviction_id = v.conviction_id) as payments,
                   (select coalesce(sum(p.amount), 0) from payment p where p.conviction_id = v.conviction_id) as paid,
                   (select max(p.paid_on) from payment p where p.conviction_id = v.conviction_id) as last
            from conviction v where v.fine is not null
        )
        select court, year, count(*), sum(payments), count(*) filter (where paid >= fine), sum(fine), sum(paid),
               sum(case when fine > paid then fine - paid else 0 end), max(last)
        from fined group by 1, 2
    """,
    "outcomes_derived.reconviction_by_offence": """
        with judged as (
            select v.*, v.convicted_on + interval '24 months' <= (%(at)s at time zone 'UTC')::date as followed,
                   exists (select from conviction n where n.offender_id = v.offender_id
                           and n.convicted_on > v.convicted_on
                           and n.convicted_on <= v.convicted_on + interval '24 months') as again
            from conviction v
        )
        select o.code, o.title, count(*), count(distinct j.offender_id), count(*) filter (where j.followed),
               count(*) filter (where j.followed and j.again), max(j.convicted_on)
        from judged j join offence_code o on o.code = j.offence_code
        group by 1, 2
    """,
    "data_quality_derived.record_checks": """
        select 'offender', 'date of birth is known', count(*), count(*) - count(date_of_birth) from offender
        union all select 'offender', 'risk is recorded', count(*), count(*) - count(risk) from offender
        union all select 'contact', 'a practitioner is named', count(*), count(*) - count(practitioner_id) from contact
        union all select 'contact', 'length is recorded where they attended', count(*),
            count(*) filter (where outcome = 'ATTENDED') - count(minutes) filter (where outcome = 'ATTENDED')
            from contact
        union all select 'contact', 'a contact of the past has an outcome', count(*),
            count(*) filter (where happened_at <= %(at)s) - count(outcome) filter (where happened_at <= %(at)s)
            from contact
        union all select 'sentence', 'an end is known', count(*), count(*) - count(ends_on) from sentence
        union all select 'sentence', 'ends after it starts', count(*), count(*) filter (where ends_on < starts_on)
            from sentence
        union all select 'requirement', 'no more hours done than set', count(*),
            count(*) filter (where hours_done::numeric(12, 2) > hours_set) from requirement
        union all select 'requirement', 'completed only when all hours are done', count(*),
            count(completed_at) filter (where hours_done::numeric(12, 2) < hours_set) from requirement
        union all select 'payment', 'no payment is above the fine', count(*),
            count(*) filter (where p.amount > v.fine) from payment p join conviction v using (conviction_id)
        union all select 'address', 'post goes to an address with a postcode', count(*),
            count(*) filter (where main and postcode is null) from address
    """,
}
