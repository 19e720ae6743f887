"""Is it on the Hugging Face hub, or here from an earlier time?

Where no hub can be reached, its client tries again for half a minute or waits for minutes. So we
ask once, briefly, for the repository; if nothing comes of it, only what is here already counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from unmask.files import reason_of

PATIENCE = 5.0
"""Seconds that the hub has to answer, unless HF_HUB_ETAG_TIMEOUT says otherwise."""


def is_name(name: str) -> bool:
    """Whether ``name`` can be a model on the hub: org/name."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return "/" in name


def fetched(repository: str, kind: str, fetch: Callable[..., str]) -> Path:
    """What ``fetch`` brings of a ``repository`` of a ``kind`` ("model", "dataset"). It is a
    function of the hub's client, and takes ``local_files_only``.

    Raises:
        OSError: it is not there and was never here; the text says why.
    """
    trouble = _trouble(repository, kind)
    try:
        return Path(fetch(local_files_only=trouble is not None))
    except Exception as error:  # the client's, and those of whatever HTTP library it uses
        raise OSError(trouble or reason_of(error)) from None


def _trouble(repository: str, kind: str) -> str | None:
    """Why ``repository`` cannot be downloaded now; None if it can."""
    given = os.environ.get("HF_HUB_ETAG_TIMEOUT")
    seconds = float(constants.HF_HUB_ETAG_TIMEOUT) if given else PATIENCE
    said: list[str | None] = []

    def ask() -> None:
        api: Any = HfApi()
        try:
            api.repo_info(repository, repo_type=kind, timeout=seconds)
            said.append(None)
        except RepositoryNotFoundError:
            said.append(f"{constants.ENDPOINT} has no such {kind}, or not for you")
        except Exception as error:  # as above
            said.append(reason_of(error))

    # Looking up a host's name heeds no timeout, and proxies may drip: the thread is left behind.
    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    if said:
        return said[0]
    return (
        f"{constants.ENDPOINT} does not answer within {seconds:g} s; HF_HUB_ETAG_TIMEOUT=30 waits "
        "longer"
    )
