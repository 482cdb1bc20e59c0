//! Admissions: why, when, for how long, and the episodes of them as hospital records hold them.
//!
//! A person's admissions of all kinds are planned first and then taken in order of date, so that nobody is in two beds at
//! once. What an emergency department saw of them is handed on to [`super::emergency`].

use super::calibration::{EMERGENCY_FOLLOWS, PLANNED_FOLLOWS};
use super::draw::{Draw, Subject};
use super::episodes::{Spell, write_spell};
use super::further::Burden;
use super::people::Person;
use super::sheets::Sheets;
use super::tables::{Row, Sex, number, rows, text};
use super::tally::Tally;
use super::world::{World, years};
use crate::day::Day;

/// Chance that an emergency admission is followed by another within 30 days of discharge.
const READMISSION: f64 = 0.08;
/// Emergency admissions in the last half year of life, beside the one that ends in death.
const BEFORE_DEATH: f64 = 0.8;
/// Share of people with cancer whose chemotherapy takes them into a bed.
const CHEMOTHERAPY_IN_BED: f64 = 0.06;
/// Share of deaths that end an admission.
const DIES_IN_HOSPITAL: f64 = 0.55;

/// How often something is the reason, by age group, sex and condition.
pub struct Likelihood {
    by_age: [f64; 4],
    female: f64,
    condition: Option<usize>,
    times: f64,
}

impl Likelihood {
    pub fn read(row: &Row, position: &dyn Fn(&str) -> Option<usize>) -> Likelihood {
        Likelihood {
            by_age: ["under16", "age16_44", "age45_69", "over69"].map(|column| number(row, column)),
            female: number(row, "female"),
            condition: position(text(row, "condition")),
            times: number(row, "times"),
        }
    }

    pub fn of(&self, person: &Person, age: i32, day: Day) -> f64 {
        let of_age = self.by_age[age_group(age)];
        // A ratio of 99 marks what only women have.
        let of_sex = match person.sex {
            Sex::Female => self.female.min(2.5),
            Sex::Male if self.female >= 99.0 => 0.0,
            Sex::Male => 1.0,
        };
        let of_condition = match self.condition {
            Some(condition) if person.has(condition, day) => self.times,
            _ => 1.0,
        };
        of_age * of_sex * of_condition
    }
}

pub fn age_group(age: i32) -> usize {
    match age {
        ..16 => 0,
        16..45 => 1,
        45..70 => 2,
        _ => 3,
    }
}

fn codes(row: &Row, column: &str) -> Vec<String> {
    text(row, column).split(';').filter(|code| !code.is_empty()).map(str::to_owned).collect()
}

/// A cause of emergency admission.
pub struct Cause {
    pub likelihood: Likelihood,
    pub icd10: Vec<String>,
    pub external: Vec<String>,
    pub stay_days: f64,
    pub specialty: (String, String),
    pub hrg: String,
    /// First two characters of the emergency department's diagnosis.
    pub seen_as: String,
}

pub fn causes(position: &dyn Fn(&str) -> Option<usize>) -> Vec<Cause> {
    let read = |row: &Row| Cause {
        likelihood: Likelihood::read(row, position),
        icd10: codes(row, "icd10"),
        external: codes(row, "external"),
        stay_days: number(row, "stay"),
        specialty: (text(row, "mainspef").to_owned(), text(row, "tretspef").to_owned()),
        hrg: text(row, "hrg").to_owned(),
        seen_as: text(row, "ae").to_owned(),
    };
    rows(include_str!("tables/causes.csv")).iter().map(read).collect()
}

/// A reason for planned admission.
pub struct Elective {
    pub likelihood: Likelihood,
    pub icd10: Vec<String>,
    pub opcs4: Vec<String>,
    pub day_case: f64,
    pub stay_days: f64,
    pub specialty: (String, String),
    pub hrg: String,
}

pub fn electives(position: &dyn Fn(&str) -> Option<usize>) -> Vec<Elective> {
    let read = |row: &Row| Elective {
        likelihood: Likelihood::read(row, position),
        icd10: codes(row, "icd10"),
        opcs4: codes(row, "opcs4"),
        day_case: number(row, "day_case"),
        stay_days: number(row, "stay"),
        specialty: (text(row, "mainspef").to_owned(), text(row, "tretspef").to_owned()),
        hrg: text(row, "hrg").to_owned(),
    };
    rows(include_str!("tables/electives.csv")).iter().map(read).collect()
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Reason {
    Birth,
    Emergency,
    Readmission,
    LastAdmission,
    Planned,
    Chemotherapy,
    Dialysis,
    Antenatal,
    Delivery,
}

/// What a stay counts as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StayKind {
    /// Day cases, births and regular attenders.
    Short,
    Emergency,
    Stroke,
    HeartAttack,
    Other,
}

impl StayKind {
    fn of(spell: &Spell) -> StayKind {
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| spell.primary.starts_with(prefix));
        match spell {
            _ if spell.class != "1" || spell.kind == "3" => StayKind::Short,
            _ if !spell.emergency => StayKind::Other,
            _ if starts(&["I61", "I63", "I64"]) => StayKind::Stroke,
            _ if starts(&["I21"]) => StayKind::HeartAttack,
            _ => StayKind::Emergency,
        }
    }
}

/// Someone who came through an emergency department and was admitted.
pub struct Arrival {
    pub day: Day,
    pub trust: &'static str,
    pub cause: usize,
}

/// What others know of a person's admissions.
#[derive(Default)]
pub struct Stays {
    pub arrivals: Vec<Arrival>,
    /// Days on which someone went home after a night or more in hospital.
    pub discharges: Vec<Day>,
}

/// Writes the person's admissions and gives back what emergency departments and the practice see of them.
pub fn write_admissions(world: &World, person: &Person, sheets: &mut Sheets) -> Stays {
    let mut draw = Draw::new(world.seed, person.number, Subject::Hospital);
    let mut planned = plan(world, person, &mut draw);
    planned.sort_unstable();
    let mut burden = Burden::of(world, person);
    let mut stays = Stays::default();
    let mut free_from = person.present.0;
    let mut waiting = planned.into_iter().rev().collect::<Vec<_>>();
    while let Some((wanted, reason)) = waiting.pop() {
        let latest = Day(person.present.1.0 - 1);
        // A bed is taken until discharge: an emergency comes after it, and what was planned for those days is called off.
        let urgent = matches!(reason, Reason::Emergency | Reason::Readmission) && wanted < free_from;
        let day = match reason {
            Reason::LastAdmission => Day(wanted.0.max(free_from.0)).min(latest),
            _ if urgent => Day(free_from.0 + draw.between(0, 10)),
            _ => wanted,
        };
        if day < free_from || day > latest {
            continue;
        }
        let mut spell = make_spell(world, person, day, reason, &mut draw, &mut stays.arrivals);
        if spell.comorbid {
            spell.others.extend(burden.of_stay(&spell));
        }
        if spell.class == "1" && spell.kind == "1" && spell.days > 0 && !spell.died {
            stays.discharges.push(Day(spell.admitted.0 + spell.days));
        }
        free_from = spell.busy_until();
        if spell.emergency && draw.chance(READMISSION) {
            let again = (Day(free_from.0 + draw.between(1, 30)), Reason::Readmission);
            let place = waiting.partition_point(|other| *other > again);
            waiting.insert(place, again);
        }
        tally_spell(world, person, &spell, &mut sheets.tally);
        write_spell(world, person, &spell, &mut draw, sheets);
    }
    stays
}

fn tally_spell(world: &World, person: &Person, spell: &Spell, tally: &mut Tally) {
    if spell.emergency {
        tally.emergency(world, person, spell.admitted);
    }
    tally.stay(world, spell.admitted, spell.days, StayKind::of(spell), world.prices.stay(spell));
}

fn plan(world: &World, person: &Person, draw: &mut Draw) -> Vec<(Day, Reason)> {
    let mut planned = Vec::new();
    for (from, to, age) in person.years_of_age() {
        let middle = Day((from.0 + to.0) / 2);
        let share = years(from, to);
        let mut add = |count: u32, reason: Reason, draw: &mut Draw| {
            planned.extend((0..count).map(|_| (Day(draw.between(from.0, to.0 - 1)), reason)));
        };
        let emergencies = draw.poisson(emergency_rate(world, person, age, middle) * share);
        add(emergencies, Reason::Emergency, draw);
        let births = if person.sex == Sex::Female { fertility(age) } else { 0.0 };
        let electives = (world.rates.electives.at(person.sex, age) - 1.35 * births).max(0.02);
        add(draw.poisson(electives * 0.9 * person.tempered(PLANNED_FOLLOWS) * share), Reason::Planned, draw);
        add(u32::from(draw.chance(births * share)), Reason::Delivery, draw);
        add(u32::from(draw.chance(births * 0.35 * share)), Reason::Antenatal, draw);
    }
    if person.birth >= world.first && person.birth <= world.last {
        planned.push((person.birth, Reason::Birth));
    }
    plan_last_months(world, person, &mut planned, draw);
    plan_dialysis(world, person, &mut planned, draw);
    plan_chemotherapy(world, person, &mut planned, draw);
    planned
}

/// Emergency admissions a year, without readmissions and without what the last months of life add.
fn emergency_rate(world: &World, person: &Person, age: i32, day: Day) -> f64 {
    let whole = world.rates.emergency_admissions.at(person.sex, age);
    let dying = world.rates.deaths.at(person.sex, age) * (DIES_IN_HOSPITAL + BEFORE_DEATH);
    let base = (whole * (1.0 - READMISSION) - dying).max(0.25 * whole);
    let mean = world.mean_tempered(EMERGENCY_FOLLOWS, person.sex, age, day);
    base * world.deprivation(person.decile, person.sex, age) * person.tempered(EMERGENCY_FOLLOWS) / mean
}

/// Births a year for a woman.
fn fertility(age: i32) -> f64 {
    match age {
        15..20 => 0.016,
        20..25 => 0.062,
        25..30 => 0.1,
        30..35 => 0.108,
        35..40 => 0.06,
        40..45 => 0.013,
        _ => 0.0,
    }
}

fn plan_last_months(world: &World, person: &Person, planned: &mut Vec<(Day, Reason)>, draw: &mut Draw) {
    let Some(death) = person.death.filter(|death| *death < person.present.1 && *death >= world.first) else { return };
    let before = draw.poisson(BEFORE_DEATH);
    planned.extend((0..before).map(|_| (Day(death.0 - draw.between(1, 180)), Reason::Emergency)));
    if draw.chance(DIES_IN_HOSPITAL) {
        planned.push((Day(death.0 - draw.exponential(9.0) as i32), Reason::LastAdmission));
    }
}

/// A few people with kidney disease attend three times a week.
fn plan_dialysis(world: &World, person: &Person, planned: &mut Vec<(Day, Reason)>, draw: &mut Draw) {
    let Some(kidney) = world.kidney_disease else { return };
    let Some(onset) = person.conditions.iter().find(|onset| onset.condition == kidney) else { return };
    if !draw.chance(0.006 * person.frailty.min(6.0)) {
        return;
    }
    let mut day = Day(onset.since.0.max(person.present.0.0) + draw.between(0, 700));
    let until = Day(day.0 + draw.exponential(900.0) as i32);
    while day < person.present.1.min(until) {
        planned.push((day, Reason::Dialysis));
        day = Day(day.0 + if draw.chance(0.67) { 2 } else { 3 });
    }
}

/// Courses of treatment for which someone with cancer comes back every three weeks and stays a night or two.
fn plan_chemotherapy(world: &World, person: &Person, planned: &mut Vec<(Day, Reason)>, draw: &mut Draw) {
    let Some(cancer) = world.cancer else { return };
    let Some(onset) = person.conditions.iter().find(|onset| onset.condition == cancer) else { return };
    if !draw.chance(CHEMOTHERAPY_IN_BED) {
        return;
    }
    let mut day = Day(onset.since.0 + draw.between(20, 120));
    for _ in 0..draw.between(6, 14) {
        if person.present.0 <= day && day < person.present.1 {
            planned.push((day, Reason::Chemotherapy));
        }
        day = Day(day.0 + 21);
    }
}

fn make_spell(
    world: &World,
    person: &Person,
    day: Day,
    reason: Reason,
    draw: &mut Draw,
    arrivals: &mut Vec<Arrival>,
) -> Spell {
    let (trust, site) = world.places.hospital(person.area, draw);
    let blank = Spell::at(day, trust, site);
    let mut spell = match reason {
        Reason::Emergency | Reason::Readmission | Reason::LastAdmission => {
            emergency_spell(world, person, blank, reason == Reason::LastAdmission, draw, arrivals)
        }
        Reason::Planned => planned_spell(world, person, blank, draw),
        Reason::Dialysis => dialysis_spell(blank),
        Reason::Chemotherapy => chemotherapy_spell(world, person, blank, draw),
        Reason::Birth => birth_spell(blank, draw),
        Reason::Antenatal => antenatal_spell(blank, draw),
        Reason::Delivery => delivery_spell(blank, draw),
    };
    spell.end_at_death(person.death);
    spell
}

fn emergency_spell(
    world: &World,
    person: &Person,
    blank: Spell,
    last: bool,
    draw: &mut Draw,
    arrivals: &mut Vec<Arrival>,
) -> Spell {
    let day = blank.admitted;
    let age = person.age_on(day);
    let chosen = draw.weighted(world.causes.iter().map(|cause| cause.likelihood.of(person, age, day)));
    let cause = &world.causes[chosen];
    let method = emergency_method(&cause.specialty.0, day, draw);
    if method == "21" || method == "2A" {
        let early = i32::from(draw.chance(0.12));
        arrivals.push(Arrival { day: Day(day.0 - early).max(person.present.0), trust: blank.trust, cause: chosen });
    }
    let stay = match person.death {
        Some(death) if last => death.0 - day.0,
        _ => emergency_stay(cause.stay_days, age, draw),
    };
    let ratio = world.rates.episodes_per_emergency.at(person.sex, age);
    let longest = if stay == 0 { 1 } else { 1 + stay as u32 };
    let home_trust = blank.trust;
    Spell {
        days: stay,
        emergency: true,
        method,
        primary: draw.pick(&cause.icd10).clone(),
        others: draw.pick_some(&cause.external).cloned().into_iter().collect(),
        specialty: cause.specialty.clone(),
        hrg: cause.hrg.clone(),
        episodes: (1 + draw.poisson((ratio - 1.0) * 1.25)).min(longest),
        comorbid: true,
        transferred: stay >= 3 && draw.chance(0.03) && home_trust.starts_with('R'),
        ..blank
    }
}

fn emergency_method(specialty: &str, day: Day, draw: &mut Draw) -> &'static str {
    // From April 2013 code 28 gave way to 25 and 2A to 2D; a little of it remains.
    let recoded = day >= Day::from_ymd(2013, 4, 1).expect("a date of the calendar");
    if specialty == "710" && draw.chance(0.6) {
        return if recoded { "25" } else { "28" };
    }
    match draw.below(1_000) {
        0..680 => "21",
        680..830 => "22",
        830..850 => "23",
        850..930 => "24",
        930..950 if recoded => "2A",
        950..992 if recoded => "2D",
        _ => "28",
    }
}

/// Many go home the same day; the rest stay longer the older they are.
fn emergency_stay(mean_days: f64, age: i32, draw: &mut Draw) -> i32 {
    let same_day = if mean_days <= 2.0 { 0.5 } else { 0.24 } * (1.15 - f64::from(age.min(95)) * 0.008);
    if draw.chance(same_day) {
        return 0;
    }
    // A few stay for weeks, often because there is nowhere to go.
    let held_up = if draw.chance(0.1) { 3.8 } else { 0.85 };
    let older = 0.45 + f64::from(age) * 0.0105;
    (draw.exponential(mean_days * older * held_up) + 0.6) as i32
}

fn planned_spell(world: &World, person: &Person, blank: Spell, draw: &mut Draw) -> Spell {
    let day = blank.admitted;
    let age = person.age_on(day);
    let reason = &world.electives[draw.weighted(world.electives.iter().map(|one| one.likelihood.of(person, age, day)))];
    let day_case = draw.chance(reason.day_case);
    let older = 1.2 + f64::from(age) * 0.01;
    let stay = if day_case { 0 } else { (draw.exponential(reason.stay_days * older) + 0.7) as i32 };
    Spell {
        days: stay,
        method: ["11", "12", "13"][draw.weighted([0.6, 0.25, 0.15].into_iter())],
        class: if day_case { "2" } else { "1" },
        primary: draw.pick(&reason.icd10).clone(),
        operation: draw.pick_some(&reason.opcs4).cloned(),
        specialty: reason.specialty.clone(),
        hrg: reason.hrg.clone(),
        episodes: if stay > 2 && draw.chance(0.12) { 2 } else { 1 },
        comorbid: true,
        ..blank
    }
}

fn dialysis_spell(blank: Spell) -> Spell {
    Spell {
        method: "13",
        class: "3",
        primary: "N185".to_owned(),
        operation: Some("X403".to_owned()),
        specialty: ("361".to_owned(), "361".to_owned()),
        hrg: "LD05A".to_owned(),
        ..blank
    }
}

fn chemotherapy_spell(world: &World, person: &Person, blank: Spell, draw: &mut Draw) -> Spell {
    let cancer = world.cancer.map_or(&[][..], |cancer| world.conditions.list[cancer].icd10.as_slice());
    Spell {
        days: draw.between(1, 3),
        method: "13",
        primary: cancer.get(person.number as usize % cancer.len().max(1)).map_or("Z511", String::as_str).to_owned(),
        others: vec!["Z511".to_owned()],
        operation: Some("X722".to_owned()),
        specialty: ("370".to_owned(), "370".to_owned()),
        hrg: "SB13Z".to_owned(),
        comorbid: true,
        ..blank
    }
}

fn birth_spell(blank: Spell, draw: &mut Draw) -> Spell {
    let born_before_arrival = draw.chance(0.015);
    Spell {
        days: draw.exponential(1.6) as i32,
        method: if born_before_arrival { "83" } else { "82" },
        source: "79",
        kind: "3",
        primary: if draw.chance(0.12) { "P599".to_owned() } else { "Z380".to_owned() },
        specialty: ("420".to_owned(), "424".to_owned()),
        hrg: "PB03Z".to_owned(),
        ..blank
    }
}

fn antenatal_spell(blank: Spell, draw: &mut Draw) -> Spell {
    Spell {
        days: draw.exponential(0.9) as i32,
        method: "31",
        primary: draw.word(&["O268", "O368", "O139", "O470", "O149"]).to_string(),
        specialty: ("501".to_owned(), "501".to_owned()),
        hrg: "NZ20C".to_owned(),
        ..blank
    }
}

fn delivery_spell(blank: Spell, draw: &mut Draw) -> Spell {
    let caesarean = draw.chance(0.25);
    Spell {
        days: draw.exponential(if caesarean { 2.8 } else { 1.5 }) as i32,
        method: if draw.chance(0.03) { "32" } else { "31" },
        kind: "2",
        primary: if caesarean { "O821" } else { draw.word(&["O800", "O700", "O701", "O420", "O480"]) }.to_owned(),
        others: vec!["Z370".to_owned()],
        operation: Some(if caesarean { "R189" } else { draw.word(&["R249", "R239", "R219"]) }.to_owned()),
        specialty: ("501".to_owned(), "501".to_owned()),
        hrg: if caesarean { "NZ50C" } else { "NZ30C" }.to_owned(),
        episodes: if draw.chance(0.15) { 2 } else { 1 },
        ..blank
    }
}
