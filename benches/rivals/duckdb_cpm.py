"""CPM's variables in DuckDB: python duckdb_cpm.py DATA OUT AS_OF [AS_OF ...]

The rows that matter are read once into narrow tables of numbers; each date is then a long aggregation by person and code
group and a pivot, and counts by window. OUT/<as-of>.parquet has one row a person of the register."""

import sys
from pathlib import Path

import duckdb

from variables import ADMISSIONS, ANY, ATTENDANCES, EMERGENCY_METHODS, PLACE, UNRESOLVED, VISITS, code_groups

data, out, dates = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
out.mkdir(parents=True, exist_ok=True)
db = duckdb.connect()
db.execute("SET threads = 2")
db.execute("CREATE TABLE groups (code VARCHAR, g UTINYINT)")
codes, numbers = zip(*code_groups())
db.execute("INSERT INTO groups SELECT unnest(?), unnest(?)", [list(codes), list(numbers)])
db.execute(f"CREATE TABLE people AS SELECT person, row_number() OVER ()::INTEGER AS n FROM (SELECT DISTINCT person_id AS person FROM '{data}/register.parquet')")
last = max(dates)
db.execute(f"""CREATE TABLE gp AS SELECT n, g, event_date AS day, greatest(event_date, recorded_date) AS known
    FROM '{data}/gp_events_*.parquet' e JOIN groups ON snomed_code = code JOIN people ON person_id = person
    WHERE event_date < DATE '{last}'""")
db.execute(f"""CREATE TABLE admissions AS SELECT n, ADMIDATE AS day, greatest(ADMIDATE, EPIEND) AS known
    FROM '{data}/hes_apc_*.parquet' JOIN people ON ENCRYPTED_HESID = person
    WHERE EPIORDER = '1' AND EPISTAT = '3' AND ADMIMETH IN {tuple(EMERGENCY_METHODS)}""")
db.execute(f"""CREATE TABLE visits AS SELECT n, ARRIVALDATE AS day, ARRIVALDATE AS known
    FROM '{data}/hes_ae_*.parquet' JOIN people ON ENCRYPTED_HESID = person WHERE AEATTENDCAT IN ('1', '3', '9')""")
db.execute(f"""CREATE TABLE attendances AS SELECT n, APPTDATE AS day, APPTDATE AS known
    FROM '{data}/hes_op_*.parquet' JOIN people ON ENCRYPTED_HESID = person WHERE ATTENDED IN ('5', '6')""")
db.execute(f"""CREATE TABLE drugs AS SELECT DISTINCT n, issue_date AS day, substr(bnf_code, 1, 9) AS drug
    FROM '{data}/gp_prescriptions_*.parquet' JOIN people ON person_id = person
    WHERE substr(bnf_code, 1, 2) BETWEEN '01' AND '15'""")


def counts(table, windows, as_of):
    far = max(b for _, b in windows.values())
    columns = ", ".join(f"count(*) FILTER (age > {a} AND age <= {b}) AS {name}" for name, (a, b) in windows.items())
    return f"""(SELECT n, {columns} FROM (SELECT n, DATE '{as_of}' - day AS age FROM {table}
        WHERE day < DATE '{as_of}' AND known < DATE '{as_of}' AND day >= DATE '{as_of}' - {far}) GROUP BY n)"""


for as_of in dates:
    flags = [f"coalesce(\"{PLACE[f'{name}:found']}\" >= coalesce(\"{PLACE[f'{name}:ended']}\", DATE '0001-01-01'), FALSE)::TINYINT AS {name}" for name in UNRESOLVED]
    flags += [f"(\"{PLACE[name]}\" IS NOT NULL)::TINYINT AS {name}" for name in ANY]
    others = [f"coalesce({name}, 0) AS {name}" for name in [*ADMISSIONS, *VISITS, *ATTENDANCES, "drugs_in_any_month"]]
    db.execute(f"CREATE OR REPLACE TABLE long AS SELECT n, g, max(day) AS last FROM gp WHERE day < DATE '{as_of}' AND known < DATE '{as_of}' GROUP BY n, g")
    wide = ", ".join(str(place) for place in PLACE.values())
    db.execute(f"""COPY (SELECT person, {', '.join(flags + others)} FROM people
        LEFT JOIN (PIVOT long ON g IN ({wide}) USING max(last) GROUP BY n) USING (n)
        LEFT JOIN {counts('admissions', ADMISSIONS, as_of)} USING (n)
        LEFT JOIN {counts('visits', VISITS, as_of)} USING (n)
        LEFT JOIN {counts('attendances', ATTENDANCES, as_of)} USING (n)
        LEFT JOIN (SELECT n, max(drugs) AS drugs_in_any_month FROM (
            SELECT n, count(DISTINCT drug) AS drugs FROM drugs
            WHERE day < DATE '{as_of}' AND day >= date_trunc('month', DATE '{as_of}' - 90)
            GROUP BY n, date_trunc('month', day)) GROUP BY n) USING (n)
        ) TO '{out}/{as_of}.parquet'""")
