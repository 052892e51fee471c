"""Every way to write that the lock test knows. A way that is in the code and not here makes the test fail."""

from __future__ import annotations

#: (path of a page) → "record": it could touch a record and must leave a closed one alone; else why it cannot or may.
PAGES: dict[str, str] = {
    **dict.fromkeys(
        (
            "/dot/{encounter}/chuyen-khoa", "/dot/{encounter}/nhan/{task}", "/dot/{encounter}/ra-vien",
            "/luu-tru/so-hoa", "/luu-tru/so-hoa/tep", "/dot/{encounter}/so-hoa", "/dot/{encounter}/so-hoa/tep",
            "/dot/{encounter}/hoan-tac", "/dot/{encounter}/nhan/{task}/thoi",
            "/dot/{encounter}/giay-ra-vien", "/dot/{encounter}/benh-an",
            "/dot/{encounter}/giay", "/giay/{response}", "/giay/{response}/bo-nhap", "/giay/{response}/nhap",
            "/giay/{response}/ky", "/giay/{response}/rut", "/giay/{response}/cap", "/dot/{encounter}/xet-nghiem",
            "/dot/{encounter}/xet-nghiem/{order}/ket-qua", "/dot/{encounter}/xet-nghiem/{order}/huy",
            "/dot/{encounter}/thuoc", "/dot/{encounter}/thuoc/{order}/dung", "/dot/{encounter}/thuoc/{order}/ngung",
            "/dot/{encounter}/to-dieu-tri", "/to/{sheet}", "/to/{sheet}/dong/{entry}/ky",
            "/to/{sheet}/dong/{entry}/sua", "/to/{sheet}/nhap",
            "/dot/{encounter}/thuoc/nhap", "/dot/{encounter}/thuoc/mieng",
            "/dot/{encounter}/thuoc/{order}/xac-nhan", "/dot/{encounter}/xet-nghiem/nhap", "/to/{sheet}/ket-thuc",
            "/dot/{encounter}/sinh-hieu",
            "/dot/{encounter}/kiem-tra", "/dot/{encounter}/giay-bhyt", "/dot/{encounter}/the",
            "/dot/{encounter}/vien-phi", "/viec/ky", "/viec/ky/lan/{batch}", "/viec/ky/lan/{batch}/chu-ky",
            "/viec/ky/lan/{batch}/thoi", "/giay/{response}/ky-tay", "/ky-tay/xem/{hand}", "/ky-tay/{token}",
            "/nguoi-benh/{patient}/benh-su-tinh",
            "/giay/{response}/tra-lai", "/giay/{response}/gui-lai",
            "/nguoi-benh/{patient}/benh-su-tinh/quyen", "/tiep-don/nhap-vien/{patient}", "/bhyt/ho-so/{ma_lk}/gui",
            "/bhyt/ho-so/{ma_lk}/cho-qua", "/bhyt/ho-so/{ma_lk}/dong", "/bhyt/ho-so/{ma_lk}/sua",
            "/dot/{encounter}/chuyen-di",
        ),
        "record",
    ),
    "/dot/{encounter}/bo-sung": "the signed addendum",
    **dict.fromkeys(
        ("/dot/{encounter}/trich-sao", "/dot/{encounter}/trich-sao/quyet", "/dot/{encounter}/trich-sao/lam",
         "/dot/{encounter}/trich-sao/{release}/thu-hoi"),
        "record",
    ),
    **dict.fromkeys(
        (
            "/khoa-ky", "/khoa-ky/trang-thai", "/khoa-ky/cua-toi", "/khoa-ky/yeu-cau/{request}",
            "/dang-nhap", "/dang-xuat", "/ma-xac-thuc", "/doi-mat-khau", "/ngon-ngu", "/giao-dien",
        ),
        "account",
    ),
    **dict.fromkeys(
        ("/tiep-don/quet", "/tiep-don/dang-ky", "/tiep-don/chon", "/tim", "/dinh-danh/{review}", "/dinh-danh/gop/{merge}/huy",
         "/nguoi-benh/{patient}/the", "/dot/{encounter}/con"),
        "people, not records",
    ),
    **dict.fromkeys(("/viec/uy-quyen", "/viec/uy-quyen/{delegation}/thoi"), "who signs for whom"),
    **dict.fromkeys(("/bieu-mau", "/bieu-mau/viec", "/bhyt/luat/soan", "/bhyt/icd"), "forms and rules of the house"),
    **dict.fromkeys(
        ("/bhyt/doi-soat", "/bhyt/hang-doi", "/lien-thong/phat-lai", "/chuyen/{referral}", "/chuyen/{referral}/tai-lieu"),
        "what goes out",
    ),
    "/mo-khan-cap/{grant}": "a verdict on an opening",
    "/viec/ket-qua": "notes who has seen a result",
    **dict.fromkeys(
        ("/luu-tru/tieu-huy/de-nghi", "/luu-tru/tieu-huy/quyet", "/luu-tru/tieu-huy/giu"),
        "destruction by two people, in its own tests",
    ),
    "/luu-tru/suc-khoe": "adds time stamps to sealed files, changes no content",
}  # fmt: skip

#: steps of a record's life that are allowed after closing (state only); every other event of the page is attacked
LIFE_AFTER_CLOSING = {"archive", "reopen", "ask_reopen", "refuse"}

#: commands of ``benhan``; each opens the store with the guards (checked), or does not write to records
COMMANDS = {
    "serve", "worker", "machine-door", "migrate", "doctor", "export", "backup", "restore", "reindex", "view", "bench",
    "demo", "totp", "validate", "facility add", "facility list", "user add", "user roles", "cert ca", "cert node",
    "sensitive list", "sensitive add", "sensitive remove", "sensitive relabel",
    "ingest bhyt", "bhyt check", "bhyt icd", "bhyt schema", "bhyt quarantine", "bhyt watch", "forms check", "forms try",
    "forms import", "simulate bhyt",
    "simulate csc", "simulate pki",
}  # fmt: skip

#: modules that may open a store without the guard: they write no record
UNGUARDED_STORES = {
    "cli/doctor.py": "reads",
    "bench/export_apart.py": "reads",
    "bench/suite.py": "an invented store of its own",
}

#: places that may open the door of a closed record
PASSES = {"records/steps.py", "records/sealing.py", "records/addenda.py", "records/keeping.py"}

#: modules with SQL that appends to the log
LOG_WRITERS = {"store/writing.py", "bench/bare.py"}

#: public names of the repository: those that write ask the guards, the others read or note
REPOSITORY_WRITES = {
    "bundle", "conditional_update", "create", "delete", "patch", "prepare_create", "prepare_delete", "prepare_update",
    "update", "write",
}  # fmt: skip
REPOSITORY_OTHERS = {
    "all", "audit", "audit_of_patient", "clock", "connection", "count", "current", "export", "for_guard", "history",
    "history_page", "lock_currents", "locking", "looking", "note", "note_entry", "one", "only_match", "open_connection",
    "outbox", "read", "search", "transaction", "vread",
}  # fmt: skip

#: tables that the application's role may write: "attacked" below, or why a row there is no content of a record
TABLES = {
    **dict.fromkeys(("log", "current_version", "record_case", "record_request", "record_sealing"), "attacked"),
    **dict.fromkeys(
        (
            "index_equal", "index_string", "index_trigram", "index_date", "index_number", "index_reference",
            "index_group",
        ),
        "derived from the log, rebuilt by reindex",
    ),
    **dict.fromkeys(
        ("audit", "audit_seal", "audit_head", "audit_check", "record_event", "record_release", "record_destruction",
         "record_scrub"),
        "append-only books",
    ),
    **dict.fromkeys(("tenant", "tenant_code", "tenant_key", "record_key", "installation"), "installation and keys"),
    "record_delegation": "who signs for whom",
    "record_hand": "drawings that wait for their witness; the signing is attacked",
    "record_shown": "prints that wait for a signature",
    **dict.fromkeys(
        ("record_sign_batch", "record_sign_item", "record_sign_prepared"),
        "what somebody chose to sign; the signing is attacked",
    ),
    **dict.fromkeys(("number_series", "number_range", "number_taken"), "numbers"),
    "record_waiting": "the queue of time stamps that come later",
    "result_seen": "append-only book of who has seen which result",
    "record_doomed": "hashes of the files of a destroyed record, until they are removed",
    "record_cold": "where sealed files lie",
    "record_proof": "what the keeper noted of sealed files",
    **dict.fromkeys(("outbox", "draft", "access_grant"), "messages, drafts, rights"),
}  # fmt: skip
#: beginnings of the names of other rooms' tables: none of them holds content of a record
OTHER_ROOMS = (
    "access_", "account", "bhyt_", "bulk_", "claim", "client", "custom_", "exchange_", "form_", "identity_", "job_",
    "link_", "machine_", "person_", "procrastinate_", "role_", "sensitive_", "session", "signing_", "subscription", "totp_",
)  # fmt: skip

#: tables without a common beginning
SMALL = {
    "password_history",
    "sign_in_attempt",
    "permission_override",
    "used_jti",
    "break_glass_review",
    "care_stay",
}
