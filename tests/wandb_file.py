"""Reads what an offline run of Weights & Biases wrote: LevelDB's log format around its own records."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

BLOCK, HEAD, BEGIN = 32768, 7, 7
FULL, FIRST, LAST = 1, 2, 4


def messages(path: Path) -> list[Any]:
    """All records of a .wandb file, as wandb's protobuf messages."""
    from wandb.proto import wandb_internal_pb2

    data, place, whole, found = path.read_bytes(), BEGIN, b"", []
    while place + HEAD <= len(data):
        if BLOCK - place % BLOCK < HEAD:  # what is left of a block is too small for a head
            place += BLOCK - place % BLOCK
            continue
        _, size, kind = struct.unpack("<IHB", data[place : place + HEAD])
        part = data[place + HEAD : place + HEAD + size]
        place += HEAD + size
        whole = part if kind in (FULL, FIRST) else whole + part
        if kind in (FULL, LAST):
            record: Any = wandb_internal_pb2.Record()  # pyright: ignore[reportAttributeAccessIssue]
            record.ParseFromString(whole)
            found.append(record)
    return found


def history(records: list[Any]) -> list[dict[str, Any]]:
    """Logged rows."""
    rows = [r.history.item for r in records if r.HasField("history")]
    return [{i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in row} for row in rows]


def config(records: list[Any]) -> dict[str, Any]:
    """The run's config, with all that was added later."""
    found: dict[str, Any] = {}
    for record in records:
        update = record.run.config.update if record.HasField("run") else ()
        for item in (*update, *(record.config.update if record.HasField("config") else ())):
            found[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
    return found


def artifacts(records: list[Any]) -> list[tuple[str, list[str]]]:
    """Type and files of each artifact."""
    requests = [r.request.log_artifact.artifact for r in records if r.HasField("request")]
    found = [*requests, *(r.artifact for r in records if r.HasField("artifact"))]
    return [(a.type, sorted(e.path for e in a.manifest.contents)) for a in found if a.type]
