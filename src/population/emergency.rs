//! Attendances at emergency departments: those that end in a bed, and the many that do not.

use super::ambulance::Conveyed;
use super::draw::{Draw, Subject};
use super::hospital::{Arrival, age_group};
use super::people::Person;
use super::sheets::{Sheets, submitted_after};
use super::world::{World, years};
use crate::day::Day;

/// Part of the rate of attendances without admission that follows frailty.
const FOLLOWS: f64 = 0.6;
/// Some come again and again, for reasons that are not among the conditions: their share, how much more often they come, and
/// what that does to the mean.
const OFTEN_SHARE: f64 = 0.008;
const OFTEN_TIMES: f64 = 14.0;
const OFTEN_MEAN: f64 = 1.0 + OFTEN_SHARE * (OFTEN_TIMES - 1.0);
/// Share of emergency admissions that come through an emergency department.
const THROUGH_DEPARTMENT: f64 = 0.7;

/// Discharged with and without follow-up, clinics, another provider, died, left, other.
const DISPOSALS: [(&str, f64); 11] = [
    ("02", 30.0),
    ("03", 46.0),
    ("04", 3.0),
    ("05", 5.5),
    ("06", 4.5),
    ("07", 1.5),
    ("10", 0.1),
    ("11", 2.5),
    ("12", 4.0),
    ("13", 0.6),
    ("14", 2.3),
];
const INJURIES: [(&str, f64); 13] = [
    ("01", 12.0),
    ("02", 10.0),
    ("03", 8.0),
    ("04", 9.0),
    ("05", 17.0),
    ("06", 17.0),
    ("07", 6.0),
    ("10", 2.0),
    ("12", 5.0),
    ("13", 3.0),
    ("14", 3.0),
    ("09", 0.5),
    ("16", 0.5),
];

pub fn write_attendances(world: &World, person: &Person, arrivals: &[Arrival], sheets: &mut Sheets) -> Vec<Conveyed> {
    let mut conveyed = Vec::new();
    let mut draw = Draw::new(world.seed, person.number, Subject::Emergency);
    let mut seen = Vec::new();
    let own = if draw.chance(OFTEN_SHARE) { OFTEN_TIMES } else { 1.0 } / OFTEN_MEAN * person.tempered(FOLLOWS);
    for arrival in arrivals {
        let seen_as = &world.causes[arrival.cause].seen_as;
        let visit = Visit { trust: arrival.trust, admitted: true, seen_as, ..Visit::on(arrival.day) };
        conveyed.extend(write_visit(world, person, &visit, &mut seen, &mut draw, sheets));
    }
    for (from, to, age) in person.years_of_age() {
        let middle = Day((from.0 + to.0) / 2);
        let whole = world.rates.emergency_attendances.at(person.sex, age);
        let admitted = world.rates.emergency_admissions.at(person.sex, age) * THROUGH_DEPARTMENT;
        let rate = (whole - admitted).max(0.3 * whole) * world.deprivation(person.decile, person.sex, age).sqrt();
        for _ in 0..draw.poisson(rate * own / world.mean_tempered(FOLLOWS, person.sex, age, middle) * years(from, to)) {
            let day = Day(draw.between(from.0, to.0 - 1));
            let seen_as = reason(world, person, age, day, &mut draw);
            let (trust, _) = world.places.hospital(person.area, &mut draw);
            let visit = Visit { trust, seen_as, ..Visit::on(day) };
            conveyed.extend(write_visit(world, person, &visit, &mut seen, &mut draw, sheets));
        }
    }
    conveyed
}

/// First two characters of the diagnosis.
fn reason<'a>(world: &'a World, person: &Person, age: i32, day: Day, draw: &mut Draw) -> &'a str {
    let injured = [0.5, 0.48, 0.4, 0.3][age_group(age)];
    if draw.chance(injured) {
        return draw.weighted_word(&INJURIES);
    }
    if draw.chance(0.16) {
        return draw.word(&["38", "39", "37"]);
    }
    let cause = draw.weighted(world.causes.iter().map(|cause| cause.likelihood.of(person, age, day)));
    &world.causes[cause].seen_as
}

struct Visit<'a> {
    day: Day,
    trust: &'static str,
    admitted: bool,
    seen_as: &'a str,
}

impl Visit<'_> {
    fn on(day: Day) -> Visit<'static> {
        Visit { day, trust: "", admitted: false, seen_as: "" }
    }
}

/// What two attendances of one person on one day cannot both be: day, trust, condition and first treatment.
type Told = (Day, &'static str, String, &'static str);

/// Writes an attendance, and says whether an ambulance brought the person.
fn write_visit(
    world: &World,
    person: &Person,
    visit: &Visit,
    seen: &mut Vec<Told>,
    draw: &mut Draw,
    sheets: &mut Sheets,
) -> Option<Conveyed> {
    let index = world.financial_years.iter().position(|year| year.holds(visit.day))?;
    sheets.tally.attendance(world, person, visit.day);
    let age = person.age_on(visit.day);
    let department = match draw.below(100) {
        _ if visit.admitted => "1",
        0..60 => "1",
        60..62 => "2",
        62..90 => "3",
        _ => "4",
    };
    let by_ambulance = if visit.admitted { 0.35 } else { 0.12 } + f64::from(age.max(0)) * 0.004;
    let ambulance = department == "1" && draw.chance(by_ambulance);
    let disposal = if visit.admitted { "01" } else { draw.weighted_word(&DISPOSALS) };
    let category = ["1", "2", "3"][draw.weighted([93.0, if visit.admitted { 0.0 } else { 3.5 }, 3.5].into_iter())];
    let (first, second) = diagnoses(visit.seen_as, draw);
    let (test, other_test) = investigations(visit.seen_as, draw);
    let minutes = draw.below(1_440);
    let treatment = treatment(visit, &first, seen, draw);
    let key = sheets.keys.next(person.number);
    sheets.emergency[index]
        .text(&person.id)
        .whole(key)
        .day(Some(visit.day))
        .text(&format!("{:02}{:02}", minutes / 60, minutes % 60))
        .text(if ambulance { "1" } else { "2" })
        .text(category)
        .text(disposal)
        .text(department)
        .text(&first)
        .text(&second)
        .text(test)
        .text(other_test)
        .text(treatment)
        .text(visit.trust)
        .day(Some(submitted_after(visit.day)))
        .text(&world.financial_years[index].short_name)
        .end();
    ambulance.then_some(Conveyed { day: visit.day, trust: visit.trust })
}

fn treatment(visit: &Visit, diagnosis: &str, seen: &mut Vec<Told>, draw: &mut Draw) -> &'static str {
    const TREATMENTS: [&str; 10] = ["221", "222", "991", "011", "051", "101", "202", "281", "031", ""];
    let condition: String = diagnosis.chars().take(2).collect();
    let told = |treatment| (visit.day, visit.trust, condition.clone(), treatment);
    let mut treatment = draw.word(&TREATMENTS);
    if seen.contains(&told(treatment)) {
        treatment = TREATMENTS.into_iter().find(|other| !seen.contains(&told(other))).unwrap_or(treatment);
    }
    seen.push(told(treatment));
    treatment
}

/// Condition, sub-analysis, part of the body and side; a fifth of attendances have none.
fn diagnoses(seen_as: &str, draw: &mut Draw) -> (String, String) {
    if draw.chance(0.18) {
        return (String::new(), String::new());
    }
    let detail = |code: &str, draw: &mut Draw| {
        if draw.chance(0.4) {
            return code.to_owned();
        }
        format!("{code}{}{:02}{}", draw.below(9) + 1, draw.below(37) + 1, draw.word(&["L", "R", "8"]))
    };
    let first = detail(seen_as, draw);
    let second =
        if draw.chance(0.12) { detail(draw.word(&["38", "35", "20", "01", "06"]), draw) } else { String::new() };
    (first, second)
}

fn investigations(seen_as: &str, draw: &mut Draw) -> (&'static str, &'static str) {
    const BONES: [&str; 5] = ["02", "04", "05", "06", "07"];
    const CHEST: [&str; 3] = ["19", "20", "25"];
    if BONES.contains(&seen_as) && draw.chance(0.6) {
        return ("01", if draw.chance(0.1) { "03" } else { "" });
    }
    if CHEST.contains(&seen_as) && draw.chance(0.8) {
        return if draw.chance(0.6) {
            ("01", draw.word(&["02", "03", "05"]))
        } else {
            ("02", draw.word(&["03", "05", "01"]))
        };
    }
    match draw.below(10) {
        0..3 => (draw.word(&["03", "05", "06", "02"]), draw.word(&["", "01", "05"])),
        3..5 => ("06", ""),
        _ => ("24", ""),
    }
}
