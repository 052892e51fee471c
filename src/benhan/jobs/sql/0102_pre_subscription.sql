-- Subscriptions: how far each has come, and the numbered events that wait for it or may be asked for again.
create table subscription (
    tenant uuid not null,
    id text collate "C" not null,             -- id of the Subscription resource
    owner text collate "C" not null,          -- client_id of the machine that made it: its rights now decide
    asked jsonb not null,                     -- what the resource asks for, read once
    status text collate "C" not null check (status in ('requested', 'active', 'error', 'off')),
    shaken boolean not null default false,    -- the handshake was answered
    queued boolean not null default false,    -- a delivery is under way or waits for its next attempt
    epoch integer not null,                   -- place in the change feed up to which events were made
    tx xid8 not null,
    seq bigint not null,
    events bigint not null default 0,         -- number of the last event
    delivered bigint not null default 0,      -- number of the last event that the receiver has taken
    failures integer not null default 0,      -- attempts that failed since the last that did not
    fault text collate "C" not null default '',
    told_at timestamptz not null,             -- last time the receiver heard of us
    primary key (tenant, id)
);
create table subscription_event (
    tenant uuid not null,
    subscription text collate "C" not null,
    number bigint not null,
    at timestamptz not null,
    type text collate "C" not null,
    id text collate "C" not null,
    version integer not null,
    action text collate "C" not null,
    primary key (tenant, subscription, number)
);
alter table subscription enable row level security;
alter table subscription force row level security;
create policy subscription_tenant on subscription
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table subscription_event enable row level security;
alter table subscription_event force row level security;
create policy subscription_event_tenant on subscription_event
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert, update, delete on subscription to benhan_app;
grant select, insert, delete on subscription_event to benhan_app;

-- The worker must know which tenants have a subscription at work before it can set one. Nothing else comes out.
create policy subscription_owner on subscription for select to benhan_owner using (true);
create function subscription_tenants() returns setof uuid
    language sql stable security definer set search_path = public
    as 'select distinct tenant from subscription where shaken and status in (''active'', ''error'')';
revoke all on function subscription_tenants() from public;
grant execute on function subscription_tenants() to benhan_app;
