"""Writes models/scores/cpm_variables.toml: the variables of the Combined Predictive Model that the rivals work out too,
as a model of facts, so that a run publishes them as columns of scores.parquet. Run it after a change of variables.py."""

from pathlib import Path

from variables import ADMISSIONS, ANY, ATTENDANCES, UNRESOLVED, VISITS

lines = [
    "# Written by benches/rivals/make_model.py from benches/rivals/variables.py.",
    "format = 1",
    "",
    "[model]",
    'id      = "cpm_variables"',
    'version = "1.0.0"',
    'title   = "Variables of the Combined Predictive Model, to be held against other engines"',
    'kind    = "facts"',
    "",
    "[source]",
    'citation = "the variables of models/scores/cpm.toml"',
    'location = "the same"',
    "derived = []",
    'assumed = ["Those variables alone that a query over the extracts can give without building spells."]',
]


def term(name, value):
    lines.extend(["", "[[term]]", f'name  = "{name}"', f'label = "{name}"', f"value = {value}", 'when_missing = "zero"'])


def listed(lists):
    return ", ".join(f'"{one}"' for one in lists)


for name, (diagnosis, resolved) in UNRESOLVED.items():
    term(name, f'{{ unresolved = {{ of = "gp_event", field = "code", diagnosis = ["{diagnosis}"], resolved = ["{resolved}"], days = "ever" }} }}')
for name, lists in ANY.items():
    term(name, f'{{ any = {{ of = "gp_event", where = {{ code = {{ in = [{listed(lists)}] }} }}, days = "ever" }} }}')
for name, (near, far) in ADMISSIONS.items():
    term(name, f'{{ count = {{ of = "admission", where = {{ method = "emergency" }}, days = [{near}, {far}] }} }}')
for name, (near, far) in VISITS.items():
    term(name, f'{{ count = {{ of = "emergency", where = {{ category = {{ not = "planned_follow_up" }} }}, days = [{near}, {far}] }} }}')
for name, (near, far) in ATTENDANCES.items():
    term(name, f'{{ count = {{ of = "outpatient", where = {{ attendance = "attended" }}, days = [{near}, {far}] }} }}')
chapters = listed(f"{chapter:02}" for chapter in range(1, 16))
term("drugs_in_any_month", f'{{ max_per_month_of_distinct = {{ of = "prescription", where = {{ code = {{ prefix = [{chapters}] }} }}, days = [0, 90], field = "code", characters = 9 }} }}')
(Path(__file__).parent / "models/scores/cpm_variables.toml").write_text("\n".join(lines) + "\n")
