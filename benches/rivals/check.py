"""Whether two answers are equal, row for row: python check.py scores.parquet RIVAL.parquet

The first is a run's with the model cpm_variables. A fact that a person's feeds could not have told is missing there and 0
here, where nobody looks at feeds."""

import sys

import polars as pl

from variables import NAMES

ours = pl.read_parquet(sys.argv[1], columns=["person", *NAMES]).with_columns(pl.exclude("person").fill_null(0).cast(pl.Int64))
theirs = pl.read_parquet(sys.argv[2], columns=["person", *NAMES]).with_columns(pl.exclude("person").cast(pl.Int64))
both = ours.join(theirs, on="person", how="left", suffix="_theirs").with_columns(pl.exclude("person").fill_null(-1))
differ = {name: both.filter(pl.col(name) != pl.col(f"{name}_theirs")).height for name in NAMES}
differ = {name: rows for name, rows in differ.items() if rows}
print(f"{ours.height} people, {len(NAMES)} variables: {'all equal' if not differ else f'they differ: {differ}'}")
sys.exit(bool(differ))
