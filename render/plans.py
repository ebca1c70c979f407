"""A folder of plans: one a line in plans.jsonl, and pictures of them where they are few."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from music.plan import Plan
from music.plan_json import plan_to_json
from render.folder import new_folder
from render.plan_picture import draw_plan

MOST_PICTURES = 12  # of more plans none is drawn: a picture takes longer than a plan


def write_plans(folder: Path, plans: Iterable[Plan], count: int) -> Path:
    """Prints plans as they come and writes them, all or nothing.

    Args:
        folder: see `render.folder.new_folder`; pictures of an earlier run go.
        plans: so many as `count` says; each is made when the one before is written.
        count: up to `MOST_PICTURES` are drawn.

    Returns:
        The file of the plans.
    """
    pictures = [f"plan-{number:02}.png" for number in range(1, MOST_PICTURES + 1)]
    names = ("plans.jsonl", *pictures)
    with new_folder(folder, names) as place, (place / "plans.jsonl").open("w", encoding="utf-8") as file:
        for index, plan in enumerate(plans):
            print(plan)
            file.write(json.dumps(plan_to_json(plan), ensure_ascii=False) + "\n")
            if count <= MOST_PICTURES:
                draw_plan(plan, place / pictures[index])
    return folder / "plans.jsonl"
