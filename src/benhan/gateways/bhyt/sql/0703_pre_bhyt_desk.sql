-- The claims desk: how each claim stands (derived from the claim and its answers, made anew by every submission), the
-- facility's own rules, faults that somebody let through, and what became of single lines after sending.
create table bhyt_claim (
    tenant     uuid        not null,
    ma_lk      text        collate "C" not null,
    encounter  text        collate "C" not null,
    claim      text        collate "C" not null,
    sha256     text        collate "C" not null,
    name       text        not null,
    khoa       text        collate "C" not null,
    kind       text        collate "C" not null,
    left_at    timestamptz not null,
    month      text        collate "C" not null check (month ~ '^\d{6}$'),
    state      text        collate "C" not null check (state in ('faulty', 'waiting', 'received', 'refused')),
    sent       integer     not null default 0,
    answer     text        not null default '',
    faults     jsonb       not null default '[]',
    changes    jsonb       not null default '[]',
    total_bv   numeric     not null,
    total_bh   numeric     not null,
    total_bhtt numeric     not null,
    total_bncct numeric    not null,
    total_bntt numeric     not null,
    total_other numeric    not null,
    at         timestamptz not null,
    primary key (tenant, ma_lk)
);
create index bhyt_claim_month on bhyt_claim (tenant, month, state, left_at);

-- A rule of the facility: every save is a new version; the last row says how it stands.
create table bhyt_rule (
    tenant  uuid        not null,
    id      text        collate "C" not null,
    version integer     not null,
    yaml    text        not null,
    state   text        collate "C" not null check (state in ('draft', 'published', 'retired')),
    at      timestamptz not null,
    actor   text        collate "C" not null,
    actor_display text  not null,
    primary key (tenant, id, version)
);

create table bhyt_pass (
    tenant  uuid        not null,
    ma_lk   text        collate "C" not null,
    rule    text        collate "C" not null,
    place   text        not null,
    reason  text        not null check (length(reason) >= 10),
    at      timestamptz not null,
    actor   text        collate "C" not null,
    actor_display text  not null,
    primary key (tenant, ma_lk, rule, place, at)
);

create table bhyt_line_state (
    tenant  uuid        not null,
    ma_lk   text        collate "C" not null,
    place   text        collate "C" not null check (place ~ '^XML[0-9]+(/[0-9]+)?$'),
    state   text        collate "C" not null
            check (state in ('tiep-nhan', 'giam-dinh', 'chap-nhan', 'tu-choi', 'xuat-toan', 'giai-trinh')),
    amount  numeric,
    reason  text        not null default '',
    at      timestamptz not null,
    actor   text        collate "C" not null,
    actor_display text  not null,
    seq     bigint      generated always as identity,
    primary key (tenant, ma_lk, seq)
);

do $$
declare name text;
begin
    foreach name in array array['bhyt_claim', 'bhyt_rule', 'bhyt_pass', 'bhyt_line_state'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy own_tenant on %I using (tenant = nullif(current_setting(''benhan.tenant'', true), '''')::uuid) '
            'with check (tenant = nullif(current_setting(''benhan.tenant'', true), '''')::uuid)', name);
        execute format('grant select, insert on %I to benhan_app', name);
    end loop;
end $$;
grant update on bhyt_claim to benhan_app;
