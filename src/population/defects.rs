//! The faults of real extracts, planted at stated rates and written down in `truth/`.
//!
//! Rows are made without fault first. Each chunk's tables are then copied with faults in them, from a stream of draws of the
//! chunk's own, so that people are the same whatever is planted. What was planted where is handed on with the rows.

use std::collections::BTreeSet;

use super::Defects;
use super::draw::{Draw, Subject};
use super::rows::{Cell, Column, INVALID_DAYS, Kind as Holds, NO_POSITION, Rows, invalid_day, text_at};
use super::spoiled::{FIXED, Fault, How};
use super::world::World;
use crate::day::{Day, Month};

/// Faults that concern whole people, practices and trusts, drawn once.
pub struct Outages {
    /// Practices whose feed stops, by position, and the first day that is missing.
    pub feeds: Vec<(u32, Day)>,
    /// A trust's month that was never sent: the trust, the first day and the day after the last.
    pub months: Vec<(&'static str, Day, Day)>,
    /// Share of people who are in the files and not on the register.
    pub orphans: f64,
}

const TRUSTS: [&str; 4] = ["RVV", "RWF", "RPA", "RN7"];

impl Outages {
    pub fn new(seed: u64, defects: Defects, sharing: &[u32], first: Day, reference: Day) -> Outages {
        let mut draw = Draw::new(seed, u32::MAX, Subject::Defects);
        let (times, orphans) = match defects {
            Defects::None => (0, 0.0),
            Defects::Real => (1, 0.003),
            Defects::Hostile => (3, 0.03),
        };
        // A small population has few practices, and most of them have to go on.
        let most_feeds = (sharing.len() / 5).max(1);
        let mut feeds = Vec::new();
        let mut months = Vec::new();
        for _ in 0..times {
            if let Some(&practice) = draw.pick_some(sharing).filter(|_| feeds.len() < most_feeds) {
                feeds.push((practice, Day(reference.0 - draw.between(200, 700)).max(first)));
            }
            let trust = draw.word(&TRUSTS);
            let month = Month(reference.month().0 - draw.between(3, 18)).max(first.month());
            months.push((trust, month.first_day(), Month(month.0 + 1).first_day()));
        }
        feeds.sort_unstable();
        feeds.dedup_by_key(|&mut (practice, _)| practice);
        months.sort_unstable();
        months.dedup();
        Outages { feeds, months, orphans }
    }
}

/// Something planted in a row of a part of a file; the row counts from 0 in the part, and is None where rows are missing.
pub struct Planted {
    pub kind: &'static str,
    pub row: Option<u32>,
    pub column: &'static str,
}

/// Plants faults in the tables of one chunk.
pub struct Planter<'a> {
    world: &'a World,
    defects: Defects,
    draw: Draw,
    orphan_ids: BTreeSet<&'a str>,
    orphan_places: BTreeSet<u32>,
    /// Episodes that stand in the file of the next year too.
    again: Option<Rows>,
}

impl<'a> Planter<'a> {
    pub fn new(world: &'a World, defects: Defects, chunk: u32, people: &'a [String]) -> Planter<'a> {
        let mut draw = Draw::new(world.seed, chunk, Subject::Defects);
        let places = 0..people.len() as u32;
        let orphan_places: BTreeSet<u32> = places.filter(|_| draw.chance(world.outages.orphans)).collect();
        let orphan_ids = orphan_places.iter().map(|&place| people[place as usize].as_str()).collect();
        Planter { world, defects, draw, orphan_ids, orphan_places, again: None }
    }

    /// A copy of a table with faults, and what they are.
    pub fn spoil(&mut self, file: &str, rows: &Rows) -> (Rows, Vec<Planted>) {
        let mut planted = Vec::new();
        let mut out = Rows::new(rows.layout);
        let faults: Vec<(&Fault, Vec<usize>)> = FIXED
            .iter()
            .filter(|fault| file.starts_with(fault.file))
            .map(|fault| (fault, hits(fault.rate(self.defects), rows.len, &mut self.draw)))
            .collect();
        let person = person_column(rows);
        let mut at = vec![0; faults.len()];
        let mut again = Rows::new(rows.layout);
        for row in 0..rows.len {
            if let Some(kind) = self.missing(file, rows, row) {
                planted.push(Planted { kind, row: None, column: "" });
                continue;
            }
            let place = out.len as u32;
            let mut edits: Vec<(usize, Cell)> = Vec::new();
            let mut copies = 1;
            for ((fault, hits), at) in faults.iter().zip(&mut at) {
                if hits.get(*at) != Some(&row) {
                    continue;
                }
                *at += 1;
                let hit = self.fault(fault, rows, row, &mut edits);
                if let Some(column) = hit {
                    planted.push(Planted { kind: fault.kind, row: Some(place), column });
                    copies += u32::from(matches!(fault.how, How::Twice));
                    if matches!(fault.how, How::NextYear) {
                        again.copy_row(rows, row, &[]);
                    }
                }
            }
            let named = edits.iter().all(|(index, cell)| *index != person || matches!(cell, Cell::Same));
            self.note_natural(file, rows, row, place, named, &mut planted);
            (0..copies).for_each(|_| out.copy_row(rows, row, &edits));
        }
        if file.starts_with("hes_apc") {
            self.repeat_episodes(again, &mut out, &mut planted);
        }
        (out, planted)
    }

    /// Why a row is left out, if it is.
    fn missing(&self, file: &str, rows: &Rows, row: usize) -> Option<&'static str> {
        let outages = &self.world.outages;
        if file.starts_with("register") {
            return self.is_orphan(rows, row).then_some("orphan: not on the register");
        }
        if file.starts_with("gp_") {
            let practice = rows.position(column(rows, "practice_code"), row);
            let day = rows.day_at(
                if file.starts_with("gp_events") { column(rows, "event_date") } else { column(rows, "issue_date") },
                row,
            );
            let stopped = outages.feeds.iter().any(|&(stopped, from)| stopped == practice && day >= from.0);
            return stopped.then_some("practice feed stopped");
        }
        let date = match file {
            _ if file.starts_with("hes_apc") => "EPISTART",
            _ if file.starts_with("hes_op") => "APPTDATE",
            _ if file.starts_with("hes_ae") => "ARRIVALDATE",
            _ => return None,
        };
        let day = rows.day_at(column(rows, date), row);
        let lost = outages.months.iter().any(|&(trust, first, after)| {
            (first.0..after.0).contains(&day) && rows.text_of(column(rows, "PROCODE"), row) == trust.as_bytes()
        });
        lost.then_some("month missing from a trust")
    }

    fn is_orphan(&self, rows: &Rows, row: usize) -> bool {
        match &rows.columns[person_column(rows)] {
            Column::Text { bytes, ends } => {
                let id = text_at(bytes, ends, row);
                !self.orphan_ids.is_empty() && std::str::from_utf8(id).is_ok_and(|id| self.orphan_ids.contains(id))
            }
            Column::Listed(places, _) => self.orphan_places.contains(&places[row]),
            _ => false,
        }
    }

    /// Faults that are there without being planted, and rows of people who are not on the register.
    fn note_natural(&self, file: &str, rows: &Rows, row: usize, place: u32, named: bool, planted: &mut Vec<Planted>) {
        if file.starts_with("hes_apc") && rows.text_of(column(rows, "EPISTAT"), row) == b"1" {
            planted.push(Planted { kind: "episode split by the year end", row: Some(place), column: "EPISTAT" });
        }
        if named && !self.orphan_places.is_empty() && self.is_orphan(rows, row) {
            let column = rows.layout[person_column(rows)].0;
            planted.push(Planted { kind: "orphan: not on the register", row: Some(place), column });
        }
    }

    fn repeat_episodes(&mut self, again: Rows, out: &mut Rows, planted: &mut Vec<Planted>) {
        if let Some(before) = self.again.replace(again) {
            for row in 0..before.len {
                planted.push(Planted {
                    kind: "same episode in two years",
                    row: Some(out.len as u32),
                    column: "EPIKEY",
                });
                out.copy_row(&before, row, &[]);
            }
        }
    }

    /// The change to one row, and the column that it is in; None where the row cannot have the fault.
    fn fault(
        &mut self,
        fault: &Fault,
        rows: &Rows,
        row: usize,
        edits: &mut Vec<(usize, Cell)>,
    ) -> Option<&'static str> {
        let name =
            if fault.columns.is_empty() { rows.layout[person_column(rows)].0 } else { self.draw.word(fault.columns) };
        let index = column(rows, name);
        if edits.iter().any(|(other, _)| *other == index) {
            return None;
        }
        let cell = self.cell(fault, rows, row, index)?;
        edits.push((index, cell));
        Some(name)
    }

    fn cell(&mut self, fault: &Fault, rows: &Rows, row: usize, index: usize) -> Option<Cell> {
        let draw = &mut self.draw;
        let kind = rows.layout[index].1;
        Some(match fault.how {
            How::Empty if matches!(kind, Holds::Listed(_)) => Cell::Position(NO_POSITION),
            How::Empty => Cell::Text(Vec::new()),
            How::NullDay => Cell::Day(draw.pick(&NULL_DAYS).0),
            How::InvalidDay => Cell::Day(invalid_day(draw.below(INVALID_DAYS.len() as u32))),
            How::Words(words) => Cell::Text(draw.word(words).as_bytes().to_vec()),
            How::FixedDay(year, month, day) => Cell::Day(Day::from_ymd(year, month, day)?.0),
            How::Later(least, most) => Cell::Day(real_day(rows, index, row)? + draw.between(least, most)),
            How::Before(other) => {
                let day = real_day(rows, column(rows, other), row)?;
                real_day(rows, index, row)?;
                Cell::Day(day - draw.between(1, 60))
            }
            How::LowerCase => Cell::Text(changed(rows.text_of(index, row), |code| code.to_ascii_lowercase())?),
            How::Dotted => Cell::Text(changed(rows.text_of(index, row), dotted)?),
            How::Marked => {
                let mark = draw.word(&["D", "A", "-D", "-A"]).as_bytes();
                Cell::Text(changed(rows.text_of(index, row), |code| marked(code, mark))?)
            }
            How::Century => Cell::Text(other_century(rows.text_of(index, row), draw.chance(0.5))?),
            How::MalformedCode => Cell::Position(*draw.pick(&self.world.codes.malformed)),
            How::MalformedDrug => Cell::Position(*draw.pick(&self.world.pharmacy.malformed)),
            How::Twice | How::NextYear => {
                // Only what is finished is sent again.
                let open = rows.layout.iter().any(|(name, _)| *name == "EPISTAT");
                if open && rows.text_of(column(rows, "EPISTAT"), row) == b"1" {
                    return None;
                }
                Cell::Same
            }
        })
    }
}

/// How extracts write a date that is not there.
const NULL_DAYS: [Day; 4] = [Day(-62_091), Day(-61_726), Day(-135_140), Day(-141_427)];

fn person_column(rows: &Rows) -> usize {
    let names = ["ENCRYPTED_HESID", "LA Person Unique Identifier", "person_id"];
    rows.layout.iter().position(|(name, _)| names.contains(name)).expect("every table names the person")
}

fn column(rows: &Rows, name: &str) -> usize {
    rows.layout.iter().position(|(other, _)| *other == name).expect("faults name columns of their table")
}

fn real_day(rows: &Rows, index: usize, row: usize) -> Option<i32> {
    // Null days lie long before anyone was born.
    Some(rows.day_at(index, row)).filter(|&day| day > -40_000)
}

fn changed(code: &[u8], change: impl Fn(&[u8]) -> Vec<u8>) -> Option<Vec<u8>> {
    let new = change(code);
    (new != code).then_some(new)
}

/// `I259` becomes `I25.9`.
fn dotted(code: &[u8]) -> Vec<u8> {
    if code.len() < 4 {
        return code.to_vec();
    }
    [&code[..3], b".", &code[3..]].concat()
}

/// `G309` becomes `G309D`, or `G309-D` where the fifth character is kept.
fn marked(code: &[u8], mark: &[u8]) -> Vec<u8> {
    if code.len() == 4 { [code, mark].concat() } else { code.to_vec() }
}

fn other_century(year_month: &[u8], later: bool) -> Option<Vec<u8>> {
    let (year, rest) = std::str::from_utf8(year_month).ok()?.split_at_checked(4)?;
    let year = year.parse::<i32>().ok()? + if later { 100 } else { -100 };
    Some(format!("{year}{rest}").into_bytes())
}

/// Rows that a fault of a rate hits, in order.
fn hits(rate: f64, rows: usize, draw: &mut Draw) -> Vec<usize> {
    let mut found = Vec::new();
    if rate <= 0.0 {
        return found;
    }
    let mut row = draw.exponential(1.0 / rate) as usize;
    while row < rows {
        found.push(row);
        row += 1 + draw.exponential(1.0 / rate) as usize;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_days_are_those_of_the_extracts() {
        let shown: Vec<String> = NULL_DAYS.iter().map(|day| day.to_string()).collect();
        assert_eq!(shown, ["1800-01-01", "1801-01-01", "1600-01-01", "1582-10-15"]);
    }

    #[test]
    fn hits_come_at_their_rate() {
        let mut draw = Draw::new(1, 1, Subject::Defects);
        let found = hits(0.01, 1_000_000, &mut draw);
        assert!((9_500..10_500).contains(&found.len()), "{}", found.len());
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(hits(0.0, 100, &mut draw).is_empty());
    }

    #[test]
    fn codes_are_spoiled_as_in_the_wild() {
        assert_eq!(dotted(b"I259"), b"I25.9");
        assert_eq!(other_century(b"1950-04", false).unwrap(), b"1850-04");
        assert!(changed(b"", |code| code.to_ascii_lowercase()).is_none());
    }
}
