//! Contacts with the four hospices, for some of those who are known to be dying. Rates are assumptions.

use super::draw::{Draw, Subject};
use super::people::Person;
use super::sheets::Sheets;
use super::world::World;
use crate::day::Day;

/// Share of those on the palliative register whom a hospice knows, and days between contacts.
const KNOWN: f64 = 0.45;
const DAYS_BETWEEN: f64 = 12.0;

pub fn write_contacts(world: &World, person: &Person, sheets: &mut Sheets) {
    let mut draw = Draw::new(world.seed, person.number, Subject::Hospice);
    let Some(from) = person.palliative_from.filter(|_| draw.chance(KNOWN)) else { return };
    let hospice = world.places.hospice(person.area);
    let mut day = Day(from.0 + draw.between(3, 40));
    while day < person.present.1 {
        if day >= person.present.0 {
            let kind = draw.weighted_word(&[
                ("Home visit", 52.0),
                ("Telephone", 30.0),
                ("Day therapy", 12.0),
                ("Inpatient stay", 6.0),
            ]);
            let days = if kind == "Inpatient stay" { draw.exponential(11.0) as i32 } else { 0 };
            let end = Day(day.0 + days).min(Day(person.present.1.0 - 1));
            sheets.hospice.text(&person.id).text(hospice).day(Some(day)).day(Some(end)).text(kind).end();
            day = end;
        }
        day = Day(day.0 + draw.exponential(DAYS_BETWEEN) as i32 + 1);
    }
}
