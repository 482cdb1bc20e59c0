//! The GP record: diagnoses when they were made, values when they were measured, and the many rows that mean nothing to a
//! model.
//!
//! Only practices that share their data have rows, and the practice that holds the record in the end holds all of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::conditions::Conditions;
use super::draw::{Draw, Subject};
use super::people::{Person, Smoking};
use super::rows::{NO_POSITION, Rows};
use super::sheets::Sheets;
use super::spoiled::MALFORMED_SNOMED;
use super::tables::{Sex, snomed_groups};
use super::tally::Tally;
use super::world::{World, years};
use crate::day::Day;

/// Dissent from secondary use of GP patient identifiable data: what practices enter for a Type 1 opt-out.
const TYPE_1_OPT_OUT: &str = "827241000000103";

const FILLER_CODES: usize = 2_500;
const FILLER_SLOTS: usize = 1 << 14;
/// Share of people of 65 and over to whom a clinician gave a level of the Clinical Frailty Scale.
const FRAILTY_SCALED: f64 = 0.1;
/// Share of stays in hospital after which the practice takes blood within a month.
const BLOOD_AFTER_STAY: f64 = 0.35;
/// Part of the rate of visits that follows frailty.
const VISITS_FOLLOW: f64 = 0.5;

/// Units in the order of [`Unit`].
pub const UNITS: [&str; 10] =
    ["mm[Hg]", "kg/m2", "mmol/mol", "mL/min/1.73m2", "g/L", "mmol/L", "kg", "umol/L", "mU/L", "mg/mmol"];

#[derive(Clone, Copy)]
enum Unit {
    Pressure,
    Bmi,
    Hba1c,
    Egfr,
    Haemoglobin,
    Mmol,
    Weight,
    Umol,
    MilliunitsLitre,
    AlbuminRatio,
}

/// Every code that records are made of, and where in the list to find each.
pub struct GpCodes {
    pub list: Arc<Vec<String>>,
    groups: BTreeMap<String, Vec<u32>>,
    /// Positions by condition.
    by_condition: Vec<Vec<u32>>,
    resolved: Vec<Vec<u32>>,
    /// A filler code for each of equally likely slots.
    fillers: Vec<u32>,
    /// Codes that are none: faults.
    pub malformed: Vec<u32>,
    /// Dissent from secondary use of GP data.
    type_1_opt_out: u32,
}

impl GpCodes {
    pub fn load(conditions: &Conditions) -> GpCodes {
        let mut list = Vec::new();
        let mut groups = BTreeMap::new();
        for (group, codes) in snomed_groups() {
            let start = list.len() as u32;
            list.extend(codes);
            groups.insert(group, (start..list.len() as u32).collect::<Vec<u32>>());
        }
        // A condition may be written down with codes of several groups.
        let of = |names: &str| {
            let known = names.split(';').filter_map(|name| groups.get(name));
            known.flatten().copied().collect::<Vec<u32>>()
        };
        let by_condition = conditions.list.iter().map(|condition| of(&condition.group)).collect();
        let resolved = conditions.list.iter().map(|condition| of(&condition.resolved_group)).collect();
        let first_filler = list.len() as u32;
        list.extend((1..=FILLER_CODES as u64).map(filler_code));
        let end = list.len() as u32;
        list.push(TYPE_1_OPT_OUT.to_owned());
        list.extend(MALFORMED_SNOMED.map(str::to_owned));
        let malformed = (end + 1..list.len() as u32).collect();
        GpCodes {
            list: Arc::new(list),
            malformed,
            type_1_opt_out: end,
            groups,
            by_condition,
            resolved,
            fillers: filler_slots(first_filler),
        }
    }

    fn group(&self, name: &str) -> &[u32] {
        self.groups.get(name).map_or(&[], Vec::as_slice)
    }
}

/// A code of the form of a national extension, in a name space that nobody holds, with its check digit.
fn filler_code(number: u64) -> String {
    let digits = format!("{number}999999910");
    let check = check_digit(&digits);
    format!("{digits}{check}")
}

/// Verhoeff's check digit, as every SNOMED CT identifier has one.
fn check_digit(digits: &str) -> u8 {
    const INVERSE: [u8; 10] = [0, 4, 3, 2, 1, 5, 6, 7, 8, 9];
    let check = digits
        .bytes()
        .rev()
        .enumerate()
        .fold(0, |check, (place, digit)| dihedral(check, permuted(place + 1, digit - b'0')));
    INVERSE[usize::from(check)]
}

/// Product in the dihedral group of ten elements.
fn dihedral(a: u8, b: u8) -> u8 {
    match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b - 5) % 5,
        (false, true) => 5 + (a - 5 + 5 - b) % 5,
        (false, false) => (5 + a - b) % 5,
    }
}

fn permuted(place: usize, digit: u8) -> u8 {
    const ONCE: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    (0..place % 8).fold(digit, |digit, _| ONCE[usize::from(digit)])
}

/// Common codes take more slots than rare ones.
fn filler_slots(first: u32) -> Vec<u32> {
    let weights: Vec<f64> = (0..FILLER_CODES).map(|rank| 1.0 / (rank as f64 + 12.0)).collect();
    let total: f64 = weights.iter().sum();
    let mut slots = Vec::with_capacity(FILLER_SLOTS);
    let mut sum = 0.0;
    for (rank, weight) in weights.iter().enumerate() {
        sum += weight / total;
        let end = (sum * FILLER_SLOTS as f64).round() as usize;
        slots.resize(end.max(slots.len()), first + rank as u32);
    }
    slots.resize(FILLER_SLOTS, first);
    slots
}

/// Appends rows of one person at one practice.
struct Record<'a> {
    rows: &'a mut Rows,
    tally: &'a mut Tally,
    place: u32,
    practice: u32,
    last: Day,
}

impl Record<'_> {
    fn add(&mut self, day: Day, recorded: Day, code: u32, value: Option<i64>, unit: u32) {
        if day > self.last {
            return;
        }
        self.rows
            .listed(self.place)
            .listed(self.practice)
            .day(Some(day))
            .day(Some(recorded))
            .listed(code)
            .decimal(value)
            .listed(unit)
            .end();
    }

    fn code(&mut self, day: Day, code: u32) {
        self.add(day, day, code, None, NO_POSITION);
    }

    fn value(&mut self, day: Day, code: u32, tenths: f64, unit: Unit) {
        self.add(day, day, code, Some(tenths.round() as i64), unit as u32);
    }
}

/// Writes the record of someone whose practice shares its data; `place` is the person's place in the chunk, `discharges` are
/// the days on which they came home from hospital.
pub fn write_record(world: &World, person: &Person, place: u32, discharges: &[Day], sheets: &mut Sheets) {
    let practice = person.practice();
    if !world.places.practices[practice].shares_gp_data {
        return;
    }
    let mut draw = Draw::new(world.seed, person.number, Subject::Gp);
    let last = Day(person.present.1.0 - 1);
    let mut record =
        Record { rows: &mut sheets.gp_events, tally: &mut sheets.tally, place, practice: practice as u32, last };
    write_diagnoses(world, person, &mut draw, &mut record);
    write_states(world, person, &mut draw, &mut record);
    write_dissent(world, person, &mut draw, &mut record);
    write_measurements(world, person, discharges, &mut draw, &mut record);
    write_visits(world, person, &mut draw, &mut record);
}

fn write_diagnoses(world: &World, person: &Person, draw: &mut Draw, record: &mut Record) {
    for onset in &person.conditions {
        let Some(&code) = draw.pick_some(&world.codes.by_condition[onset.condition]) else { continue };
        let late = if draw.chance(0.12) { draw.between(1, 90) } else { 0 };
        record.add(onset.since, Day(onset.since.0 + late), code, None, NO_POSITION);
        // A long-standing diagnosis is written down again at some reviews.
        let mut again = Day(onset.since.0.max(person.present.0.0) + draw.between(200, 1_500));
        while again < person.present.1 && onset.resolved.is_none_or(|resolved| again < resolved) {
            record.code(again, code);
            again = Day(again.0 + draw.between(300, 1_500));
        }
        if let (Some(resolved), Some(&code)) = (onset.resolved, draw.pick_some(&world.codes.resolved[onset.condition]))
        {
            record.code(resolved, code);
        }
    }
}

/// Type 1 opt-outs.
fn write_dissent(world: &World, person: &Person, draw: &mut Draw, record: &mut Record) {
    if person.told_practice {
        let day = Day(draw.between(person.present.0.0, person.present.1.0 - 1));
        record.code(day, world.codes.type_1_opt_out);
    }
}

/// Care home, end of life and frailty.
fn write_states(world: &World, person: &Person, draw: &mut Draw, record: &mut Record) {
    let mut note = |day: Option<Day>, group: &str, draw: &mut Draw| {
        if let (Some(day), Some(&code)) = (day, draw.pick_some(world.codes.group(group))) {
            record.code(day, code);
        }
    };
    note(person.care_home_from, "care_home_resident", draw);
    note(person.palliative_from, "PALCARE_COD", draw);
    // The register that osteoporosis is scaled to is of those who broke a bone.
    let brittle = person.conditions.iter().find(|onset| Some(onset.condition) == world.osteoporosis);
    note(brittle.map(|onset| Day(onset.since.0 - draw.between(0, 300))), "FF_COD", draw);
    let age = person.age_on(world.reference);
    if age < 65 {
        return;
    }
    if draw.chance(0.35) {
        let level = match person.conditions.len() {
            0..5 => "",
            5..8 => "frailty_mild",
            8..12 => "frailty_moderate",
            _ => "frailty_severe",
        };
        note(Some(Day(draw.between(world.reference.0 - 900, world.reference.0))), level, draw);
    }
    if draw.chance(FRAILTY_SCALED) {
        write_frailty_scale(world, person, draw, record);
    }
}

/// The Clinical Frailty Scale: some write the code of a level, some a score from 1 to 9.
fn write_frailty_scale(world: &World, person: &Person, draw: &mut Draw, record: &mut Record) {
    let day = Day(draw.between(world.reference.0 - 900, world.reference.0));
    let dying = person.palliative_from.is_some_and(|from| from <= day);
    let burden = person.conditions.len() as f64 * 0.4 + person.frailty.min(4.0) * 0.7;
    let level = if dying && draw.chance(0.5) { 9.0 } else { (1.5 + burden + draw.normal(0.0, 0.8)).clamp(1.0, 8.0) };
    if draw.chance(0.5) {
        if let Some(&code) = world.codes.group("frailty_scale_level").get(level as usize - 1) {
            record.code(day, code);
        }
    } else if let Some(&code) = world.codes.group("frailty_scale_score").first() {
        record.add(day, day, code, Some(level as i64 * 10), NO_POSITION);
    }
}

/// What is known of the body: drawn once a person, so that values hang together.
struct Body {
    bmi: f64,
    systolic: f64,
    egfr: f64,
    hba1c: f64,
    haemoglobin: f64,
    sodium: f64,
    thyrotropin: f64,
    albumin_ratio: f64,
    cholesterol: f64,
    /// Checks a year.
    checks: f64,
    blood: bool,
}

impl Body {
    fn of(world: &World, person: &Person, age: i32, draw: &mut Draw) -> Body {
        let day = Day(person.present.1.0 - 1);
        let has = |name: &str| world.conditions.position(name).is_some_and(|condition| person.has(condition, day));
        let (diabetes, kidney, pressure) = (has("diabetes"), has("chronic_kidney_disease"), has("hypertension"));
        let long_term = diabetes || kidney || pressure || has("asthma") || has("copd") || has("coronary_heart_disease");
        let age = f64::from(age);
        let egfr = if kidney { draw.normal(46.0, 10.0) } else { draw.normal(112.0 - 0.55 * age, 13.0) };
        let women = person.sex == Sex::Female;
        Body {
            bmi: (26.4 + draw.normal(0.0, 4.6) + if diabetes { 3.0 } else { 0.0 }).clamp(15.0, 58.0),
            systolic: 112.0 + 0.28 * age + draw.normal(0.0, 9.0) + if pressure { 7.0 } else { 0.0 },
            egfr: egfr.clamp(8.0, 120.0),
            hba1c: if diabetes { 45.0 + draw.exponential(13.0) } else { draw.normal(37.5, 3.4) }.clamp(22.0, 140.0),
            haemoglobin: (if women { 132.0 } else { 146.0 }) + draw.normal(0.0, 10.0)
                - if has("anaemia") { 22.0 } else { 0.0 },
            sodium: draw.normal(139.8, 1.8) - 0.4 * person.frailty.min(5.0),
            thyrotropin: draw.exponential(if has("hypothyroidism") { 3.2 } else { 0.9 }) + 0.8,
            albumin_ratio: draw.exponential(if kidney { 9.0 } else { 2.0 }),
            cholesterol: draw.normal(5.1, 0.9).clamp(2.5, 9.5),
            checks: if long_term { 2.2 } else { 0.12 + age * 0.005 },
            blood: diabetes || kidney || age > 60.0,
        }
    }
}

fn write_measurements(world: &World, person: &Person, discharges: &[Day], draw: &mut Draw, record: &mut Record) {
    let age = person.age_on(Day(person.present.1.0));
    if age < 16 || person.present.0 >= person.present.1 {
        return;
    }
    let body = Body::of(world, person, age, draw);
    let from = person.present.0.max(Day(person.birth.0 + 16 * 365));
    for _ in 0..draw.poisson(body.checks * years(from, person.present.1)) {
        let day = Day(draw.between(from.0, person.present.1.0 - 1));
        write_check(world, person, &body, day, draw, record);
    }
    for &discharge in discharges.iter().filter(|day| **day > from) {
        if draw.chance(BLOOD_AFTER_STAY) {
            let day = Day(discharge.0 + draw.between(3, 27));
            write_blood(
                world,
                &Body { haemoglobin: body.haemoglobin - 9.0, sodium: body.sodium - 1.5, ..body },
                day,
                draw,
                record,
            );
        }
    }
}

fn write_check(world: &World, person: &Person, body: &Body, day: Day, draw: &mut Draw, record: &mut Record) {
    let code = |name: &str, which: usize| world.codes.group(name).get(which).copied().unwrap_or(NO_POSITION);
    let systolic = (body.systolic + draw.normal(0.0, 9.0)).round();
    let diastolic = (systolic * 0.57 + draw.normal(0.0, 6.0)).round();
    record.value(day, code("systolic", 0), systolic * 10.0, Unit::Pressure);
    record.value(day, code("diastolic", 0), diastolic * 10.0, Unit::Pressure);
    if draw.chance(0.6) {
        let bmi = body.bmi + draw.normal(0.0, 0.6);
        if bmi >= 30.0 {
            record.tally.obese(world, day);
        }
        record.value(day, code("bmi", 0), bmi * 10.0, Unit::Bmi);
        record.value(day, code("weight", 0), body.bmi * 28.5, Unit::Weight);
    }
    if draw.chance(0.6) {
        let status = match person.smoking {
            Smoking::Current => "smoker",
            Smoking::Former => "ex_smoker",
            Smoking::Never => "never_smoked",
        };
        record.code(day, code(status, 0));
    }
    if draw.chance(if body.blood { 0.8 } else { 0.25 }) {
        write_blood(world, body, day, draw, record);
        record.value(day, code("cholesterol", 0), (body.cholesterol + draw.normal(0.0, 0.3)) * 10.0, Unit::Mmol);
        record.value(day, code("hba1c", 0), (body.hba1c + draw.normal(0.0, 3.0)).round() * 10.0, Unit::Hba1c);
        if draw.chance(0.4) {
            let thyrotropin = (body.thyrotropin + draw.normal(0.0, 0.3)).max(0.1);
            record.value(day, code("tsh", 0), thyrotropin * 10.0, Unit::MilliunitsLitre);
        }
        if draw.chance(0.25) {
            record.value(day, code("urine_acr", 0), body.albumin_ratio.max(0.3) * 10.0, Unit::AlbuminRatio);
        }
    }
}

fn write_blood(world: &World, body: &Body, day: Day, draw: &mut Draw, record: &mut Record) {
    let code = |name: &str, which: usize| world.codes.group(name).get(which).copied().unwrap_or(NO_POSITION);
    let newer = day >= Day::from_ymd(2015, 1, 1).expect("a date of the calendar");
    let egfr = (body.egfr + draw.normal(0.0, 4.0)).clamp(5.0, 130.0).round();
    record.value(day, code("egfr", usize::from(newer)), egfr * 10.0, Unit::Egfr);
    record.value(day, code("creatinine", 0), (7_200.0 / egfr).round() * 10.0, Unit::Umol);
    record.value(day, code("sodium", 0), (body.sodium + draw.normal(0.0, 2.0)).round() * 10.0, Unit::Mmol);
    record.value(day, code("potassium", 0), draw.normal(44.0, 4.0), Unit::Mmol);
    record.value(
        day,
        code("haemoglobin", 0),
        (body.haemoglobin + draw.normal(0.0, 4.0)).round() * 10.0,
        Unit::Haemoglobin,
    );
}

/// Visits, each with rows that no model asks for.
fn write_visits(world: &World, person: &Person, draw: &mut Draw, record: &mut Record) {
    for (from, to, age) in person.years_of_age() {
        let mean = world.mean_tempered(VISITS_FOLLOW, person.sex, age, Day((from.0 + to.0) / 2));
        let rate = world.rates.gp_visits.at(person.sex, age) * person.tempered(VISITS_FOLLOW) / mean;
        for _ in 0..draw.poisson(rate * years(from, to)) {
            let day = Day(draw.between(from.0, to.0 - 1));
            record.tally.visit(world, person, day);
            write_visit(world, day, draw, record);
        }
    }
}

fn write_visit(world: &World, day: Day, draw: &mut Draw, record: &mut Record) {
    let rows = draw.poisson(world.fillers_per_visit);
    let late = if draw.chance(0.05) { draw.between(1, 45) } else { 0 };
    let recorded = Day(day.0 + late);
    for _ in 0..rows {
        let bits = draw.bits();
        let code = world.codes.fillers[bits as usize % FILLER_SLOTS];
        // One row in four is a result with a number.
        let value = (bits >> 30 == 0).then(|| i64::from(bits >> 14 & 0x7ff));
        record.add(day, recorded, code, value, NO_POSITION);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_those_of_known_codes() {
        for code in ["77176002", "8517006", "1011481000000105", "60621009", "13645005"] {
            let (digits, check) = code.split_at(code.len() - 1);
            assert_eq!(check_digit(digits).to_string(), check, "{code}");
        }
    }

    #[test]
    fn every_slot_has_a_filler() {
        let slots = filler_slots(10);
        assert_eq!(slots.len(), FILLER_SLOTS);
        assert!(slots.iter().all(|&code| (10..10 + FILLER_CODES as u32).contains(&code)));
    }
}
