//! What went in, what came out, and what happened in between, for whoever has to answer for a list.
//!
//! The run id is a hash of everything that decides the outputs: inputs, models, code lists, settings, as-of date and
//! version. Two runs with one id have the same bytes in every file but `timings.json`.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::last::LastRun;
use crate::cohort::decisions::Audit;
use crate::gate::Allowance;
use crate::ingest::counts::{Counts, Rule};
use crate::model::library::hex;

#[derive(Debug, Clone, Serialize)]
pub struct Manifest {
    pub run_id: String,
    #[serde(flatten)]
    pub decides: Decides,
    pub attrition: Vec<Step>,
    pub models: Vec<ModelLine>,
    pub cohorts: Vec<CohortLine>,
    /// Every file of this run with its hash; but for this one, `timings.json`, and what is encrypted (`lists/index.csv`
    /// has the hash of what is inside).
    pub outputs: BTreeMap<String, String>,
}

/// Everything that decides the outputs.
#[derive(Debug, Clone, Serialize)]
pub struct Decides {
    pub riskstrat: String,
    /// Of the program itself.
    pub binary_sha256: String,
    pub as_of: String,
    pub settings_sha256: String,
    pub opt_outs: String,
    /// Models, layouts, cohorts, code lists and tables in use, with their hashes.
    pub library: BTreeMap<String, LibraryFile>,
    pub inputs: Vec<InputLine>,
    /// Gates that somebody let through, and why.
    pub allowed: Vec<Allowance>,
    /// What the gates compared with: the newest run of an earlier day.
    pub compared_with: Option<LastRun>,
    /// Files of clinicians' decisions, with their hashes.
    pub overrides: BTreeMap<String, String>,
    /// The run that lists are compared with.
    pub last_lists: Option<LastListsLine>,
}

#[derive(Debug, Clone, Serialize)]
pub struct LastListsLine {
    pub as_of: String,
    pub manifest_sha256: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct LibraryFile {
    pub sha256: String,
    pub shipped: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct InputLine {
    pub source: String,
    pub layout: String,
    pub file: String,
    pub bytes: u64,
    pub sha256: String,
}

/// How many people were left after a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub step: String,
    pub people: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct ModelLine {
    pub id: String,
    pub version: String,
    pub scored: u64,
    pub not_scored: BTreeMap<String, u64>,
    pub bands: Vec<(String, u64)>,
}

/// Where the registered people ended in one cohort; the parts add up to `registered`.
#[derive(Debug, Clone, Serialize)]
pub struct CohortLine {
    pub id: String,
    pub registered: u64,
    pub on_list: u64,
    /// By exclusion.
    pub excluded: BTreeMap<String, u64>,
    /// A clinician decided that they are not to be on the list.
    pub decided_out: u64,
    pub below_capacity: u64,
    pub not_in_cohort: u64,
    /// Files, one a practice.
    pub lists: u64,
    /// Teams and the places that they have, where there is a capacity.
    pub capacity: Option<CapacityLine>,
    /// Against the list of the last published run, where there is one.
    pub change: Option<ChangeLine>,
    pub decisions: Audit,
}

/// Who came and went; `stayed` and all of `left` add up to `on_last_list`.
#[derive(Debug, Clone, Serialize)]
pub struct ChangeLine {
    pub since: String,
    pub on_last_list: u64,
    pub stayed: u64,
    pub joined: u64,
    /// Of those who stayed: people whose feeds cover less than then.
    pub held_by_a_stopped_feed: u64,
    /// By reason.
    pub left: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Serialize)]
pub struct CapacityLine {
    pub teams: u64,
    pub places: u64,
    /// Teams whose last place is taken while somebody waits.
    pub teams_cut: u64,
}

impl Decides {
    pub fn run_id(&self) -> String {
        let text = serde_json::to_vec(self).expect("plain data has a JSON form");
        hex(&Sha256::digest(text))
    }
}

/// What became of each source's rows.
#[derive(Debug, Clone, Serialize)]
pub struct SourceQuality {
    pub source: String,
    pub layout: String,
    pub files: u64,
    pub rows: u64,
    pub used: u64,
    pub events: u64,
    /// Rows that some model asks about, as far as the row alone says.
    pub asked: u64,
    /// By rule, with what the rule means.
    pub dropped: BTreeMap<String, Dropped>,
    pub rejected: u64,
    /// Of the rows that some model asks about: the others are not looked at closely enough to break a rule.
    pub rejected_share: f64,
    pub malformed_codes: BTreeMap<String, u64>,
    /// Cells whose number its dictionary lacks, by field.
    pub codes_not_in_dictionary: BTreeMap<String, u64>,
    /// Cells whose number its dictionary has no code of the field's system for, such as LOINC or RxNorm, by field.
    pub codes_of_another_system: BTreeMap<String, u64>,
    /// Values that were not recorded and are taken as a default, such as the start of a registration.
    pub defaulted: BTreeMap<String, u64>,
    pub bad_amounts: u64,
    /// Of rows that are used: services that go on, entries recorded before their day, registrations that overlap.
    pub noted: BTreeMap<&'static str, u64>,
    /// Codes on the list of sensitive codes, in rows that were kept without them.
    pub sensitive_codes: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Dropped {
    pub rows: u64,
    pub meaning: String,
}

impl SourceQuality {
    pub fn new(source: &str, layout: &str, files: usize, events: u64, counts: &Counts) -> SourceQuality {
        let dropped = counts
            .dropped()
            .map(|(rule, rows)| (rule.name().to_owned(), Dropped { rows, meaning: rule.meaning().to_owned() }));
        SourceQuality {
            source: source.to_owned(),
            layout: layout.to_owned(),
            files: files as u64,
            rows: counts.rows,
            used: counts.used,
            events,
            asked: counts.rows - counts.of(Rule::NotAskedFor),
            dropped: dropped.collect(),
            rejected: counts.rejected(),
            rejected_share: share(counts.rejected(), counts.rows - counts.of(Rule::NotAskedFor)),
            malformed_codes: counts.malformed.clone(),
            codes_not_in_dictionary: counts.not_in_dictionary.clone(),
            codes_of_another_system: counts.of_another_system.clone(),
            defaulted: counts.defaulted.clone(),
            bad_amounts: counts.bad_amounts,
            noted: counts.noted.clone(),
            sensitive_codes: counts.sensitive_codes,
        }
    }
}

/// A share to six decimals; of nothing it is 0.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 1e6).round() / 1e6 }
}

/// `rejects/<source>.csv`: file, row, column and rule of each listed reject, never a value.
pub fn rejects_csv(counts: &Counts, files: &[String]) -> Vec<u8> {
    let mut text = "file,row,column,rule,meaning\r\n".to_owned();
    for reject in &counts.rejects {
        let quoted = |text: &str| {
            if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
        };
        text.push_str(&format!(
            "{},{},{},{},{}\r\n",
            quoted(&files[reject.file]),
            reject.row,
            quoted(&reject.column),
            reject.rule.name(),
            quoted(reject.rule.meaning())
        ));
    }
    text.into_bytes()
}
