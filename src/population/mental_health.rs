//! Contacts with the mental-health trust. Rates by illness are assumptions.

use std::collections::BTreeSet;

use super::draw::{Draw, Subject};
use super::people::Person;
use super::sheets::Sheets;
use super::world::{World, years};
use crate::day::Day;

const TRUST: &str = "RXY";

/// An illness, the share of people with it who are seen, contacts a year of those, team and diagnosis.
struct Illness {
    condition: &'static str,
    share: f64,
    contacts: f64,
    team: &'static str,
    diagnosis: &'static str,
}

const ILLNESSES: [Illness; 5] = [
    Illness { condition: "psychosis", share: 0.7, contacts: 16.0, team: "A06", diagnosis: "F209" },
    Illness { condition: "dementia", share: 0.35, contacts: 5.0, team: "A10", diagnosis: "F03X" },
    Illness { condition: "substance_misuse", share: 0.25, contacts: 9.0, team: "D01", diagnosis: "F102" },
    Illness { condition: "depression", share: 0.09, contacts: 6.0, team: "A05", diagnosis: "F329" },
    Illness { condition: "anxiety", share: 0.06, contacts: 5.0, team: "A05", diagnosis: "F419" },
];

/// Where each illness stands among the conditions.
pub fn positions(position: &dyn Fn(&str) -> Option<usize>) -> Vec<Option<usize>> {
    ILLNESSES.iter().map(|illness| position(illness.condition)).collect()
}

pub fn write_contacts(world: &World, person: &Person, sheets: &mut Sheets) {
    let mut draw = Draw::new(world.seed, person.number, Subject::MentalHealth);
    for (number, (illness, &position)) in ILLNESSES.iter().zip(&world.mental_illnesses).enumerate() {
        let seen = draw.chance(illness.share);
        let Some(onset) = person.conditions.iter().find(|onset| Some(onset.condition) == position) else { continue };
        let from = onset.since.max(person.present.0);
        let to = onset.resolved.unwrap_or(person.present.1).min(person.present.1);
        if !seen || from >= to {
            continue;
        }
        // Most are seen for a time and then left to their GP.
        let length = if number < 2 { to.0 - from.0 } else { draw.between(60, 400) };
        let start = draw.between(from.0, (to.0 - length).max(from.0));
        let end = Day(start + length).min(to);
        // A team sees a person once a day: two rows of a day are copies, as the layout takes them.
        let contacts = draw.poisson(illness.contacts * years(Day(start), end));
        let days: BTreeSet<i32> = (0..contacts).map(|_| draw.between(start, end.0 - 1)).collect();
        for day in days {
            write_contact(world, person, illness, number, Day(day), &mut draw, sheets);
        }
    }
}

fn write_contact(
    world: &World,
    person: &Person,
    illness: &Illness,
    number: usize,
    day: Day,
    draw: &mut Draw,
    sheets: &mut Sheets,
) {
    let Some(index) = world.financial_years.iter().position(|year| year.holds(day)) else { return };
    sheets.mental_health[index]
        .text(&person.id)
        .text(TRUST)
        .text(&format!("M{:09}{number:03}", person.number))
        .text(illness.team)
        .day(Some(day))
        .text(draw.weighted_word(&[("5", 80.0), ("3", 11.0), ("2", 6.0), ("4", 3.0)]))
        .text(draw.weighted_word(&[("01", 78.0), ("02", 22.0)]))
        .decimal(Some(i64::from(draw.between(3, 12) * 5)))
        .text(illness.diagnosis)
        .text(if illness.condition == "psychosis" && person.number.is_multiple_of(2) { "Y" } else { "N" })
        .decimal(Some(world.prices.mental_health_contact))
        .end();
}
