#!/usr/bin/env python3
"""Copy the facts that the synthetic population needs from a reference folder.

Usage: scripts/transcribe_population.py REFERENCE_DIR

Writes src/population/tables/*.csv beside this script. Each file keeps the source line of the file it comes from (the
first line, which starts with #). Only facts are copied: numbers, codes and area names. The SNOMED lists are cut to a
few codes a group: enough to be found by anyone who holds the whole list, and no copy of it.

Tables that hold assumptions of this project (conditions, causes, drugs, further diagnoses, specialties) are written by hand and are not touched.
"""

import csv
import sys
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "src" / "population" / "tables"
CODES_PER_CLUSTER = 8
CODES_PER_DEFICIT = 4


def read(path):
    """The source line and the rows (as dicts) of a reference file."""
    with open(path, encoding="utf-8", newline="") as file:
        source = file.readline().strip()
        assert source.startswith("#"), f"{path} has no source line"
        return source, list(csv.DictReader(file))


def write(name, source, header, rows):
    with open(OUT / name, "w", encoding="utf-8", newline="") as file:
        file.write(source + "\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def copy(reference, path, name, columns):
    source, rows = read(reference / path)
    write(name, source, columns, ([row[column] for column in columns] for row in rows))


def shortest_first(codes):
    return sorted(set(codes), key=lambda code: (len(code), code))


def snomed_groups(reference):
    """Code groups that records are made from: diagnosis clusters, frailty deficits, care status, frailty levels."""
    groups = []
    source, rows = read(reference / "scores/qof_cluster_codes_snomed.csv")
    sources = [source.lstrip("# ")]
    clusters = {}
    for row in rows:
        clusters.setdefault(row["cluster"], []).append(row["snomed_code"])
    holders = {}
    for cluster, codes in clusters.items():
        for code in codes:
            holders.setdefault(code, set()).add(cluster)
    # A code of two clusters would put people on a register that they were not drawn for.
    for cluster in sorted(clusters):
        own = [code for code in clusters[cluster] if len(holders[code]) == 1] or clusters[cluster]
        groups += [(cluster, code) for code in shortest_first(own)[:CODES_PER_CLUSTER]]

    source, rows = read(reference / "scores/efi_codes.csv")
    sources.append(source.lstrip("# "))
    deficits = {}
    for row in rows:
        if row["system"] == "snomed":
            deficits.setdefault(row["deficit"], []).append(row["code"])
    for deficit in sorted(deficits):
        own = [code for code in deficits[deficit] if code not in holders] or deficits[deficit]
        groups += [(f"efi_{deficit}", code) for code in shortest_first(own)[:CODES_PER_DEFICIT]]

    source, rows = read(reference / "scores/care_status_snomed.csv")
    sources.append(source.lstrip("# "))
    by_concept = {}
    for row in rows:
        by_concept.setdefault(row["concept"], []).append(row["snomed_code"])
    groups += [(row["concept"], row["snomed_code"]) for row in rows if row["concept"] == "care_home_resident"]
    for concept in ("housebound", "no_longer_housebound"):
        groups += [(concept, code) for code in shortest_first(by_concept[concept])[:CODES_PER_DEFICIT]]

    source, rows = read(reference / "scores/frailty_snomed.csv")
    sources.append(source.lstrip("# "))
    groups += [(f"frailty_{row['band']}", row["snomed_code"]) for row in rows if row["concept"] == "frailty_diagnosis"]
    levels = sorted((row for row in rows if row["concept"] == "cfs_level"), key=lambda row: int(row["level"]))
    groups += [("frailty_scale_level", row["snomed_code"]) for row in levels]
    groups += [("frailty_scale_score", row["snomed_code"]) for row in rows if row["concept"] == "cfs_score_observable"]
    return "# " + " | ".join(sources), groups


def main():
    reference = Path(sys.argv[1])
    population = reference / "population"
    OUT.mkdir(parents=True, exist_ok=True)

    source, rows = read(population / "kent_medway_population_mid2019_msoa.csv")
    bands = [column for column in rows[0] if column not in ("msoa11_code", "district", "sex")]
    write("msoa_population.csv", source, ["msoa11_code", "district", "sex", *bands],
          ([row["msoa11_code"], row["district"], row["sex"], *(row[band] for band in bands)] for row in rows))
    copy(population, "kent_medway_lsoa_lookup.csv", "lsoa.csv", ["lsoa11_code", "msoa11_code", "imd2019_decile"])
    copy(population, "kent_medway_population_mid2019_district.csv", "district_population.csv",
         ["district", "sex", *bands, "total"])

    copy(population, "emergency_admission_rates_derived.csv", "emergency_rates.csv",
         ["age_band", "sex", "episodes_per_admission_assumed", "emergency_admissions_per_1000"])
    copy(population, "hes_2011_12_activity_cost_by_age_sex.csv", "activity.csv",
         ["age_band", "sex", "elective_episodes_per_1000", "outpatient_appointments_per_1000"])
    copy(population, "hes_2011_12_activity_cost_by_age_sex_imd.csv", "emergency_by_deprivation.csv",
         ["age_band", "sex", "imd2010_quintile", "emergency_episodes_per_1000"])
    copy(population, "ae_attendances_by_age.csv", "ae_rates.csv", ["age_band", "scaled_attendances_per_1000"])
    copy(population, "gp_visits_per_person_by_age_sex.csv", "gp_visits.csv", ["age_band", "female", "male"])
    copy(population, "mortality_qx_derived.csv", "mortality.csv", ["sex", "age", "qx"])
    copy(population, "care_home_residents_by_age_opensafely_2020.csv", "care_home.csv",
         ["age_band", "share_in_care_or_nursing_home"])
    copy(population, "qof_prevalence_2019_20_kent_england.csv", "qof.csv",
         ["qof_code", "condition", "denominator_age", "kent_medway_prevalence", "england_prevalence"])
    copy(population, "qof_prevalence_2019_20_by_imd_decile_england.csv", "qof_by_decile.csv",
         ["qof_code", *(f"imd{decile}" for decile in range(1, 11))])
    copy(population, "practice_list_size_distribution_apr2020.csv", "list_sizes.csv", ["area", "statistic", "value"])
    copy(population, "unit_costs.csv", "unit_costs.csv", ["activity", "gbp", "price_year"])
    copy(population, "admission_counts_overdispersion.csv", "admission_counts.csv",
         ["outcome", "zero", "one", "two", "three_plus"])
    copy(population, "emergency_frailty_calibration_derived.csv", "emergency_counts.csv",
         ["gamma_shape", "share_0", "share_1", "share_2", "share_3_plus"])
    copy(population, "length_of_stay_facts.csv", "length_of_stay.csv", ["fact", "value", "unit"])
    copy(population, "prescription_items.csv", "prescription_items.csv", ["year", "group", "items_per_head"])
    copy(population, "social_care_facts.csv", "social_care_facts.csv", ["fact", "value"])
    copy(population, "cost_concentration.csv", "cost_concentration.csv", ["fact", "value"])
    copy(population, "condition_count_clustering_somerset_2013_14.csv", "condition_counts.csv",
         ["conditions", "observed_people", "expected_if_independent"])

    source, groups = snomed_groups(reference)
    write("snomed_groups.csv", source, ["group", "snomed_code"], groups)


if __name__ == "__main__":
    main()
