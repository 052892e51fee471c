"""Access: who may do what. Accounts, roles, sign-in, machines, grants, certificates, and the store's policy.

People
    ``onboard(repo, username, password, display, [(role, khoa)], licence=None, person=None,
    totp_secret=None, must_change=True) -> Onboarded(account, person, totp_secret, otpauth_uri)``:
    Practitioner, account, seed, roles at once · ``create_account(repo, username, password, person,
    display, *, kind="staff", totp_secret=None, must_change=True)`` (person = ``Practitioner/<id>``; kind
    staff | admin | external | patient) · ``assign_role(repo, account_id, role, khoa=None, valid_from=None,
    valid_to=None, duty=False, delegated=False, reason="")`` · ``end_role`` · ``roles_held`` ·
    ``list_accounts`` · ``read_account`` · ``disable_account`` · ``disable_idle_accounts`` ·
    ``change_password(repo, account_id, old, new)`` · ``reset_password`` · ``begin_totp(repo, account_id)
    -> Enrolment(secret, uri, qr_svg)`` · ``confirm_totp(repo, account_id, code)`` · ``clear_totp`` ·
    ``totp_code(secret, at)``, ``new_totp_secret()`` (demo, tests) · ``override_permission``.

Sign-in
    ``await sign_in(store, tenant_code, username, password, totp) -> SessionToken(token, expires_at,
    csrf, pending)`` · ``await session_ctx(store, token, purpose="TREAT", correlation_id="") ->
    SignedIn(ctx, policy, account, roles, csrf, expires_at, pin_until, pending, khoa)`` · ``sign_out(store,
    token)`` · ``unlock_pin(store, token)`` after signing has checked the PIN, ``signed_in.pin_open(now)``,
    ``lock_pin``. ``pending`` "totp" or "password": nothing is allowed but that change. The browser keeps
    the token in cookie ``COOKIE`` (Secure, HttpOnly, SameSite=Lax); every write by cookie carries
    ``signed_in.csrf`` in header ``CSRF_HEADER`` or form field ``CSRF_FIELD``.

Rights
    ``require(signed_in, "record.open", khoa="K01")`` raises ``NotAllowed``; ``may(...)`` asks. Names
    and titles: ``permissions()`` by name; ``roles()``: tuple of ``Role(code, title, kind, khoa)``
    (``data/*.yaml``). ``AccessPolicy.of_roles(codes, patient=None)``.

Machines
    ``register_client(repo, name, *, key_pem | jwks, thumbprints, scopes, facility=None, title="") ->
    MachineClient`` (``client_id`` = ``name@tenant-uuid``; at the hub ``facility`` = tenant uuid of the
    reader) · ``client_assertion(client_id, audience, key_pem, clock=…)`` · ``issue_token(store, form=…,
    thumbprint=…, audience=audiences(settings)) -> AccessToken`` · ``token_ctx(store, bearer,
    cert_thumbprint) -> MachineIn(ctx, policy, client, scopes)`` · ``disable_client`` ·
    ``machine_now(store, tenant, client_id) -> MachineIn | None``: its rights now, for what is sent to it
    unasked · ``client_id_of(ctx)``. A key for assertions: ``certs.create_client_key(path)`` (EC P-384).

Grants (hub)
    ``grant_access(repo, kind, patient, grantee, until, reason) -> UUID`` · ``break_glass(repo,
    patient, grantee, reason, until=None)`` · ``revoke_grant`` · ``active_grants(repo, patient=None,
    grantee=None)`` · ``open_reviews`` · ``review_break_glass``. ``patient`` is the bare id.

Sensitive groups
    ``sensitivity_guard`` (WriteGuard) notes them · ``sensitive_rules(repo) -> SensitiveRules`` · ``set_sensitive_rule(repo,
    SensitiveRule(group, system, prefix), active=…, reason=…)`` · ``relabel_sensitive(repo)`` ·
    ``sensitive_groups_of(repo, type, id)`` · permission ``sensitive.read`` says who treats (khoa) or is cleared (facility).

Certificates
    ``create_ca(dir)`` (``ca.crt``, ``ca.key``) · ``issue_node(ca_dir, name, hosts, out) ->
    NodeFiles(cert, key, ca, thumbprint, not_after)`` (``name.crt``, ``name.key``) ·
    ``certs.renew_node(ca_dir, cert)`` · ``certs.needs_renewal(cert)`` · ``certs.thumbprint(pem_or_der)``.
"""

from benhan.access import certs
from benhan.access.accounts import (
    Enrolment,
    Onboarded,
    assign_role,
    begin_totp,
    change_password,
    clear_totp,
    confirm_totp,
    create_account,
    disable_account,
    disable_idle_accounts,
    end_role,
    list_accounts,
    onboard,
    override_permission,
    overrides_of,
    read_account,
    reset_password,
    roles_held,
)
from benhan.access.certs import NodeFiles, create_ca, issue_node
from benhan.access.grants import (
    Grant,
    Review,
    active_grants,
    break_glass,
    grant_access,
    open_reviews,
    review_break_glass,
    revoke_grant,
)
from benhan.access.machines import (
    AccessToken,
    MachineClient,
    MachineIn,
    TokenRefused,
    audiences,
    client_assertion,
    client_id_of,
    disable_client,
    issue_token,
    machine_now,
    public_jwk,
    read_statement,
    register_client,
    sign_statement,
    token_ctx,
)
from benhan.access.memory import remembered_sessions
from benhan.access.permissions import Account, HeldRole, SignedIn, may, require
from benhan.access.policy import AccessPolicy
from benhan.access.roles import Permission, Role, permissions, roles
from benhan.access.sensitivity import (
    LABELS as SENSITIVE_LABELS,
)
from benhan.access.sensitivity import (
    Rule as SensitiveRule,
)
from benhan.access.sensitivity import (
    Rules as SensitiveRules,
)
from benhan.access.sensitivity import (
    group_titles as sensitive_group_titles,
)
from benhan.access.sensitivity import (
    groups_of_row as sensitive_groups_of,
)
from benhan.access.sensitivity import (
    relabel as relabel_sensitive,
)
from benhan.access.sensitivity import (
    sensitive_rules,
    sensitivity_guard,
    set_sensitive_rule,
)
from benhan.access.sessions import (
    SessionToken,
    csrf_of,
    lock_pin,
    session_ctx,
    sign_in,
    sign_out,
    unlock_pin,
)
from benhan.access.totp import code_at as totp_code
from benhan.access.totp import new_secret as new_totp_secret
from benhan.access.totp import qr_svg

#: Name of the session cookie, of the CSRF header and of the CSRF form field.
COOKIE = "benhan_session"
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf"

__all__ = [
    "COOKIE",
    "CSRF_FIELD",
    "CSRF_HEADER",
    "SENSITIVE_LABELS",
    "AccessPolicy",
    "AccessToken",
    "Account",
    "Enrolment",
    "Grant",
    "HeldRole",
    "MachineClient",
    "MachineIn",
    "NodeFiles",
    "Onboarded",
    "Permission",
    "Review",
    "Role",
    "SensitiveRule",
    "SensitiveRules",
    "SessionToken",
    "SignedIn",
    "TokenRefused",
    "active_grants",
    "assign_role",
    "audiences",
    "begin_totp",
    "break_glass",
    "certs",
    "change_password",
    "clear_totp",
    "client_assertion",
    "client_id_of",
    "confirm_totp",
    "create_account",
    "create_ca",
    "csrf_of",
    "disable_account",
    "disable_client",
    "disable_idle_accounts",
    "end_role",
    "grant_access",
    "issue_node",
    "issue_token",
    "list_accounts",
    "lock_pin",
    "machine_now",
    "may",
    "new_totp_secret",
    "onboard",
    "open_reviews",
    "override_permission",
    "overrides_of",
    "permissions",
    "public_jwk",
    "qr_svg",
    "read_account",
    "read_statement",
    "register_client",
    "relabel_sensitive",
    "remembered_sessions",
    "require",
    "reset_password",
    "review_break_glass",
    "revoke_grant",
    "roles",
    "roles_held",
    "sensitive_group_titles",
    "sensitive_groups_of",
    "sensitive_rules",
    "sensitivity_guard",
    "session_ctx",
    "set_sensitive_rule",
    "sign_in",
    "sign_out",
    "sign_statement",
    "token_ctx",
    "totp_code",
    "unlock_pin",
]
