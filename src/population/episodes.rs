//! A hospital spell, and the rows that a year's file holds of it.
//!
//! A spell is one or more consultant episodes, end to end. An episode that runs over 31 March stands unfinished in the file
//! of that year and finished in the file of the year in which it ends. A patient who is moved on starts a new spell at
//! another trust.

use super::calendar::FinancialYear;
use super::draw::Draw;
use super::layouts::{DIAGNOSES, OPERATIONS};
use super::people::Person;
use super::places::OTHER_TRUSTS;
use super::rows::Rows;
use super::sheets::{Sheets, month_of_birth, submitted_after};
use super::world::World;
use crate::day::Day;

/// Chance that a condition of the patient is written down.
const CONDITION_CODED: f64 = 0.75;

/// Signs of frailty that are written down for the old and frail.
const FRAILTY_CODES: [&str; 16] = [
    "R296", "R268", "E871", "N179", "R33X", "L891", "F059", "R410", "Z740", "Z602", "R32X", "K590", "R54X", "E86X",
    "Z501", "H919",
];
const HISTORY_CODES: [&str; 8] = ["Z921", "Z880", "Z867", "Z720", "Z864", "Z955", "Z966", "Z922"];

pub struct Spell {
    pub admitted: Day,
    /// Length of stay; it may run past the end of the data.
    pub days: i32,
    pub trust: &'static str,
    pub site: &'static str,
    pub emergency: bool,
    pub method: &'static str,
    pub source: &'static str,
    pub class: &'static str,
    pub kind: &'static str,
    pub primary: String,
    pub others: Vec<String>,
    pub operation: Option<String>,
    pub specialty: (String, String),
    pub hrg: String,
    pub episodes: u32,
    pub comorbid: bool,
    pub transferred: bool,
    pub died: bool,
}

impl Spell {
    /// A spell of a day with nothing said of it yet.
    pub fn at(admitted: Day, trust: &'static str, site: &'static str) -> Spell {
        Spell {
            admitted,
            days: 0,
            trust,
            site,
            emergency: false,
            method: "13",
            source: "19",
            class: "1",
            kind: "1",
            primary: String::new(),
            others: Vec::new(),
            operation: None,
            specialty: (String::new(), String::new()),
            hrg: String::new(),
            episodes: 1,
            comorbid: false,
            transferred: false,
            died: false,
        }
    }

    /// Nobody stays after death.
    pub fn end_at_death(&mut self, death: Option<Day>) {
        if let Some(death) = death.filter(|death| death.0 <= self.admitted.0 + self.days) {
            self.days = death.0 - self.admitted.0;
            self.died = true;
            self.transferred = false;
        }
        self.episodes = self.episodes.min(self.days as u32 + 1);
    }

    /// The first day on which another spell can start.
    pub fn busy_until(&self) -> Day {
        Day(self.admitted.0 + self.days + i32::from(self.class != "3"))
    }
}

/// Where a spell stands in a move between trusts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leg {
    Whole,
    First,
    Second,
}

pub fn write_spell(world: &World, person: &Person, spell: &Spell, draw: &mut Draw, sheets: &mut Sheets) {
    if !spell.transferred {
        return write_leg(world, person, spell, Leg::Whole, draw, sheets);
    }
    let before = draw.between(1, spell.days - 1);
    let (trust, site) =
        *draw.pick(&[("RVV", "RVV01"), ("RWF", "RWF03"), ("RPA", "RPA02"), ("RN7", "RN707"), OTHER_TRUSTS[1]]);
    let (trust, site) = if trust == spell.trust { OTHER_TRUSTS[0] } else { (trust, site) };
    let first = Spell { days: before, episodes: spell.episodes.min(before as u32 + 1), ..spell.copy() };
    let second = Spell {
        admitted: Day(spell.admitted.0 + before),
        days: spell.days - before,
        trust,
        site,
        method: if draw.chance(0.7) { "2B" } else { "81" },
        source: "51",
        episodes: 1,
        ..spell.copy()
    };
    write_leg(world, person, &first, Leg::First, draw, sheets);
    write_leg(world, person, &second, Leg::Second, draw, sheets);
}

impl Spell {
    fn copy(&self) -> Spell {
        Spell {
            primary: self.primary.clone(),
            others: self.others.clone(),
            operation: self.operation.clone(),
            specialty: self.specialty.clone(),
            hrg: self.hrg.clone(),
            ..*self
        }
    }
}

fn write_leg(world: &World, person: &Person, spell: &Spell, leg: Leg, draw: &mut Draw, sheets: &mut Sheets) {
    let diagnoses = diagnoses(world, person, spell, draw);
    let source = if spell.source == "19" && in_care_home(person, spell.admitted) { "65" } else { spell.source };
    let end = Day(spell.admitted.0 + spell.days);
    let discharge = (
        match (leg, spell.died) {
            (Leg::First, _) => "51",
            (_, true) => "79",
            _ if spell.emergency && draw.chance(0.03) => "54",
            _ if source == "65" => "65",
            _ => "19",
        },
        if spell.died {
            "4"
        } else if draw.chance(0.015) {
            "2"
        } else {
            "1"
        },
    );
    let mut starts: Vec<i32> = (1..spell.episodes).map(|_| draw.between(spell.admitted.0, end.0)).collect();
    starts.push(spell.admitted.0);
    starts.sort_unstable();
    for (index, &start) in starts.iter().enumerate() {
        let last = index + 1 == starts.len();
        let finish = if last { end } else { Day(starts[index + 1]) };
        let swapped = index > 0 && draw.chance(0.3);
        let primary = if swapped { draw.pick_some(&diagnoses).unwrap_or(&spell.primary) } else { &spell.primary };
        let episode = Episode { start: Day(start), finish, order: index + 1, last, primary, source, discharge };
        write_episode(world, person, spell, &episode, &diagnoses, sheets);
    }
}

fn in_care_home(person: &Person, day: Day) -> bool {
    person.care_home_from.is_some_and(|from| from <= day)
}

/// Further diagnoses: what belongs to the cause, conditions that the patient has, and signs of frailty.
fn diagnoses(world: &World, person: &Person, spell: &Spell, draw: &mut Draw) -> Vec<String> {
    let mut codes = spell.others.clone();
    if spell.comorbid {
        for onset in &person.conditions {
            let condition = &world.conditions.list[onset.condition];
            if onset.since <= spell.admitted && draw.chance(CONDITION_CODED) {
                codes.push(condition.icd10[(person.number as usize + onset.condition) % condition.icd10.len()].clone());
            }
        }
        let age = person.age_on(spell.admitted);
        let signs = if spell.emergency && age >= 65 { draw.poisson((0.5 * person.frailty).min(3.0)) } else { 0 };
        codes.extend((0..signs).map(|_| draw.word(&FRAILTY_CODES).to_string()));
        let history = draw.poisson(0.4);
        codes.extend((0..history).map(|_| draw.word(&HISTORY_CODES).to_string()));
    }
    codes.retain(|code| *code != spell.primary);
    let mut seen = Vec::new();
    codes.retain(|code| {
        let new = !seen.contains(code);
        seen.push(code.clone());
        new
    });
    codes.truncate(DIAGNOSES - 1);
    codes
}

struct Episode<'a> {
    start: Day,
    finish: Day,
    order: usize,
    last: bool,
    primary: &'a str,
    source: &'static str,
    /// Destination and method.
    discharge: (&'static str, &'static str),
}

fn write_episode(
    world: &World,
    person: &Person,
    spell: &Spell,
    episode: &Episode,
    further: &[String],
    sheets: &mut Sheets,
) {
    for (index, year) in world.financial_years.iter().enumerate() {
        let done = year.holds(episode.finish);
        let open_at_end = episode.start <= year.last && episode.finish > year.last;
        if done || open_at_end {
            let key = sheets.keys.next(person.number);
            let line = Line { spell, episode, further, done, year };
            write_line(world, person, &line, key, &mut sheets.admissions[index]);
        }
    }
}

/// What a year's file says of an episode; unfinished, it has no end, no discharge and no diagnosis yet.
struct Line<'a> {
    spell: &'a Spell,
    episode: &'a Episode<'a>,
    further: &'a [String],
    done: bool,
    year: &'a FinancialYear,
}

fn write_line(world: &World, person: &Person, line: &Line, key: u64, rows: &mut Rows) {
    let Line { spell, episode, done, .. } = *line;
    let ends = done && episode.last;
    let submitted = if done { episode.finish } else { line.year.last };
    rows.text(&person.id)
        .whole(key)
        .day(Some(episode.start))
        .day(Some(if done { episode.finish } else { NULL_DAY }))
        .whole(episode.order as u64)
        .text(if done { "3" } else { "1" })
        .text(spell.kind)
        .day(Some(spell.admitted))
        .text(spell.method)
        .text(episode.source)
        .text(spell.class)
        .day(Some(if ends { episode.finish } else { NULL_DAY }))
        .text(if ends { episode.discharge.0 } else { "98" })
        .text(if ends { episode.discharge.1 } else { "8" })
        .text(spell.trust)
        .text(spell.site)
        .text(&spell.specialty.0)
        .text(&spell.specialty.1);
    write_codes(line, rows);
    rows.text(if done { &spell.hrg } else { "UZ01Z" })
        .day(Some(submitted_after(submitted)))
        .text(&line.year.short_name)
        .text(person.sex_code)
        .text(&month_of_birth(person.birth))
        .text(&world.places.practices[person.practice_on(episode.start)].code)
        .text(&world.places.areas[person.area].lsoas[person.lsoa].code)
        .text(person.ethnic)
        .end();
}

/// How hospital records write a date that is not there.
pub const NULL_DAY: Day = Day(-62_091);

fn write_codes(line: &Line, rows: &mut Rows) {
    let Line { spell, episode, done, .. } = *line;
    rows.text(if done { episode.primary } else { "R69X" });
    let further = if done { line.further } else { &[] };
    let mut written = 1;
    for code in further.iter().filter(|code| *code != episode.primary).take(DIAGNOSES - 1) {
        rows.text(code);
        written += 1;
    }
    for _ in written..DIAGNOSES {
        rows.text("");
    }
    let operation = spell.operation.as_deref().filter(|_| done && episode.order == 1);
    rows.text(operation.unwrap_or(if done { "-" } else { "&" }));
    for _ in 1..OPERATIONS {
        rows.text("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_null_date_is_the_first_of_1800() {
        assert_eq!(NULL_DAY.to_string(), "1800-01-01");
    }

    #[test]
    fn a_spell_ends_at_death_at_the_latest() {
        let mut spell = Spell { days: 10, episodes: 6, ..Spell::at(Day(100), "RVV", "RVV01") };
        spell.end_at_death(Some(Day(103)));
        assert_eq!((spell.days, spell.died, spell.episodes), (3, true, 4));
    }
}
