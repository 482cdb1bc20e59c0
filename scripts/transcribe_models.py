#!/usr/bin/env python3
"""Writes the files under models/ from the folder of reference facts.

    python3 scripts/transcribe_models.py REFERENCE_DIR

Published facts (coefficients, weights, code lists, code values) are read from the CSV files of REFERENCE_DIR, in their
order, and never typed here. What is our reading stands below as plain data: which value a term takes, in which window,
the words that a list shows, the lists that a source leaves open. Code lists, tables and models are written under
models/ beside this script's folder; layouts and cohorts are kept by hand, for each is a reading of one body's files or
of one team's work. The same inputs give the same bytes. The script stops where a fact and a reading do not fit
together: a term without a reading, a window that differs from the paper's, a published example that does not come out.

Needs Python 3.11 and nothing else.
"""

import csv
import math
import sys
from decimal import Decimal
from pathlib import Path

MODELS = Path(__file__).resolve().parent.parent / "models"
REFERENCE = Path()


# --- Reading the facts -----------------------------------------------------------------------------------------------


def rows(file):
    """The rows of a reference file, without its source line."""
    text = (REFERENCE / file).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def source_line(file):
    """The first line of a reference file, without its mark."""
    first = (REFERENCE / file).read_text(encoding="utf-8").splitlines()[0].lstrip("# ").strip()
    for word in ("Sources:", "Source:"):
        first = first.removeprefix(word)
    return first.strip()


def must(fact, what):
    if not fact:
        sys.exit(f"transcribe_models: {what}")


def has_snomed_check_digit(code):
    """Whether the last digit of a SNOMED CT identifier is its Verhoeff check digit."""
    turn = [[int(d) for d in line] for line in
            "1576283094 5803796142 8916043527 9453126870 4286573901 2793806415 7046913258".split()]
    turn.insert(0, list(range(10)))
    check = 0
    for place, digit in enumerate(reversed(code)):
        a, b = check, turn[place % 8][int(digit)]
        if a < 5:
            check = (a + b) % 5 if b < 5 else 5 + (a + b - 5) % 5
        else:
            check = 5 + (a - 5 - b) % 5 if b < 5 else (a - b) % 5
    return check == 0


# --- Writing ---------------------------------------------------------------------------------------------------------


def write(path, text):
    must(text.isascii() or "\ufffd" not in text, f"{path}: a character was lost")
    target = MODELS / path
    target.parent.mkdir(parents=True, exist_ok=True)
    # Written beside and renamed, so that nobody reads half a file.
    draft = target.with_name(f".{target.name}.draft")
    draft.write_text(text.rstrip("\n") + "\n", encoding="utf-8", newline="\n")
    draft.replace(target)


def csv_line(cells):
    def cell(text):
        text = str(text)
        return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n') else text
    return ",".join(cell(text) for text in cells)


def write_codelist(name, source, lines):
    """`lines`: (system, code, match, category, label, weight). Written by category, system, code."""
    lines = sorted(set(lines), key=lambda line: (line[3], line[0], line[1], line[2]))
    for system, code, *_ in lines:
        must(system != "snomed" or has_snomed_check_digit(code), f"{name}: {code} is no SNOMED CT identifier")
    head = [f"# Source: {source}", "system,code,match,category,label,weight"]
    write(f"codelists/{name}.csv", "\n".join(head + [csv_line(line) for line in lines]))


def write_table(name, source, lines):
    head = [f"# Source: {source}", "code,value,label"]
    write(f"tables/{name}.csv", "\n".join(head + [csv_line(line) for line in sorted(lines)]))


def quoted(text):
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def listed(texts):
    return "[" + ", ".join(quoted(text) for text in texts) + "]"


def block(head, pairs, comment=""):
    """A TOML block with its keys aligned; pairs without a value are left out."""
    pairs = [(key, value) for key, value in pairs if value is not None]
    width = max((len(key) for key, _ in pairs), default=0)
    lines = [f"{key:<{width}} = {value}" for key, value in pairs]
    return "\n".join([head + (f"  # {comment}" if comment else "")] + lines) + "\n"


def sentences(texts):
    """A TOML list with one text a line."""
    return "[]" if not texts else "[\n" + "".join(f"  {quoted(text)},\n" for text in texts) + "]"


def rule(title):
    return f"# {'-' * 3} {title} {'-' * max(3, 112 - len(title))}\n"


def header(model, citation, location, derived, assumed, licence=None):
    return "\n".join([
        "format = 1\n",
        block("[model]", [(key, value if key == "horizon_days" else quoted(value)) for key, value in model.items()]),
        block("[source]", [
            ("citation", quoted(citation)),
            ("location", quoted(location)),
            ("licence", quoted(licence) if licence else None),
        ]) + f"derived = {sentences(derived)}\nassumed = {sentences(assumed)}\n",
    ])


def outcome_block(days, events=None, after=None, died="no_event", deregistered="left_out"):
    """What is looked for when a past score is held against what came. No score depends on it."""
    return block("[outcome]", [
        ("events", f"{{ {events} }}" if events else None),
        ("days", days),
        ("after", quoted(after) if after else None),
        ("died", quoted(died)),
        ("deregistered", quoted(deregistered)),
    ])


def value_block(name, value, label=None, steps=None):
    return block("[[value]]", [
        ("name", quoted(name)),
        ("label", quoted(label) if label else None),
        ("value", value),
        ("steps", steps),
    ])


def term_block(name, label, value, coefficient=None, steps=None, group=None, missing="zero", reason=None, comment=""):
    return block("[[term]]", [
        ("name", quoted(name)),
        ("label", quoted(label)),
        ("reason", quoted(reason) if reason else None),
        ("value", value),
        ("steps", steps),
        ("when_missing", quoted(missing)),
        ("group", quoted(group) if group else None),
        ("coefficient", coefficient),
    ], comment)


def band_block(name, key, value):
    return block("[[band]]", [("name", quoted(name)), (key, value)])


def example_block(who, given, decimals, **expected):
    given = "{ " + ", ".join(f"{key} = {value}" for key, value in given.items()) + " }" if given else "{}"
    return block("[[example]]", [
        ("who", quoted(who)),
        ("given", given),
        *[(key, value) for key, value in expected.items()],
        ("decimals", decimals),
    ])


# --- The language of values ------------------------------------------------------------------------------------------


def decimals(number):
    return len(number.partition(".")[2])


def days(window):
    return quoted(window) if isinstance(window, str) else f"[{window[0]}, {window[1]}]"


def events(kind, of, window, where=None, before=None, **more):
    parts = [f"of = {quoted(of)}"]
    if where:
        parts.append(f"where = {{ {where} }}")
    parts.append(f"days = {days(window)}")
    if before:
        parts.append(f"before = {quoted(before)}")
    parts += [f"{key} = {value}" for key, value in more.items()]
    return f"{{ {kind} = {{ {', '.join(parts)} }} }}"


def coded(field, *lists):
    return f"{field} = {{ in = {listed(lists)} }}"


def gp_ever(*lists):
    return events("any", "gp_event", "ever", coded("code", *lists))


def prescribed(window, *groups):
    return events("any", "prescription", window, coded("code", *[f"bnf_groups/{group}" for group in groups]))


def unresolved(diagnosis, resolved):
    return (f"{{ unresolved = {{ of = \"gp_event\", field = \"code\", diagnosis = {listed(diagnosis)}, "
            f"resolved = {listed(resolved)}, days = \"ever\" }} }}")


def named(name):
    return f"{{ named = {quoted(name)} }}"


def combined(kind, names):
    """A value made of other values of the file."""
    return f"{{ {kind} = {listed(names)} }}"


WINDOW_WORDS = {
    (0, 30): "in the last 30 days",
    (30, 90): "1 to 3 months ago",
    (90, 180): "3 to 6 months ago",
    (180, 365): "6 to 12 months ago",
    (365, 730): "1 to 2 years ago",
    (0, 90): "in the last 3 months",
    (0, 365): "in the last year",
    (0, 730): "in the last 2 years",
}

EMERGENCY = 'method = "emergency"'
EMERGENCY_ADMISSION = f'of = "admission", where = {{ {EMERGENCY} }}'
LOST = ("[outcome], which the source does not spell out: who died without one counts as somebody without an emergency "
        "admission; who was registered nowhere at the end is left out, for an admission elsewhere is not seen.")
LOST_AFTER_A_STAY = ("[outcome]: the days count from the end of the stay that was scored, so that for somebody discharged "
                     "before the as-of date only the days that are left are looked at. ")
ATTENDED = 'attendance = "attended"'
UNPLANNED = 'category = { not = "planned_follow_up" }'


# --- Code lists ------------------------------------------------------------------------------------------------------

ASSUMED = "assumed, ours: "

# Smoking status, from GP codes in general use; names shortened.
SMOKING = {
    "current": {
        "77176002": "Smoker", "65568007": "Cigarette smoker", "59978006": "Cigar smoker", "82302008": "Pipe smoker",
        "160603005": "Light cigarette smoker (1-9 a day)", "160604004": "Moderate cigarette smoker (10-19 a day)",
        "160605003": "Heavy cigarette smoker (20-39 a day)", "160606002": "Very heavy cigarette smoker (40+ a day)",
        "160612007": "Keeps trying to stop smoking", "160616005": "Trying to give up smoking",
        "160619003": "Rolls own cigarettes", "230059006": "Occasional cigarette smoker",
        "230060001": "Light cigarette smoker", "230062009": "Moderate cigarette smoker",
        "230063004": "Heavy cigarette smoker", "230065006": "Chain smoker", "266929003": "Smoking started",
        "308438006": "Smoking restarted", "394871007": "Thinking about stopping smoking",
        "394872000": "Ready to stop smoking", "394873005": "Not interested in stopping smoking",
        "446172000": "Failed attempt to stop smoking", "449868002": "Smokes tobacco daily",
        "428041000124106": "Occasional tobacco smoker",
    },
    "ex": {
        "8517006": "Ex-smoker", "160617001": "Stopped smoking", "160620009": "Ex-pipe smoker",
        "160621008": "Ex-cigar smoker", "266922007": "Ex-light cigarette smoker",
        "266923002": "Ex-moderate cigarette smoker", "266924008": "Ex-heavy cigarette smoker",
        "266925009": "Ex-very heavy cigarette smoker", "281018007": "Ex-cigarette smoker",
        "492191000000103": "Ex roll-up cigarette smoker", "517211000000106": "Recently stopped smoking",
    },
    "never": {
        "266919005": "Never smoked tobacco", "160618006": "Current non-smoker",
    },
}

EGFR = {
    "80274001": "Glomerular filtration rate",
    "1020291000000106": "GFR by abbreviated MDRD",
    "996231000000108": "GFR by abbreviated MDRD, adjusted for African American origin",
    "857971000000104": "Estimated GFR, CKD-EPI",
    "857981000000102": "Estimated GFR, CKD-EPI, per 1.73 square metres",
    "963601000000106": "Estimated GFR, cystatin C CKD-EPI",
    "963611000000108": "Estimated GFR, cystatin C, per 1.73 square metres",
    "963621000000102": "Estimated GFR, creatinine CKD-EPI",
    "963631000000100": "Estimated GFR, serum creatinine, per 1.73 square metres",
    "1011481000000105": "Estimated GFR, creatinine CKD-EPI, per 1.73 square metres",
    "1011491000000107": "Estimated GFR, cystatin C CKD-EPI, per 1.73 square metres",
    "1107411000000104": "Estimated GFR by laboratory calculation",
}

SUBSTANCE_MISUSE = {
    "2403008": "Psychoactive substance dependence", "66214007": "Substance abuse", "26416006": "Drug abuse",
    "191816009": "Drug dependence", "7200002": "Alcoholism", "15167005": "Alcohol abuse",
    "66590003": "Alcohol dependence", "75544000": "Opioid dependence", "5602001": "Opioid abuse",
    "31956009": "Cocaine dependence", "78267003": "Cocaine abuse", "85005007": "Cannabis dependence",
    "37344009": "Cannabis abuse", "21647008": "Amphetamine dependence", "84758004": "Amphetamine abuse",
}

# SNOMED CT observables under which GP systems record a measurement; names shortened.
MEASUREMENTS = {
    "haemoglobin": {"1022431000000105": "Haemoglobin estimation", "271026005": "Haemoglobin level estimation"},
    "tsh": {
        "1022791000000101": "Serum TSH level", "1022801000000102": "Plasma TSH level", "1027151000000105": "TSH level",
    },
    "hba1c": {
        "999791000000106": "HbA1c level, IFCC standardised",
        "1049301000000100": "HbA1c level (diagnostic reference range), IFCC standardised",
        "1049321000000109": "HbA1c level (monitoring ranges), IFCC standardised",
    },
    "sodium": {"1000661000000107": "Serum sodium level", "1017381000000106": "Plasma sodium level"},
    "bmi": {"60621009": "Body mass index"},
    "systolic": {
        "271649006": "Systolic blood pressure", "72313002": "Systolic arterial pressure",
        "400974009": "Standing systolic blood pressure", "407554009": "Sitting systolic blood pressure",
        "407556006": "Lying systolic blood pressure", "413606001": "Average home systolic blood pressure",
        "198081000000101": "Ambulatory systolic blood pressure", "314440001": "Average systolic blood pressure",
        "314446007": "Average day interval systolic blood pressure",
        "314449000": "Average 24 hour systolic blood pressure", "314464000": "24 hour systolic blood pressure",
    },
    "diastolic": {"271650006": "Diastolic blood pressure"},
    "systolic_24h": {"314449000": "Average 24 hour systolic blood pressure"},
    "diastolic_24h": {"314462001": "Average 24 hour diastolic blood pressure"},
    "barthel": {"273302005": "Barthel index"},
    "urine_acr": {
        "1023491000000104": "Urine albumin:creatinine ratio", "1028271000000109": "Albumin/creatinine ratio",
        "1027791000000103": "Albumin:creatinine ratio of a urine specimen",
    },
    "urine_pcr": {
        "1028731000000100": "Urine protein/creatinine ratio", "1006631000000104": "Random urine protein:creatinine ratio",
        "1108311000000109": "Ratio of protein to creatinine in 24 hour urine",
    },
    "ankle_brachial_index": {
        "446841001": "Ankle brachial pressure index", "401221002": "Ankle brachial pressure index (procedure)",
    },
    "copd_exacerbations": {"723245007": "Number of COPD exacerbations in the past year"},
}

# The measurement of each value rule of the electronic frailty index; its Read and CTV3 codes stand in the rule. egfr
# is a list of its own.
EFI_MEASUREMENTS = {
    "number of falls in last 12 months": "falls_number",
    "average 24h diastolic BP (mmHg)": "diastolic_24h",
    "average 24h systolic BP (mmHg)": "systolic_24h",
    "AF score recorded (any value)": "atrial_fibrillation_score",
    "Barthel index": "barthel",
    "six-item cognitive impairment test": "six_item_cognitive_test",
    "haemoglobin g/dL": "haemoglobin",
    "haemoglobin g/L": "haemoglobin",
    "TSH": "tsh",
    "glomerular filtration rate": "egfr",
    "urine protein mg/24h": "urine_protein_24h",
    "urine albumin mg/24h": "urine_albumin_24h",
    "urine protein:creatinine index mg/mmol": "urine_pcr",
    "urine albumin:creatinine ratio mg/mmol": "urine_acr",
    "urine microalbumin": "urine_microalbumin",
    "ankle brachial pressure index": "ankle_brachial_index",
    "hip DXA T score": "hip_t_score",
    "COPD exacerbations in past year / oxygen hours per day / unscheduled COPD encounters in 12 months": "copd_exacerbations",
    "malnutrition universal screening tool score": "malnutrition_score",
}

# Disorders that no list of the facts holds: the main SNOMED CT codes.
DISORDER_CODES = {
    "anxiety": {
        "197480006": "Anxiety disorder", "21897009": "Generalised anxiety disorder", "48694002": "Anxiety",
        "371631005": "Panic disorder", "35607004": "Panic disorder with agoraphobia", "70691001": "Agoraphobia",
        "386810004": "Phobic disorder", "25501002": "Social phobia", "191736004": "Obsessive-compulsive disorder",
        "47505003": "Post-traumatic stress disorder", "67195008": "Acute stress disorder",
        "17226007": "Adjustment disorder", "231504006": "Mixed anxiety and depressive disorder",
        "18193002": "Hypochondriasis", "397923000": "Somatisation disorder", "44376007": "Dissociative disorder",
    },
    "irritable_bowel_syndrome": {"10743008": "Irritable bowel syndrome"},
    "connective_tissue_disease": {
        "55464009": "Systemic lupus erythematosus", "9631008": "Ankylosing spondylitis",
        "156370009": "Psoriatic arthritis", "65323003": "Polymyalgia rheumatica", "83901003": "Sjogren's syndrome",
        "89155008": "Systemic sclerosis", "414341000": "Giant cell arteritis", "400130008": "Temporal arteritis",
        "396230008": "Dermatomyositis", "31384009": "Polymyositis",
    },
    "alcohol_problems": {
        "7200002": "Alcoholism", "15167005": "Alcohol abuse", "66590003": "Alcohol dependence",
        "284591009": "Persistent alcohol abuse", "8635005": "Alcohol withdrawal delirium",
        "420054005": "Alcoholic cirrhosis", "41309000": "Alcoholic liver damage",
    },
}

# LACE's conditions in the groups of Quan 2005. Kidney disease of stage 1 or 2 is mild; of stages 3 to 5 or not known,
# moderate or severe.
LACE_CONDITIONS = {
    "Previous myocardial infarction": ["mi"], "Cerebrovascular disease": ["cevd"], "Peripheral vascular disease": ["pvd"],
    "Diabetes without complications": ["diab"], "Congestive heart failure": ["chf"],
    "Diabetes with end organ damage": ["diabwc"], "Chronic pulmonary disease": ["cpd"],
    "Mild liver or renal disease": ["mld"], "Any tumour incl. lymphoma or leukaemia": ["canc"], "Dementia": ["dementia"],
    "Connective tissue disease": ["rheumd"], "AIDS": ["aids"], "Moderate or severe liver or renal disease": ["msld", "rend"],
    "Metastatic solid tumour": ["metacanc"],
}
MILD_KIDNEY_DISEASE = ["N181", "N182"]
OTHER_KIDNEY_DISEASE = [("N18", "exact")] + [(f"N18{digit}", "prefix") for digit in "0345689"]

# Sections of the British National Formulary, as its codes number them.
BNF_GROUPS = {
    "bronchodilator": {"0301": "Bronchodilators (BNF 3.1)"},
    "asthma_drug": {
        "0301": "Bronchodilators (BNF 3.1)",
        "0302": "Inhaled corticosteroids (BNF 3.2)",
        "0303": "Cromoglycate and leukotriene receptor antagonists (BNF 3.3)",
    },
    "anxiolytic_hypnotic": {"0401": "Hypnotics and anxiolytics (BNF 4.1)"},
    "antidepressant": {"0403": "Antidepressants (BNF 4.3)"},
    "antiepileptic": {"0408": "Antiepileptics (BNF 4.8)"},
    "analgesic": {"040701": "Non-opioid analgesics (BNF 4.7.1)", "040702": "Opioid analgesics (BNF 4.7.2)"},
    "antimigraine": {"040704": "Antimigraine drugs (BNF 4.7.4)"},
    "antispasmodic": {"0102": "Antispasmodics (BNF 1.2)"},
    "laxative": {"0106": "Laxatives (BNF 1.6)"},
    "lithium": {"0402030K0": "Lithium carbonate", "0402030P0": "Lithium citrate"},
    "skin": {
        "1304": "Topical corticosteroids (BNF 13.4)",
        "1305": "Preparations for eczema and psoriasis (BNF 13.5)",
    },
}

CHAPTERS_OF_MEDICINES = [f"{chapter:02}" for chapter in range(1, 16)]

# J20 counts only together with a code of chronic disease, which one code list cannot say.
CONDITIONAL_ACSC = {"J20"}


def snake(text):
    return "_".join("".join(mark if mark.isalnum() else " " for mark in text.lower()).split())


SYSTEM_NAMES = {"SNOMED CT": "snomed", "SNOMED CT refset": "snomed", "Read v2": "read2", "CTV3": "ctv3"}


def write_sensitive_and_opt_out_codes():
    """What never becomes an event, and what takes a person out."""
    sensitive, opt_outs, meaning = [], [], ""
    for row in rows("data-standards/sensitive_and_optout_codes.csv"):
        meaning = meaning if row["meaning"] == "as above" else row["meaning"]
        system = SYSTEM_NAMES.get(row["system"])
        if row["kind"] == "exclusion_refset":
            category = snake(meaning.rpartition(": ")[2])
            sensitive.append((system, row["code"], "exact", category, "reference set: " + meaning, ""))
        elif row["kind"] == "type1_optout":
            opt_outs.append((system, row["code"], "exact", "type_1_opt_out", meaning, ""))
        elif row["kind"] == "type2_objection_retired":
            opt_outs.append((system, row["code"], "exact", "type_2_objection_retired", meaning, ""))
    source = source_line("data-standards/sensitive_and_optout_codes.csv")
    write_codelist("sensitive", source + ". Here: the exclusion reference sets, by their own identifiers. Their members "
                   "are published in the SNOMED CT UK edition and are not shipped: import them over this list.", sensitive)
    write_codelist("opt_out_codes", source + ". Here: Type 1 opt-outs, and Type 2 objections, which became national data "
                   "opt-outs in 2018 and are honoured through the list of those. A list of one's own can add a category "
                   "type_1_opt_out_withdrawn.", opt_outs)


def write_codelists():
    write_sensitive_and_opt_out_codes()
    acsc, conditional = [], []
    for row in rows("scores/acsc_19_icd10.csv"):
        line = ("icd10", row["icd10_prefix"], "prefix", snake(row["condition"]), row["condition"].capitalize(), "")
        line = line[:4] + (row["condition"] if row["condition"][0].isupper() else line[4],) + line[5:]
        (conditional if row["icd10_prefix"] in CONDITIONAL_ACSC else acsc).append(line)
    source = source_line("scores/acsc_19_icd10.csv")
    write_codelist("acsc_19", source + " J20 is in acsc_19_conditional.", acsc)
    write_codelist("acsc_19_conditional", source + " Here: the codes that count only with a secondary diagnosis of COPD.", conditional)

    write_codelist("hfrs", source_line("scores/hfrs_weights.csv"), [
        ("icd10", row["icd10_3char"], "prefix", row["icd10_3char"], row["title"], row["points"])
        for row in rows("scores/hfrs_weights.csv")
    ])

    names = {row["category"]: row["name"] for row in rows("scores/charlson_weights.csv")}
    charlson = rows("scores/charlson_icd10_codes.csv")
    for name, variant in CHARLSON_LISTS.items():
        write_codelist(name, source_line("scores/charlson_icd10_codes.csv") + f" Here: variant {variant}.", [
            ("icd10", row["icd10_prefix"], "prefix", row["category"], names[row["category"]], "")
            for row in charlson if row["variant"] == variant
        ])
    names = {row["category"]: row["name"] for row in rows("scores/elixhauser_weights.csv")}
    write_codelist("elixhauser_quan2005", source_line("scores/elixhauser_icd10_codes.csv"), [
        ("icd10", row["icd10_prefix"], "prefix", row["category"], names[row["category"]], "")
        for row in rows("scores/elixhauser_icd10_codes.csv")
    ])
    write_codelist("lace_charlson", source_line("scores/lace_charlson_weights.csv") + " Codes: assumed, ours: the groups of "
                   "Quan 2005 (charlson_quan2005); kidney disease of stage 1 or 2 is mild.", lace_codes(charlson))
    write_codelist("falls", source_line("scores/falls_icd10.csv") + " Titles are ours.", [
        ("icd10", row["icd10"].replace(".", ""), "prefix", "falls", "Fall" if row["icd10"].startswith("W") else "Tendency to fall", "")
        for row in rows("scores/falls_icd10.csv")
    ])
    write_codelist("frailty", source_line("scores/frailty_snomed.csv") + " Here without the scale's wording.", frailty_codes())

    write_codelist("qof", source_line("scores/qof_cluster_codes_snomed.csv"), [
        ("snomed", row["snomed_code"], "exact", row["cluster"], "", "")
        for row in rows("scores/qof_cluster_codes_snomed.csv")
    ])
    names = {row["deficit"]: row["name"] for row in rows("scores/efi_deficits.csv")}
    write_codelist("efi", source_line("scores/efi_codes.csv") + " Without the codes of a deficit that its value rules read: "
                   "a number recorded under them may be 0.", [
        (row["system"], row["code"], "exact", row["deficit"], names[row["deficit"]], "")
        for row in rows("scores/efi_codes.csv") if (row["deficit"], row["code"]) not in efi_value_codes()
    ])
    write_codelist("care_status", source_line("scores/care_status_snomed.csv"), [
        ("snomed", row["snomed_code"], "exact", row["concept"], row["term"], "")
        for row in rows("scores/care_status_snomed.csv")
    ])

    write_codelist("smoking", ASSUMED + "SNOMED CT codes of smoking status in general GP use. SNOMED CT is used in the "
                   "UK under the national licence.", [
        ("snomed", code, "exact", status, label, "") for status, codes in SMOKING.items() for code, label in codes.items()
    ])
    read = measurement_codes()
    write_codelist("egfr", ASSUMED + "SNOMED CT codes under which an estimated glomerular filtration rate is recorded "
                   "(ml/min/1.73 m2); Read and CTV3 codes of the electronic frailty index's value rule. SNOMED CT is used "
                   "in the UK under the national licence.", [
        ("snomed", code, "exact", "egfr", label, "") for code, label in EGFR.items()
    ] + [line for line in read if line[3] == "egfr"])
    write_codelist("measurements", ASSUMED + "SNOMED CT codes under which a measurement is recorded; Read and CTV3 codes of "
                   "the electronic frailty index's value rules (" + source_line("scores/efi_value_rules.csv").split(" (")[0]
                   + "). SNOMED CT is used in the UK under the national licence.", [
        ("snomed", code, "exact", category, label, "") for category, codes in MEASUREMENTS.items() for code, label in codes.items()
    ] + [line for line in read if line[3] != "egfr"])
    write_codelist("disorders", ASSUMED + "the main SNOMED CT codes of disorders that no list of the facts holds. SNOMED CT "
                   "is used in the UK under the national licence.", [
        ("snomed", code, "exact", category, label, "") for category, codes in DISORDER_CODES.items() for code, label in codes.items()
    ])
    write_codelist("substance_misuse", ASSUMED + "psychoactive substance misuse; ICD-10 F10-F19 as a block (tobacco, F17, "
                   "with it), and the main SNOMED CT disorders. SNOMED CT is used in the UK under the national licence.", [
        ("snomed", code, "exact", "substance_misuse", label, "") for code, label in SUBSTANCE_MISUSE.items()
    ] + [
        ("icd10", f"F1{digit}", "prefix", "substance_misuse",
         "Mental and behavioural disorders due to psychoactive substance use", "") for digit in range(10)
    ])
    write_codelist("resolved", ASSUMED + "SNOMED CT codes that end a diagnosis, for conditions whose cluster of resolved "
                   "codes the list qof lacks. SNOMED CT is used in the UK under the national licence.", [
        ("snomed", "196381000000100", "exact", "DEPRES_COD", "Depression resolved", ""),
    ])
    write_codelist("bnf_groups", ASSUMED + "groups of medicines by the sections of the British National Formulary, which "
                   "its codes begin with (structure of the code: NHSBSA).", [
        ("bnf", prefix, "prefix", group, label, "") for group, codes in BNF_GROUPS.items() for prefix, label in codes.items()
    ])


def lace_codes(charlson):
    points = {row["condition"]: row["points"] for row in rows("scores/lace_charlson_weights.csv")}
    must(set(points) == set(LACE_CONDITIONS), "lace_charlson_weights.csv has other conditions")
    groups = {}
    for row in charlson:
        if row["variant"] == "quan2005":
            groups.setdefault(row["category"], []).append((row["icd10_prefix"], "prefix"))
    must(("N18", "prefix") in groups["rend"], "Quan's renal disease has not N18")
    groups["rend"] = [code for code in groups["rend"] if code != ("N18", "prefix")] + OTHER_KIDNEY_DISEASE
    groups["mld"] += [(code, "prefix") for code in MILD_KIDNEY_DISEASE]
    return [("icd10", code, match, snake(condition), condition, points[condition])
            for condition, categories in LACE_CONDITIONS.items() for category in categories for code, match in groups[category]]


def frailty_codes():
    lines = []
    for row in rows("scores/frailty_snomed.csv"):
        category, label = {
            "cfs_level": (f"scale_level_{row['level']}", f"Clinical Frailty Scale level {row['level']}"),
            "cfs_score_observable": ("scale_score", "Clinical Frailty Scale score"),
            "frailty_diagnosis": (row["band"], row["label"]),
        }[row["concept"]]
        lines.append(("snomed", row["snomed_code"], "exact", category, label, ""))
    return lines


def rule_codes(row):
    """The Read and CTV3 codes of a value rule, without the note on values."""
    return row["read_or_ctv3_codes"].partition("(")[0].split()


def measurement_codes():
    """Lines of Read and CTV3 codes by measurement. A code that begins with X or Y is CTV3's own."""
    lines = set()
    for row in rows("scores/efi_value_rules.csv"):
        for code in rule_codes(row):
            for system in ["ctv3"] if code[0] in "XY" else ["ctv3", "read2"]:
                lines.add((system, code, "exact", EFI_MEASUREMENTS[row["measurement"]], "", ""))
    return sorted(lines)


def efi_value_codes():
    """Deficit and code, where a value rule of that deficit reads the code."""
    codes = set()
    for row in rows("scores/efi_value_rules.csv"):
        category = EFI_MEASUREMENTS[row["measurement"]]
        for code in rule_codes(row) + list(EGFR if category == "egfr" else MEASUREMENTS.get(category, {})):
            codes.add((row["deficit"], code))
    return codes


# --- Conditions that several models share ----------------------------------------------------------------------------

# Name, label, value. A cluster whose resolved codes are not stored is taken as ever.
LTC_8 = [
    ("asthma", "Asthma", unresolved(["qof/AST_COD"], ["qof/ASTRES_COD"])),
    ("diabetes", "Diabetes", unresolved(["qof/DM_COD"], ["qof/DMRES_COD"])),
    ("copd", "COPD", unresolved(["qof/COPD_COD"], ["qof/COPDRES_COD"])),
    ("coronary_heart_disease", "Coronary heart disease", gp_ever("qof/CHD_COD")),
    ("heart_failure", "Heart failure", gp_ever("qof/HF_COD")),
    ("hypertension", "High blood pressure", unresolved(["qof/HYP_COD"], ["qof/HYPRES_COD"])),
    ("depression", "Depression", unresolved(["qof/DEPR_COD"], ["resolved/DEPRES_COD"])),
    ("cancer", "Cancer, from hospital diagnoses",
     events("any", "diagnosis", "ever", coded("code", "charlson_quan2005/canc", "charlson_quan2005/metacanc"))),
]
# The same eight in the words and order of the published list.
LTC_8_PUBLISHED = ["Asthma", "Diabetes", "COPD", "CAD", "CHF", "Hypertension", "Depression", "Cancer"]

OTHER_DISORDERS = [
    ("atrial_fibrillation", "Atrial fibrillation", gp_ever("qof/AFIB_COD", "efi/atrial_fibrillation")),
    ("stroke_or_tia", "Stroke or TIA", gp_ever("qof/STRK_COD", "qof/TIA_COD", "efi/stroke_tia")),
    ("chronic_kidney_disease", "Chronic kidney disease", gp_ever("qof/CKD_COD", "efi/ckd")),
    ("peripheral_vascular_disease", "Peripheral vascular disease", gp_ever("qof/PAD_COD", "efi/pvd")),
    ("dementia", "Dementia", gp_ever("qof/DEM_COD")),
    ("epilepsy", "Epilepsy", gp_ever("qof/EPIL_COD")),
    ("learning_disability", "Learning disability", gp_ever("qof/LD_COD")),
    ("psychotic_disorder", "Psychotic disorder", gp_ever("qof/MH_COD")),
    ("arthritis", "Arthritis", gp_ever("qof/RARTH_COD", "efi/arthritis")),
    ("osteoporosis", "Osteoporosis", gp_ever("qof/OSTEO_COD", "efi/osteoporosis")),
    ("fragility_fracture", "Fragility fracture", gp_ever("qof/FF_COD", "efi/fragility_fracture")),
    ("foot_problems", "Foot problems", gp_ever("efi/foot_problems")),
    ("heart_valve_disease", "Heart valve disease", gp_ever("efi/heart_valve_disease")),
    ("hypotension", "Low blood pressure or fainting", gp_ever("efi/hypotension")),
    ("parkinsonism", "Parkinsonism or tremor", gp_ever("efi/parkinsons")),
    ("peptic_ulcer", "Peptic ulcer", gp_ever("efi/peptic_ulcer")),
    ("skin_ulcer", "Skin ulcer", gp_ever("efi/skin_ulcer")),
    ("thyroid_disease", "Thyroid disease", gp_ever("efi/thyroid_disorders")),
    ("urinary_system_disease", "Urinary system disease", gp_ever("efi/urinary_system_disease")),
]
OTHER_RESPIRATORY = [
    ("respiratory_disease", None, gp_ever("efi/respiratory_disease")),
    ("asthma_or_copd_ever", None, gp_ever("qof/AST_COD", "qof/COPD_COD")),
    ("no_asthma_or_copd", None, '{ not = "asthma_or_copd_ever" }'),
    ("other_respiratory_disease", "Respiratory disease other than asthma and COPD",
     combined("all_true", ["respiratory_disease", "no_asthma_or_copd"])),
]
DISORDERS = [name for name, _, _ in LTC_8 + OTHER_DISORDERS] + ["other_respiratory_disease"]

MEDICINES_PER_MONTH = events("max_per_month_of_distinct", "prescription", (0, 90),
                             f"code = {{ prefix = {listed(CHAPTERS_OF_MEDICINES)} }}", field=quoted("code"), characters=9)


# --- The Combined Predictive Model -----------------------------------------------------------------------------------

CPM_WINDOWS = [(0, 30), (30, 90), (90, 180), (180, 365), (365, 730)]


def counts(prefix, of, where, windows):
    return [(f"{prefix}_{a}_{b}", None, events("count", of, (a, b), where), None) for a, b in windows]


# Values that several terms share: name, label, value, steps.
CPM_VALUES = [
    ("Person", [("age", None, "{ age_years = {} }", None)]),
    ("Accident and emergency", counts("ae_visits", "emergency", UNPLANNED, [(180, 365)])),
    ("General practice: the eight long-term conditions", [
        *[(name, label, value, None) for name, label, value in LTC_8],
        ("ltc_count_8", "Long-term conditions, of 8", combined("count_true", [name for name, _, _ in LTC_8]), None),
    ]),
    ("General practice: other disorders", [
        *[(name, label, value, None) for name, label, value in OTHER_DISORDERS + OTHER_RESPIRATORY],
        ("disorders", "Distinct disorders", combined("count_true", DISORDERS), None),
    ]),
    ("General practice: substance misuse, medicines, smoking", [
        ("substance_misuse_gp", None, gp_ever("substance_misuse"), None),
        ("substance_misuse_hospital", None, events("any", "diagnosis", "ever", coded("code", "substance_misuse")), None),
        ("medicines_per_month", "Different medicines in any month", MEDICINES_PER_MONTH, None),
        ("current_smoker", "Current smoker",
         '{ last_is = { of = "gp_event", among = { code = { in = ["smoking"] } }, '
         'where = { code = { in = ["smoking/current"] } }, days = [0, 365] } }', None),
    ]),
    ("Admissions", [
        ("primary_diagnoses", "Different main diagnoses in hospital",
         events("distinct", "episode", (0, 730), field=quoted("primary_diagnosis"), characters=3), None),
        *counts("emergency_admissions", "admission", EMERGENCY, CPM_WINDOWS),
        ("emergency_admissions_0_730", None, events("count", "admission", (0, 730), EMERGENCY), None),
        ("emergency_episodes_0_730", None, events("count", "episode", (0, 730), EMERGENCY), None),
    ]),
    ("Outpatients", [
        *counts("op_visits", "outpatient", ATTENDED, [(0, 30), (30, 90), (365, 730)]),
        ("op_visits_11plus_0_730", None, events("count", "outpatient", (0, 730), ATTENDED), "[{ at_least = 11 }]"),
    ]),
]

AGE_LEVELS = {
    "age_0_4": (0, 4), "age_15_39": (15, 39), "age_40_59": (40, 59), "age_60_64": (60, 64), "age_65_69": (65, 69),
    "age_70_74": (70, 74), "age_75_79": (75, 79), "age_80_84": (80, 84), "age_85_89": (85, 89), "age_90_94": (90, 94),
    "age_95_plus": (95, None),
}


def level(low, high):
    if high is None:
        return f"[{{ at_least = {low} }}]"
    return f"[{{ equals = {low} }}]" if low == high else f"[{{ between = [{low}, {high}] }}]"


def count_level(value, low, high, one, many):
    """A reading of a count level: value, steps, label without its window."""
    words = f"{low} or more {many}" if high is None else f"{low} {one if low == 1 else many}" if low == high else f"{low} to {high} {many}"
    return value, level(low, high), words


AE, ADMISSION, OP = ("A&E attendance", "A&E attendances"), ("emergency admission", "emergency admissions"), \
    ("outpatient visit", "outpatient visits")


def cpm_readings():
    """Per term: the value, its steps, and the words for it without the window."""
    read = {name: ("age", level(low, high), f"Aged {low} to {high}" if high else f"Aged {low} or over")
            for name, (low, high) in AGE_LEVELS.items()}
    read["female"] = ('{ sex = "female" }', None, "Female")
    read["ae_xray_90_180"] = (events("any", "emergency", (90, 180), 'investigation = "01"'), None, "A&E attendance with an X-ray")
    read["ae_ambulance_30_90"] = (events("any", "emergency", (30, 90), 'arrival = "ambulance"'), None, "Came to A&E by ambulance")
    read["ae_disposal_specialist_0_30"] = (
        events("any", "emergency", (0, 30), 'disposal = ["fracture_clinic", "outpatient_clinic", "other_professional"]'),
        None, "Referred from A&E to a specialist")
    for a, b in [(30, 90), (365, 730)]:
        read[f"ae_medical_dx_{a}_{b}"] = (events("any", "emergency", (a, b), 'primary_diagnosis = "medical"'), None,
                                          "A&E attendance for an illness, not an injury")
    for suffix, low, high in [("1", 1, 1), ("2", 2, 2), ("3plus", 3, None)]:
        read[f"ae_visits_{suffix}_180_365"] = count_level("ae_visits_180_365", low, high, *AE)
    read["gp_copd"] = ("copd", None, "COPD")
    read["gp_substance_misuse"] = (combined("any_true", ["substance_misuse_gp", "substance_misuse_hospital"]), None,
                                   "Alcohol or drug misuse")
    read["gp_psychotic"] = ("psychotic_disorder", None, "Psychotic disorder")
    read["gp_gfr_group_3"] = (events("latest", "gp_event", "ever", coded("code", "egfr"), amount="{ above = 0 }"),
                              "[{ between = [30, 59.999] }]", "Reduced kidney function (latest eGFR 30 to 59)")
    read["gp_ltc_1_of_8"] = count_level("ltc_count_8", 1, 1, "long-term condition (of 8)", "")
    read["gp_ltc_2plus_of_8"] = count_level("ltc_count_8", 2, None, "", "long-term conditions (of 8)")
    read["gp_disorders_7plus"] = count_level("disorders", 7, None, "", "different disorders in the GP record")
    for suffix, low, high in [("1_4", 1, 4), ("5_9", 5, 9), ("10plus", 10, None)]:
        read[f"gp_drugs_{suffix}_0_90"] = count_level("medicines_per_month", low, high, "", "different medicines in a month")
    for a, b in CPM_WINDOWS:
        read[f"gp_bronchodilator_{a}_{b}"] = (prescribed((a, b), "bronchodilator"), None, "Bronchodilator prescribed")
        read[f"ip_impactable_{a}_{b}"] = (
            events("any", "admission", (a, b), f'{EMERGENCY}, {coded("primary_diagnosis", "acsc_19")}'), None,
            "Emergency admission that good care outside hospital may prevent")
    read["ip_mental_illness_0_730"] = (events("any", "diagnosis", (0, 730), 'code = { prefix = ["F"] }'), None,
                                       "Admission with a mental health diagnosis")
    for suffix, low, high in [("2", 2, 2), ("3", 3, 3), ("4plus", 4, None)]:
        read[f"ip_primary_dx_{suffix}_0_730"] = count_level("primary_diagnoses", low, high, "", "different main diagnoses in hospital")
    read["ip_emergency_1plus_0_30"] = count_level("emergency_admissions_0_30", 1, None, "", ADMISSION[1])
    for a, b in CPM_WINDOWS[1:]:
        for suffix, low, high in [("1", 1, 1), ("2", 2, 2), ("2plus", 2, None), ("3plus", 3, None)]:
            read[f"ip_emergency_{suffix}_{a}_{b}"] = count_level(f"emergency_admissions_{a}_{b}", low, high, *ADMISSION)
    read["ip_episodes_per_emergency_ge3"] = (
        '{ ratio = { of = "emergency_episodes_0_730", over = "emergency_admissions_0_730" } }', level(3, None),
        "3 or more consultant episodes per emergency admission on average, in the last 2 years")
    read["ip_hospital_oe_rehosp"] = (
        events("look_up", "admission", (0, 730), field=quoted("provider"), table=quoted("rehospitalisation_ratio"), otherwise=1),
        None, "In hospital in the last 2 years (times that hospital's emergency readmission ratio, average 1)")
    for a, b in [(0, 30), (30, 90), (365, 730)]:
        for suffix, low, high in [("1", 1, 1), ("2", 2, 2), ("3plus", 3, None), ("1_5", 1, 5), ("6_10", 6, 10), ("11plus", 11, None)]:
            read[f"op_visits_{suffix}_{a}_{b}"] = count_level(f"op_visits_{a}_{b}", low, high, *OP)
    for a, b in [(0, 30), (30, 90)]:
        read[f"op_referral_not_ae_{a}_{b}"] = (
            events("any", "outpatient", (a, b), f'{ATTENDED}, referral_source = {{ not = "emergency_department" }}'), None,
            "Outpatient visit not referred from A&E")
    read["x_smoker_0_365_asthma"] = (combined("product", ["current_smoker", "asthma"]), None, "Current smoker with asthma")
    read["x_op11plus_0_730_copd"] = (combined("product", ["op_visits_11plus_0_730", "copd"]), None,
                                     "COPD and 11 or more outpatient visits")
    return read


# One sentence per row of the table in cpm_readings.md, under the words of its first column.
CPM_ASSUMED = {
    "windows a–b days": "Windows of a to b days hold events with a < age <= b; the as-of day itself is not yet known.",
    "ages not listed (5–14)": "Ages that the paper does not list (5 to 14) are the reference: 0.",
    "count levels of one group": "The count levels of one group exclude each other: one level per person and group.",
    "constant": None,
    "emergency admission": "Emergency admission: a spell whose first episode has an admission method of 21-25, 28, 2A or 2D (not 2B, a transfer), counted on its admission date.",
    "impactable condition (HRG list unpublished)": "Impactable condition: the HRG list is not public; an emergency admission whose primary diagnosis is in the code list acsc_19. The list's own exclusions by procedure or secondary diagnosis are not applied, and J20 (counts only with a secondary code of COPD) is left out.",
    "mental illness": "Mental illness: any diagnosis F00-F99 in any position, of any kind of admission.",
    "distinct in-patient primary diagnoses": "Distinct in-patient primary diagnoses: three-character primary diagnoses over all episodes of the spells admitted in the window.",
    "mean episodes per emergency admission ≥ 3": "Mean episodes per emergency admission: over emergency admissions in 0-730 days; no admission: false.",
    "hospital O/E": "Observed over expected rehospitalisation: emergency readmission within 30 days, of the provider of the last admission in 0-730 days, indirectly standardised by age and sex; no admission: 0; fewer than 20 expected: 1.",
    "A&E X-ray": "A&E X-ray: any investigation code 01.",
    "A&E arrived by ambulance": "A&E arrived by ambulance: arrival mode 1.",
    "A&E disposal to specialist": "A&E disposal to specialist: disposal 05 (fracture clinic), 06 (other outpatient clinic) or 11 (other health care professional).",
    "A&E medical diagnosis (non-injury)": "A&E medical diagnosis: first diagnosis in conditions 17 to 36.",
    "A&E visits": "A&E visits: attendances other than planned follow-up (category 1, 3 or 9; a blank does not count), of all department types.",
    "outpatient specialty visits": "Outpatient specialty visits: attended appointments (attended 5 or 6), of any specialty.",
    "source of referral not A&E": "Source of referral not A&E: an attended appointment whose source of referral is neither 04 nor 10; 98 and 99 (not known) count, a blank does not.",
    "COPD, asthma and the other 8 long-term conditions": "The 8 long-term conditions: a diagnosis code ever (QOF clusters), not resolved on a later day. Coronary heart disease and heart failure have no resolved list and count as ever. Depression is resolved by the one code of the list resolved. Cancer has no public GP cluster: a hospital diagnosis of C00-C97 without C44 (Charlson groups canc and metacanc), ever.",
    "psychotic disorder": "Psychotic disorder: QOF cluster MH_COD ever, remission not looked at.",
    "psychoactive substance misuse": "Psychoactive substance misuse: code list substance_misuse, ever: a GP code, or ICD-10 F10-F19 in any position of an admission. F17, tobacco, is in that block.",
    "GFR group 3": "GFR group 3: the latest eGFR (code list egfr, value over 0) is at least 30 and under 60.",
    "7+ distinct disorders": f"Distinct disorders: {len(DISORDERS)} conditions, each counted once: the 8 long-term conditions as above; by a code ever: the other QOF registers of a disease and the eFI's disease deficits, a register and a deficit of one disease being one condition; eFI respiratory disease only where neither asthma nor COPD was ever recorded. Not counted: non-diabetic hyperglycaemia, obesity, palliative care.",
    "unique drugs in any month": "Unique drugs in any month: distinct BNF chemical substances (first 9 characters, chapters 1-15) in a calendar month, the largest calendar month that 0-90 days touch. Every issue of such a month counts, also one before the window; of the month of the as-of day, the issues before it.",
    "bronchodilators": "Bronchodilators: BNF section 3.1.",
    "smoker × asthma": "Smoker: the latest smoking status (code list smoking) recorded in 0-365 days is current smoker.",
    "no deprivation, ethnicity or social-care term": "No deprivation, ethnicity or social-care term, as published.",
}


def check_reading_words():
    words = [line.split("|")[1].strip() for line in
             (REFERENCE / "kings-fund/cpm_readings.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")][2:]
    must(words == list(CPM_ASSUMED), f"cpm_readings.md has other rows than CPM_ASSUMED: {set(words) ^ set(CPM_ASSUMED)}")


# What the published example gives, by the name of a value, or of the term where the value stands in it.
CPM_EXAMPLE = {
    "female": ("female", "true"), "age_40_59": ("age", 44), "ae_disposal_specialist_0_30": ("ae_disposal_specialist_0_30", "true"),
    "ae_visits_3plus_180_365": ("ae_visits_180_365", 3), "op_visits_1_0_30": ("op_visits_0_30", 1),
    "op_visits_3plus_30_90": ("op_visits_30_90", 3), "op_visits_11plus_365_730": ("op_visits_365_730", 11),
    "ip_mental_illness_0_730": ("ip_mental_illness_0_730", "true"), "ip_primary_dx_4plus_0_730": ("primary_diagnoses", 4),
    "ip_emergency_3plus_180_365": ("emergency_admissions_180_365", 3),
    "ip_emergency_3plus_365_730": ("emergency_admissions_365_730", 3),
    "ip_hospital_oe_rehosp": ("ip_hospital_oe_rehosp", 1.01), "gp_ltc_1_of_8": ("ltc_count_8", 1),
}


def write_cpm():
    check_reading_words()
    published = [row["long_term_condition"] for row in rows("kings-fund/cpm_ltc_list.csv")]
    must(published == LTC_8_PUBLISHED, "cpm_ltc_list.csv has other conditions than LTC_8")
    facts = rows("kings-fund/cpm_coefficients.csv")
    intercept = next(row for row in facts if row["variable"] == "intercept")
    facts = [row for row in facts if row["variable"] != "intercept"]
    must(len(facts) == 69, f"cpm_coefficients.csv has {len(facts)} terms, not 69")
    read = cpm_readings()

    text = header(
        {"id": "cpm", "version": "1.0.0", "title": "Combined Predictive Model: emergency admission in the next 12 months",
         "kind": "logistic", "outcome": "at least one emergency admission", "horizon_days": 365},
        "NHS NECS, Guide to Admission Risk - Combined Predictive Model (RAIDR, 2017), released by NHS Manchester CCG (FOI 11917 internal review, 2018)",
        "Appendix 1, pages 5-6: the 69 coefficients; page 2: the example and the bands; page 3: the 8 long-term conditions",
        [f"The intercept, {intercept['coefficient']}: not printed, solved back from the worked example (73.8). "
         "The example's rounding allows -3.8253 to -3.8201. Ranks and bands do not depend on it."],
        [sentence for sentence in CPM_ASSUMED.values() if sentence] + [LOST])
    text += "\n" + outcome_block(365, EMERGENCY_ADMISSION)
    text += "\n# No [population]: everybody on the register is scored, children too, as published.\n\n"
    text += block("[baseline]", [("intercept", intercept["coefficient"])])
    for title, values in CPM_VALUES:
        text += "\n" + rule(f"Values: {title}") + "\n"
        text += "\n".join(value_block(name, value, label, steps) for name, label, value, steps in values)

    text += "\n" + rule("Terms, in the paper's order; after # its row and its own words") + "\n"
    shared = {name for _, values in CPM_VALUES for name, *_ in values}
    levels = {}
    for row in facts:
        levels.setdefault(row["variable_group"], []).append(row["variable"])
    blocks = []
    for row in facts:
        value, steps, words = read[row["variable"]]
        window = (int(row["window_from_days"]), int(row["window_to_days"])) if row["window_to_days"] else None
        check_window(row["variable"], value, window)
        is_level = value in shared and steps is not None and len(levels[row["variable_group"]]) > 1
        paper = row["label"] + (f", {window[0]}-{window[1]} days" if window else "")
        blocks.append(term_block(
            row["variable"], f"{words}, {WINDOW_WORDS[window]}" if window else words,
            named(value) if value in shared else value, row["coefficient"], steps,
            row["variable_group"] if is_level else None, comment=f"{row['row']}: {paper}"))
    text += "\n".join(blocks)

    text += "\n" + rule("Bands: shares of the whole scored population, from the highest score down") + "\n"
    text += "\n".join(
        band_block(row["band"], "rest", "true") if row["rank_to_percentile"] == "100"
        else band_block(row["band"], "top_share", format(Decimal(row["rank_to_percentile"]) / 100, "f"))
        for row in rows("kings-fund/cpm_risk_bands.csv"))

    text += "\n" + rule("Examples") + "\n" + cpm_examples(facts, Decimal(intercept["coefficient"]))
    write("scores/cpm.toml", text)


def check_window(variable, value, window):
    """The paper's window is that of the reading: in its text, or in the name of the value."""
    if window:
        a, b = window
        in_value = any(value == name and days(window) in text for _, values in CPM_VALUES for name, _, text, _ in values)
        in_parts = any(part in value and days(window) in text for _, values in CPM_VALUES for part, _, text, _ in values)
        must(days(window) in value or in_value or in_parts, f"{variable}: its reading has not the window {a}-{b}")


def cpm_examples(facts, intercept):
    coefficients = {row["variable"]: Decimal(row["coefficient"]) for row in facts}
    example = rows("kings-fund/cpm_worked_example.csv")
    must([row["variable"] for row in example] == list(CPM_EXAMPLE), "the worked example has other items than CPM_EXAMPLE")
    total = intercept
    for row in example:
        times = Decimal(str(CPM_EXAMPLE[row["variable"]][1])) if row["variable"] == "ip_hospital_oe_rehosp" else Decimal(1)
        contribution = (coefficients[row["variable"]] * times).quantize(Decimal("1e-9"))
        must(contribution == Decimal(row["contribution"]), f"{row['variable']}: the example's contribution is not the coefficient's")
        total += contribution
    must(abs(1 / (1 + math.exp(-float(total))) - 0.738) < 0.0005, "the worked example does not give 73.8")
    given = {name: value for name, value in CPM_EXAMPLE.values()}
    return "\n".join([
        example_block("the guide's fictitious patient, page 2: a woman of 44, risk score 73.8", given, 3, probability="0.738"),
        example_block("the same, as our exact sum", given, 9, linear_predictor=str(total)),
    ])


# --- PARR-30 ---------------------------------------------------------------------------------------------------------

ANCHOR = "current_admission"
NOT_OBSTETRICS = 'specialty = { not = ["500", "501", "502", "503", "505", "510", "520", "560", "610"] }'
PARR30_LABELS = {
    "emergency_admissions_last_year": "Emergency admissions in the year before",
    "emergency_admission_last_30_days": "Emergency admission in the 30 days before",
    "current_admission_emergency": "The current admission is an emergency",
    "hx_congestive_heart_failure": "Heart failure", "hx_peripheral_vascular_disease": "Peripheral vascular disease",
    "hx_chronic_pulmonary_disease": "Chronic lung disease", "hx_diabetes_chronic_complications": "Diabetes with complications",
    "hx_renal_disease": "Kidney disease", "hx_metastatic_cancer_solid_tumour": "Cancer that has spread",
    "hx_other_malignant_cancer": "Other cancer", "hx_moderate_severe_liver_disease": "Moderate or severe liver disease",
    "hx_other_liver_disease": "Other liver disease", "hx_hemiplegia_paraplegia": "Hemiplegia or paraplegia",
    "hx_dementia": "Dementia",
}
PARR30_CASES = [
    ("RVV, aged 80, 2 emergency admissions last year, emergency now, heart failure and renal disease",
     {"hospital": '"RVV"', "age": 80, "imd_score": 28, "emergency_admissions_last_year": 2, "current_admission_emergency": "true",
      "hx_congestive_heart_failure": "true", "hx_renal_disease": "true"}, "0.20101035"),  # 0.201010349: to 7 decimals 0.2010103
    ("RWF, aged 35, nothing else", {"hospital": '"RWF"', "age": 35, "imd_score": 8}, "0.0496705"),
    ("RPA, aged 72, 5 emergency admissions last year, one in 30 days, emergency now, chronic pulmonary disease, diabetes with complications, other cancer",
     {"hospital": '"RPA"', "age": 72, "imd_score": 45, "emergency_admissions_last_year": 5, "emergency_admission_last_30_days": "true",
      "current_admission_emergency": "true", "hx_chronic_pulmonary_disease": "true", "hx_diabetes_chronic_complications": "true",
      "hx_other_malignant_cancer": "true"}, "0.4935858"),
]


def write_parr30():
    facts = rows("kings-fund/parr30_coefficients.csv")
    coefficients = {row["variable"]: row["coefficient"] for row in facts}
    hospitals = rows("kings-fund/parr30_hospital_coefficients.csv")
    must(len(hospitals) == 159, f"parr30_hospital_coefficients.csv has {len(hospitals)} effects, not 159")
    otherwise = [row["coefficient"] for row in hospitals if not row["trust_code"]]
    must(len(otherwise) == 1, "parr30_hospital_coefficients.csv has not one row for any other hospital")
    effects = [(row["trust_code"], row["coefficient"], row["trust_name"]) for row in hospitals if row["trust_code"]]
    write_table("parr30_hospital", source_line("kings-fund/parr30_hospital_coefficients.csv")
                + f" Here: the 158 trusts; any other hospital ({otherwise[0]}) is the model's `otherwise`.", effects)
    groups = parr30_groups()

    text = header(
        {"id": "parr30", "version": "1.0.0", "title": "PARR-30: emergency readmission within 30 days of discharge",
         "kind": "logistic", "outcome": "emergency readmission", "horizon_days": 30},
        "Billings J et al, BMJ Open 2012;2:e001667; Nuffield Trust PARR-30 implementation guide (2012)",
        "coefficients of the guide as two separate implementations have them (robert-waggott/Parr-30-Implementation, C#; Aridhia shiny-demo-intervention-studies, R); all values agree but the intercept",
        ["Intercept: -2.91821 as in the C# implementation; the R data rounds it to -2.9182."],
        ["The current admission is the last one that goes on or that ended in the 30 days before the as-of day; windows count back from its first day, so neither it nor its own diagnoses (coded after discharge) are history.",
         "IMD bands are upper-inclusive, 10 < score <= 15, as in the R implementation; the C# one is lower-inclusive. The score is the register's imd_score; the model was fitted on IMD 2007.",
         "Not obstetrics or gynaecology: the main specialty of the spell's first episode is none of 500, 501, 502, 503, 505, 510, 520, 560, 610; a specialty not known (&) is none of them either.",
         "Emergency admission: a spell whose first episode has an admission method of 21-25, 28, 2A or 2D, as in the model cpm.",
         "The model's own ICD-10 lists were not found: Quan's Charlson codes stand in, in any position of an admission in the 2 years before. No group sets another to 0.",
         "Hospital: the organisation code of 2012, first 3 characters of the provider; trusts that were renamed or merged since are any other hospital.",
         "Age is that on the as-of day; all ages are scored. A person without an IMD score is not scored.",
         LOST_AFTER_A_STAY + LOST])
    text += "\n" + outcome_block(30, EMERGENCY_ADMISSION, "current_admission")
    text += "\n" + block("[population]", [("otherwise", quoted("not_scored"))])
    text += "\n" + block("[[population.require]]", [
        ("value", events("any", "admission", "same_day", before=ANCHOR)),
        ("reason", quoted("not in hospital now or in the last 30 days")),
    ])
    text += "\n" + block("[baseline]", [("intercept", coefficients["intercept"])])
    text += "\n" + block("[[anchor]]", [
        ("name", quoted(ANCHOR)), ("label", quoted("The admission that goes on, or the last that ended in the last 30 days")),
        ("last", quoted("admission")), ("ended_days", "[0, 30]"),
    ])
    text += "\n" + value_block("age", "{ age_years = {} }") + "\n" + value_block("imd_score", '{ attribute = "imd_score" }')
    blocks = []
    for row in facts:
        name, coefficient = row["variable"], row["coefficient"]
        comment = row["definition"] + (f" {row['band_from']}-{row['band_to']}" if row["band_from"] and row["type"] == "indicator" else "")
        if name == "intercept":
            continue
        if name == "age_squared":
            blocks.append(term_block(name, "Age, squared", named("age"), coefficient, "[{ square = true }]", comment=comment))
        elif name == "imd_lt_10":
            must(float(coefficient) == 0, "imd_lt_10 is not the reference")
            blocks.append("# imd_lt_10: the reference, 0\n")
        elif name.startswith("imd_"):
            low, high = row["band_from"], row["band_to"]
            label = f"Deprivation score over {low}, up to {high}" if high else f"Deprivation score over {low}"
            # No area's score is over 100.
            blocks.append(term_block(name, label, named("imd_score"), coefficient, f"[{{ over = [{low}, {high or 100}] }}]",
                                     "imd", "not_scored", comment=comment))
        else:
            blocks.append(term_block(name, PARR30_LABELS[name] + (", in hospital in the 2 years before" if name in groups else ""),
                                     parr30_value(name, groups), coefficient, comment=comment))
    blocks.append("# The table holds the effects themselves.\n" + term_block(
        "hospital", "Hospital of the current admission",
        events("look_up", "admission", "same_day", before=ANCHOR, field=quoted("provider"), table=quoted("parr30_hospital"),
               otherwise=otherwise[0]), "1.0", missing="not_scored"))
    text += "\n" + rule("Terms, in the order of the guide") + "\n" + "\n".join(blocks)
    text += "\n" + rule("Check cases") + "\n"
    hospital = {code: value for code, value, _ in effects}
    for who, given, expected in PARR30_CASES:
        check_parr30(coefficients, hospital, given, expected)
    text += "\n".join(example_block(who, given, decimals(expected), probability=expected) for who, given, expected in PARR30_CASES)
    write("scores/parr30.toml", text)


def parr30_groups():
    """Charlson group per history term; the stand-in lists are those of charlson_quan2005."""
    quan, groups = {}, {}
    for row in rows("scores/charlson_icd10_codes.csv"):
        if row["variant"] == "quan2005":
            quan.setdefault(row["category"], set()).add(row["icd10_prefix"])
    for row in rows("kings-fund/charlson_icd10_quan_for_parr30.csv"):
        groups.setdefault(row["parr30_variable"], {}).setdefault(row["charlson_group"], set()).add(row["icd10_prefix"])
    for variable, lists in groups.items():
        for group, codes in lists.items():
            must(codes == quan[group], f"{variable}: its codes are not those of charlson_quan2005/{group}")
    return {variable: list(lists) for variable, lists in groups.items()}


def parr30_value(name, groups):
    if name in groups:
        lists = [f"charlson_quan2005/{group}" for group in groups[name]]
        return events("any", "diagnosis", (0, 730), coded("code", *lists), before=ANCHOR)
    return {
        "emergency_admissions_last_year": events("count", "admission", (0, 365), f"{EMERGENCY}, {NOT_OBSTETRICS}", before=ANCHOR),
        "emergency_admission_last_30_days": events("any", "admission", (0, 30), f"{EMERGENCY}, {NOT_OBSTETRICS}", before=ANCHOR),
        "current_admission_emergency": events("any", "admission", "same_day", EMERGENCY, before=ANCHOR),
    }[name]


def check_parr30(coefficients, hospital, given, expected):
    total = Decimal(coefficients["intercept"]) + Decimal(hospital[given["hospital"].strip('"')])
    total += Decimal(given["age"]) ** 2 * Decimal(coefficients["age_squared"])
    for row in rows("kings-fund/parr30_coefficients.csv"):
        if row["band_from"] and int(row["band_from"]) < given["imd_score"] <= int(row["band_to"] or 100):
            total += Decimal(row["coefficient"])
    for name, value in given.items():
        if name in coefficients:
            total += Decimal(coefficients[name]) * (1 if value == "true" else value)
    got = 1 / (1 + math.exp(-float(total)))
    must(round(got, decimals(expected)) == float(expected), f"PARR-30 check case gives {got:.9f}, not {expected}")


# --- Hospital Frailty Risk Score -------------------------------------------------------------------------------------


def write_hfrs():
    parameters = {row["parameter"]: row["value"] for row in rows("scores/hfrs_bands.csv")}
    weights = rows("scores/hfrs_weights.csv")
    total = sum(Decimal(row["points"]) for row in weights)
    must(len(weights) == int(parameters["n_codes"]) and total == Decimal(parameters["max_score"]), "hfrs_weights.csv: the codes or their sum are not as published")
    must((parameters["low"], parameters["intermediate"], parameters["high"]) == ("score < 5", "5 <= score <= 15", "score > 15"),
         "hfrs_bands.csv has other bands")
    lookback = int(parameters["lookback_years"]) * 365
    age = parameters["validated_age_min"]
    text = header(
        {"id": "hfrs", "version": "1.0.0", "title": "Hospital Frailty Risk Score", "kind": "points",
         "outcome": "frailty, as hospital diagnoses show it"},
        "Gilbert T et al, Lancet 2018;391:1775-82, doi:10.1016/S0140-6736(18)30668-8",
        "supplementary appendix: 109 three-character ICD-10 codes and their points; main text: bands",
        [],
        ["Look-back: admissions that began in the 730 days before the as-of day, in place of an index admission and the 2 years before it.",
         "Each three-character code counts once, in any position of any episode, from the end of its episode on.",
         "An intermediate score runs from 5 to 15, both included, and a high one is over 15; implementations differ.",
         f"Scored from age {age}, where it was validated. NHS England's population segments use the same score from 65: lower the limit for that.",
         "A person without an admission in the look-back is not scored: no hospital diagnoses is not the same as no frailty.",
         "R69 (unknown cause) carries points, so it is read where hospitals recorded it; U80 is not in newer WHO editions."],
        licence="article CC BY-NC-ND; the codes and points are facts")
    text += "\n" + block("[population]", [("age_years", f"{{ at_least = {age} }}"), ("otherwise", quoted("not_scored"))])
    text += "\n" + block("[[population.require]]", [
        ("value", events("any", "admission", (0, lookback))),
        ("reason", quoted("no hospital admission in the last 2 years")),
    ])
    text += "\n" + term_block(
        "frailty_points", "Frailty points from hospital diagnoses in the last 2 years",
        events("weights_once", "diagnosis", (0, lookback), field=quoted("code"), list=quoted("hfrs")), "1.0",
        reason="{} frailty points from hospital diagnoses in the last 2 years")
    text += "\n" + band_block("high", "above", 15) + "\n" + band_block("intermediate", "at_least", 5) + "\n" + band_block("low", "rest", "true")
    text += "\n" + rule("Known answers (pycomorb 1.20261001.1); the codes behind them are in the words") + "\n"
    points = {row["icd10_3char"]: Decimal(row["points"]) for row in weights}
    blocks = []
    for row in rows("scores/score_known_answers.csv"):
        codes = row["icd10_codes"].split()
        total = sum((points[code] for code in {code[:3] for code in codes} if code in points), Decimal(0))
        must(total == Decimal(row["hfrs"]), f"{row['case']}: the frailty points are {total}, not {row['hfrs']}")
        band = "high" if total > 15 else "intermediate" if total >= 5 else "low"
        blocks.append(example_block(in_words(codes), {"frailty_points": row["hfrs"]}, 1, score=row["hfrs"], band=quoted(band)))
    write("scores/hfrs.toml", text + "\n".join(blocks))


# --- Charlson --------------------------------------------------------------------------------------------------------

# Code list, and its variant in the facts.
CHARLSON_LISTS = {"charlson_quan2005": "quan2005", "charlson_shmi": "shmi_v1.60", "charlson_rcs": "rcs_2010"}
HOSPITAL_WINDOW = (0, 730)
LOOK_BACK = ("Look-back: admissions that began in the 730 days before the as-of day, the same two years as the models cpm, "
             "parr30 and hfrs; {}.")
ONCE = "A diagnosis counts in any position of any episode, once per category, from the end of its episode on"
QUAN_2005 = "Quan H et al, Med Care 2005;43:1130-9 (ICD-10 codes)"

# id, title, code list, column of weights, column of known answers, floor, citation, location, assumed.
CHARLSONS = [
    ("charlson", "Charlson comorbidity index, original weights", "charlson_quan2005", "charlson1987", "charlson1987", None,
     "Charlson ME et al, J Chronic Dis 1987;40:373-83 (weights); " + QUAN_2005,
     "weights: table of the 1987 paper; codes: table 1 of Quan 2005, read through implementations that agree",
     [LOOK_BACK.format("neither paper sets one for a population")]),
    ("charlson_quan2011", "Charlson comorbidity index, weights of 2011", "charlson_quan2005", "quan2011", "quan2011", None,
     "Quan H et al, Am J Epidemiol 2011;173:676-82 (weights); " + QUAN_2005,
     "weights of 2011 and codes of 2005, read through implementations that agree but for one weight",
     [LOOK_BACK.format("the paper's weights are for death within a year of discharge"),
      "AIDS/HIV weighs 4, as in most implementations; one has 2.",
      "Five categories weigh 0 (myocardial infarction, peripheral vascular and cerebrovascular disease, peptic ulcer, "
      "diabetes without complication); they stay in the list."]),
    ("charlson_shmi", "Charlson comorbidity index, weights and codes of the SHMI", "charlson_shmi", "uk_shmi", "shmi", 0,
     "NHS England, Summary Hospital-level Mortality Indicator specification v1.60; Bottle A, Aylin P, J Clin Epidemiol 2011 (weights)",
     "codes and weights as pycomorb 1.20261001.1 has them; a negative total counts as 0",
     [LOOK_BACK.format("the SHMI itself looks at the spell that it is calculated for"),
      "Primary and secondary diagnoses count alike; the SHMI takes the secondary ones."]),
    ("charlson_rcs", "Charlson comorbidity score of the Royal College of Surgeons", "charlson_rcs", "rcs_2010", "rcs", None,
     "Armitage JN, van der Meulen JH, Br J Surg 2010;97:772-81",
     "14 categories of weight 1; codes as pycomorb 1.20261001.1 has them",
     [LOOK_BACK.format("the paper looks back one year from an admission"),
      "The paper's distinction between acute codes of the present admission and of earlier ones is not made: our source has not kept it."]),
]


def in_words(codes):
    """The codes of a known answer, each once."""
    return "all 109 codes of the Hospital Frailty Risk Score" if len(codes) == 109 else " ".join(dict.fromkeys(codes))


def categories_of(codes, prefixes):
    return [category for category in prefixes if any(code.startswith(tuple(prefixes[category])) for code in codes)]


def prefixes_by_category(lines):
    prefixes = {}
    for row in lines:
        prefixes.setdefault(row["category"], []).append(row["icd10_prefix"])
    return prefixes


def in_hospital(*lists):
    return events("any", "diagnosis", HOSPITAL_WINDOW, coded("code", *lists))


def hierarchy_blocks(pairs):
    return "\n".join(block("[[hierarchy]]", [("if_present", quoted(present)), ("then_zero", listed([zero]))])
                     for present, zero in pairs)


def total_of(present, weights, hierarchy):
    kept = set(present) - {zero for strong, zero in hierarchy if strong in present}
    return sum(int(weights[category]) for category in present if category in kept)


def known_answers(column, prefixes, order, weights, hierarchy, floor=None):
    """Every case as an example; its sum is worked out again here."""
    blocks = []
    for row in rows("scores/score_known_answers.csv"):
        codes = row["icd10_codes"].split()
        found = categories_of(codes, prefixes)
        present = [category for category in order if category in found]
        total = total_of(present, weights, hierarchy)
        total = total if floor is None else max(total, floor)
        must(total == int(row[column]), f"{row['case']}: {column} gives {total}, not {row[column]}")
        blocks.append(example_block(in_words(codes), {name: "true" for name in present}, 0, score=total))
    return "\n" + rule("Known answers (pycomorb 1.20261001.1); given are the categories before the hierarchies") + "\n" + "\n".join(blocks)


def write_charlson():
    for name, title, codelist, weight, known, floor, citation, location, assumed in CHARLSONS:
        prefixes = prefixes_by_category(row for row in rows("scores/charlson_icd10_codes.csv")
                                        if row["variant"] == CHARLSON_LISTS[codelist])
        facts = [row for row in rows("scores/charlson_weights.csv") if row["category"] in prefixes]
        must(len(facts) == len(prefixes) == (14 if codelist == "charlson_rcs" else 17), f"{name} has {len(facts)} categories")
        weights = {row["category"]: row[weight] for row in facts}
        must(all(weights.values()), f"{name}: a category has no weight")
        hierarchy = [(row["if_present"], row["then_zero_or_effect"]) for row in rows("scores/charlson_rules.csv")
                     if row["rule"] == "hierarchy" and {row["if_present"], row["then_zero_or_effect"]} <= set(prefixes)]
        text = header({"id": name, "version": "1.0.0", "title": title, "kind": "conditions", "outcome": "burden of disease"},
                      citation, location, [], assumed[:1] + [
                          ONCE + "; age points (1994) are not added.",
                          "Hierarchies: a severe category sets its mild one to 0.", *assumed[1:]])
        text += "\n# No [population]: a person without hospital diagnoses has an index of 0.\n\n"
        if floor is not None:
            text += block("[baseline]", [("floor", floor)]) + "\n"
        text += rule("Terms, in the order of the 1987 paper") + "\n"
        text += "\n".join(term_block(category, row["name"], in_hospital(f"{codelist}/{category}"), weights[category])
                          for row in facts for category in [row["category"]])
        text += "\n" + hierarchy_blocks(hierarchy)
        text += known_answers(known, prefixes, list(weights), weights, hierarchy, floor)
        write(f"scores/{name}.toml", text)


# --- Elixhauser ------------------------------------------------------------------------------------------------------

# id, title, column of weights, column of known answers, citation, assumed.
ELIXHAUSERS = [
    ("elixhauser_vw", "Elixhauser comorbidities, van Walraven weights", "van_walraven2009", "elix_van_walraven",
     "van Walraven C et al, Med Care 2009;47:626-33 (weights); " + QUAN_2005,
     ["The weights are for death in hospital; a total may be negative."]),
    ("elixhauser_swiss", "Elixhauser comorbidities, Swiss weights", "swiss2021", "elix_swiss",
     "Sharma N et al, BMC Health Serv Res 2021;21:13 (weights); " + QUAN_2005,
     ["The weights are for death in hospital; a total may be negative."]),
    ("elixhauser_ahrq_mortality", "Elixhauser comorbidities, AHRQ weights for death in hospital", "ahrq2017_mortality", None,
     "Moore BJ et al, Med Care 2017;55:698-705; AHRQ comindex2012-2015 (weights); " + QUAN_2005, []),
    ("elixhauser_ahrq_readmission", "Elixhauser comorbidities, AHRQ weights for readmission", "ahrq2017_readmission", None,
     "Moore BJ et al, Med Care 2017;55:698-705; AHRQ comindex2012-2015 (weights); " + QUAN_2005, []),
]
HYPERTENSION = ("hypunc", "hypc")
AHRQ_ASSUMED = [
    "29 measures: no arrhythmia, and one measure of hypertension, with or without complications, counted once.",
    "The weights were made for AHRQ's ICD-9-CM categories, with those of the admission's own diagnosis group left out; here "
    "they stand on Quan's ICD-10 categories, and nothing is left out. AHRQ's ICD-10-CM software and its 38 measures are not "
    "used: its codes are not those of the NHS.",
]
# Known sets of codes whose AHRQ sum is ours: a hierarchy each, and the one measure of hypertension.
AHRQ_CASES = ["hf_ckd_copd", "diabetes_hierarchy", "cancer_hierarchy", "hypertension_hierarchy", "obesity_depression_negative_vw"]


def write_elixhauser():
    facts = rows("scores/elixhauser_weights.csv")
    prefixes = prefixes_by_category(rows("scores/elixhauser_icd10_codes.csv"))
    must(len(facts) == 31 == len(prefixes), "Elixhauser has not 31 categories")
    hierarchy = [(row["if_present"], row["then_zero"]) for row in rows("scores/elixhauser_rules.csv") if row["scheme"] == "quan"]
    for name, title, weight, known, citation, assumed in ELIXHAUSERS:
        terms = [(row["category"], row["name"], [row["category"]], row[weight]) for row in facts if row[weight]]
        pairs = hierarchy
        if known is None:
            terms = with_one_hypertension(terms)
            must(len(terms) == 29, f"{name} has {len(terms)} measures, not 29")
            pairs = [pair for pair in hierarchy if not set(pair) & set(HYPERTENSION)]
            assumed = AHRQ_ASSUMED
        text = header({"id": name, "version": "1.0.0", "title": title, "kind": "conditions", "outcome": "burden of disease"},
                      citation, "weights and codes read through implementations that agree", [],
                      [LOOK_BACK.format("the papers look at one admission"), ONCE + ".",
                       "Hierarchies: a severe category sets its mild one to 0.", *assumed])
        text += "\n# No [population]: a person without hospital diagnoses has an index of 0.\n\n"
        text += rule("Terms, in the order of the papers") + "\n"
        text += "\n".join(term_block(term, label, in_hospital(*[f"elixhauser_quan2005/{c}" for c in categories]), weight)
                          for term, label, categories, weight in terms)
        text += "\n" + hierarchy_blocks(pairs)
        weights = {term: weight for term, _, _, weight in terms}
        if known:
            text += known_answers(known, prefixes, list(weights), weights, pairs)
        else:
            text += ahrq_examples(prefixes, terms, weights, pairs)
        write(f"scores/{name}.toml", text)


def with_one_hypertension(terms):
    """The two categories of hypertension as one measure, in the place of the first."""
    pair = [term for term in terms if term[0] in HYPERTENSION]
    must(len(pair) == 2 and pair[0][3] == pair[1][3], "the two categories of hypertension have two weights")
    one = ("hypertension", "Hypertension, with or without complications", list(HYPERTENSION), pair[0][3])
    return [one if term[0] == HYPERTENSION[0] else term for term in terms if term[0] != HYPERTENSION[1]]


def ahrq_examples(prefixes, terms, weights, hierarchy):
    cases = {row["case"]: row["icd10_codes"].split() for row in rows("scores/score_known_answers.csv")}
    blocks = []
    for case in AHRQ_CASES:
        found = categories_of(cases[case], prefixes)
        present = [term for term, _, categories, _ in terms if set(categories) & set(found)]
        blocks.append(example_block(in_words(cases[case]), {name: "true" for name in present}, 0,
                                    score=total_of(present, weights, hierarchy)))
    return "\n" + rule("Examples: our own sums; given are the categories before the hierarchies") + "\n" + "\n".join(blocks)


# --- The electronic frailty index ------------------------------------------------------------------------------------

# Words for a list, where the deficit's name is not plain.
EFI_REASONS = {
    "activity_limitation": "Limited in daily activities", "anaemia": "Anaemia", "cognitive_problems": "Memory problems",
    "stroke_tia": "Stroke, TIA or other disease of brain vessels", "dyspnoea": "Breathlessness", "hearing_loss": "Poor hearing",
    "hypertension": "High blood pressure", "hypotension": "Low blood pressure or fainting", "housebound": "Housebound",
    "mobility_problems": "Difficulty moving about", "parkinsons": "Parkinsonism or tremor", "care_requirement": "Needs care",
    "polypharmacy": "5 or more different medicines in the last year", "social_vulnerability": "Socially vulnerable",
    "sleep_disturbance": "Disturbed sleep", "vision_problems": "Poor eyesight", "weight_loss": "Weight loss or poor appetite",
    "falls": "Falls", "fragility_fracture": "Fragility fracture",
}
# The lowest value that a rule's upper limit takes in. Haemoglobin over 25 is taken as g/L, up to 25 as g/dL.
EFI_FROM = {"haemoglobin g/dL": "above = 0, ", "haemoglobin g/L": "at_least = 25, ", "TSH": "at_least = 0, ",
            "glomerular filtration rate": "above = 0, ", "ankle brachial pressure index": "above = 0, ",
            "Barthel index": "at_least = 0, ", "hip DXA T score": ""}
EFI_LIMITS = {">": "above", "<": "below", ">=": "at_least", "<=": "at_most"}
EFI_WORDS = {">": "over", "<": "under", ">=": "from", "<=": "up to"}


def efi_rule_value(row):
    """The events that meet a value rule."""
    category = EFI_MEASUREMENTS[row["measurement"]]
    lists = coded("code", "egfr" if category == "egfr" else f"measurements/{category}")
    if row["operator"] == "recorded":
        return events("any", "gp_event", "ever", lists)
    low = EFI_FROM[row["measurement"]] if row["operator"].startswith("<") else ""
    amount = f"{{ {low}{EFI_LIMITS[row['operator']]} = {row['threshold']} }}"
    return events("any", "gp_event", "ever", lists, amount=amount)


def efi_values(deficit, rules):
    """Named values of a deficit with value rules: its codes, each rule, and the rules of one sex with that sex."""
    label = next(row["name"] for row in rows("scores/efi_deficits.csv") if row["deficit"] == deficit)
    values, parts = [(f"{deficit}_code", f"{label}: a code", gp_ever(f"efi/{deficit}"))], [f"{deficit}_code"]
    by_sex = {}
    for number, row in enumerate(rules, 1):
        name = f"{deficit}_value_{number}"
        words = f"{row['measurement']} {EFI_WORDS.get(row['operator'], '')} {row['threshold']}".strip()
        values.append((name, words[0].upper() + words[1:] + (f", {row['sex']}" if row["sex"] != "any" else ""), efi_rule_value(row)))
        parts.append(name) if row["sex"] == "any" else by_sex.setdefault(row["sex"], []).append(name)
    for sex, names in by_sex.items():
        values += [
            (f"{deficit}_value_{sex}", f"{label}: a value that is low in a {'man' if sex == 'male' else 'woman'}", combined("any_true", names)),
            (f"{deficit}_{sex}", None, both(sex, f"{deficit}_value_{sex}")),
        ]
        parts.append(f"{deficit}_{sex}")
    return values, combined("any_true", parts)


def write_efi():
    facts = rows("scores/efi_deficits.csv")
    must(len(facts) == 36, "efi_deficits.csv has not 36 deficits")
    rules = {}
    for row in rows("scores/efi_value_rules.csv"):
        rules.setdefault(row["deficit"], []).append(row)
    without_snomed = sorted({
        row["measurement"] for row in rows("scores/efi_value_rules.csv")
        if EFI_MEASUREMENTS[row["measurement"]] not in MEASUREMENTS and EFI_MEASUREMENTS[row["measurement"]] != "egfr"})
    polypharmacy = next(row["code_list_path_or_rule"] for row in facts if row["deficit"] == "polypharmacy")
    must(polypharmacy == "5 or more different medicines in the previous 12 months", "efi_deficits.csv has another rule of polypharmacy")
    text = header(
        {"id": "efi", "version": "1.0.0", "title": "Electronic frailty index (eFI), 36 deficits", "kind": "fraction",
         "outcome": "frailty, as the GP record shows it"},
        "Clegg A et al, Age and Ageing 2016;45:353-60, doi:10.1093/ageing/afw039",
        "deficits and bands: the paper; codes: its supplement (CTV3) with the SNOMED CT map of 2020; value rules: UoM-Data-Science-Platforms/gm-sde @6cf10af, attributed there to A Clegg",
        ["The number of deficits over 36: a band's limits are 4, 8 and 12 deficits."],
        ["Scored from age 65, where it was made and is used; there is no upper limit.",
         "A deficit counts from its first code or qualifying value on, for ever; only polypharmacy can end.",
         f"Polypharmacy: {polypharmacy}: distinct BNF chemical substances (first 9 characters, chapters 1-15) issued in the last 365 days.",
         "Value rules stand on Read and CTV3 codes. Their SNOMED CT codes are ours: haemoglobin, TSH, eGFR, urine albumin or protein to creatinine ratio, 24-hour blood pressure, Barthel index, ankle brachial index, number of COPD exacerbations.",
         "Without a SNOMED CT code, so read from Read and CTV3 records only: " + "; ".join(without_snomed) + ".",
         "COPD: the rule's hours of oxygen and unscheduled encounters have Read and CTV3 codes only.",
         "Codes that a value rule of the same deficit reads (CTV3 XaK8U and SNOMED CT 723245007, number of COPD exacerbations) are left out of the list of codes: a recorded 0 is no deficit.",
         "Haemoglobin from 25 is taken as g/L, below as g/dL. A Barthel index is taken on the scale up to 20. A person of unknown sex has no anaemia by value.",
         "A code counts whatever the entry says of it, family history and negation included: the extract does not say."])
    text += "\n" + block("[population]", [("age_years", "{ at_least = 65 }"), ("otherwise", quoted("not_scored"))])
    sexes = sorted({row["sex"] for row in rows("scores/efi_value_rules.csv")} - {"any"}, reverse=True)
    text += "\n" + rule("Values: sex") + "\n" + "\n".join(value_block(sex, f'{{ sex = "{sex}" }}') for sex in sexes)
    blocks = []
    for row in facts:
        deficit = row["deficit"]
        if deficit == "polypharmacy":
            value, steps = events("distinct", "prescription", (0, 365), f"code = {{ prefix = {listed(CHAPTERS_OF_MEDICINES)} }}",
                                  field=quoted("code"), characters=9), "[{ at_least = 5 }]"
        elif deficit in rules:
            values, value = efi_values(deficit, rules.pop(deficit))
            steps = None
            text += "\n" + rule(f"Values: {row['name']}") + "\n"
            text += "\n".join(value_block(name, named_value, label) for name, label, named_value in values)
        else:
            value, steps = gp_ever(f"efi/{deficit}"), None
        blocks.append(term_block(deficit, row["name"], value, 1, steps, reason=EFI_REASONS.get(deficit)))
    must(not rules, f"value rules of unknown deficits: {list(rules)}")
    text += "\n" + rule("Terms: the 36 deficits, by name as published") + "\n" + "\n".join(blocks)
    bands = [row for row in rows("scores/efi_bands.csv") if row["score"] == "eFI"]
    must([(row["band"], row["lower_exclusive"]) for row in bands]
         == [("fit", ""), ("mild", "0.12"), ("moderate", "0.24"), ("severe", "0.36")], "efi_bands.csv has other bands")
    text += "\n" + rule("Bands: each limit belongs to the band below it") + "\n"
    text += "\n".join(band_block(row["band"], "above", row["lower_exclusive"]) if row["lower_exclusive"] else
                      band_block(row["band"], "rest", "true") for row in reversed(bands))
    names = [row["deficit"] for row in facts]
    text += "\n" + rule("Examples: the first and last count of each band, as published") + "\n" + "\n".join(
        example_block(f"{count} of 36 deficits", {name: 5 if name == "polypharmacy" else "true" for name in names[:count]}, 4,
                      score=f"{count / 36:.4f}", band=quoted(row["band"]))
        for row in bands for count in map(int, row["deficit_count_range"].split("-")))
    write("scores/efi.toml", text)


# --- The Cambridge Multimorbidity Score ------------------------------------------------------------------------------


def four_or_more(group):
    return events("count", "prescription", (0, 365), coded("code", f"bnf_groups/{group}")), "[{ at_least = 4 }]"


# Name, label, value, steps.
CAMBRIDGE_VALUES = [
    ("anxiety_code_12m", "Anxiety, coded in the last year", events("any", "gp_event", (0, 365), coded("code", "disorders/anxiety")), None),
    ("anxiolytics_12m", "4 or more prescriptions for anxiety or sleep in the last year", *four_or_more("anxiolytic_hypnotic")),
    ("depression_code_12m", "Depression, coded in the last year", events("any", "gp_event", (0, 365), coded("code", "qof/DEPR_COD")), None),
    ("antidepressants_12m", "4 or more prescriptions of antidepressants in the last year", *four_or_more("antidepressant")),
    ("asthma_ever", None, gp_ever("qof/AST_COD"), None),
    ("asthma_medicine_12m", "Asthma medicine in the last year", prescribed((0, 365), "asthma_drug"), None),
    ("egfr_last_two_under_60", "Higher of the last two eGFR readings under 60",
     events("highest_of_last_two", "gp_event", "ever", coded("code", "egfr"), amount="{ above = 0 }"), "[{ below = 60 }]"),
    ("epilepsy_ever", None, gp_ever("qof/EPIL_COD"), None),
    ("no_epilepsy", None, '{ not = "epilepsy_ever" }', None),
    ("antiepileptic_12m", "Epilepsy medicine in the last year", prescribed((0, 365), "antiepileptic"), None),
    ("ibs_code", "Irritable bowel syndrome, coded", gp_ever("disorders/irritable_bowel_syndrome"), None),
    ("antispasmodics_12m", "4 or more prescriptions of antispasmodics in the last year", *four_or_more("antispasmodic")),
    ("analgesics_12m", "4 or more prescriptions of pain killers in the last year", *four_or_more("analgesic")),
    ("antiepileptics_12m", "4 or more prescriptions of antiepileptics in the last year", *four_or_more("antiepileptic")),
    ("antiepileptics_for_pain", "4 or more prescriptions of antiepileptics, and no epilepsy",
     '{ all_true = ["antiepileptics_12m", "no_epilepsy"] }', None),
    ("psychosis_ever", "Psychosis, schizophrenia or bipolar disorder, coded", gp_ever("qof/MH_COD"), None),
    ("lithium_ever", "Lithium prescribed", prescribed("ever", "lithium"), None),
    ("cancer_5y", "Cancer diagnosed in hospital in the last 5 years",
     events("any", "diagnosis", (0, 1826), coded("code", "charlson_quan2005/canc", "charlson_quan2005/metacanc")), None),
    ("cancer_before", "Cancer diagnosed in hospital before that",
     events("any", "diagnosis", (1826, 100000), coded("code", "charlson_quan2005/canc", "charlson_quan2005/metacanc")), None),
    ("no_cancer_before", None, '{ not = "cancer_before" }', None),
    ("alcohol_code", "Alcohol problems, coded", gp_ever("disorders/alcohol_problems"), None),
    ("alcohol_hospital", "Alcohol problems, from hospital diagnoses",
     events("any", "diagnosis", "ever", coded("code", "elixhauser_quan2005/alcohol")), None),
]
# Code of the paper: term, label, value. Two of the paper's rows are one condition: anxiety or depression.
CAMBRIDGE = {
    "HYP": ("hypertension", "High blood pressure", gp_ever("qof/HYP_COD")),
    "ANXDEP": ("anxiety_or_depression", "Anxiety or depression in the last year",
               combined("any_true", ["anxiety_code_12m", "anxiolytics_12m", "depression_code_12m", "antidepressants_12m"])),
    "PNC": ("painful_condition", "Pain treated in the last year", combined("any_true", ["analgesics_12m", "antiepileptics_for_pain"])),
    "HEL": ("hearing_loss", "Hearing loss", gp_ever("efi/hearing_loss")),
    "IBS": ("irritable_bowel_syndrome", "Irritable bowel syndrome", combined("any_true", ["ibs_code", "antispasmodics_12m"])),
    "AST": ("asthma", "Asthma, treated in the last year", '{ all_true = ["asthma_ever", "asthma_medicine_12m"] }'),
    "DIB": ("diabetes", "Diabetes", gp_ever("qof/DM_COD")),
    "CHD": ("coronary_heart_disease", "Coronary heart disease", gp_ever("qof/CHD_COD")),
    "CKD": ("chronic_kidney_disease", "Chronic kidney disease, by eGFR", '{ named = "egfr_last_two_under_60" }'),
    "ATR": ("atrial_fibrillation", "Atrial fibrillation", gp_ever("qof/AFIB_COD")),
    "CON": ("constipation", "Constipation, treated in the last year", four_or_more("laxative")[0]),
    "STR": ("stroke_or_tia", "Stroke or TIA", gp_ever("qof/STRK_COD", "qof/TIA_COD")),
    "COP": ("copd", "COPD", gp_ever("qof/COPD_COD")),
    "RHE": ("connective_tissue_disease", "Rheumatoid arthritis or connective tissue disease",
            gp_ever("qof/RARTH_COD", "disorders/connective_tissue_disease")),
    "CAN": ("cancer", "Cancer, first diagnosed in the last 5 years", '{ all_true = ["cancer_5y", "no_cancer_before"] }'),
    "ALC": ("alcohol_problems", "Alcohol problems", combined("any_true", ["alcohol_code", "alcohol_hospital"])),
    "HEF": ("heart_failure", "Heart failure", gp_ever("qof/HF_COD")),
    "DEM": ("dementia", "Dementia", gp_ever("qof/DEM_COD")),
    "SCZ": ("psychosis_or_bipolar", "Psychosis, schizophrenia or bipolar disorder", combined("any_true", ["psychosis_ever", "lithium_ever"])),
    "EPI": ("epilepsy", "Epilepsy, treated in the last year", '{ all_true = ["epilepsy_ever", "antiepileptic_12m"] }'),
}
# The paper's two rows of the one condition.
CAMBRIDGE_RULE = {"ANXDEP": ["ANX", "DEP"]}
CAMBRIDGE_ASSUMED = [
    "The paper's code lists are CPRD GOLD codes. In their place: QOF clusters; the eFI's list for hearing loss; our own main "
    "SNOMED CT codes (list disorders) for anxiety, irritable bowel syndrome, connective tissue disease and alcohol problems.",
    "Cancer has no public GP cluster: hospital diagnoses of C00-C97 without C44; the first lies in the last 5 years (1,826 days) where an admission of that time has one and none before has.",
    "Alcohol problems count from hospital diagnoses too (Elixhauser's group).",
    "Chronic kidney disease: the last two eGFR readings are those of the last two days that have one, of a day the highest; a person with fewer has none of it.",
    "Prescriptions are items issued in the last 365 days, by sections of the British National Formulary: hypnotics and anxiolytics 4.1, antidepressants 4.3 (low-dose tricyclics cannot be told apart and count), laxatives 1.6, antispasmodics 1.2, analgesics 4.7.1 and 4.7.2, antiepileptics 4.8, asthma medicines 3.1-3.3, lithium. Whether an item is prescription-only is not known.",
    "A code ever is not ended by a resolved code, as in the paper.",
    "Everybody on the register is scored; the paper's patients were adults.",
]
CAMBRIDGE_CASES = [
    ("high blood pressure and diabetes", ["HYP", "DIB"]),
    ("COPD, heart failure and constipation", ["COP", "HEF", "CON"]),
    ("dementia, hearing loss and a painful condition", ["DEM", "HEL", "PNC"]),
]


def write_cambridge():
    weights = rows("scores/cambridge_multimorbidity_weights.csv")
    facts = {row["code"]: row for row in rows("scores/cambridge_multimorbidity_conditions.csv")}
    codes = {code for code in CAMBRIDGE for code in CAMBRIDGE_RULE.get(code, [code])}
    must({code for code, row in facts.items() if row["in_20"] == "yes"} == codes, "the paper's 20 conditions are others")
    must({row["code"] for row in weights} == set(CAMBRIDGE), "the weights are of other conditions")
    for column, title, outcome in [
        ("general", "Cambridge Multimorbidity Score, general weights", "burden of disease"),
        ("mortality", "Cambridge Multimorbidity Score, mortality weights", "death"),
    ]:
        text = header(
            {"id": f"cambridge_{column}", "version": "1.0.0", "title": title, "kind": "conditions", "outcome": outcome},
            "Payne RA et al, CMAJ 2020;192:E107-14, doi:10.1503/cmaj.190757",
            "the 20-condition score; weights as " + ("two public implementations have them" if column == "general" else "one public implementation has them")
            + "; presence rules: HFAnalyticsLab/CMD_multimorbidity, Cambridge lists v1.1 (MIT)", [],
            CAMBRIDGE_ASSUMED + (["Some weights are below 0, as published: a total may be negative."] if column == "mortality" else []))
        text += "\n# No [population]: everybody is scored, and nothing recorded is a score of 0.\n\n"
        text += rule("Values") + "\n"
        text += "\n".join(value_block(name, value, label, steps) for name, label, value, steps in CAMBRIDGE_VALUES)
        text += "\n" + rule("Terms, in the order of the weights; after # the paper's code and rule") + "\n"
        text += "\n".join(
            term_block(CAMBRIDGE[code][0], CAMBRIDGE[code][1], CAMBRIDGE[code][2], row[column],
                       "[{ at_least = 4 }]" if code == "CON" else None,
                       comment=f"{code}: " + "; ".join(facts[part]["rule"] for part in CAMBRIDGE_RULE.get(code, [code])))
            for row in weights for code in [row["code"]])
        points = {row["code"]: Decimal(row[column]) for row in weights}
        text += "\n" + rule("Examples: our own sums") + "\n" + "\n".join(
            example_block(who, {CAMBRIDGE[code][0]: 4 if code == "CON" else "true" for code in present}, 2,
                          score=str(sum(points[code] for code in present)))
            for who, present in CAMBRIDGE_CASES)
        write(f"scores/cambridge_{column}.toml", text)


# --- After a stay in hospital: LACE and HOSPITAL ---------------------------------------------------------------------

STAY = "last_stay"
OVERNIGHT = 'patient_class = "ordinary"'
STAY_ASSUMED = [
    "The stay is the last ordinary admission (no day case, no regular attender, no maternity) that goes on or that ended in the 30 days before the as-of day. Of a stay that goes on, the days until the end of its last finished episode count.",
    "Length of stay: days from admission to discharge, of the whole spell: all days of ordinary admissions, less those of admissions before the stay. A transfer to another hospital begins a new stay.",
]


def of_the_stay(where):
    return events("any", "admission", "same_day", where, before=STAY)


def stay_blocks(age_note):
    text = "\n" + block("[population]", [("age_years", "{ at_least = 18 }"), ("otherwise", quoted("not_scored"))], age_note)
    text += "\n" + block("[[population.require]]", [
        ("value", of_the_stay(OVERNIGHT)), ("reason", quoted("not in hospital now or in the last 30 days")),
    ])
    text += "\n" + block("[[anchor]]", [
        ("name", quoted(STAY)), ("label", quoted("The stay in hospital that goes on, or the last that ended in the last 30 days")),
        ("last", quoted("admission")), ("where", f"{{ {OVERNIGHT} }}"), ("ended_days", "[0, 30]"),
    ])
    return text


# A window looks back only, so the days of the stay are all days without those before it.
STAY_VALUES = [
    ("days_in_hospital", None, events("days", "admission", "ever", OVERNIGHT), None),
    ("days_before_the_stay", None, events("days", "admission", "ever", OVERNIGHT, before=STAY), "[{ multiply_by = -1 }]"),
    ("length_of_stay", "Length of stay, days", combined("sum_of", ["days_in_hospital", "days_before_the_stay"]), None),
]

# Component of the published table: short name, value, label of a level.
LACE = {
    "L length of stay days": ("stay", "length_of_stay", "Length of stay {} days", "In hospital for {} days"),
    "A acute (emergent) admission": ("acute", of_the_stay(f"{OVERNIGHT}, {EMERGENCY}"), "The stay began as an emergency", None),
    "C Charlson score (LACE weights)": ("charlson", "charlson_points", "Charlson points (LACE weights): {}",
                                        "Long-term diseases in hospital records ({} Charlson points)"),
    "E emergency department visits in previous 6 months": ("visits", "ae_visits_6m", "A&E visits in the 6 months before the stay: {}",
                                                           "A&E visits in the 6 months before the stay: {}"),
}
LACE_VALUES = [
    ("charlson_of_all", "Charlson points, each condition counted",
     events("weights_once", "diagnosis", HOSPITAL_WINDOW, field=quoted("code"), list=quoted("lace_charlson")), None),
    ("diabetes_plain", None, in_hospital("lace_charlson/diabetes_without_complications"), None),
    ("diabetes_damage", None, in_hospital("lace_charlson/diabetes_with_end_organ_damage"), None),
    ("diabetes_twice", "Diabetes counted with and without end organ damage", '{ all_true = ["diabetes_plain", "diabetes_damage"] }',
     "[{ multiply_by = -1 }]"),
    ("charlson_points", "Charlson points (LACE weights)", combined("sum_of", ["charlson_of_all", "diabetes_twice"]), None),
    ("ae_visits_6m", "A&E visits in the 6 months before the stay", events("count", "emergency", (0, 183), UNPLANNED, before=STAY), None),
]
LACE_CASES = [
    ("8 days, emergency, 2 Charlson points, 1 A&E visit: 5 + 3 + 2 + 1", {"length_of_stay": 8, "acute": "true", "charlson_points": 2, "ae_visits_6m": 1}, 11, "high"),
    ("a planned stay of 3 days, nothing else", {"length_of_stay": 3}, 3, "low"),
    ("1 day, emergency, Charlson 4 counts 5: 1 + 3 + 5", {"length_of_stay": 1, "acute": "true", "charlson_points": 4}, 9, "moderate"),
    ("the most: 14 days, emergency, Charlson 9, 6 A&E visits: 7 + 3 + 5 + 4", {"length_of_stay": 14, "acute": "true", "charlson_points": 9, "ae_visits_6m": 6}, 19, "high"),
    ("6 and 7 days are two levels: 4 + 3", {"length_of_stay": 6, "acute": "true"}, 7, "moderate"),
    ("7 days: 5 + 3", {"length_of_stay": 7, "acute": "true"}, 8, "moderate"),
]


def write_lace():
    table = rows("scores/lace_points.csv")
    must({row["component"] for row in table} == set(LACE), "lace_points.csv has other components")
    text = header(
        {"id": "lace", "version": "1.0.0", "title": "LACE index: death or unplanned readmission within 30 days of discharge",
         "kind": "points", "outcome": "death or unplanned readmission", "horizon_days": 30},
        "van Walraven C et al, CMAJ 2010;182:551-7", "table 3, transcribed from NCTraCSIDSci/LACE_omop_ordrd (MIT) and checked with two other implementations; Charlson weights: its footnote", [],
        STAY_ASSUMED + [
            "Charlson points: diagnoses in any position of admissions in the 730 days before the as-of day, the stay's finished episodes included; codes: Quan 2005, since the paper prints none. Diabetes with and without end organ damage counts as the former.",
            "Kidney disease of stage 1 or 2 is mild (2 points), of stages 3 to 5 or not known moderate or severe (4).",
            "Connective tissue disease (3 points) and heart failure (2 points) are as in two of three implementations.",
            "A&E visits: attendances other than planned follow-up in the 183 days before the day of admission; that day's do not count.",
            "Scored from age 18. 10 or more points are commonly called high risk, 5 to 9 moderate.",
            LOST_AFTER_A_STAY + "Unplanned is read as an emergency admission. Who was registered nowhere at the end is left "
            "out, for an admission elsewhere is not seen."])
    text += "\n" + outcome_block(30, EMERGENCY_ADMISSION, "last_stay", died="event")
    text += stay_blocks("") + "\n" + rule("Values") + "\n"
    text += "\n".join(value_block(name, value, label, steps) for name, label, value, steps in STAY_VALUES + LACE_VALUES)
    blocks = []
    for row in table:
        short, value, label, reason = LACE[row["component"]]
        if row["points"] == "0":
            continue
        if short == "acute":
            blocks.append(term_block("acute", label, value, row["points"], comment=row["component"]))
            continue
        low, high = int(row["condition_low"]), int(row["condition_high"]) if row["condition_high"] else None
        words = f"{low} or more" if high is None else f"{low}" if low == high else f"{low} to {high}"
        suffix = f"{low}plus" if high is None else f"{low}" if low == high else f"{low}_{high}"
        label, reason = [template.format(words).replace(" 1 days", " 1 day").replace("1 Charlson points", "1 Charlson point")
                         for template in (label, reason)]
        blocks.append(term_block(f"{short}_{suffix}", label, named(value), row["points"], level(low, high), short,
                                 reason=reason if reason != label else None, comment=row["component"]))
    text += "\n" + rule("Terms, in the order of the table; the levels with 0 points are left out") + "\n" + "\n".join(blocks)
    text += "\n" + "\n".join([band_block("high", "at_least", 10), band_block("moderate", "at_least", 5), band_block("low", "rest", "true")])
    for who, given, total, _ in LACE_CASES:
        must(lace_total(table, given) == total, f"LACE: {who} is not {total}")
    text += "\n" + rule("Examples: our own sums") + "\n"
    text += "\n".join(example_block(who, given, 0, score=total, band=quoted(band)) for who, given, total, band in LACE_CASES)
    write("scores/lace.toml", text)


def lace_total(table, given):
    total = 0
    for row in table:
        short, value, _, _ = LACE[row["component"]]
        if short == "acute":
            total += int(row["points"]) if (row["condition_low"] == "yes") == ("acute" in given) else 0
        elif int(row["condition_low"]) <= given.get(value, 0) <= int(row["condition_high"] or 10**9):
            total += int(row["points"])
    return total


def recent_value(category, amount):
    return events("latest", "gp_event", (0, 30), coded("code", f"measurements/{category}"), amount=amount)


# Item and condition of the published table: term, label, value, steps.
HOSPITAL_SCORE = {
    ("Haemoglobin at discharge", "< 12 g/dL (120 g/L)"): (
        "low_haemoglobin", "Haemoglobin under 120 g/L in the last 30 days", combined("any_true", ["low_haemoglobin_g_l", "low_haemoglobin_g_dl"]), None),
    ("Discharge from Oncology service", "yes"): (
        "oncology", "Stay in an oncology department", of_the_stay(f'{OVERNIGHT}, treatment_specialty = ["370", "800"]'), None),
    ("Sodium at discharge", "< 135 mmol/L"): (
        "low_sodium", "Sodium under 135 mmol/L in the last 30 days", named("latest_sodium"), "[{ below = 135 }]"),
    ("Procedure during stay", "any coded procedure"): (
        "procedure", "Procedure during the stay",
        events("any", "procedure", "same_day", f"code = {{ prefix = {listed('ABCDEFGHJKLMNOPQRSTUVWXYZ')} }}", before=STAY), None),
    ("Index admission Type", "urgent or emergency"): (
        "acute", "The stay began as an emergency", of_the_stay(f"{OVERNIGHT}, {EMERGENCY}"), None),
    ("number of Admissions in previous year", "0-1"): None,
    ("number of Admissions in previous year", "2-5"): (
        "admissions_2_5", "2 to 5 admissions in the year before the stay", named("admissions_12m"), level(2, 5)),
    ("number of Admissions in previous year", "> 5"): (
        "admissions_6plus", "6 or more admissions in the year before the stay", named("admissions_12m"), level(6, None)),
    ("Length of stay", ">= 5 days"): ("long_stay", "In hospital for 5 days or more", named("length_of_stay"), "[{ at_least = 5 }]"),
}
HOSPITAL_SCORE_VALUES = [
    ("low_haemoglobin_g_l", "Latest haemoglobin, g/L, under 120", recent_value("haemoglobin", "{ at_least = 25 }"), "[{ below = 120 }]"),
    ("low_haemoglobin_g_dl", "Latest haemoglobin, g/dL, under 12", recent_value("haemoglobin", "{ above = 0, below = 25 }"), "[{ below = 12 }]"),
    ("latest_sodium", "Latest sodium, mmol/L", recent_value("sodium", "{ above = 0 }"), None),
    ("admissions_12m", "Admissions in the year before the stay", events("count", "admission", (0, 365), OVERNIGHT, before=STAY), None),
]
HOSPITAL_SCORE_CASES = [
    ("emergency, 6 days, 3 admissions the year before, sodium 131: 1 + 2 + 2 + 1",
     {"acute": "true", "length_of_stay": 6, "admissions_12m": 3, "latest_sodium": 131}, 6, "intermediate"),
    ("everything: 13 points", {"low_haemoglobin": "true", "oncology": "true", "latest_sodium": 120, "procedure": "true", "acute": "true",
                               "admissions_12m": 6, "length_of_stay": 5}, 13, "high"),
    ("a planned stay of 4 days with an operation, 1 admission the year before, sodium 135",
     {"procedure": "true", "length_of_stay": 4, "admissions_12m": 1, "latest_sodium": 135}, 1, "low"),
]


def write_hospital_score():
    table = rows("scores/hospital_score.csv")
    must([(row["item"], row["condition"]) for row in table] == list(HOSPITAL_SCORE), "hospital_score.csv has other items")
    # A person has one of the levels of admissions: 2 points or 5.
    must(sum(int(row["points"]) for row in table) - 2 == 13, "the points do not add up to 13")
    text = header(
        {"id": "hospital_score", "version": "1.0.0", "title": "HOSPITAL score: potentially avoidable readmission within 30 days of discharge",
         "kind": "points", "outcome": "potentially avoidable readmission", "horizon_days": 30},
        "Donze J et al, JAMA Intern Med 2013;173:632-8; Donze JD et al, JAMA Intern Med 2016;176:496-502",
        "points of a public calculator, with the bands of admissions of 2016; risk bands of 2016", [],
        STAY_ASSUMED + [
            "Haemoglobin and sodium at discharge are not in hospital extracts. In their place: the latest value in the GP record of the 30 days before the as-of day, which may lie before the stay; none recorded counts 0 points. Haemoglobin from 25 is taken as g/L, below as g/dL.",
            "Oncology service: treatment specialty 370 (medical oncology) or 800 (clinical oncology) of the first episode of the stay.",
            "Any coded procedure: any OPCS-4 code, imaging and methods of approach included.",
            "Admissions in the previous year: ordinary admissions that began in the 365 days before the stay.",
            "Scored from age 18."])
    text += stay_blocks("") + "\n" + rule("Values") + "\n"
    text += "\n".join(value_block(name, value, label, steps) for name, label, value, steps in STAY_VALUES + HOSPITAL_SCORE_VALUES)
    blocks = []
    for row in table:
        reading = HOSPITAL_SCORE[row["item"], row["condition"]]
        if reading is None:
            must(row["points"] == "0", "an item without a term has points")
            continue
        term, label, value, steps = reading
        blocks.append(term_block(term, label, value, row["points"], steps, "admissions" if term.startswith("admissions") else None,
                                 comment=f"{row['item']}: {row['condition']}"))
    text += "\n" + rule("Terms, in the order of the score's name") + "\n" + "\n".join(blocks)
    text += "\n" + "\n".join([band_block("high", "at_least", 7), band_block("intermediate", "at_least", 5), band_block("low", "rest", "true")])
    text += "\n" + rule("Examples: our own sums") + "\n"
    text += "\n".join(example_block(who, given, 0, score=total, band=quoted(band)) for who, given, total, band in HOSPITAL_SCORE_CASES)
    write("scores/hospital_score.toml", text)


# --- Facts about a person --------------------------------------------------------------------------------------------

OPEN_CARE_HOME = ('{ open = { of = "social_care", where = { event_type = "service", '
                  'service_type = ["long_term_nursing", "long_term_residential"] } } }')


def aged(least):
    return (f"aged_{least}_plus", None, "{ age_years = {} }", f"[{{ at_least = {least} }}]")


def both(*names):
    return combined("all_true", names)


FACT_VALUES = [
    ("Ages that registers start from", [aged(least) for least in (6, 16, 17, 18, 50)]),
    ("Care", [
        ("care_home_gp", None, gp_ever("care_status/care_home_resident"), None),
        ("care_home_social_care", None, OPEN_CARE_HOME, None),
    ]),
    ("The eight long-term conditions of the model cpm", [(name, label, value, None) for name, label, value in LTC_8]),
    ("Parts of registers", [
        ("asthma_medicine_12m", None, prescribed((0, 365), "asthma_drug"), None),
        ("kidney_disease_3_to_5", None, unresolved(["qof/CKD_COD"], ["qof/CKD1AND2_COD"]), None),
        ("epilepsy", None, gp_ever("qof/EPIL_COD"), None),
        ("antiepileptic_6m", None, prescribed((0, 183), "antiepileptic"), None),
        ("severe_mental_illness", None, gp_ever("qof/MH_COD"), None),
        ("lithium_6m", None, prescribed((0, 183), "lithium"), None),
        ("hyperglycaemia", None, gp_ever("qof/NDH_COD"), None),
        ("no_diabetes", None, '{ not = "diabetes" }', None),
        ("osteoporosis", None, gp_ever("qof/OSTEO_COD"), None),
        ("fragility_fracture", None, gp_ever("qof/FF_COD"), None),
        ("rheumatoid_arthritis", None, gp_ever("qof/RARTH_COD"), None),
    ]),
]


def latest(lists, low, high):
    return events("latest", "gp_event", "ever", coded("code", lists), amount=f"{{ at_least = {low}, at_most = {high} }}")


# Name, label, list, lowest and highest value that is taken as one.
MEASURED = [
    ("latest_hba1c", "Latest HbA1c, mmol/mol", "measurements/hba1c", 20, 200),
    ("latest_egfr", "Latest eGFR, ml/min/1.73 m2", "egfr", 1, 200),
    ("latest_bmi", "Latest body mass index", "measurements/bmi", 10, 100),
    ("latest_systolic", "Latest systolic blood pressure, mmHg", "measurements/systolic", 50, 300),
    ("latest_diastolic", "Latest diastolic blood pressure, mmHg", "measurements/diastolic", 20, 200),
]
# Chronic kidney disease by two readings: the last eGFR, and the last that was taken 90 days or more before it.
EGFR_IN_RANGE = "{ at_least = 1, at_most = 200 }"
LOW_EGFR = [
    ("egfr_below_60", None, latest("egfr", 1, 200), "[{ below = 60 }]"),
    ("egfr_below_60_before", None,
     events("latest", "gp_event", (89, 36_500), coded("code", "egfr"), "last_egfr", amount=EGFR_IN_RANGE), "[{ below = 60 }]"),
]
BMI = latest("measurements/bmi", 10, 100)
# Ethnic categories (2001) in which a body mass index from 27.5 counts: South and other Asian, Black, Chinese.
BMI_27_5_GROUPS = ["H", "J", "K", "L", "M", "N", "P", "R"]
OBESITY = [
    ("obese", None, BMI, "[{ at_least = 30 }]"),
    ("obese_by_lower_limit", None, BMI, "[{ at_least = 27.5 }]"),
    ("lower_limit_applies", None, f'{{ attribute_is = {{ attribute = "ethnicity", in = {listed(BMI_27_5_GROUPS)} }} }}', None),
    ("obese_in_ethnic_group", None, both("obese_by_lower_limit", "lower_limit_applies"), None),
    ("obese_by_either", None, combined("any_true", ["obese", "obese_in_ethnic_group"]), None),
]

# Register (its QOF name), term, label, value.
REGISTERS = [
    ("AF", "register_atrial_fibrillation", "Atrial fibrillation", gp_ever("qof/AFIB_COD")),
    ("AST", "register_asthma", "Asthma, treated in the last year", both("aged_6_plus", "asthma", "asthma_medicine_12m")),
    ("CAN", "register_cancer", "Cancer", named("cancer")),
    ("CHD", "register_coronary_heart_disease", "Coronary heart disease", named("coronary_heart_disease")),
    ("CKD", "register_chronic_kidney_disease", "Chronic kidney disease, stage 3 to 5", both("aged_18_plus", "kidney_disease_3_to_5")),
    ("COPD", "register_copd", "COPD", named("copd")),
    ("DEM", "register_dementia", "Dementia", gp_ever("qof/DEM_COD")),
    ("DEP", "register_depression", "Depression", both("aged_18_plus", "depression")),
    ("DM", "register_diabetes", "Diabetes", both("aged_17_plus", "diabetes")),
    ("EP", "register_epilepsy", "Epilepsy, treated in the last 6 months", both("aged_18_plus", "epilepsy", "antiepileptic_6m")),
    ("HF", "register_heart_failure", "Heart failure", named("heart_failure")),
    ("HYP", "register_hypertension", "High blood pressure", both("aged_18_plus", "hypertension")),
    ("LD", "register_learning_disability", "Learning disability", gp_ever("qof/LD_COD")),
    ("MH", "register_severe_mental_illness", "Severe mental illness", combined("any_true", ["severe_mental_illness", "lithium_6m"])),
    ("NDH", "register_non_diabetic_hyperglycaemia", "Blood sugar raised, short of diabetes", both("aged_18_plus", "hyperglycaemia", "no_diabetes")),
    ("OB", "register_obesity", "Obesity, by the latest body mass index", both("aged_18_plus", "obese_by_either")),
    ("OST", "register_osteoporosis", "Osteoporosis with a fragility fracture", both("aged_50_plus", "osteoporosis", "fragility_fracture")),
    ("PAD", "register_peripheral_arterial_disease", "Peripheral arterial disease", gp_ever("qof/PAD_COD")),
    ("PC", "palliative_register", "On the palliative care register", unresolved(["care_status/palliative_care_register"], ["care_status/palliative_not_indicated"])),
    ("RA", "register_rheumatoid_arthritis", "Rheumatoid arthritis", both("aged_16_plus", "rheumatoid_arthritis")),
    ("STIA", "register_stroke_or_tia", "Stroke or TIA", gp_ever("qof/STRK_COD", "qof/TIA_COD")),
]
# Risk factors and care, not long-term conditions; the other 18 registers are.
NOT_LTC_18 = {"NDH", "OB", "PC"}


def on_register(name):
    return f"on_{name.lower()}_register"


LTC_18 = [on_register(name) for name, *_ in REGISTERS if name not in NOT_LTC_18]

CFS_LEVELS = range(1, 10)
CFS_SCORE = coded("code", "frailty/scale_score")


def clinical_frailty_scale():
    """The later of the two records of the scale, a code of the level or a score; 0 where there is neither."""
    def from_level(level):
        return listed([f"frailty/scale_level_{higher}" for higher in CFS_LEVELS if higher >= level])

    levels = from_level(1)
    in_range = "{ at_least = 1, at_most = 9 }"
    values = [
        (f"scale_coded_{level}", None,
         f'{{ last_is = {{ of = "gp_event", among = {{ code = {{ in = {levels} }} }}, '
         f'where = {{ code = {{ in = {from_level(level)} }} }}, days = "ever" }} }}', None)
        for level in CFS_LEVELS
    ]
    values.append(("scale_coded", "Clinical Frailty Scale, latest code", combined("count_true", [f"scale_coded_{level}" for level in CFS_LEVELS]), None))
    values += [(f"scale_scored_{level}", None, events("latest", "gp_event", "ever", CFS_SCORE, amount=in_range), f"[{{ at_least = {level} }}]")
               for level in CFS_LEVELS]
    values += [
        ("scale_scored", "Clinical Frailty Scale, latest score", combined("count_true", [f"scale_scored_{level}" for level in CFS_LEVELS]), None),
        ("days_since_scale_code", None, events("since_last", "gp_event", "ever", f"code = {{ in = {levels} }}"), None),
        ("days_since_scale_score", None, events("since_last", "gp_event", "ever", CFS_SCORE, amount=in_range), "[{ multiply_by = -1 }]"),
        ("score_is_newer", None, combined("sum_of", ["days_since_scale_code", "days_since_scale_score"]), "[{ at_least = 1 }]"),
        ("no_scale_code", None, '{ not = "scale_coded" }', None),
        ("score_counts", None, combined("any_true", ["score_is_newer", "no_scale_code"]), None),
        ("code_counts", None, '{ not = "score_counts" }', None),
        ("scale_by_code", None, combined("product", ["scale_coded", "code_counts"]), None),
        ("scale_by_score", None, combined("product", ["scale_scored", "score_counts"]), None),
    ]
    return values


def latest_frailty(band):
    return (f'{{ last_is = {{ of = "gp_event", among = {{ code = {{ in = ["frailty/mild", "frailty/moderate", "frailty/severe"] }} }}, '
            f'where = {{ code = {{ in = ["frailty/{band}"] }} }}, days = "ever" }} }}')


FACT_TERMS = [
    ("Care", [
        ("care_home", "Lives in a care home", combined("any_true", ["care_home_gp", "care_home_social_care"]), None),
        ("housebound", "Housebound", unresolved(["care_status/housebound"], ["care_status/no_longer_housebound"]), None),
        ("social_care_service", "Receives a social care service",
         '{ open = { of = "social_care", where = { event_type = "service" } } }', None),
        ("in_hospital", "In hospital on the as-of day", events("any", "admission", "same_day", before="stay_that_goes_on"), None),
    ]),
    ("Frailty as clinicians recorded it", [
        ("clinical_frailty_scale", "Clinical Frailty Scale (Rockwood), latest; 0 is not recorded",
         combined("sum_of", ["scale_by_code", "scale_by_score"]), "Clinical Frailty Scale {}"),
        ("frailty_code_mild", "Frailty recorded as mild, latest code", latest_frailty("mild"), "Recorded as mildly frail"),
        ("frailty_code_moderate", "Frailty recorded as moderate, latest code", latest_frailty("moderate"), "Recorded as moderately frail"),
        ("frailty_code_severe", "Frailty recorded as severe, latest code", latest_frailty("severe"), "Recorded as severely frail"),
    ]),
    ("Activity", [
        ("emergency_admissions_12m", "Emergency admissions in the last year", events("count", "admission", (0, 365), EMERGENCY),
         "{} emergency admissions in the last year"),
        ("acsc_emergency_admissions_12m", "Emergency admissions in the last year that good care outside hospital may prevent",
         events("count", "admission", (0, 365), f'{EMERGENCY}, {coded("primary_diagnosis", "acsc_19")}'),
         "{} emergency admissions in the last year that good care outside hospital may prevent"),
        ("falls_admissions_12m", "Emergency admissions in the last year after a fall",
         events("distinct_days", "diagnosis", (0, 365), f'{EMERGENCY}, {coded("code", "falls")}'),
         "{} emergency admissions in the last year after a fall"),
        ("ae_attendances_12m", "A&E attendances in the last year, without planned follow-up",
         events("count", "emergency", (0, 365), UNPLANNED), "{} A&E attendances in the last year"),
        ("outpatient_visits_12m", "Outpatient visits in the last year", events("count", "outpatient", (0, 365), ATTENDED),
         "{} outpatient visits in the last year"),
        ("medicines_3m", "Different medicines in any month of the last 3", MEDICINES_PER_MONTH, "{} different medicines in a month"),
    ]),
    ("Conditions", [
        ("ltc_count_8", "Long-term conditions, of the 8 of the model cpm", combined("count_true", [name for name, _, _ in LTC_8]),
         "{} long-term conditions (of 8)"),
        ("ltc_count_18", "Long-term conditions, of 18 disease registers", combined("count_true", LTC_18),
         "{} long-term conditions (of 18)"),
        ("egfr_below_60_twice", "The last eGFR is under 60, and so is the last one 90 days or more before it",
         combined("all_true", [name for name, *_ in LOW_EGFR]), "Two eGFR under 60, 90 days or more apart"),
    ]),
]


def write_person_facts():
    must([row["register"] for row in rows("scores/qof_registers.csv")] == [name for name, *_ in REGISTERS],
         "qof_registers.csv has other registers")
    must(len(LTC_18) == 18, f"{len(LTC_18)} registers are counted as long-term conditions, not 18")
    known = {row["code"] for row in rows("data-standards/ethnic_category_2001_codes.csv")}
    must(set(BMI_27_5_GROUPS) <= known, "an ethnic category is not in the list")
    text = header(
        {"id": "person_facts", "version": "1.0.0", "title": "Facts about a person, for cohorts and reports", "kind": "facts"},
        "QOF business rules v50 (2025-26) for registers; NHS England primary care domain reference sets and OpenCodelists for codes",
        "rules as in ncl-icb-analytics/dbt-ncl-analytics (qof_registers), cross-checked with opensafely/qof-utilities",
        [],
        ["Registers whose resolved codes are not stored count a code ever: atrial fibrillation, epilepsy, heart failure, learning disability (removal), severe mental illness.",
         "Chronic kidney disease is ended by a later code of stage 1 or 2; its resolved codes are not stored.",
         "Depression is ended by the one code of the list resolved; the rule's first date (2006-04-01) is not applied. The other first dates of the rules are not applied either.",
         "Cancer has no public GP cluster: a hospital diagnosis of C00-C97 without C44, ever.",
         "Osteoporosis: a fragility fracture and a diagnosis from age 50; the bone density scan that the rule asks for at 50-74 is not looked at.",
         "Non-diabetic hyperglycaemia: one code of one cluster; the clusters IGT_COD and PRD_COD are not stored. The rule takes resolved diabetes as no diabetes, and so does this.",
         "Obesity: the latest body mass index ever recorded, from 10 to 100 (code list measurements). The rule's ethnic groups are taken as the 2001 categories Indian, Pakistani, Bangladeshi, other Asian, Black Caribbean, Black African, other Black and Chinese; mixed groups keep the limit of 30.",
         "18 long-term conditions: Kent's Year of Care list of 18 is not published in our sources. In its place: the 18 QOF disease registers, which are all but non-diabetic hyperglycaemia, obesity and palliative care.",
         "Six months are 183 days.",
         "Care home: a GP code of residence, ever (nothing says that a person left), or a long-term nursing or residential service that is open.",
         "Housebound and palliative care are ended by their own codes on a later day; codes of palliative care before 2008-04-01 count too.",
         "Clinical Frailty Scale: the later of the code of a level and the recorded score (1 to 9); on one day, the code; of two of one kind on one day, the higher. A level is reached where the latest record has it or a higher one. Frailty recorded as mild, moderate or severe is the latest code of the three.",
         "Ambulatory-care-sensitive admission: an emergency admission whose primary diagnosis is in the code list acsc_19; the list's own exclusions are not applied, and J20 is left out.",
         "Fall: an emergency admission with a fall in any position of any episode, any age.",
         "Latest values: HbA1c 20-200 mmol/mol (IFCC), eGFR 1-200, body mass index 10-100, systolic pressure 50-300 mmHg, diastolic 20-200 mmHg, of any day and setting; values outside are not taken. A person without one has no value, not 0. The SNOMED CT codes are ours.",
         "Two eGFR under 60: as NICE and KDIGO ask, 90 days or more apart; the readings between them are not looked at.",
         "Emergency admission, A&E visits, outpatient visits and medicines per month as in the model cpm."])
    text += "\n" + block("[[anchor]]", [
        ("name", quoted("last_egfr")),
        ("label", quoted("The last eGFR")),
        ("last", quoted("gp_event")),
        ("where", f'{{ {coded("code", "egfr")} }}'),
        ("ended_days", days((0, 36_500))),
    ])
    # A stay that goes on always counts as an anchor, and none that ended lies so far back.
    text += "\n" + block("[[anchor]]", [
        ("name", quoted("stay_that_goes_on")),
        ("label", quoted("The stay in hospital that goes on")),
        ("last", quoted("admission")),
        ("ended_days", days((99_999, 100_000))),
    ])
    groups = FACT_VALUES + [("Obesity", OBESITY), ("Kidney function", LOW_EGFR), ("Clinical Frailty Scale: the codes of its levels, and its score", clinical_frailty_scale())]
    for title, values in groups:
        text += "\n" + rule(f"Values: {title}") + "\n"
        text += "\n".join(value_block(name, value, label, steps) for name, label, value, steps in values)
    text += "\n" + rule("Values: disease registers, QOF style; after # the register's QOF name and rule") + "\n"
    rules = {row["register"]: row for row in rows("scores/qof_registers.csv")}
    text += "\n".join(f"# {name}: {rules[name]['rule']}" + (f"; from age {rules[name]['min_age']}" if rules[name]["min_age"] else "") + "\n"
                      + value_block(on_register(name), value, label) for name, _, label, value in REGISTERS)
    for title, terms in FACT_TERMS:
        text += "\n" + rule(title) + "\n"
        text += "\n".join(term_block(name, label, value, reason=reason) for name, label, value, reason in terms)
    text += "\n" + rule("Latest measurements: none recorded is not 0") + "\n"
    text += "\n".join(term_block(name, label, latest(lists, low, high), missing="not_scored", reason=f"{label}: {{}}")
                      for name, label, lists, low, high in MEASURED)
    text += "\n" + rule("Disease registers") + "\n"
    text += "\n".join(term_block(term, label, named(on_register(name))) for name, term, label, _ in REGISTERS)
    write("scores/person_facts.toml", text)


def main():
    global REFERENCE
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: transcribe_models.py REFERENCE_DIR")
    REFERENCE = Path(sys.argv[1])
    write_codelists()
    write_cpm()
    write_parr30()
    write_hfrs()
    write_charlson()
    write_elixhauser()
    write_efi()
    write_cambridge()
    write_lace()
    write_hospital_score()
    write_person_facts()


if __name__ == "__main__":
    main()
