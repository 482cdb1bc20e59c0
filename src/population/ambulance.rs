//! Calls to the ambulance service: one for each attendance that came by ambulance, and those that ended where they began.

use super::draw::{Draw, Subject};
use super::people::Person;
use super::sheets::Sheets;
use super::world::{World, years};
use crate::day::Day;

const TRUST: &str = "RYD";
/// Part of the rate of calls without conveyance that follows frailty.
const FOLLOWS: f64 = 0.7;

/// Someone whom an ambulance took to an emergency department.
pub struct Conveyed {
    pub day: Day,
    pub trust: &'static str,
}

/// Calls a year that end at home or on the telephone: an assumption.
fn rate(age: i32) -> f64 {
    match age {
        ..16 => 0.02,
        16..65 => 0.04,
        65..80 => 0.09,
        _ => 0.3,
    }
}

pub fn write_calls(world: &World, person: &Person, conveyed: &[Conveyed], sheets: &mut Sheets) {
    let mut draw = Draw::new(world.seed, person.number, Subject::Ambulance);
    for one in conveyed {
        write_call(world, person, one.day, ("See and convey", one.trust), &mut draw, sheets);
    }
    for (from, to, age) in person.years_of_age() {
        let mean = world.mean_tempered(FOLLOWS, person.sex, age, from);
        for _ in 0..draw.poisson(rate(age) * person.tempered(FOLLOWS) / mean * years(from, to)) {
            let day = Day(draw.between(from.0, to.0 - 1));
            let outcome = if draw.chance(0.8) { "See and treat" } else { "Hear and treat" };
            write_call(world, person, day, (outcome, ""), &mut draw, sheets);
        }
    }
}

fn write_call(
    world: &World,
    person: &Person,
    day: Day,
    (outcome, trust): (&'static str, &'static str),
    draw: &mut Draw,
    sheets: &mut Sheets,
) {
    const COMPLAINTS: [(&str, f64); 8] = [
        ("Falls", 21.0),
        ("Breathing problems", 15.0),
        ("Chest pain", 14.0),
        ("Unconscious or fainting", 10.0),
        ("Sick person", 18.0),
        ("Stroke", 4.0),
        ("Traumatic injury", 9.0),
        ("Overdose or poisoning", 9.0),
    ];
    let Some(index) = world.financial_years.iter().position(|year| year.holds(day)) else { return };
    let minutes = draw.below(1_440);
    sheets.ambulance[index]
        .text(&person.id)
        .text(TRUST)
        .day(Some(day))
        .text(&format!("{:02}{:02}", minutes / 60, minutes % 60))
        .text(draw.weighted_word(&[("Red 1", 3.0), ("Red 2", 42.0), ("Green 2", 30.0), ("Green 4", 25.0)]))
        .text(draw.weighted_word(&COMPLAINTS))
        .text(outcome)
        .text(trust)
        .end();
}
