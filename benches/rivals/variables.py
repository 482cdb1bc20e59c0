"""The variables that every engine works out: names, code groups and windows (a < age in days <= b)."""

import csv
from pathlib import Path

LISTS = Path(__file__).resolve().parents[2] / "models/codelists"

# A code ever, not resolved on a later day: the diagnosis's group and the resolving one's.
UNRESOLVED = {
    "v_asthma": ("qof/AST_COD", "qof/ASTRES_COD"),
    "v_diabetes": ("qof/DM_COD", "qof/DMRES_COD"),
    "v_copd": ("qof/COPD_COD", "qof/COPDRES_COD"),
    "v_hypertension": ("qof/HYP_COD", "qof/HYPRES_COD"),
}
# A code ever, of any of these groups.
ANY = {
    "v_coronary_heart_disease": ["qof/CHD_COD"],
    "v_heart_failure": ["qof/HF_COD"],
    "v_atrial_fibrillation": ["qof/AFIB_COD", "efi/atrial_fibrillation"],
    "v_stroke_or_tia": ["qof/STRK_COD", "qof/TIA_COD", "efi/stroke_tia"],
    "v_chronic_kidney_disease": ["qof/CKD_COD", "efi/ckd"],
    "v_peripheral_vascular_disease": ["qof/PAD_COD", "efi/pvd"],
    "v_dementia": ["qof/DEM_COD"],
    "v_epilepsy": ["qof/EPIL_COD"],
    "v_learning_disability": ["qof/LD_COD"],
    "v_psychotic_disorder": ["qof/MH_COD"],
    "v_arthritis": ["qof/RARTH_COD", "efi/arthritis"],
    "v_osteoporosis": ["qof/OSTEO_COD", "efi/osteoporosis"],
    "v_fragility_fracture": ["qof/FF_COD", "efi/fragility_fracture"],
    "v_foot_problems": ["efi/foot_problems"],
    "v_heart_valve_disease": ["efi/heart_valve_disease"],
    "v_hypotension": ["efi/hypotension"],
    "v_parkinsonism": ["efi/parkinsons"],
    "v_peptic_ulcer": ["efi/peptic_ulcer"],
    "v_skin_ulcer": ["efi/skin_ulcer"],
    "v_thyroid_disorders": ["efi/thyroid_disorders"],
    "v_urinary_system_disease": ["efi/urinary_system_disease"],
    "v_respiratory_disease": ["efi/respiratory_disease"],
}
ADMISSIONS = {
    f"v_admissions_{near}_{far}": (near, far) for near, far in [(0, 30), (30, 90), (90, 180), (180, 365), (365, 730)]
}
VISITS = {f"v_visits_{near}_{far}": (near, far) for near, far in [(0, 30), (30, 90), (90, 180), (180, 365), (365, 730)]}
ATTENDANCES = {f"v_attendances_{near}_{far}": (near, far) for near, far in [(0, 30), (30, 90), (365, 730), (0, 730)]}
EMERGENCY_METHODS = ["21", "22", "23", "24", "25", "28", "2A", "2D"]
NAMES = [*UNRESOLVED, *ANY, *ADMISSIONS, *VISITS, *ATTENDANCES, "drugs_in_any_month"]


def code_groups():
    """(code, group) for every SNOMED code of the groups above; a group is the place of its name in GROUPS."""
    members = {}
    for name in ("qof", "efi"):
        with open(LISTS / f"{name}.csv", newline="") as file:
            file.readline()
            for row in csv.DictReader(file):
                if row["system"] == "snomed":
                    members.setdefault(f"{name}/{row['category']}", []).append(row["code"])
    return sorted({(code, number) for number, lists in enumerate(GROUPS.values()) for one in lists for code in members[one]})


GROUPS = {}
for variable, (found, ended) in UNRESOLVED.items():
    GROUPS[f"{variable}:found"], GROUPS[f"{variable}:ended"] = [found], [ended]
GROUPS.update(ANY)
PLACE = {name: place for place, name in enumerate(GROUPS)}
