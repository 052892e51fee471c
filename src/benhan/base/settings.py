"""One typed settings object: a TOML file, then environment variables ``BENHAN_*`` over it.

Secrets (keys, role passwords) are never settings; they lie in files below ``home``/secrets with mode 0600.
``docs/reference/settings.md`` lists every field; a test compares the two.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from benhan.base.errors import ConfigurationError, Issue


class Settings(BaseSettings):
    """Everything an installation can be told. One installation is a facility node or the hub."""

    model_config = SettingsConfigDict(env_prefix="BENHAN_", extra="forbid", frozen=True)

    home: Path = Field(
        Path("var"), description="Folder of this installation: keys, blobs, embedded database."
    )
    role: Literal["facility", "hub"] = Field("facility", description="Part this installation plays.")
    database_url: str | None = Field(
        None, description="Administrative URL of a PostgreSQL server (>= 15); unset: the embedded server."
    )
    database_name: str = Field("benhan", description="Database used on the embedded server.")
    embedded_dir: Path | None = Field(
        None,
        description="Data folder of the embedded server; unset: home/postgres. May be shared by installations.",
    )
    host: str = Field("127.0.0.1", description="Address for pages and FHIR.")
    port: int = Field(8080, ge=0, le=65535, description="Port for pages and FHIR.")
    machine_port: int | None = Field(
        None, ge=1, le=65535, description="Port of the mutual-TLS door for machines; unset: no such door."
    )
    tls_cert: Path | None = Field(
        None, description="Certificate (PEM) of this node; needed unless host is localhost."
    )
    tls_key: Path | None = Field(None, description="Private key (PEM) of tls_cert.")
    tls_ca: Path | None = Field(
        None, description="CA certificates (PEM) that machines of this network chain to."
    )
    public_url: str | None = Field(None, description="Base URL under which others reach this node.")
    hub_url: str | None = Field(None, description="Base URL of the hub's machine door; facility nodes only.")
    bhyt_url: str | None = Field(None, description="Base URL of the BHYT portal (or the simulator).")
    bhyt_username: str | None = Field(None, description="Account at the BHYT portal.")
    bhyt_sign: bool = Field(
        False,
        description="Seal claim packages (XAdES in CHUKYDONVI); off until the portal's form of it is confirmed.",
    )
    tsa_url: str | None = Field(
        None, description="RFC 3161 time-stamp service; unset: the installation's own test TSA."
    )
    signing_roots: Path | None = Field(
        None,
        description="Further roots (PEM) that certificates of signers may lead to; the own test root always may.",
    )
    pkcs11_module: Path | None = Field(
        None, description="PKCS#11 driver of the token or HSM at the server, for keys of kind pkcs11."
    )
    csc_url: str | None = Field(
        None,
        description="Remote signing service (Cloud Signature Consortium API v2), for keys of kind csc; its client secret "
        "lies in home/secrets/csc.secret.",
    )
    csc_client_id: str = Field(
        "benhan", description="Name of this installation at the remote signing service."
    )
    agent_port: int = Field(8765, description="Port of benhan-agent on the signers' own computers.")
    tsa_away: Literal["refuse", "later"] = Field(
        "refuse",
        description="When tsa_url does not answer: refuse to sign, or sign and add the time stamp later (never for seals).",
    )
    tsa_roots: Path | None = Field(
        None,
        description="Roots (PEM) that tsa_url's tokens must chain to; unset: the installation's own test root.",
    )
    revocation_away: Literal["refuse", "later"] = Field(
        "refuse",
        description="When neither OCSP nor CRL answers: refuse to sign, or sign and ask later (never for seals).",
    )
    ocsp_url: str | None = Field(
        None, description="OCSP responder asked instead of the one that certificates name (closed network)."
    )
    crl_urls: tuple[str, ...] = Field(
        (), description="Revocation lists read instead of those that certificates name (closed network)."
    )
    subscription_hosts: tuple[str, ...] = Field(
        (),
        description="Hosts (`name`, or `name:port` when not 443) that subscriptions may be delivered to; empty: none.",
    )
    subscription_private: bool = Field(
        False, description="True: receivers of subscriptions may have addresses of private networks."
    )
    scrub_days: int = Field(30, ge=1, le=365, description="Days after which every sealed file is read again.")
    renew_before_days: int = Field(
        180,
        ge=7,
        le=3650,
        description="Days before the end of a sealed record's proof at which it is time-stamped again.",
    )
    blob_url: str | None = Field(None, description="Blob store (file:// or s3://); unset: home/blobs.")
    cold_url: str | None = Field(
        None,
        description="Cold place for sealed records in the archive (file:// or s3://); unset: they stay with the others.",
    )
    cold_after_days: int = Field(
        365,
        ge=0,
        le=36500,
        description="Days after closing at which a sealed record moves to the cold place.",
    )
    web_processes: int = Field(1, ge=1, le=64, description="Web worker processes.")
    pool_size: int = Field(8, ge=3, le=200, description="Database connections per process and role.")
    session_minutes: int = Field(480, ge=5, le=1440, description="Longest life of a sign-in, minutes.")
    session_idle_minutes: int = Field(60, ge=1, le=480, description="Idle time that ends a sign-in, minutes.")
    pin_minutes: int = Field(15, ge=1, le=480, description="Life of a signing PIN entry, minutes.")
    draft_days: int = Field(30, ge=1, le=365, description="Days after which an untouched draft expires.")
    max_body_bytes: int = Field(20_000_000, ge=1000, description="Largest request body, bytes.")
    scan_max_bytes: int = Field(
        300_000_000, ge=1000, description="Largest upload of scanned paper records at once, bytes."
    )
    language: Literal["vi", "en"] = Field("vi", description="Language of the pages until a person chooses.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line."
    )
    practice: bool = Field(
        False, description="True: demo and training node; pages show a ribbon, test PKI is allowed."
    )

    @field_validator("database_url")
    @classmethod
    def _postgres_only(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment wins over the file."""
        return env_settings, init_settings

    @property
    def secrets_dir(self) -> Path:
        """Folder of keys and passwords of this installation."""
        return self.home / "secrets"

    @property
    def local_only(self) -> bool:
        """True when the pages are reachable from this machine only."""
        return self.host in ("127.0.0.1", "::1", "localhost")


def load(path: Path | None = None, **overrides: Any) -> Settings:
    """Read settings from ``path`` (or the file named by ``BENHAN_CONFIG``), the environment, and ``overrides``.

    Raises: ``ConfigurationError`` (base.bad-setting) naming every wrong field and where it was set.
    """
    source = path or (Path(os.environ["BENHAN_CONFIG"]) if os.environ.get("BENHAN_CONFIG") else None)
    values: dict[str, Any] = {}
    if source is not None:
        try:
            values = tomllib.loads(source.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigurationError("base.no-settings-file", f"Không có tệp cấu hình {source}.") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(
                "base.bad-settings-file", f"Tệp cấu hình {source} sai cú pháp: {error}."
            ) from None
    values.update(overrides)
    try:
        return Settings(**values)
    except ValidationError as error:
        issues = [
            Issue(
                "base.bad-setting",
                f"Cấu hình '{'.'.join(str(p) for p in fault['loc'])}' sai: {fault['msg']}. "
                "Xem docs/reference/settings.md.",
                expression=".".join(str(p) for p in fault["loc"]),
            )
            for fault in error.errors()
        ]
        raise ConfigurationError(
            "base.bad-setting", " ".join(i.text for i in issues), issues=issues
        ) from None
