-- What became of a quarantined package when it was read again. Append only: the last row says how it stands.
create table bhyt_replay (
    tenant uuid        not null,
    sha256 text        collate "C" not null,
    at     timestamptz not null,
    status text        collate "C" not null check (status in ('created', 'updated', 'unchanged', 'quarantined')),
    code   text        collate "C" not null default '',
    reason text        not null default '',
    actor  text        collate "C" not null,
    primary key (tenant, sha256, at),
    foreign key (tenant, sha256) references bhyt_quarantine (tenant, sha256)
);

alter table bhyt_replay enable row level security;
alter table bhyt_replay force row level security;
create policy own_tenant on bhyt_replay
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on bhyt_replay to benhan_app;
