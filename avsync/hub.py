"""Names of weights to verified files on this machine.

Weights may be a file, a folder, `https://HOST/x.safetensors#sha256=HASH` or
`hf-hub:OWNER/REPO[@REVISION]`. A folder and a repository of a hub have one layout, `LAYOUT`. Only
safetensors and JSON are fetched, and nothing in them is executed.
"""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from avsync.extras import require_extra
from avsync.json_files import read_json
from avsync.weights import MAX_WEIGHTS_BYTES, cache_folder, fetch, sha256_of, sha256_of_config

# Files of a folder or repository: the weights, their config beside them, the record of their
# hashes (under the name by which the Hugging Face Hub counts downloads), and the model card.
WEIGHTS_FILE, CONFIG_FILE, RECORD_FILE, PAGE_FILE = LAYOUT = (
    "model.safetensors",
    "model.json",
    "config.json",
    "README.md",
)
HUB, WEB = "hf-hub:", ("https:/", "http:/")
MAX_CONFIG_BYTES = 1 << 20
# Names as the Hugging Face Hub has them; a revision is a branch, a tag or a commit.
REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,99}")
SHA256 = re.compile(r"[0-9a-f]{64}")
# Hosts that need no https: nothing between the server and us can change the file.
OWN_HOSTS = ("localhost", "127.0.0.1", "::1")
HASH_KEYS = ("sha256", "config_sha256")


class Hashes(NamedTuple):
    """Expected hashes of weights (`sha256_of`) and of their config (`sha256_of_config`)."""

    sha256: str | None = None
    config_sha256: str | None = None


def weights_path(weights: str | Path) -> Path:
    """Return the path of weights, after fetching and verifying them where their name says so.

    Args:
        weights: a file, which is not verified; a folder in the layout of a hub; or a name:
            `https://HOST/x.safetensors#sha256=HASH`, with the config at the same address that ends
            in .json, or `hf-hub:OWNER/REPO[@REVISION][#sha256=HASH]`. `&config_sha256=HASH`
            verifies the config too; hashes in the record of a folder or repository are always
            verified.

    Returns:
        The path of the safetensors file, with its config beside it as .json.

    Raises:
        ValueError: the name is malformed or lacks its hash.
        RuntimeError: a file cannot be fetched, is too large, or has another hash.
    """
    name = weights.as_posix() if isinstance(weights, Path) else weights
    if name.startswith(HUB):
        return _from_hub(name)
    if name.startswith(WEB):
        # A path joins the two slashes of an address.
        return _from_web(re.sub(r"^(https?):/+", r"\1://", name))
    folder = Path(weights)
    if (folder / RECORD_FILE).is_file() and (folder / WEIGHTS_FILE).is_file():
        return _verified(folder, str(folder), Hashes())
    return folder


def _from_web(name: str) -> Path:
    url, _, fragment = name.partition("#")
    hashes = _hashes(name, fragment)
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in OWN_HOSTS:
        raise ValueError(f"weights are fetched by https only, got {name}")
    if not parts.path.endswith(".safetensors"):
        raise ValueError(f"an address of weights must end in .safetensors, got {url}")
    if hashes.sha256 is None:
        raise ValueError(
            f"an address of weights needs their hash, {url}#sha256=HASH: without it, nothing shows "
            f"that the file is the one you mean"
        )
    # By the whole name, because the config is not part of the hash of the weights.
    folder = cache_folder() / "weights" / hashlib.sha256(name.encode()).hexdigest()[:32]
    path, config_path = folder / WEIGHTS_FILE, folder / CONFIG_FILE
    fetch(url, hashes.sha256, path)
    if not config_path.is_file():
        beside = parts._replace(path=parts.path.removesuffix(".safetensors") + ".json")
        fetch(beside.geturl(), None, config_path, max_bytes=MAX_CONFIG_BYTES)
    try:
        # Without a hash too: an error page must not be kept as the config.
        found = sha256_of_config(config_path)
        if hashes.config_sha256 not in (None, found):
            raise RuntimeError(_mismatch(config_path, name, found, hashes.config_sha256))
    except RuntimeError:
        config_path.unlink()
        raise
    return path


def _from_hub(name: str) -> Path:
    address, _, fragment = name.removeprefix(HUB).partition("#")
    repo, at, revision = address.partition("@")
    expected = _hashes(name, fragment)
    check_repo(repo)
    if at and not REVISION.fullmatch(revision):
        raise ValueError(f"a revision must be a branch, tag or commit, got {name}")
    require_extra("hub", f"{HUB} weights")
    record = _download(repo, RECORD_FILE, revision or None, MAX_CONFIG_BYTES)
    # All files of one commit, also if the branch moves in between.
    commit = record.parent.name
    for file, limit in ((CONFIG_FILE, MAX_CONFIG_BYTES), (WEIGHTS_FILE, MAX_WEIGHTS_BYTES)):
        _download(repo, file, commit, limit)
    return _verified(record.parent, name, expected)


def check_repo(repo: str) -> None:
    """Raise ValueError if this is no name of a repository, `OWNER/REPO`."""
    if not REPO.fullmatch(repo):
        raise ValueError(f"a repository of a hub is named OWNER/REPO, got {repo!r}")


def hub_endpoint() -> str | None:
    """Return the address of the hub that `HF_ENDPOINT` names; None for huggingface.co."""
    return os.environ.get("HF_ENDPOINT") or None


def hub_cause(error: Exception) -> str:
    """Return what an error of the hub's client says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:300] or type(error).__name__


def _download(repo: str, file: str, revision: str | None, limit: int) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    where = f"{HUB}{repo}{'' if revision is None else '@' + revision}"
    options: dict[str, Any] = {
        "revision": revision,
        "endpoint": hub_endpoint(),
        "library_name": "avsync",
    }
    try:
        # Its size first: a file that is too large is not downloaded.
        info: Any = huggingface_hub.hf_hub_download(repo, file, dry_run=True, **options)
        if info.file_size > limit:
            raise RuntimeError(f"{file} of {where} has {info.file_size} bytes, at most {limit}")
        return Path(huggingface_hub.hf_hub_download(repo, file, **options))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise RuntimeError(f"could not fetch {file} of {where}: {hub_cause(error)}") from error


def _verified(folder: Path, name: str, expected: Hashes) -> Path:
    """Return the weights of a folder after comparing its files with its record."""
    path, record_path = folder / WEIGHTS_FILE, folder / RECORD_FILE
    try:
        record = read_json(record_path)
    except (OSError, ValueError) as error:
        raise RuntimeError(f"{RECORD_FILE} of {name} cannot be read: {error}") from error
    given = Hashes(*(record.get(key) if isinstance(record, dict) else None for key in HASH_KEYS))
    if not all(isinstance(one, str) and SHA256.fullmatch(one) for one in given):
        raise RuntimeError(
            f"{RECORD_FILE} of {name} must name {' and '.join(HASH_KEYS)}, each 64 hex digits"
        )
    for hashes in (given, expected):
        _check(path.with_suffix(".json"), hashes.config_sha256, sha256_of_config, name)
        _check(path, hashes.sha256, sha256_of, name)
    return path


def _check(path: Path, expected: str | None, measure: Callable[[Path], str], name: str) -> None:
    if expected is None:
        return
    if not path.is_file():
        raise RuntimeError(f"{path.name} of {name} is missing")
    if (found := measure(path)) != expected:
        raise RuntimeError(_mismatch(path, name, found, expected))


def _mismatch(path: Path, name: str, found: str, expected: str | None) -> str:
    return f"{path.name} of {name} is not the expected file: sha256 {found}, expected {expected}"


def _hashes(name: str, fragment: str) -> Hashes:
    given = {key: values[-1].lower() for key, values in parse_qs(fragment).items()}
    if set(given) - set(HASH_KEYS) or (fragment and not given):
        raise ValueError(f"after # weights have {' and '.join(HASH_KEYS)} only, got {name}")
    if any(not SHA256.fullmatch(value) for value in given.values()):
        raise ValueError(f"a sha256 has 64 hex digits, got {name}")
    return Hashes(*map(given.get, HASH_KEYS))
