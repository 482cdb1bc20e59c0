//! Contacts with community services in courses, and care plans. Rates are assumptions: no published rate by age is at hand.

use super::draw::{Draw, Subject};
use super::people::Person;
use super::sheets::Sheets;
use super::world::{World, years};
use crate::day::Day;

/// Part of the rate that follows frailty.
const FOLLOWS: f64 = 0.9;
const MEAN_COURSE: f64 = 8.0;

/// Services by age group: children, adults of working age, the old.
const SERVICES: [&[(&str, f64)]; 3] = [
    &[
        ("Health Visiting Service", 60.0),
        ("Speech and Language Therapy Service", 22.0),
        ("Paediatric Nursing Service", 18.0),
    ],
    &[
        ("Musculoskeletal Service", 50.0),
        ("Podiatry Service", 20.0),
        ("District Nursing Service", 22.0),
        ("Continence Service", 8.0),
    ],
    &[
        ("District Nursing Service", 62.0),
        ("Podiatry Service", 14.0),
        ("Falls Service", 6.0),
        ("Intermediate Care Service", 9.0),
        ("Continence Service", 5.0),
        ("Heart Failure Service", 4.0),
    ],
];

/// Contacts a year and the age group of services.
fn rate(age: i32) -> (f64, usize) {
    match age {
        ..5 => (0.9, 0),
        5..18 => (0.12, 0),
        18..65 => (0.16, 1),
        65..75 => (0.7, 2),
        75..85 => (2.4, 2),
        _ => (6.5, 2),
    }
}

pub fn write_contacts(world: &World, person: &Person, sheets: &mut Sheets) {
    let mut draw = Draw::new(world.seed, person.number, Subject::Community);
    let provider = world.places.community_provider(person.area);
    let mut referral = 0;
    for (from, to, age) in person.years_of_age() {
        let (rate, group) = rate(age);
        let mean = world.mean_tempered(FOLLOWS, person.sex, age, from);
        let courses = draw.poisson(rate / MEAN_COURSE * person.tempered(FOLLOWS) / mean * years(from, to));
        for _ in 0..courses {
            referral += 1;
            let service = draw.weighted_word(SERVICES[group]);
            let mut day = Day(draw.between(from.0, to.0 - 1));
            for _ in 0..1 + draw.poisson(MEAN_COURSE - 1.0) {
                let contact = Contact { provider, service, referral, day };
                write_contact(world, person, &contact, &mut draw, sheets);
                day = Day(day.0 + draw.between(1, if service.starts_with("District") { 7 } else { 28 }));
            }
        }
    }
    write_care_plan(world, person, &mut draw, sheets);
}

struct Contact {
    provider: &'static str,
    service: &'static str,
    referral: u32,
    day: Day,
}

fn write_contact(world: &World, person: &Person, contact: &Contact, draw: &mut Draw, sheets: &mut Sheets) {
    let day = contact.day;
    let Some(index) = world.financial_years.iter().position(|year| year.holds(day)) else { return };
    if day >= person.present.1 {
        return;
    }
    let at_home = contact.service.starts_with("District") || contact.service.starts_with("Health V");
    sheets.community[index]
        .text(&person.id)
        .text(contact.provider)
        .text(&format!("C{:09}{:03}", person.number, contact.referral))
        .text(contact.service)
        .day(Some(day))
        .text(draw.weighted_word(&[("5", 90.0), ("3", 5.0), ("2", 3.0), ("4", 2.0)]))
        .text(draw.weighted_word(&[("01", 88.0), ("02", 12.0)]))
        .text(if at_home { "A01" } else { "E03" })
        .decimal(Some(i64::from(draw.between(2, 9) * 5)))
        .decimal(Some(world.prices.community_contact))
        .end();
}

/// Plans for the frail, for those who are dying, and for those with a long-term mental illness.
fn write_care_plan(world: &World, person: &Person, draw: &mut Draw, sheets: &mut Sheets) {
    let age = person.age_on(world.reference);
    let frail = age >= 65 && person.conditions.len() >= 8;
    let (kind, start) = match person.palliative_from {
        Some(from) if draw.chance(0.5) => ("Advance care plan", from),
        _ if frail && draw.chance(0.3) => {
            ("Anticipatory care plan", Day(draw.between(world.first.0, world.reference.0)))
        }
        _ if person.conditions.len() >= 3 && draw.chance(0.05) => {
            ("Personalised care and support plan", Day(draw.between(world.first.0, world.reference.0)))
        }
        _ => return,
    };
    if start < person.present.0 || start >= person.present.1 {
        return;
    }
    let frailty = match (age, person.conditions.len()) {
        (..65, _) | (_, 0..5) => "",
        (_, 5..8) => "Mild",
        (_, 8..12) => "Moderate",
        _ => "Severe",
    };
    let review = Day(start.0 + draw.between(90, 400));
    sheets
        .care_plans
        .text(&person.id)
        .text(&world.places.practices[person.practice_on(start)].code)
        .text(kind)
        .day(Some(start))
        .day(Some(review).filter(|review| *review < person.present.1))
        .text(frailty)
        .end();
}
