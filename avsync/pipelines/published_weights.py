"""Published weights of other projects: where they are, and whether a file is one of them."""

from pathlib import Path
from typing import NamedTuple

from avsync.pipelines.convert_weights import CONVERTERS, ENCODERS
from avsync.weights import sha256_of

NOT_PUBLISHED = "not published"


class PublishedFile(NamedTuple):
    """A file that `avsync convert` converts.

    Args:
        model: the name for `avsync convert`.
        file: its name where it is published.
        address: where to download it; a page or a folder where there is no address of the file.
        source: who states the address.
        size: in bytes; None where nobody states it.
        sha256: None where nobody states it.
        hash_source: who states size and hash.
    """

    model: str
    file: str
    address: str
    source: str
    size: int | None = None
    sha256: str | None = None
    hash_source: str | None = None


OXFORD = "http://www.robots.ox.ac.uk/~vgg/software/lipsync/data"
DRIVE = "https://drive.google.com"
VOCALIST_FOLDER = f"{DRIVE}/drive/folders/1-g4qHUNNcCZpmSqEflKMxPMvwnn9e88N"
VOCALIST_README = "README of github.com/vskadandale/vocalist"
YNET_CODE = "models/__init__.py of github.com/JuanFMontesinos/Acappella-YNet"
WHISPER = "https://openaipublic.azureedge.net/main/whisper/models"
WHISPER_CODE = "whisper/__init__.py of github.com/openai/whisper"
MEDIAPIPE = "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker"
TINY_EN = "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03"
TINY = "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9"
PUBLISHED = (
    PublishedFile(
        "syncnet",
        "syncnet_v2.model",
        f"{OXFORD}/syncnet_v2.model",
        "download_model.sh of github.com/joonson/syncnet_python",
        54_573_114,
        "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
        "public projects that pin the file, which agree; its authors state none",
    ),
    *(
        PublishedFile("vocalist", file, VOCALIST_FOLDER, VOCALIST_README)
        for file in (
            "vocalist_5f_lrs2.pth",
            "vocalist_5f_acappella.pth",
            "vocalist_25f_acappella.pth",
        )
    ),
    PublishedFile(
        "mtdvocalist",
        "pure_MTDVocaLiST.pth",
        "https://github.com/xjchenGit/MTDVocaLiST/releases/download/v1.0/pure_MTDVocaLiST.pth",
        "README of github.com/xjchenGit/MTDVocaLiST",
    ),
    PublishedFile(
        "lip_expert",
        "lipsync_expert.pth",
        "https://github.com/Rudrabha/Wav2Lip",
        "section 'Getting the weights' in the README of github.com/Rudrabha/Wav2Lip",
    ),
    *(
        PublishedFile(model, file, f"{DRIVE}/uc?id={key}", YNET_CODE)
        for model, file, key in (
            ("ynet_m", "y_net_m7.pth", "1HP1O9JiDJx5LuaJA3exYVvnd6oOcITHN"),
            ("ynet_m", "y_net_mr7.pth", "1dEBboJPEJSMrIZSxMTSBlQzWPzsdmUdm"),
            ("ynet_g", "y_net_g7.pth", "1WJ8vEh6TWeKPE2nQKBXLXygrVwk7LHVm"),
            ("ynet_g", "y_net_gr7.pth", "1GN1bGyp1TlZkkgSQMwI_CGOskWXNLjxd"),
        )
    ),
    *(
        PublishedFile(
            "whisper", file, f"{WHISPER}/{sha256}/{file}", WHISPER_CODE, None, sha256, WHISPER_CODE
        )
        for file, sha256 in (("tiny.en.pt", TINY_EN), ("tiny.pt", TINY))
    ),
    PublishedFile(
        "face_mesh",
        "face_landmarker.task",
        f"{MEDIAPIPE}/float16/1/face_landmarker.task",
        "public projects that pin the file; ai.google.dev/edge/mediapipe describes it",
        3_758_596,
        "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        "public projects that pin the file; ours has the same",
    ),
)


def published_files(name: str | None = None) -> tuple[PublishedFile, ...]:
    """Return what is known of the published files of a model, by default of all.

    Args:
        name: a model or encoder that `convert_file` takes; a hyphen counts as an underscore.

    Raises:
        ValueError: there is no such name, or nobody published weights of this model.
    """
    if name is None:
        return PUBLISHED
    name = name.replace("-", "_")
    found = tuple(one for one in PUBLISHED if one.model == name)
    if not found and name in CONVERTERS:
        raise ValueError(
            f"nobody published weights of {name}; `avsync convert {name}` converts those that its "
            f"public code saves"
        )
    if not found:
        names = ", ".join((*CONVERTERS, *ENCODERS))
        raise ValueError(f"name must be one of {names}, got {name!r}")
    return found


def describe_published(file: PublishedFile) -> list[str]:
    """Return the lines that say where a file is and how it is recognised."""
    size = NOT_PUBLISHED if file.size is None else f"{file.size} bytes"
    lines = [
        f"{file.model}: {file.file}",
        f"  download  {file.address}",
        f"  source    {file.source}",
        f"  size      {size}",
        f"  sha256    {file.sha256 or NOT_PUBLISHED}",
    ]
    if file.hash_source is not None:
        lines.append(f"            stated by {file.hash_source}")
    return lines


def check_published(name: str, path: str | Path) -> str:
    """Compare a file with the published ones of a model.

    Args:
        name: a model or encoder that `convert_file` takes.
        path: the file that was downloaded.

    Returns:
        A sentence: which published file it is; or, where no hash is published, its own size and
        hash.

    Raises:
        ValueError: see `published_files`.
        RuntimeError: there is no such file, or it has another size or hash than the published one.
    """
    known = published_files(name)
    path = Path(path)
    if not path.is_file():
        where = "; ".join(f"{one.file} from {one.address}" for one in known)
        raise RuntimeError(f"there is no file {path}: download {where}")
    size, sha256 = path.stat().st_size, sha256_of(path)
    for one in known:
        if sha256 == one.sha256:
            return f"{path} is {one.file}: {size} bytes, sha256 {sha256}"
    if all(one.sha256 for one in known):
        expected = " or ".join(
            f"{one.file}: {f'{one.size} bytes, ' if one.size else ''}sha256 {one.sha256}"
            for one in known
        )
        raise RuntimeError(
            f"{path} is not the published file: {size} bytes, sha256 {sha256}, expected {expected}"
        )
    return f"{path}: {size} bytes, sha256 {sha256}; no hash is published to compare it with"
