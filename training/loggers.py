"""Where a run's figures go: a CSV file, Weights & Biases, or nowhere.

Weights & Biases asks for a key on a terminal and fails without one elsewhere; here it does neither. Without a key, or
where its server cannot be reached, it writes offline, and one line says how to upload the run later.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from music.errors import RequestError

KINDS = ("csv", "wandb", "none")
OFFLINE_MODES = ("offline", "disabled", "dryrun")
# Seconds that a run waits for the server before it goes on offline; wandb's own 90 is long for a start.
INIT_TIMEOUT = 30.0


def has_wandb_key() -> bool:
    """True where wandb finds credentials by itself, in the environment, its settings or a netrc file; never asks.

    Raises:
        Exception: wandb's own, for credentials of a wrong form.
    """
    import wandb
    from wandb.sdk.lib import wbauth  # its look-up without the prompt that wandb.login ends in

    host = wandb.setup().settings.base_url
    return wbauth.authenticate_session(host=host, source="login", prompt=False, update_session=False) is not None


def _begin(out: Path, project: str, config: Mapping[str, Any], mode: str) -> Any:
    import wandb

    settings = wandb.Settings(init_timeout=INIT_TIMEOUT, login_timeout=1, console="off", silent=True)
    return wandb.init(project=project, dir=out, config=dict(config), mode=mode, settings=settings)  # type: ignore


def _wandb_logger(out: Path, project: str, config: Mapping[str, Any]) -> Logger:
    if getattr(rank_zero_only, "rank", 0) not in (0, None):  # the other processes of a run have nothing to write
        return WandbLogger(project=project, save_dir=out, offline=True)
    import wandb

    wished = os.environ.get("WANDB_MODE", "online")
    mode, reason = wished, f"WANDB_MODE={wished}"
    if not any(os.environ.get(name) for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "WANDB_CACHE_DIR")):
        os.environ["WANDB_CACHE_DIR"] = str(out / "wandb")  # wandb would leave a folder in the current one
    try:
        if wished not in OFFLINE_MODES:
            mode, reason = ("online", "") if has_wandb_key() else ("offline", "no key")
        run = _begin(out, project, config, mode)
    except Exception as error:  # wandb's errors have no common base: a key that is refused, a server out of reach
        if mode in OFFLINE_MODES:
            raise
        mode, reason = "offline", " ".join(str(error).split())[:120]
        wandb.teardown()
        run = _begin(out, project, config, mode)
    if mode in ("offline", "dryrun"):
        print(f"wandb: offline ({reason}); upload this run later with: wandb sync {Path(run.dir).parent}", flush=True)
    return WandbLogger(experiment=run)


def make_logger(kind: str, out: str | Path, project: str, config: Mapping[str, Any]) -> Logger | bool:
    """Makes the logger of a run; False is Lightning's word for none.

    Args:
        kind: csv, wandb or none.
        out: the run's folder; CSV goes to OUT/metrics.csv, wandb's files to OUT/wandb.
        project: wandb's project.
        config: plain builtins, kept with the record.

    Raises:
        RequestError: another kind.
    """
    out = Path(out)
    if kind == "none":
        return False
    if kind == "csv":
        return CSVLogger(out, name="", version="")
    if kind == "wandb":
        out.mkdir(parents=True, exist_ok=True)
        return _wandb_logger(out, project, config)
    raise RequestError(f"unknown logger {kind!r} (known: {' '.join(KINDS)})")
