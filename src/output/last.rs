//! What the gates need to know of the run before: its counts, as it published them.
//!
//! What is compared with is part of what decides a run's outputs, so it stands in the manifest and in the run id.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::publish::last_before;
use crate::day::Day;

/// The counts of a published run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LastRun {
    pub as_of: String,
    #[serde(flatten)]
    pub counted: Counted,
    /// People scored, by model.
    pub scored: BTreeMap<String, u64>,
}

/// What a run writes of itself for the next one, as `counted` in its `quality.json`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// People on the register, those who opted out left aside.
    pub people: u64,
    /// Models in use: what is asked of the data depends on them.
    pub models: Vec<String>,
    /// Rows of each source, and how many of them any model asks about.
    pub rows: BTreeMap<String, (u64, u64)>,
    /// Events that each code list finds, by stream and list (`gp_event/qof/DM_COD`), and rows of the stream's sources.
    pub list_hits: BTreeMap<String, (u64, u64)>,
    /// Events of each stream that repeat another of the same person, day and kind, and all events of the stream.
    #[serde(default)]
    pub repeats: BTreeMap<String, (u64, u64)>,
}

/// Only what is read of a published run; the rest of its files is none of the gates' business.
#[derive(Deserialize)]
struct Quality {
    counted: Counted,
}

#[derive(Deserialize)]
struct Manifest {
    models: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    id: String,
    scored: u64,
}

impl LastRun {
    /// The newest run in a folder that was published for a day before this one.
    ///
    /// # Boundaries
    /// A run for the day itself is what a new one takes the place of: compared with it, the same inputs would give
    /// other bytes the second time. Of several as-of days, the first counts.
    ///
    /// # Missing
    /// `None` where there is none, or where it was written in a form without these counts.
    pub fn find(out: &Path, as_of: Day) -> Option<LastRun> {
        let (day, folder) = last_before(out, as_of)?;
        let quality: Quality = serde_json::from_slice(&fs::read(folder.join("quality.json")).ok()?).ok()?;
        let manifest: Manifest = serde_json::from_slice(&fs::read(folder.join("manifest.json")).ok()?).ok()?;
        let scored = manifest.models.into_iter().map(|line| (line.id, line.scored)).collect();
        Some(LastRun { as_of: day.to_string(), counted: quality.counted, scored })
    }
}

/// The published runs whose as-of day lies more than so many days before a day, the oldest first.
///
/// # Errors
/// None: a folder that cannot be looked at holds no run.
pub fn kept_too_long(out: &Path, today: Day, runs_days: u32) -> Vec<(Day, String)> {
    let entries = fs::read_dir(out).into_iter().flatten().flatten();
    let published = entries.filter_map(|entry| {
        let manifest = fs::read(entry.path().join("manifest.json")).ok()?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // A folder that was renamed is still of the day that its manifest names.
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap_or_default();
        let stated = manifest["as_of"].as_str().and_then(|text| Day::parse(text.as_bytes()));
        let day = stated.into_iter().chain(Day::parse(name.as_bytes())).min()?;
        Some((day, name))
    });
    let limit = today.0 - i32::try_from(runs_days).unwrap_or(i32::MAX);
    let mut kept: Vec<(Day, String)> = published.filter(|(day, _)| day.0 < limit).collect();
    kept.sort();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::parse(text.as_bytes()).unwrap()
    }

    fn put(out: &Path, name: &str, manifest: &str) {
        fs::create_dir_all(out.join(name)).unwrap();
        fs::write(out.join(name).join("manifest.json"), manifest).unwrap();
    }

    #[test]
    fn runs_are_kept_for_as_many_days_as_are_stated_and_none_longer() {
        let out = tempfile::tempdir().unwrap();
        put(out.path(), "2016-03-01", r#"{"as_of": "2016-03-01"}"#);
        put(out.path(), "2016-03-02", r#"{"as_of": "2016-03-02"}"#);
        // 31 days before the first of April is the first of March: 31 days are kept, 30 are not.
        assert_eq!(kept_too_long(out.path(), day("2016-04-01"), 31), []);
        assert_eq!(kept_too_long(out.path(), day("2016-04-01"), 30), [(day("2016-03-01"), "2016-03-01".to_owned())]);
    }

    #[test]
    fn a_renamed_run_is_as_old_as_its_manifest_says() {
        let out = tempfile::tempdir().unwrap();
        put(out.path(), "kept for the audit", r#"{"as_of": "2014-04-01"}"#);
        put(out.path(), "2016-04-01", r#"{"as_of": "2014-03-31"}"#);
        put(out.path(), "2014-03-01", "not a manifest any more");
        put(out.path(), "notes", "{}");
        fs::create_dir_all(out.path().join("2013-01-01")).unwrap();
        let kept = kept_too_long(out.path(), day("2016-04-01"), 365);
        let names: Vec<&str> = kept.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["2014-03-01", "2016-04-01", "kept for the audit"]);
    }

    #[test]
    fn a_run_is_compared_with_the_newest_of_an_earlier_day() {
        let out = tempfile::tempdir().unwrap();
        let quality = |people: u64| {
            format!(
                r#"{{"counted": {{"people": {people}, "models": ["cpm"], "rows": {{"x": [3, 2]}}, "list_hits": {{}}}}}}"#
            )
        };
        for (name, people) in [("2016-03-01", 1), ("2016-04-01", 2), ("2016-05-01", 3)] {
            put(out.path(), name, r#"{"models": [{"id": "cpm", "scored": 1}]}"#);
            fs::write(out.path().join(name).join("quality.json"), quality(people)).unwrap();
        }
        let people = |as_of: &str| LastRun::find(out.path(), day(as_of)).map(|last| last.counted.people);
        assert_eq!((people("2016-04-01"), people("2016-04-02"), people("2016-03-01")), (Some(1), Some(2), None));
        fs::write(out.path().join("2016-04-01/quality.json"), "{}").unwrap();
        assert_eq!(people("2016-04-30"), None, "a run of an older version has no such counts");
    }
}
