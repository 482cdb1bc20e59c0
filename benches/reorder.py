"""The GP feeds of a synthetic population in another order of rows: python reorder.py DATA OUT practice|shuffled

`practice`: by practice, then by month, as extracts often come; `shuffled`: no order at all. Everything else is linked as
it is. Needs Polars (benches/rivals/requirements.txt)."""

import os
import sys
from pathlib import Path

import polars as pl

data, out, order = Path(sys.argv[1]).resolve(), Path(sys.argv[2]), sys.argv[3]
out.mkdir(parents=True, exist_ok=True)
for file in sorted(data.iterdir()):
    if not file.name.startswith(("gp_events_", "gp_prescriptions_")):
        if not (out / file.name).exists():
            os.symlink(file, out / file.name)
for feed, day in [("gp_events", "event_date"), ("gp_prescriptions", "issue_date")]:
    rows = pl.read_parquet(data / f"{feed}_*.parquet")
    if order == "practice":
        rows = rows.sort("practice_code", pl.col(day).dt.month_start(), maintain_order=True)
    else:
        rows = rows.sample(fraction=1.0, shuffle=True, seed=7)
    length = -(-rows.height // 4)
    for number in range(4):
        part = rows.slice(number * length, length)
        part.write_parquet(out / f"{feed}_{number + 1:02}.parquet", compression="snappy", row_group_size=1 << 20)
