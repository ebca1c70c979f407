"""Where a run's figures go: a CSV file, Weights & Biases, or nowhere.

Weights & Biases asks for a key on a terminal and fails without one elsewhere; here it does neither. Without a key, or
where its server cannot be reached, it writes offline, and one line says how to upload the run later.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from music.errors import RequestError
from training.csv_record import CsvRecord

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


def _begin(out: Path, project: str, config: Mapping[str, Any], mode: str, group: str | None, name: str | None) -> Any:
    import wandb

    settings = wandb.Settings(init_timeout=INIT_TIMEOUT, login_timeout=1, console="off", silent=True)
    asked: dict[str, Any] = {"project": project, "dir": out, "config": dict(config), "group": group, "name": name}
    run = wandb.init(mode=mode, settings=settings, **asked)  # type: ignore
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    return run


def _stay_inside(out: Path) -> None:
    """Keeps what wandb stages for uploading in the run's folder, so that `wandb sync` finds it there later."""
    os.environ.setdefault("WANDB_DATA_DIR", str(out.resolve() / "wandb"))
    if not any(os.environ.get(name) for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "WANDB_CACHE_DIR")):
        os.environ["WANDB_CACHE_DIR"] = str(out / "wandb")  # wandb would leave a folder in the current one


def _wandb_logger(out: Path, project: str, config: Mapping[str, Any], group: str | None, name: str | None) -> Logger:
    if getattr(rank_zero_only, "rank", 0) not in (0, None):  # the other processes of a run have nothing to write
        return WandbLogger(project=project, save_dir=out, offline=True)
    import wandb

    wished = os.environ.get("WANDB_MODE", "online")
    mode, reason = wished, f"WANDB_MODE={wished}"
    _stay_inside(out)
    try:
        if wished not in OFFLINE_MODES:
            mode, reason = ("online", "") if has_wandb_key() else ("offline", "no key")
        run = _begin(out, project, config, mode, group, name)
    except Exception as error:  # wandb's errors have no common base: a key that is refused, a server out of reach
        if mode in OFFLINE_MODES:
            raise
        mode, reason = "offline", " ".join(str(error).split())[:120]
        wandb.teardown()
        run = _begin(out, project, config, mode, group, name)
    if mode in ("offline", "dryrun"):
        print(f"wandb: offline ({reason}); upload this run later with: wandb sync {Path(run.dir).parent}", flush=True)
    return WandbLogger(experiment=run)


def make_logger(
    kind: str,
    out: str | Path,
    project: str,
    config: Mapping[str, Any],
    *,
    group: str | None = None,
    name: str | None = None,
) -> Logger | bool:
    """Makes the logger of a run; False is Lightning's word for none.

    Args:
        kind: csv, wandb or none.
        out: the run's folder; CSV goes to OUT/metrics.csv, wandb's files to OUT/wandb.
        project: wandb's project.
        config: plain builtins, kept with wandb's record.
        group: wandb's group, which the runs of a sweep share.
        name: wandb's name of the run; None lets it make one up.

    Raises:
        RequestError: another kind.
    """
    out = Path(out)
    if kind == "none":
        return False
    if kind == "csv":
        return CsvRecord(out)
    if kind == "wandb":
        out.mkdir(parents=True, exist_ok=True)
        return _wandb_logger(out, project, config, group, name)
    raise RequestError(f"unknown logger {kind!r} (known: {' '.join(KINDS)})")


class Named(Logger):
    """A logger under whose figures a name is put first: "theme/valid/nats_per_token".

    Args:
        logger: where they go.
        prefix: the name.
    """

    def __init__(self, logger: Logger, prefix: str) -> None:
        super().__init__()
        self.inner, self.prefix = logger, prefix

    @property
    def name(self) -> str | None:
        """The inner logger's."""
        return self.inner.name

    @property
    def version(self) -> int | str | None:
        """The inner logger's."""
        return self.inner.version

    @property
    def save_dir(self) -> str | None:
        """The inner logger's."""
        return self.inner.save_dir

    @property
    def experiment(self) -> Any:
        """The inner logger's, where it has one."""
        return getattr(self.inner, "experiment", None)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Settings under the name."""
        self.inner.log_hyperparams({self.prefix: dict(params)})

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float | int], step: int | None = None) -> None:
        """Figures under the name; Lightning's count of epochs too."""
        self.inner.log_metrics({f"{self.prefix}/{name}": value for name, value in metrics.items()}, step)

    def save(self) -> None:
        """As the inner logger."""
        self.inner.save()

    def finalize(self, status: str) -> None:
        """As the inner logger."""
        self.inner.finalize(status)


def named(logger: Logger | bool, prefix: str) -> Logger | bool:
    """The logger with a name before all of its figures; False stays False."""
    return Named(logger, prefix) if isinstance(logger, Logger) else logger


def begin_at(logger: Logger, step: int, prefix: str = "") -> None:
    """Tells a CSV record that a run begins, or goes on, at a step: figures from there on will come again."""
    if isinstance(logger, Named):
        begin_at(logger.inner, step, f"{logger.prefix}/{prefix}")
    elif isinstance(logger, CsvRecord):
        logger.begin(step, prefix)


def wandb_run(logger: Logger | bool) -> Any:
    """The run of Weights & Biases behind a logger, or None."""
    if isinstance(logger, Named):
        return wandb_run(logger.inner)
    return logger.experiment if isinstance(logger, WandbLogger) else None
