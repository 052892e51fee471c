-- Accounts, roles, sessions, machine clients. Every table belongs to one tenant and is kept apart by row-level security.

create table account (
    tenant uuid not null,
    id uuid not null,
    username text collate "C" not null,
    person text collate "C" not null,          -- Practitioner/… or Patient/…
    display text collate "C" not null,
    kind text collate "C" not null check (kind in ('staff', 'admin', 'external', 'patient')),
    status text collate "C" not null default 'active' check (status in ('active', 'disabled')),
    password_hash text collate "C" not null,   -- argon2id, encoded
    password_at timestamptz not null,
    must_change boolean not null default true,
    totp_sealed bytea,                         -- AES-256-GCM, key outside the database
    totp_confirmed boolean not null default false,
    totp_last_step bigint not null default -1, -- a code is good once
    created_at timestamptz not null,
    signed_in_at timestamptz,
    primary key (tenant, id),
    unique (tenant, username)
);

create table password_history (
    tenant uuid not null,
    account uuid not null,
    id uuid not null,
    set_at timestamptz not null,
    password_hash text collate "C" not null,
    primary key (tenant, account, id),
    foreign key (tenant, account) references account
);

-- Counted for every name that is tried, whether the account exists or not, so that an answer tells nothing.
create table sign_in_attempt (
    tenant uuid not null,
    name_sha256 bytea not null,
    failed integer not null,
    last_at timestamptz not null,
    locked_until timestamptz,
    primary key (tenant, name_sha256)
);

create table role_assignment (
    tenant uuid not null,
    account uuid not null,
    id uuid not null,
    role text collate "C" not null,
    khoa text collate "C",                     -- null: the whole facility
    kind text collate "C" not null default 'standing' check (kind in ('standing', 'duty', 'delegated')),
    valid_from timestamptz not null,
    valid_to timestamptz,
    granted_by text collate "C" not null,
    reason text collate "C" not null default '',
    primary key (tenant, account, id),
    foreign key (tenant, account) references account,
    check (valid_to is null or valid_to > valid_from),
    check (kind = 'standing' or valid_to is not null)
);

create table session (
    tenant uuid not null,
    token_sha256 bytea not null,
    account uuid not null,
    created_at timestamptz not null,
    seen_at timestamptz not null,
    expires_at timestamptz not null,
    pin_until timestamptz,
    ended_at timestamptz,
    primary key (tenant, token_sha256),
    foreign key (tenant, account) references account
);
create index session_account on session (tenant, account) where ended_at is null;

create table permission_override (
    tenant uuid not null,
    permission text collate "C" not null,
    role text collate "C" not null,
    scope text collate "C" not null check (scope in ('none', 'khoa', 'facility')),
    reason text collate "C" not null,
    set_by text collate "C" not null,
    set_at timestamptz not null,
    primary key (tenant, permission, role)
);

create table machine_client (
    tenant uuid not null,
    client_id text collate "C" not null,
    title text collate "C" not null,
    jwks jsonb not null,
    thumbprints text[] collate "C" not null,   -- base64url SHA-256 of client certificates (RFC 8705)
    scopes text collate "C" not null,
    facility uuid,                             -- at the hub: the tenant whose rights it reads with
    status text collate "C" not null default 'active' check (status in ('active', 'disabled')),
    created_at timestamptz not null,
    primary key (tenant, client_id)
);

create table used_jti (
    tenant uuid not null,
    client_id text collate "C" not null,
    jti_sha256 bytea not null,
    expires_at timestamptz not null,
    primary key (tenant, client_id, jti_sha256)
);

create table machine_token (
    tenant uuid not null,
    token_sha256 bytea not null,
    client_id text collate "C" not null,
    scopes text collate "C" not null,
    thumbprint text collate "C" not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (tenant, token_sha256),
    foreign key (tenant, client_id) references machine_client
);

create table break_glass_review (
    tenant uuid not null,
    grant_id uuid not null,
    patient_id text collate "C" not null,
    opened_by text collate "C" not null,
    opened_at timestamptz not null,
    due_at timestamptz not null,
    reviewed_at timestamptz,
    reviewed_by text collate "C",
    verdict text collate "C" check (verdict in ('justified', 'not-justified')),
    note text collate "C",
    primary key (tenant, grant_id)
);

alter table account enable row level security;
alter table account force row level security;
create policy account_tenant on account using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table password_history enable row level security;
alter table password_history force row level security;
create policy password_history_tenant on password_history
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table sign_in_attempt enable row level security;
alter table sign_in_attempt force row level security;
create policy sign_in_attempt_tenant on sign_in_attempt
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table role_assignment enable row level security;
alter table role_assignment force row level security;
create policy role_assignment_tenant on role_assignment
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table session enable row level security;
alter table session force row level security;
create policy session_tenant on session using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table permission_override enable row level security;
alter table permission_override force row level security;
create policy permission_override_tenant on permission_override
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table machine_client enable row level security;
alter table machine_client force row level security;
create policy machine_client_tenant on machine_client
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table used_jti enable row level security;
alter table used_jti force row level security;
create policy used_jti_tenant on used_jti using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table machine_token enable row level security;
alter table machine_token force row level security;
create policy machine_token_tenant on machine_token
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table break_glass_review enable row level security;
alter table break_glass_review force row level security;
create policy break_glass_review_tenant on break_glass_review
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);

-- Accounts and assignments are never deleted: they are disabled or ended. History is append-only.
grant select, insert, update on account, role_assignment, session, permission_override, machine_client,
    break_glass_review to benhan_app;
grant select, insert on password_history to benhan_app;
grant select, insert, update, delete on sign_in_attempt to benhan_app;
grant select, insert, delete on used_jti, machine_token to benhan_app;
