-- Packages of other software that could not be taken over: kept with the reason until somebody has looked at them.
create table bhyt_quarantine (
    tenant      uuid        not null,
    sha256      text        collate "C" not null check (sha256 ~ '^[0-9a-f]{64}$'),
    at          timestamptz not null,
    source_name text        not null,
    ma_lk       text        collate "C",
    code        text        collate "C" not null,
    reason      text        not null,
    primary key (tenant, sha256)
);

alter table bhyt_quarantine enable row level security;
alter table bhyt_quarantine force row level security;
create policy own_tenant on bhyt_quarantine
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on bhyt_quarantine to benhan_app;
