//! A settings file for a synthetic population: what a new user edits first.

use std::path::Path;

/// Layouts and files of a generated population's feeds, by source name: those of its folder that there are.
const FEEDS: [(&str, &str, &str); 11] = [
    ("admissions", "hes_apc", "hes_apc_*"),
    ("outpatients", "hes_op", "hes_op_*"),
    ("emergency_care", "hes_ae", "hes_ae_*"),
    ("gp_events", "gp_events", "gp_events_*"),
    ("prescriptions", "gp_prescriptions", "gp_prescriptions_*"),
    ("social_care", "social_care_cld", "social_care_cld_*"),
    ("community", "community_contacts", "csds_contacts_*"),
    ("mental_health", "mental_health_contacts", "mhsds_contacts_*"),
    ("ambulance", "ambulance_calls", "ambulance_calls_*"),
    ("hospices", "hospice_contacts", "hospice_contacts.*"),
    ("care_plans", "care_plans", "care_plans.*"),
];

/// The text of a settings file over a population in `data`.
pub fn settings(data: &str, as_of: &str) -> String {
    let register = find(data, "register");
    let opt_outs = find(data, "opt_outs");
    let practices = find(data, "practices");
    let mut text = format!(
        r#"# What `riskstrat run` reads and makes. Edit it, then: riskstrat check riskstrat.toml; riskstrat run riskstrat.toml
format = 1

# The day to score for: what happened on it or later is not yet known.
# Also a list, or {{ from = "2015-04-01", to = "{as_of}", every = "month" }}.
as_of = "{as_of}"
out = "out"

# `riskstrat models` lists what there is; `riskstrat models show cpm` puts one into plain words.
models = ["cpm", "parr30", "hfrs", "charlson", "person_facts", "service_facts"]
cohorts = ["case_management"]

[register]
layout = "register"
files = ["{register}"]

# Required: a list of people to leave out, or `applied_upstream = "who did, and when"`.
[opt_outs]
layout = "opt_outs"
files = ["{opt_outs}"]

[practices]
layout = "practices"
files = ["{practices}"]
"#
    );
    for (name, layout, pattern) in FEEDS {
        text.push_str(&format!(
            "\n[[source]]\nname = \"{name}\"\nlayout = \"{layout}\"\nfiles = [\"{data}/{pattern}\"]\n"
        ));
    }
    text.push_str(
        "\n# A run stops, and publishes nothing, where more than this share of a source's rows breaks a rule,\n\
         # or belongs to people who are not on the register.\n[limits]\nrejects_share = 0.01\nnot_on_register_share = 0.25\n\
         # Terms that are the same for everybody stop a run, for a feed or a code list may be missing; name the known ones.\n\
         expected_dead_terms = []\n",
    );
    text
}

fn find(data: &str, name: &str) -> String {
    format!("{data}/{name}.*")
}

/// Whether a folder is a demo's, or not there, so that it may be made anew.
pub fn may_be_replaced(folder: &Path) -> bool {
    !folder.exists() || folder.join("riskstrat.toml").exists() && folder.join("data/generation.json").exists()
}
