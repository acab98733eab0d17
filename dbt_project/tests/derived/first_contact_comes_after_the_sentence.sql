select *
from {{ ref('supervision__first_contact') }}
where
    first_contact_at < imposed_at
    or first_attended_at < first_contact_at
    or first_attended_at > complete_to
    or (standard = 'MET' and first_attended_at is null)
