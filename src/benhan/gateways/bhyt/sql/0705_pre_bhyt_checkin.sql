-- Check-in (XML0): what was sent when the first charge of a đợt, and the first in the khoa it was admitted to, arose.
-- Append only; the last row of a khoa says how it stands.
create table bhyt_checkin (
    tenant    uuid        not null,
    ma_lk     text        collate "C" not null,
    khoa      text        collate "C" not null,
    seq       bigint      generated always as identity,
    sha256    text        collate "C" not null check (sha256 ~ '^[0-9a-f]{64}$'),
    code      text        collate "C" not null,
    answer    text        not null default '',
    at        timestamptz not null,
    primary key (tenant, ma_lk, khoa, seq)
);

alter table bhyt_checkin enable row level security;
alter table bhyt_checkin force row level security;
create policy own_tenant on bhyt_checkin
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on bhyt_checkin to benhan_app;
