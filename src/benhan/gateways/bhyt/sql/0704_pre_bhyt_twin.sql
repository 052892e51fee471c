-- The fact behind each line of a claim: [{"place": "XML2/dòng 1", "source": "MedicationAdministration/…"}].
alter table bhyt_claim add column twin jsonb not null default '[]';
