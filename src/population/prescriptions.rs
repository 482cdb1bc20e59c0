//! GP prescriptions: repeats that go with conditions, and short courses.

use std::sync::Arc;

use super::draw::{Draw, Subject};
use super::hospital::age_group;
use super::people::{DAYS_PER_YEAR, Person};
use super::rows::Rows;
use super::sheets::Sheets;
use super::spoiled::MALFORMED_BNF;
use super::tables::{number, rows, text};
use super::tally::Tally;
use super::world::{World, years};
use crate::day::Day;

/// Part of the chance of a medicine that follows frailty.
const FOLLOWS: f64 = 0.45;

/// Brings items a head to what is published: people take more for reasons that are not among the conditions.
const OTHERS: [f64; 4] = [1.75, 2.95, 3.05, 3.5];

/// What follows the nine characters of the chemical: product, strength and equivalent.
const PRESENTATIONS: [&str; 3] = ["AAABAB", "AAADAD", "BBABAB"];

struct Drug {
    /// First position of its codes in the list, and how many there are.
    first_code: u32,
    codes: u32,
    condition: Option<usize>,
    share: f64,
    by_age: [f64; 4],
    days: i32,
    quantity: i64,
    pence: i64,
}

/// What can be prescribed.
pub struct Pharmacy {
    pub codes: Arc<Vec<String>>,
    repeats: Vec<Drug>,
    courses: Vec<Drug>,
    /// Codes that are none: faults.
    pub malformed: Vec<u32>,
}

impl Pharmacy {
    pub fn load(position: &dyn Fn(&str) -> Option<usize>) -> Pharmacy {
        let (mut codes, mut repeats, mut courses) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows(include_str!("tables/drugs.csv")) {
            let code = text(&row, "code");
            let first_code = codes.len() as u32;
            // Appliances have codes of their own, without a chemical.
            if code.len() == 9 {
                codes.extend(PRESENTATIONS.map(|presentation| format!("{code}{presentation}")));
            } else {
                codes.push(code.to_owned());
            }
            let drug = Drug {
                first_code,
                codes: codes.len() as u32 - first_code,
                condition: position(text(&row, "condition")),
                share: number(&row, "share"),
                by_age: ["under16", "age16_44", "age45_69", "over69"].map(|column| number(&row, column)),
                days: number(&row, "days") as i32,
                quantity: number(&row, "quantity") as i64,
                pence: number(&row, "pence") as i64,
            };
            if text(&row, "kind") == "repeat" { repeats.push(drug) } else { courses.push(drug) }
        }
        let end = codes.len() as u32;
        codes.extend(MALFORMED_BNF.map(str::to_owned));
        let malformed = (end..codes.len() as u32).collect();
        Pharmacy { codes: Arc::new(codes), malformed, repeats, courses }
    }
}

/// Appends issues to one person at one practice.
struct Chart<'a> {
    world: &'a World,
    person: &'a Person,
    rows: &'a mut Rows,
    tally: &'a mut Tally,
    place: u32,
    practice: u32,
}

impl Chart<'_> {
    fn issue(&mut self, day: Day, drug: &Drug, presentation: u32, draw: &mut Draw) {
        let pence = drug.pence + i64::from(draw.between(-4, 6)) * drug.pence / 100;
        self.tally.item(self.world, self.person, day, pence);
        self.rows
            .listed(self.place)
            .listed(self.practice)
            .day(Some(day))
            .listed(drug.first_code + presentation)
            .decimal(Some(drug.quantity))
            .decimal(Some(pence))
            .end();
    }
}

/// Writes what was prescribed to someone whose practice shares its data; `place` is the person's place in the chunk.
pub fn write_prescriptions(world: &World, person: &Person, place: u32, sheets: &mut Sheets) {
    let practice = person.practice();
    if !world.places.practices[practice].shares_gp_data || person.present.0 >= person.present.1 {
        return;
    }
    let mut draw = Draw::new(world.seed, person.number, Subject::Prescriptions);
    let mut chart = Chart {
        world,
        person,
        rows: &mut sheets.prescriptions,
        tally: &mut sheets.tally,
        place,
        practice: practice as u32,
    };
    let day_of_month = draw.between(0, 27);
    for drug in &world.pharmacy.repeats {
        if let Some((from, to)) = course_of_repeat(person, drug, &mut draw) {
            write_repeat(drug, from, to, day_of_month, &mut draw, &mut chart);
        }
    }
    let (from, to) = person.present;
    let age = person.age_on(Day((from.0 + to.0) / 2)).max(0);
    for drug in &world.pharmacy.courses {
        let ill = drug.condition.is_some_and(|condition| person.has(condition, to));
        let rate = drug.by_age[age_group(age)] * person.tempered(FOLLOWS) + if ill { drug.share } else { 0.0 };
        for _ in 0..draw.poisson(rate * years(from, to)) {
            let day = Day(draw.between(from.0, to.0 - 1));
            let presentation = draw.below(drug.codes);
            chart.issue(day, drug, presentation, &mut draw);
        }
    }
}

/// From when to when someone takes a repeat medicine, if at all; the second day is not counted.
fn course_of_repeat(person: &Person, drug: &Drug, draw: &mut Draw) -> Option<(Day, Day)> {
    let (present_from, present_to) = person.present;
    let onset = person.conditions.iter().find(|onset| Some(onset.condition) == drug.condition);
    let frail = person.frailty.min(4.0);
    if let Some(onset) = onset
        && draw.chance((drug.share * (1.0 + 0.3 * frail)).min(0.97))
    {
        let start = Day(onset.since.0 + draw.between(0, 60));
        let resolved = onset.resolved.unwrap_or(present_to).min(present_to);
        let stops = draw.chance(0.2);
        let end = if stops { Day(start.0 + draw.exponential(900.0) as i32) } else { resolved };
        return Some((start.max(present_from), end.min(resolved)));
    }
    let age = person.age_on(Day((present_from.0 + present_to.0) / 2)).max(0);
    let chance = drug.by_age[age_group(age)] * OTHERS[age_group(age)] * person.tempered(FOLLOWS);
    if !draw.chance(chance.min(0.9)) {
        return None;
    }
    let start = Day(draw.between(present_from.0 - 1_500, present_to.0 - 1));
    let end = Day(start.0 + draw.exponential(5.0 * DAYS_PER_YEAR) as i32 + 28);
    Some((start.max(present_from), end.min(present_to)))
}

fn write_repeat(drug: &Drug, from: Day, to: Day, day_of_month: i32, draw: &mut Draw, chart: &mut Chart) {
    let presentation = draw.below(drug.codes);
    // Some take less than is meant for them.
    let days = drug.days * [1, 2, 4][draw.weighted([0.72, 0.2, 0.08].into_iter())];
    let mut day = Day(from.0 + (day_of_month - from.0).rem_euclid(28));
    while day < to {
        if draw.chance(0.95) {
            let late = if draw.chance(0.25) { draw.between(1, 6) } else { 0 };
            let issued = Day(day.0 + late);
            if issued < to {
                chart.issue(issued, drug, presentation, draw);
            }
        }
        day = Day(day.0 + days);
    }
}
