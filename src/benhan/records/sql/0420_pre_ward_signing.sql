-- Signing many papers with one PIN: prints exactly as they were shown to a signer, and batches that can be gone on with.

-- A print that waits for a signature as somebody has seen it; gone when it was signed. Its bytes are a blob.
create table record_shown (
    tenant uuid not null,
    response_id text collate "C" not null,
    sha256 text collate "C" not null,         -- of the PDF that was shown
    encounter_id text collate "C" not null,
    version integer not null,                 -- of the paper
    standing text collate "C" not null,       -- signatures that stood and are named on the print
    boxes text collate "C" not null,          -- where the roles sign
    at timestamptz not null,
    actor text collate "C" not null,
    primary key (tenant, response_id, sha256)
);
create index record_shown_record on record_shown (tenant, encounter_id);
alter table record_shown enable row level security;
alter table record_shown force row level security;
create policy record_shown_tenant on record_shown
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert, delete on record_shown to benhan_app;

-- What one person chose to sign with one PIN. The PIN and the key are kept nowhere; what is done is done paper by paper.
create table record_sign_batch (
    tenant uuid not null,
    id uuid not null,
    actor text collate "C" not null,
    at timestamptz not null,
    beat_at timestamptz not null,             -- last sign of life of the process that signs
    note text collate "C" not null default '',
    primary key (tenant, id)
);
create index record_sign_batch_mine on record_sign_batch (tenant, actor, at);
alter table record_sign_batch enable row level security;
alter table record_sign_batch force row level security;
create policy record_sign_batch_tenant on record_sign_batch
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on record_sign_batch to benhan_app;
grant update (beat_at, note) on record_sign_batch to benhan_app;

create table record_sign_item (
    tenant uuid not null,
    batch uuid not null,
    seq integer not null,
    encounter_id text collate "C" not null,
    response_id text collate "C" not null,
    role text collate "C" not null,
    is_entry boolean not null,
    shown text collate "C" not null,          -- SHA-256 of what was shown: a print, or the exact bytes of a line
    stage text collate "C" not null default 'waiting' check (stage in ('waiting', 'signed', 'refused')),
    code text collate "C" not null default '',
    sentence text collate "C" not null default '',
    provenance_id text collate "C",
    ended_at timestamptz,
    primary key (tenant, batch, seq)
);
alter table record_sign_item enable row level security;
alter table record_sign_item force row level security;
create policy record_sign_item_tenant on record_sign_item
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on record_sign_item to benhan_app;
grant update (stage, code, sentence, provenance_id, ended_at) on record_sign_item to benhan_app;
