"""The lab's configuration file and the environment: everything that a machine says about itself.

Invariant: nothing else in the product reads environment variables or the configuration file, and a value is judged only when
somebody needs it, so that a mistake in one key never stops a command that does without it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, NoReturn

from epic_lab import config_lines
from epic_lab.config_lines import BadLine, Setting
from epic_lab.errors import LabError, LabErrorKind
from synccore.errors import InvalidInputError


class KnownKey(NamedTuple):
    """A key that the lab understands: its name, what it says, and a value as an example."""

    name: str
    meaning: str
    example: str


BASE_URL = KnownKey("SYNCCODE_GCS_BASE_URL", "where code is stored", "gs://YOUR-BUCKET/synccode")
USERNAME = KnownKey("SYNCCODE_USERNAME", "whose code it is there", "YOUR-NAME")
CODE_BASE = KnownKey("SYNCCODE_LOCAL_CODE_BASE", "the laptop's folder that holds the repositories", "~/code")
REPOS = KnownKey("SYNCCODE_REPOS", "the repositories to upload", "alpha,beta")
EXCLUSION = KnownKey("SYNCCODE_EXCLUSION", "a regular expression for paths to leave out", r".*\.csv$")
PROJECT = KnownKey("GCP_PROJECT_ID", "the Google Cloud project", "my-lab-123456")
ZONE = KnownKey("GCP_ZONE", "the zone of new machines, or several to try in turn", "europe-west1-b")
SCRIPTS = KnownKey("GCP_GCS_SCRIPTS_BASE_PATH", "where machines fetch their set-up scripts", "gs://YOUR-BUCKET/scripts")
PROXY_DOMAIN = KnownKey("GCP_PROXY_DOMAIN", "the domain at which machines are reached", "lab.example.org")
COMPUTE_ENDPOINT = KnownKey(
    "GCP_COMPUTE_ENDPOINT", "another address of Compute Engine", "https://compute-lab.p.googleapis.com"
)
API_ENDPOINT = KnownKey(
    "GCP_API_ENDPOINT", "one address in place of those of Google's other APIs", "http://127.0.0.1:9024"
)

KNOWN_KEYS = (
    BASE_URL,
    USERNAME,
    CODE_BASE,
    REPOS,
    EXCLUSION,
    PROJECT,
    ZONE,
    SCRIPTS,
    PROXY_DOMAIN,
    COMPUTE_ENDPOINT,
    API_ENDPOINT,
)

_LAPTOP_KEYS = (BASE_URL, USERNAME, CODE_BASE, REPOS)
_PROJECT = r"(?:[a-z0-9.-]+:)?[a-z][-a-z0-9]{3,28}[a-z0-9]"
_ZONE = r"[a-z]+-[a-z]+\d+-[a-z]"
_BUCKET = r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"
_API_ENDPOINT = r"(?:https://[A-Za-z0-9.-]+|http://(?:127\.0\.0\.1|localhost))(?::\d+)?/?"
_ON_A_VM = "  epic-synccode configure-vm --base-url URL --username NAME"


class Environment(NamedTuple):
    """What the process was told from outside, read once.

    Attributes:
        home: the user's home directory.
        config_file: another configuration file, from ``EPIC_LAB_CONFIG``.
        storage_emulator_host: a server that stands in for Google's storage.
        gce_metadata_host: a server that stands in for a VM's metadata server.
        gcloud_folder: where gcloud keeps its configuration; there may be no such folder.
        gcloud_configuration: the one of gcloud's named configurations that this process was told to use.
        ipython_folder: where IPython keeps its profiles, if not in the usual folder.
        data_folder: where programs keep a user's data, if not in the usual folder.
        settings_folder: where programs keep a user's settings, if not in the usual folder.
        credentials_file: what ``GOOGLE_APPLICATION_CREDENTIALS`` names, or where gcloud keeps what
            ``gcloud auth application-default login`` makes; there may be no such file.
        has_proxies: whether secure connections must go through a proxy.
        no_color: whether colours are unwanted.
    """

    home: Path
    config_file: Path | None = None
    storage_emulator_host: str | None = None
    gce_metadata_host: str | None = None
    gcloud_folder: Path | None = None
    gcloud_configuration: str | None = None
    ipython_folder: Path | None = None
    data_folder: Path | None = None
    settings_folder: Path | None = None
    credentials_file: Path | None = None
    has_proxies: bool = False
    no_color: bool = False

    @classmethod
    def read(cls, variables: Mapping[str, str] | None = None) -> Environment:
        """Read the process's environment; *variables* stand in for it, except in finding the home directory."""
        of = os.environ if variables is None else variables
        home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises where this returns "~"
        config_file = of.get("EPIC_LAB_CONFIG")
        return cls(
            home=home,
            config_file=expand(config_file, home) if config_file else None,
            storage_emulator_host=of.get("STORAGE_EMULATOR_HOST") or None,
            gce_metadata_host=of.get("GCE_METADATA_HOST") or None,
            gcloud_folder=_gcloud_folder(of, home),
            gcloud_configuration=of.get("CLOUDSDK_ACTIVE_CONFIG_NAME") or None,
            ipython_folder=expand(of["IPYTHONDIR"], home) if of.get("IPYTHONDIR") else None,
            data_folder=Path(of["XDG_DATA_HOME"]) if of.get("XDG_DATA_HOME") else None,
            settings_folder=Path(of["XDG_CONFIG_HOME"]) if of.get("XDG_CONFIG_HOME") else None,
            credentials_file=_credentials_file(of, home),
            has_proxies=any(of.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")),
            no_color=bool(of.get("NO_COLOR")),
        )


class Store(NamedTuple):
    """A lab store and the user whose part of it is meant."""

    base_url: str
    username: str


class RepoFolder(NamedTuple):
    """A configured repository and where it is on this laptop."""

    repo: str
    root: Path


class UnknownKey(NamedTuple):
    """A key that the lab does not know, and the known one that was probably meant, if any is near."""

    key: str
    line: int
    nearest: str | None


class Config(NamedTuple):
    """A configuration file as it was read; each `require_` method judges what it returns.

    Attributes:
        path: the file.
        home: what ``~`` means in its values.
        settings: its assignments by key, unknown ones included.
        bad_line: its first line that is no assignment.
    """

    path: Path
    home: Path
    settings: Mapping[str, Setting]
    bad_line: BadLine | None = None

    @property
    def is_laptop(self) -> bool:
        """Tell whether this machine uploads code: whether it names repositories."""
        return self.value(REPOS) is not None

    def value(self, key: KnownKey) -> str | None:
        """Return the text of *key*, or ``None`` where it is missing or empty."""
        setting = self.settings.get(key.name)
        return setting.value if setting and setting.value else None

    def require_store(self) -> Store:
        """Return where code is stored and whose it is.

        Raises:
            LabError: one of the keys is missing or cannot be meant.
        """
        base_url = self._required(BASE_URL)
        fault = base_url_fault(base_url)
        if fault:
            self._reject(BASE_URL, *fault)
        return Store(base_url, self.require_username())

    def require_username(self) -> str:
        """Return whose code and machines are meant.

        Raises:
            LabError: the key is missing or cannot be meant.
        """
        username = self._required(USERNAME)
        if not is_store_name(username):
            self._reject(USERNAME, "1 to 64 letters, digits, '.', '_' or '-', as in ana or ana.b", "ana")
        return username

    def require_project(self) -> str:
        """Return the project that the lab's machines are in.

        Raises:
            LabError: the key is missing or cannot be meant.
        """
        project = self._required(PROJECT)
        if not re.fullmatch(_PROJECT, project):
            self._reject(PROJECT, "a project's id: small letters, digits and hyphens", PROJECT.example)
        return project

    def require_zones(self) -> tuple[str, ...]:
        """Return the zones of new machines in the order in which they are tried, each once.

        Raises:
            LabError: there are none, or one cannot be meant.
        """
        zones = [zone for zone in re.split(r"[,\s]+", self._required(ZONE)) if zone]
        if not zones or not all(map(is_zone, zones)):
            self._reject(ZONE, "zones separated by commas, each like europe-west1-b", ZONE.example)
        return tuple(dict.fromkeys(zones))

    def require_scripts(self) -> str:
        """Return where machines fetch their set-up scripts, without a slash at the end.

        Raises:
            LabError: the key is missing or cannot be meant; what a shell on the machine would not take as it stands cannot.
        """
        scripts = self._required(SCRIPTS)
        is_plain = re.fullmatch(r"gs://[A-Za-z0-9._/-]+", scripts) is not None
        if not is_plain or base_url_fault(scripts):
            self._reject(
                SCRIPTS, "gs://BUCKET/PREFIX of letters, digits, '.', '_', '-' and '/'", "gs://YOUR-BUCKET/scripts"
            )
        return scripts.rstrip("/")

    def proxy_domain(self) -> str | None:
        """Return the domain at which machines are reached, or ``None``.

        Raises:
            LabError: it is no domain.
        """
        domain = self.value(PROXY_DOMAIN)
        if domain is not None and not re.fullmatch(r"(?:[a-z0-9-]+\.)+[a-z0-9-]+(?::\d+)?", domain):
            self._reject(PROXY_DOMAIN, "a domain without https:// and slashes", PROXY_DOMAIN.example)
        return domain

    def compute_endpoint(self) -> str | None:
        """Return another address of Compute Engine, or ``None`` for Google's own.

        Raises:
            LabError: it is no address.
        """
        endpoint = self.value(COMPUTE_ENDPOINT)
        if endpoint is not None and not re.fullmatch(r"https?://[A-Za-z0-9.-]+(?::\d+)?/?", endpoint):
            self._reject(COMPUTE_ENDPOINT, "https:// and a host, without a path", COMPUTE_ENDPOINT.example)
        return endpoint.rstrip("/") if endpoint else None

    def api_endpoint(self) -> str | None:
        """Return the address that stands in for Google's other APIs, or ``None`` for Google's own.

        Raises:
            LabError: it is no address, or one to which an access token would go unencrypted.
        """
        endpoint = self.value(API_ENDPOINT)
        if endpoint is not None and not re.fullmatch(_API_ENDPOINT, endpoint):
            self._reject(API_ENDPOINT, "https:// and a host, or http:// and this very machine", API_ENDPOINT.example)
        return endpoint.rstrip("/") if endpoint else None

    def require_repos(self) -> tuple[RepoFolder, ...]:
        """Return the configured repositories of a laptop in the file's order, each once.

        Raises:
            LabError: there are none, or the code base or a name cannot be meant.
        """
        names = [name for name in re.split(r"[,\s]+", self._required(REPOS)) if name]
        if not names:
            self._reject(REPOS, "names separated by commas or spaces", REPOS.example)
        for name in names:
            if not is_store_name(name):
                why = f"folder names inside {CODE_BASE.name} of letters, digits, '.', '_' or '-'; {name!r} is none"
                self._reject(REPOS, why, REPOS.example)
        base = self.require_code_base()
        return tuple(RepoFolder(name, base / name) for name in dict.fromkeys(names))

    def exclusion(self) -> str | None:
        """Return the regular expression of paths to leave out, or ``None``.

        Raises:
            LabError: it is no regular expression.
        """
        pattern = self.value(EXCLUSION)
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                self._reject(EXCLUSION, f"a regular expression ({error})", EXCLUSION.example)
        return pattern

    def unknown_keys(self) -> tuple[UnknownKey, ...]:
        """Return the keys of the file that the lab does not know, in the file's order."""
        names = [key.name for key in KNOWN_KEYS]
        unknown = [setting for key, setting in self.settings.items() if key not in names]
        if not unknown:
            return ()
        from difflib import get_close_matches

        nearest = {setting.key: get_close_matches(setting.key.upper(), names, n=1, cutoff=0.8) for setting in unknown}
        return tuple(UnknownKey(s.key, s.line, next(iter(nearest[s.key]), None)) for s in unknown)

    def require_code_base(self) -> Path:
        """Return the laptop's folder that holds the repositories.

        Raises:
            LabError: the key is missing or names no folder.
        """
        text = self._required(CODE_BASE)
        base = expand(text, self.home)
        if not base.is_absolute():
            self._reject(
                CODE_BASE, "an absolute path or one that begins with ~/ (variables are not expanded)", "~/code"
            )
        if not base.is_dir():
            self._reject(CODE_BASE, f"an existing folder ({base} is none)", "~/code")
        return base

    def _required(self, key: KnownKey) -> str:
        if self.bad_line is not None:
            raise LabError(
                LabErrorKind.BAD_LINE,
                f"{self.path}, line {self.bad_line.line}: {self.bad_line.fault}",
                hint="Each line must be KEY=value, blank, or a comment that begins with #.",
                file=self.path,
                line=self.bad_line.line,
            )
        value = self.value(key)
        if value is not None:
            return value
        misspelt = next((unknown for unknown in self.unknown_keys() if unknown.nearest == key.name), None)
        setting = self.settings.get(key.name)
        if misspelt is not None:
            found = f"line {misspelt.line} has {misspelt.key}"
            hint = f"Write {key.name} in place of {misspelt.key}."
        else:
            found = "the key is missing" if setting is None else f"line {setting.line} gives it no value"
            hint = f"Add this line to {self.path}:\n  {key.name}={key.example}"
        raise LabError(
            LabErrorKind.MISSING_KEY,
            f"{self.path}: expected {key.name} ({key.meaning}), but {found}",
            hint=hint,
            file=self.path,
            key=key.name,
        )

    def _reject(self, key: KnownKey, expected: str, example: str) -> NoReturn:
        setting = self.settings[key.name]
        raise LabError(
            LabErrorKind.BAD_VALUE,
            f"{self.path}, line {setting.line}: {key.name} is {setting.value!r}; expected {expected}",
            hint=f"Write for example:\n  {key.name}={example}",
            file=self.path,
            line=setting.line,
            key=key.name,
            found=setting.value,
            expected=expected,
        )


def read_config(path: Path, *, home: Path) -> Config:
    """Read the configuration file *path*.

    Raises:
        LabError: there is no such file, or it cannot be read as text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        lines = "\n".join(f"  {key.name}={key.example}" for key in _LAPTOP_KEYS)
        raise LabError(
            LabErrorKind.NO_CONFIGURATION,
            f"there is no configuration file {path}",
            hint=f"On a laptop run `epic-lab init`, or write these lines into it, with your own values:\n{lines}\nOn a VM run\n{_ON_A_VM}",
            file=path,
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8 text"
        raise LabError(
            LabErrorKind.UNREADABLE_CONFIGURATION,
            f"cannot read the configuration file {path}: {why}",
            hint="It must be a text file that you may read; EPIC_LAB_CONFIG, where set, names another one.",
            file=path,
        ) from error
    settings, bad_line = config_lines.parse(text)
    return Config(path=path, home=home, settings=settings, bad_line=bad_line)


def is_store_name(text: str) -> bool:
    """Tell whether *text* can name a user or a repository in a store."""
    from synccore import keys

    try:
        keys.repo_name(text)
    except InvalidInputError:
        return False
    return True


def is_zone(text: str) -> bool:
    """Tell whether *text* can be the name of a zone."""
    return re.fullmatch(_ZONE, text) is not None


def expand(text: str, home: Path) -> Path:
    """Return the path that *text* names, *home* standing for a leading ``~``; nothing else is expanded."""
    return home / text[2:] if text == "~" or text.startswith(("~/", "~\\")) else Path(text)


def _credentials_file(of: Mapping[str, str], home: Path) -> Path:
    named = of.get("GOOGLE_APPLICATION_CREDENTIALS")
    return Path(named) if named else _gcloud_folder(of, home) / "application_default_credentials.json"


def _gcloud_folder(of: Mapping[str, str], home: Path) -> Path:
    if of.get("CLOUDSDK_CONFIG"):
        return Path(of["CLOUDSDK_CONFIG"])
    if os.name == "nt" and of.get("APPDATA"):
        return Path(of["APPDATA"]) / "gcloud"
    return home / ".config" / "gcloud"


def base_url_fault(url: str) -> tuple[str, str] | None:
    """Say what was expected of *url* as a store's base URL and an example, or ``None`` where nothing is wrong."""
    scheme, _, rest = url.partition("://")
    if scheme == "gs":
        bucket, *prefix = rest.rstrip("/").split("/")
        if re.fullmatch(_BUCKET, bucket) and not {"", ".", ".."}.intersection(prefix):
            return None
        return "gs://BUCKET or gs://BUCKET/PREFIX", BASE_URL.example
    if scheme == "file":
        if re.match(r"/[^/~]|/$", rest):
            return None
        return "file:// and an absolute path, three slashes in all", "file:///mnt/shared/synccode"
    return "a URL that begins with gs:// or file:///", BASE_URL.example
