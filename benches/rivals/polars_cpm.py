"""CPM's variables in Polars, streaming: python polars_cpm.py DATA OUT AS_OF [AS_OF ...]

The rows that matter are read once into narrow frames of numbers; each date is then a long aggregation by person and code
group and a pivot, and counts by window. OUT/<as-of>.parquet has one row a person of the register."""

import os
import sys
from datetime import date, timedelta
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "2"
import polars as pl  # noqa: E402

from variables import ADMISSIONS, ANY, ATTENDANCES, EMERGENCY_METHODS, PLACE, UNRESOLVED, VISITS, code_groups  # noqa: E402

data, out, dates = Path(sys.argv[1]), Path(sys.argv[2]), [date.fromisoformat(text) for text in sys.argv[3:]]
out.mkdir(parents=True, exist_ok=True)
groups = pl.DataFrame(code_groups(), schema={"snomed_code": pl.String, "g": pl.UInt8}, orient="row").lazy()
people = pl.scan_parquet(data / "register.parquet").select(person="person_id").unique().collect().with_row_index("n")
last = max(dates)


def read(pattern, person, rows, **columns):
    rows = pl.scan_parquet(data / pattern).filter(rows)
    rows = rows.join(groups, on="snomed_code") if "g" in columns else rows
    rows = rows.join(people.lazy(), left_on=person, right_on="person")
    return rows.select("n", **columns).collect(engine="streaming").lazy()


day = pl.col
gp = read("gp_events_*.parquet", "person_id", pl.col("event_date") < last, g="g", day="event_date",
          known=pl.max_horizontal("event_date", "recorded_date"))
is_first = (pl.col("EPIORDER") == "1") & (pl.col("EPISTAT") == "3") & pl.col("ADMIMETH").is_in(EMERGENCY_METHODS)
admissions = read("hes_apc_*.parquet", "ENCRYPTED_HESID", is_first, day="ADMIDATE", known=pl.max_horizontal("ADMIDATE", "EPIEND"))
visits = read("hes_ae_*.parquet", "ENCRYPTED_HESID", pl.col("AEATTENDCAT").is_in(["1", "3", "9"]), day="ARRIVALDATE", known="ARRIVALDATE")
attendances = read("hes_op_*.parquet", "ENCRYPTED_HESID", pl.col("ATTENDED").is_in(["5", "6"]), day="APPTDATE", known="APPTDATE")
in_chapters = pl.col("bnf_code").str.slice(0, 2).is_between(pl.lit("01"), pl.lit("15"))
drugs = read("gp_prescriptions_*.parquet", "person_id", in_chapters, day="issue_date", drug=pl.col("bnf_code").str.slice(0, 9).cast(pl.Categorical))


def counts(rows, windows, as_of):
    age = (pl.lit(as_of) - pl.col("day")).dt.total_days()
    far = max(b for _, b in windows.values())
    known = rows.filter(pl.col("day") < as_of, pl.col("known") < as_of, pl.col("day") >= as_of - timedelta(days=far))
    columns = {name: ((age > a) & (age <= b)).sum() for name, (a, b) in windows.items()}
    return known.group_by("n").agg(**columns)


for as_of in dates:
    known = gp.filter(pl.col("day") < as_of, pl.col("known") < as_of)
    long = known.group_by("n", "g").agg(pl.col("day").max()).collect(engine="streaming")
    wide = long.pivot(on="g", index="n", values="day").lazy()
    missing = [pl.lit(None, pl.Date).alias(str(place)) for place in PLACE.values() if str(place) not in wide.collect_schema().names()]
    wide = wide.with_columns(missing)
    found = {name: (pl.col(str(PLACE[f"{name}:found"])), pl.col(str(PLACE[f"{name}:ended"]))) for name in UNRESOLVED}
    flags = {name: (day_found >= day_ended.fill_null(date(1, 1, 1))).fill_null(False).cast(pl.Int8) for name, (day_found, day_ended) in found.items()}
    flags |= {name: pl.col(str(PLACE[name])).is_not_null().cast(pl.Int8) for name in ANY}
    first = (as_of - timedelta(days=90)).replace(day=1)
    by_month = drugs.filter(pl.col("day") < as_of, pl.col("day") >= first).group_by("n", pl.col("day").dt.month_start()).agg(pl.col("drug").n_unique())
    most = by_month.group_by("n").agg(drugs_in_any_month=pl.col("drug").max())
    frames = [wide.select("n", **flags), counts(admissions, ADMISSIONS, as_of), counts(visits, VISITS, as_of), counts(attendances, ATTENDANCES, as_of), most]
    answer = people.lazy()
    for frame in frames:
        answer = answer.join(frame, on="n", how="left")
    answer.drop("n").with_columns(pl.exclude("person").fill_null(0)).collect(engine="streaming").write_parquet(out / f"{as_of}.parquet")
