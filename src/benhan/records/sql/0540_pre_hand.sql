-- A patient or relative signs by hand on a tablet. Only the finished picture is kept (a sealed blob), no strokes and no
-- times of strokes. The link is opened by a token whose hash alone is here; it serves one paper, once, for minutes.
create table record_hand (
    tenant uuid not null,
    id uuid not null,
    response_id text collate "C" not null,
    encounter_id text collate "C" not null,
    role text collate "C" not null,
    version integer not null,                 -- of the paper
    shown text collate "C" not null,          -- SHA-256 of the PDF that is shown and signed
    token_sha256 bytea not null,
    witness text collate "C" not null,
    witness_name text collate "C" not null,
    asked_at timestamptz not null,
    expires_at timestamptz not null,
    state text collate "C" not null default 'waiting' check (state in ('waiting', 'drawn', 'signed', 'dropped')),
    name text collate "C" not null default '',
    relation text collate "C" not null default '',
    number text collate "C" not null default '',
    device text collate "C" not null default '',
    image text collate "C" not null default '',   -- SHA-256 of the picture
    drawn_at timestamptz,
    provenance_id text collate "C",
    primary key (tenant, id)
);
create unique index record_hand_token on record_hand (tenant, token_sha256);
create index record_hand_paper on record_hand (tenant, response_id);
alter table record_hand enable row level security;
alter table record_hand force row level security;
create policy record_hand_tenant on record_hand
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid))
    with check (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));
grant select, insert on record_hand to benhan_app;
grant update (state, name, relation, number, device, image, drawn_at, provenance_id) on record_hand to benhan_app;
