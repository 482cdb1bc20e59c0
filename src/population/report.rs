//! `synth-report.md`: each published figure beside what was made, with its source.

use std::fmt::Write;

use super::Request;
use super::targets::Target;

/// The tables that figures come from, each with its first line.
const TABLES: [(&str, &str); 15] = [
    ("activity.csv", include_str!("tables/activity.csv")),
    ("admission_counts.csv", include_str!("tables/admission_counts.csv")),
    ("ae_rates.csv", include_str!("tables/ae_rates.csv")),
    ("care_home.csv", include_str!("tables/care_home.csv")),
    ("condition_counts.csv", include_str!("tables/condition_counts.csv")),
    ("cost_concentration.csv", include_str!("tables/cost_concentration.csv")),
    ("district_population.csv", include_str!("tables/district_population.csv")),
    ("emergency_counts.csv", include_str!("tables/emergency_counts.csv")),
    ("emergency_rates.csv", include_str!("tables/emergency_rates.csv")),
    ("gp_visits.csv", include_str!("tables/gp_visits.csv")),
    ("length_of_stay.csv", include_str!("tables/length_of_stay.csv")),
    ("mortality.csv", include_str!("tables/mortality.csv")),
    ("prescription_items.csv", include_str!("tables/prescription_items.csv")),
    ("qof.csv", include_str!("tables/qof.csv")),
    ("social_care_facts.csv", include_str!("tables/social_care_facts.csv")),
];

/// What no published table at hand says, and what was assumed in its place.
const MISSING: [&str; 7] = [
    "Contacts with community, mental-health, ambulance and hospice services: no rate by age is at hand, so theirs are assumptions.",
    "Ethnicity, opt-outs, moves between practices and smoking by age and deprivation: shares are assumptions.",
    "Prevalence of conditions without a register, and the shape by age of all: assumptions, scaled to the register where there is one.",
    "Deprivation scores: only tenths are at hand, so a score is made up within the bounds of its tenth.",
    "Deaths below the age of 30: a small constant a year.",
    "Emergency admission rates are themselves derived from episodes, about 2011/12; people are of mid-2019, registers of 2019/20, \
     prices of their own years. One population stands for all of them.",
    "People die at the rates of 2020 to 2023 throughout.",
];

/// People below whom the report says that chance rules.
const LEAST_FOR_RATES: u32 = 50_000;

/// The report as Markdown.
pub fn report(request: &Request, targets: &[Target]) -> String {
    let mut out = String::new();
    let held = targets.iter().filter(|target| target.within.is_some());
    let (kept, missed): (Vec<&Target>, Vec<&Target>) = held.partition(|target| target.holds());
    let _ = writeln!(
        out,
        "# The synthetic population beside what is published\n\n{} people, seed {}. Nobody in it is real.\n\n\
         {} of {} figures that are promised lie within their tolerance or three standard errors.\n",
        request.people,
        request.seed,
        kept.len(),
        kept.len() + missed.len()
    );
    if request.people < LEAST_FOR_RATES {
        let _ = writeln!(out, "This population is small, so chance does more than the rates; look at a larger one.\n");
    }
    for target in missed {
        let _ = writeln!(out, "- Not kept: {}", target.what);
    }
    let _ = writeln!(
        out,
        "\n| subject | figure | published | made | made / published | standard error | promised | source | remark |\n\
         |---|---|---:|---:|---:|---:|---:|---|---|"
    );
    for target in targets {
        write_line(&mut out, target);
    }
    let _ = writeln!(out, "\n## What is missing or in conflict\n");
    for line in MISSING {
        let _ = writeln!(out, "- {line}");
    }
    let conflicts = targets.iter().filter_map(|target| target.note.strip_prefix("conflict: "));
    let mut told = Vec::new();
    for conflict in conflicts {
        if !told.contains(&conflict) {
            let _ = writeln!(out, "- In conflict: {conflict}.");
            told.push(conflict);
        }
    }
    let _ = writeln!(out, "\n## Sources\n");
    for (name, table) in TABLES {
        let line = table.lines().next().unwrap_or_default().trim_start_matches(['"', '#', ' ']);
        let _ = writeln!(out, "- `{name}`: {line}");
    }
    out
}

fn write_line(out: &mut String, target: &Target) {
    let number = |value: f64| match value.abs() {
        size if size >= 1_000.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    };
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let _ = writeln!(
        out,
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        target.subject,
        target.what,
        or_dash(target.published.map(number)),
        number(target.made),
        or_dash(target.published.filter(|published| *published != 0.0).map(|of| format!("{:.3}", target.made / of))),
        number(target.sampling),
        or_dash(target.within.map(|within| format!("{:.0} %", 100.0 * within))),
        target.source,
        target.note
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_report_opens_with_its_source() {
        assert!(TABLES.iter().all(|(_, table)| table.starts_with("# ") || table.starts_with("\"# ")));
    }
}
