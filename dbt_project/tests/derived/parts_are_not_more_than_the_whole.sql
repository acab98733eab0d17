select 'breaches' as figure
from {{ ref('enforcement__breaches_by_sentence_kind') }}
where
    failed_appointments > appointments
    or people_in_force > sentences_in_force
    or breaches > failed_appointments
