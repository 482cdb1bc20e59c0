//! Clinicians' decisions: who is to be on a list, or off it, whatever the rule says.
//!
//! A decision stands above the rule, the exclusions and the cut. It holds from its first to its last day, so that the
//! same file can come back night after night. Where two decisions about a person and a cohort hold on one day, the one
//! that began last counts; of those that began on one day, `out` does. A faulty row is refused with its place and never
//! with its value: the cells are about people.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::day::Day;
use crate::person::{Found, Spine, key_of};

/// The columns of a file of decisions.
pub const COLUMNS: [&str; 7] = ["person", "cohort", "decision", "who", "why", "from", "until"];

/// One row of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub key: u128,
    pub cohort: String,
    pub is_in: bool,
    pub who: String,
    pub why: String,
    pub from: Day,
    /// The last day; `None` where it holds until further notice.
    pub until: Option<Day>,
}

/// What became of the decisions about one cohort on one day, a count each; `rows` is their sum.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    pub rows: u64,
    pub applied_in: u64,
    pub applied_out: u64,
    pub not_yet: u64,
    pub expired: u64,
    /// Another decision about the same person counts, or the row is a copy.
    pub superseded: u64,
    /// Opted out, not on the register, or not registered on the day.
    pub not_registered: u64,
}

/// Reads a file of decisions about these cohorts.
///
/// # Errors
/// Every fault, each with the file, row and column, and never a value.
pub fn read(file: &str, text: &str, cohorts: &[&str]) -> Result<Vec<Decision>, Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.strip_prefix('\u{feff}').unwrap_or(text).as_bytes());
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(_) => return Err(vec![format!("{file}: is not CSV in UTF-8")]),
    };
    let places: Vec<Option<usize>> =
        COLUMNS.iter().map(|name| header.iter().position(|found| found == *name)).collect();
    let missing: Vec<&str> =
        COLUMNS.iter().zip(&places).filter(|(_, place)| place.is_none()).map(|(name, _)| *name).collect();
    if !missing.is_empty() || header.len() != COLUMNS.len() {
        let missing =
            if missing.is_empty() { "there are others too".to_owned() } else { missing.join(", ") + " missing" };
        return Err(vec![format!("{file}: the columns are {}; {missing}", COLUMNS.join(", "))]);
    }
    let places: Vec<usize> = places.into_iter().flatten().collect();
    let (mut decisions, mut faults) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let Ok(record) = record else {
            faults.push(format!("{file}: is not CSV in UTF-8 to its end"));
            break;
        };
        let row = record.position().map_or(0, csv::Position::line);
        if record.len() != COLUMNS.len() {
            faults.push(format!("{file}, row {row}: has {} cells, not {}", record.len(), COLUMNS.len()));
            continue;
        }
        let cell = |number: usize| &record[places[number]];
        match decision(cell, cohorts) {
            Ok(decision) => decisions.push(decision),
            Err(found) => {
                let told = |(column, what): (usize, String)| {
                    format!("{file}, row {row}, column \"{}\": {what}", COLUMNS[column])
                };
                faults.extend(found.into_iter().map(told));
            }
        }
    }
    if faults.is_empty() { Ok(decisions) } else { Err(faults) }
}

/// A row's decision, or its faults by column.
fn decision<'r>(cell: impl Fn(usize) -> &'r str, cohorts: &[&str]) -> Result<Decision, Vec<(usize, String)>> {
    let mut faults: Vec<(usize, String)> = Vec::new();
    for (column, what) in [(0, "no pseudonym"), (3, "nobody is named who decided"), (4, "no reason is given")] {
        if cell(column).is_empty() {
            faults.push((column, what.to_owned()));
        }
    }
    if !cohorts.contains(&cell(1)) {
        faults.push((1, format!("not a cohort of this run; those are {}", cohorts.join(", "))));
    }
    let is_in = match cell(2) {
        "in" => true,
        "out" => false,
        _ => {
            faults.push((2, "neither in nor out".to_owned()));
            false
        }
    };
    let mut day = |column: usize| {
        let day = Day::parse(cell(column).as_bytes());
        if day.is_none() {
            faults.push((column, "not a date; written as 2016-04-01".to_owned()));
        }
        day
    };
    let from = day(5);
    let until = if cell(6).is_empty() { None } else { day(6) };
    if from.zip(until).is_some_and(|(from, until)| until < from) {
        faults.push((6, "is before from".to_owned()));
    }
    match from {
        Some(from) if faults.is_empty() => Ok(Decision {
            key: key_of(cell(0).as_bytes()),
            cohort: cell(1).to_owned(),
            is_in,
            who: cell(3).to_owned(),
            why: cell(4).to_owned(),
            from,
            until,
        }),
        _ => Err(faults),
    }
}

/// The decisions about a cohort that count on a day, by person of the spine; and what became of all of them.
pub fn in_force<'d>(
    decisions: &'d [Decision],
    cohort: &str,
    as_of: Day,
    spine: &Spine,
    is_registered: impl Fn(u32) -> bool,
) -> (BTreeMap<u32, &'d Decision>, Audit) {
    let mut audit = Audit::default();
    let mut of_person: BTreeMap<u32, &Decision> = BTreeMap::new();
    for decision in decisions.iter().filter(|decision| decision.cohort == cohort) {
        audit.rows += 1;
        if decision.from > as_of {
            audit.not_yet += 1;
            continue;
        }
        if decision.until.is_some_and(|until| until < as_of) {
            audit.expired += 1;
            continue;
        }
        let Found::Person(person) = spine.find(decision.key) else {
            audit.not_registered += 1;
            continue;
        };
        if !is_registered(person) {
            audit.not_registered += 1;
            continue;
        }
        // Ties go by what the rows say, so that the order of rows decides nothing.
        let counts = |of: &Decision| (of.from, !of.is_in, of.until.is_none(), of.until);
        match of_person.get(&person) {
            Some(other) if words(counts(other), other) >= words(counts(decision), decision) => {}
            _ => drop(of_person.insert(person, decision)),
        }
    }
    audit.applied_in = of_person.values().filter(|decision| decision.is_in).count() as u64;
    audit.applied_out = of_person.len() as u64 - audit.applied_in;
    let told = audit.applied_in + audit.applied_out + audit.not_yet + audit.expired + audit.not_registered;
    audit.superseded = audit.rows - told;
    (of_person, audit)
}

/// What decides between two decisions, down to their words.
fn words<K>(counts: K, decision: &Decision) -> (K, &str, &str) {
    (counts, &decision.who, &decision.why)
}

impl Decision {
    /// The decision in words, for a list.
    pub fn in_words(&self) -> String {
        let until = self.until.map_or(String::new(), |until| format!(", until {until}"));
        let way = if self.is_in { "in" } else { "out" };
        format!("{way}: {} ({}, from {}{until})", self.why, self.who, self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::person::PersonId;

    const HEADER: &str = "person,cohort,decision,who,why,from,until\n";

    fn read_rows(rows: &str) -> Result<Vec<Decision>, Vec<String>> {
        read("o.csv", &format!("{HEADER}{rows}"), &["a", "b"])
    }

    fn day(text: &str) -> Day {
        Day::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_bad_row_is_told_by_row_and_column_and_never_by_value() {
        let faults = read_rows("SECRET,c,maybe,,,2016-13-01,x\nq,a,in,Dr A,known to us,2016-02-01,2016-01-31\nq,a\n");
        let expected = "o.csv, row 2, column \"who\": nobody is named who decided\n\
                        o.csv, row 2, column \"why\": no reason is given\n\
                        o.csv, row 2, column \"cohort\": not a cohort of this run; those are a, b\n\
                        o.csv, row 2, column \"decision\": neither in nor out\n\
                        o.csv, row 2, column \"from\": not a date; written as 2016-04-01\n\
                        o.csv, row 2, column \"until\": not a date; written as 2016-04-01\n\
                        o.csv, row 3, column \"until\": is before from\n\
                        o.csv, row 4: has 2 cells, not 7";
        assert_eq!(faults.unwrap_err().join("\n"), expected);
        let fault = read("o.csv", "person,cohort\n", &["a"]).unwrap_err().join("");
        assert!(fault.ends_with("decision, who, why, from, until missing"), "{fault}");
    }

    #[test]
    fn the_decision_that_began_last_counts_and_every_row_is_accounted_for() {
        let rows = "p,a,in,Dr A,frail,2016-01-01,2016-03-31\n\
                    p,a,out,Dr B,in hospice,2016-02-01,\n\
                    q,a,in,Dr A,one,2016-01-01,\n\
                    q,a,out,Dr A,two,2016-01-01,\n\
                    q,a,out,Dr A,two,2016-01-01,\n\
                    r,a,in,Dr A,gone,2016-01-01,\n\
                    s,a,in,Dr A,frail,2016-01-01,\n\
                    p,b,in,Dr A,other list,2016-01-01,\n";
        let decisions = read_rows(rows).unwrap();
        let mut spine = Spine::default();
        spine.ids = ["p", "q", "s"].map(|id| PersonId(id.into())).into();
        spine.index(&[key_of(b"r")]).unwrap();
        let on = |date: &str| in_force(&decisions, "a", day(date), &spine, |person| person != 2);
        let ways = |date: &str| {
            on(date).0.iter().map(|(person, decision)| (*person, decision.is_in)).collect::<Vec<(u32, bool)>>()
        };
        assert_eq!(ways("2015-12-31"), []);
        assert_eq!(ways("2016-01-01"), [(0, true), (1, false)], "of one day, out counts; the first day is in");
        assert_eq!(ways("2016-02-01"), [(0, false), (1, false)]);
        let audit = on("2016-04-01").1;
        let expected =
            Audit { rows: 7, applied_in: 0, applied_out: 2, not_yet: 0, expired: 1, superseded: 2, not_registered: 2 };
        assert_eq!(audit, expected);
        assert_eq!(on("2016-03-31").1.expired, 0, "the last day is in");
        assert_eq!(on("2016-02-02").0[&0].in_words(), "out: in hospice (Dr B, from 2016-02-01)");
    }
}
