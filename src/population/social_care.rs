//! Adult social care: services, assessments and reviews as the council's client-level data holds them.
//!
//! Each file covers everything that was going on in a financial year, or in the part of it up to a quarter's end, so a service that runs for three years stands in
//! three files with one start date and one reference.

use super::draw::{Draw, Subject};
use super::people::{DAYS_PER_YEAR, Person};
use super::sheets::Sheets;
use super::tables::Sex;
use super::world::World;
use crate::day::Day;

/// What is provided: type, component, delivery, unit cost in pence, frequency, and units a week.
struct Service {
    kind: &'static str,
    component: &'static str,
    delivery: &'static str,
    pence: i64,
    frequency: &'static str,
    units: i64,
}

/// One thing that happened or went on.
struct Event {
    kind: &'static str,
    start: Day,
    end: Option<Day>,
    service: Option<Service>,
    outcome: &'static str,
}

pub fn write_social_care(world: &World, person: &Person, sheets: &mut Sheets) {
    let mut draw = Draw::new(world.seed, person.number, Subject::SocialCare);
    let mut events = Vec::new();
    plan_care_home(world, person, &mut draw, &mut events);
    plan_home_care(world, person, &mut draw, &mut events);
    plan_short_term(world, person, &mut draw, &mut events);
    if events.is_empty() {
        return;
    }
    events.sort_by_key(|event| (event.start, event.kind));
    let client = Client::of(world, person, &mut draw);
    for (number, event) in events.iter().enumerate() {
        if let Some(service) = &event.service {
            sheets.tally.support(world, event.start, event.end, service.kind.starts_with("Long"));
        }
        write_event(world, person, &client, event, number, sheets);
    }
}

/// End of a service that would run for some days: death or leaving cuts it short, and it may be open still.
fn end_of(world: &World, person: &Person, start: Day, days: i32) -> Option<Day> {
    let end = Day(start.0 + days.max(1)).min(Day(person.present.1.0 - 1));
    (end < world.last).then_some(end)
}

fn plan_care_home(world: &World, person: &Person, draw: &mut Draw, events: &mut Vec<Event>) {
    let Some(from) = person.care_home_from.filter(|from| *from < person.present.1) else { return };
    // Four in ten residents pay for themselves and are unknown to the council.
    if draw.chance(0.4) {
        return;
    }
    let nursing = draw.chance(0.45);
    let service = Service {
        kind: if nursing { "Long Term Support: Nursing Care" } else { "Long Term Support: Residential Care" },
        component: if nursing { "Long term nursing care" } else { "Long term residential care" },
        delivery: "CASSR Commissioned Support",
        pence: 7 * if nursing { world.prices.nursing_day } else { world.prices.residential_day },
        frequency: "Weekly",
        units: 1,
    };
    let end = end_of(world, person, from, i32::MAX / 4);
    assessment(Day(from.0 - draw.between(7, 40)), draw, events);
    reviews(world, person, from, end, draw, events);
    events.push(Event { kind: "Service", start: from, end, service: Some(service), outcome: outcome(end) });
}

fn outcome(end: Option<Day>) -> &'static str {
    if end.is_some() { "NFA: Support ended as planned" } else { "Continuation of support or services" }
}

/// Chance of help at home in the years covered, by age.
fn home_care_share(age: i32) -> f64 {
    match age {
        ..18 => 0.0,
        18..65 => 0.0092,
        65..75 => 0.046,
        75..85 => 0.149,
        _ => 0.395,
    }
}

fn plan_home_care(world: &World, person: &Person, draw: &mut Draw, events: &mut Vec<Event>) {
    let age = person.age_on(Day(world.reference.0.min(person.present.1.0)));
    let disabled = world.learning_disability.is_some_and(|condition| person.has(condition, world.reference));
    let chance = home_care_share(age) * person.tempered(0.8) + if disabled && age >= 18 { 0.4 } else { 0.0 };
    if !draw.chance(chance.min(0.85)) || person.present.0 >= person.present.1 {
        return;
    }
    let start = Day(draw.between(world.first.0 - 900, person.present.1.0 - 1).max(person.birth.0 + 18 * 365));
    let years = if age < 65 { 6.0 } else { 2.0 };
    let mut days = draw.exponential(years * DAYS_PER_YEAR) as i32 + 20;
    if let Some(moved) = person.care_home_from.filter(|moved| *moved > start) {
        days = days.min(moved.0 - start.0);
    }
    let end = end_of(world, person, start, days);
    if start >= person.present.1 || end.is_some_and(|end| end < world.first) {
        return;
    }
    let service = match draw.below(10) {
        0..6 => home_care(draw),
        6..8 => direct_payment(draw),
        8 => Service {
            component: "Day support",
            frequency: "Daily",
            pence: 5_800,
            units: draw.between(1, 4).into(),
            ..home_care(draw)
        },
        _ => {
            Service { component: "Extra care housing", frequency: "Weekly", pence: 21_000, units: 1, ..home_care(draw) }
        }
    };
    assessment(Day(start.0 - draw.between(5, 30)), draw, events);
    reviews(world, person, start, end, draw, events);
    events.push(Event { kind: "Service", start, end, service: Some(service), outcome: outcome(end) });
}

fn home_care(draw: &mut Draw) -> Service {
    Service {
        kind: "Long Term Support: Community",
        component: "Home support or domiciliary care",
        delivery: if draw.chance(0.7) { "CASSR Managed Personal Budget" } else { "CASSR Commissioned Support" },
        pence: 1_450,
        frequency: "Hourly",
        units: (3 + draw.poisson(9.0)).into(),
    }
}

fn direct_payment(draw: &mut Draw) -> Service {
    Service {
        kind: "Long Term Support: Community",
        component: "Direct payment",
        delivery: "Direct Payment",
        pence: i64::from(draw.between(60, 420)) * 100,
        frequency: "4-weekly",
        units: 1,
    }
}

/// Reablement after a crisis, and small things such as equipment.
fn plan_short_term(world: &World, person: &Person, draw: &mut Draw, events: &mut Vec<Event>) {
    let age = person.age_on(Day(world.reference.0.min(person.present.1.0)));
    let yearly = match age {
        ..18 => 0.0,
        18..65 => 0.0015,
        65..75 => 0.0098,
        75..85 => 0.0285,
        _ => 0.065,
    };
    let span = f64::from(person.present.1.0 - person.present.0.0).max(0.0) / DAYS_PER_YEAR;
    for _ in 0..draw.poisson(yearly * person.tempered(0.8) * span).min(6) {
        let start = Day(draw.between(person.present.0.0, person.present.1.0 - 1));
        let reablement = draw.chance(0.6);
        let days = if reablement { draw.between(7, 42) } else { 1 };
        let service = Service {
            kind: if reablement { "Short Term Support: ST-Max" } else { "Short Term Support: Ongoing Low Level" },
            component: if reablement { "Reablement" } else { "Equipment" },
            delivery: "CASSR Commissioned Support",
            pence: if reablement { world.prices.short_term_day } else { 6_400 },
            frequency: if reablement { "Daily" } else { "One-off" },
            units: if reablement { 7 } else { 1 },
        };
        let end = end_of(world, person, start, days).or(Some(world.last));
        let request = Day(start.0 - draw.between(1, 6));
        events.push(Event {
            kind: "Request",
            start: request,
            end: Some(request),
            service: None,
            outcome: "Progress to reablement/ST-Max",
        });
        events.push(Event {
            kind: "Service",
            start,
            end,
            service: Some(service),
            outcome: "NFA: Support ended as planned",
        });
    }
}

fn assessment(start: Day, draw: &mut Draw, events: &mut Vec<Event>) {
    let end = Some(Day(start.0 + draw.between(0, 21)));
    events.push(Event {
        kind: "Assessment",
        start,
        end,
        service: None,
        outcome: "Progress to support planning or services",
    });
}

fn reviews(world: &World, person: &Person, start: Day, end: Option<Day>, draw: &mut Draw, events: &mut Vec<Event>) {
    let until = end.unwrap_or(world.last).min(Day(person.present.1.0 - 1));
    let mut day = Day(start.0.max(world.first.0) + draw.between(60, 420));
    while day < until {
        let outcome = "Continuation of support or services";
        events.push(Event { kind: "Review", start: day, end: Some(day), service: None, outcome });
        day = Day(day.0 + draw.between(250, 500));
    }
}

/// What is said of the person on each of their rows.
struct Client {
    council: &'static str,
    reason: &'static str,
    carer: &'static str,
    funding: &'static str,
    housing: &'static str,
}

impl Client {
    fn of(world: &World, person: &Person, draw: &mut Draw) -> Client {
        let disabled = world.learning_disability.is_some_and(|condition| person.has(condition, world.last));
        let reason = if disabled {
            "Learning Disability Support"
        } else if person.has(world.dementia, world.last) && draw.chance(0.6) {
            "Support with Memory & Cognition"
        } else {
            const REASONS: [(&str, f64); 5] = [
                ("Physical Support: Personal care support", 62.0),
                ("Physical Support: Access & mobility only", 22.0),
                ("Mental Health Support", 8.0),
                ("Sensory Support: Support for visual impairment", 3.0),
                ("Social Support: Support for Social Isolation/Other", 5.0),
            ];
            draw.weighted_word(&REASONS)
        };
        Client {
            council: world.places.council(person.area),
            reason,
            carer: draw.word(&["Yes", "No", "No", "Unknown"]),
            funding: draw.word(&["Fully social care funded", "Joint client and social care funded"]),
            housing: draw.word(&[
                "Owner occupier or shared ownership scheme",
                "Tenant: Local authority or other social housing provider",
                "Tenant: Private landlord",
                "Settled mainstream housing with family or friends",
                "Sheltered housing, extra care housing or other sheltered housing",
            ]),
        }
    }
}

fn write_event(world: &World, person: &Person, client: &Client, event: &Event, number: usize, sheets: &mut Sheets) {
    let reference = format!("{}{:09}{number:03}", &event.kind[..1], person.number);
    for (index, year) in world.submissions.iter().enumerate() {
        if event.start > year.last || event.end.is_some_and(|end| end < year.first) {
            continue;
        }
        let at_home = person.care_home_from.is_none_or(|from| from > year.last);
        let nursing = event.service.as_ref().is_some_and(|service| service.kind.ends_with("Nursing Care"));
        let housing = match (at_home, nursing) {
            (true, _) => client.housing,
            (false, true) => "Registered nursing home",
            (false, false) => "Registered care home",
        };
        let rows = &mut sheets.social_care[index];
        rows.text(client.council)
            .day(Some(year.first))
            .day(Some(year.last))
            .text(&person.id)
            .text(&world.places.practices[person.practice_on(year.last)].code)
            .text(if person.sex == Sex::Female { "Female" } else { "Male" })
            .text(person.ethnic)
            .day(person.death.filter(|death| *death <= year.last))
            .text("Service User")
            .text(client.reason)
            .text(housing)
            .text(client.carer)
            .text(client.funding)
            .text(event.kind)
            .text(&reference)
            .day(Some(event.start))
            .day(event.end.filter(|end| *end <= year.last))
            .text(event.service.as_ref().map_or(event.kind, |service| service.component))
            .text(if event.end.is_none_or(|end| end > year.last) { "" } else { event.outcome });
        match &event.service {
            Some(service) => rows
                .text(service.kind)
                .text(service.component)
                .text(service.delivery)
                .decimal(Some(service.pence))
                .text(service.frequency)
                .decimal(Some(service.units)),
            None => rows.text("").text("").text("").decimal(None).text("").decimal(None),
        };
        rows.end();
    }
}
