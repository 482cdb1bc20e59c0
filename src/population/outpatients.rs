//! Outpatient appointments, in courses with one specialty.

use super::draw::{Draw, Subject};
use super::hospital::Likelihood;
use super::people::Person;
use super::sheets::{Sheets, submitted_after};
use super::tables::{number, rows, text};
use super::world::{World, years};
use crate::day::Day;

/// Part of the rate of appointments that follows frailty.
const FOLLOWS: f64 = 0.9;
/// Longest time for which a course matters that began before the person was here.
const RUN_IN_DAYS: i32 = 270;

/// GP, A&E, another consultant, after an emergency admission, after an A&E attendance, self, other consultant-led, allied
/// health professional, optometrist, other.
const SOURCES: [(&str, f64); 10] = [
    ("03", 50.0),
    ("04", 4.0),
    ("05", 16.0),
    ("01", 4.0),
    ("10", 4.0),
    ("06", 2.0),
    ("11", 9.0),
    ("15", 3.0),
    ("16", 2.0),
    ("97", 6.0),
];

/// Seen in time, seen late, did not attend, cancelled by the patient, cancelled by the hospital, too late to be seen.
const ATTENDED: [(&str, f64); 6] = [("5", 74.0), ("6", 4.0), ("3", 8.0), ("2", 7.0), ("4", 6.6), ("7", 0.4)];

pub struct Specialty {
    pub likelihood: Likelihood,
    pub code: String,
    pub visits: f64,
}

pub fn specialties(position: &dyn Fn(&str) -> Option<usize>) -> Vec<Specialty> {
    let read = |row: &super::tables::Row| Specialty {
        likelihood: Likelihood::read(row, position),
        code: text(row, "code").to_owned(),
        visits: number(row, "visits"),
    };
    rows(include_str!("tables/specialties.csv")).iter().map(read).collect()
}

pub fn write_appointments(world: &World, person: &Person, sheets: &mut Sheets) {
    let mut draw = Draw::new(world.seed, person.number, Subject::Outpatients);
    let mut taken = Taken::default();
    // Courses under way on the first day began before it.
    let earlier = (Day(person.present.0.0 - RUN_IN_DAYS), person.present.0, person.age_on(person.present.0).max(0));
    let before = (person.present.0 > person.birth).then_some(earlier);
    for (from, to, age) in before.into_iter().chain(person.years_of_age()) {
        let mut left = appointments(world, person, age, (from, to), &mut draw);
        while left > 0 {
            let first = Day(draw.between(from.0, to.0 - 1));
            left -= write_course(world, person, (first, age), left, &mut taken, &mut draw, sheets);
        }
    }
}

fn appointments(world: &World, person: &Person, age: i32, (from, to): (Day, Day), draw: &mut Draw) -> u32 {
    let mean = world.mean_tempered(FOLLOWS, person.sex, age, Day((from.0 + to.0) / 2));
    draw.poisson(world.rates.outpatients.at(person.sex, age) * person.tempered(FOLLOWS) / mean * years(from, to))
}

/// Writes one course and gives back how many appointments it took.
fn write_course(
    world: &World,
    person: &Person,
    (first, age): (Day, i32),
    most: u32,
    taken: &mut Taken,
    draw: &mut Draw,
    sheets: &mut Sheets,
) -> u32 {
    let chosen = draw.weighted(world.specialties.iter().map(|one| one.likelihood.of(person, age, first)));
    let specialty = &world.specialties[chosen];
    let visits = (1 + draw.poisson(specialty.visits - 1.0)).min(most);
    let (trust, _) = world.places.hospital(person.area, draw);
    let source = draw.weighted_word(&SOURCES);
    let known_before = draw.chance(0.55);
    let mut day = first;
    for visit in 0..visits {
        day = taken.free_day(day, trust, &specialty.code);
        if person.present.0 <= day && day < person.present.1 {
            let of_course = Appointment { day, first: visit == 0 && !known_before, last: visit + 1 == visits };
            write_appointment(world, person, specialty, (trust, source), &of_course, draw, sheets);
        }
        day = Day(day.0 + draw.between(7, 120));
    }
    visits
}

/// Days on which someone has an appointment with a specialty: nobody has two with the same on one day.
#[derive(Default)]
struct Taken(Vec<(Day, &'static str, String)>);

impl Taken {
    /// The day, or the first after it that is free, and takes it.
    fn free_day(&mut self, mut day: Day, trust: &'static str, specialty: &str) -> Day {
        while self.0.iter().any(|(taken, with, of)| *taken == day && *with == trust && of == specialty) {
            day = Day(day.0 + 1);
        }
        self.0.push((day, trust, specialty.to_owned()));
        day
    }
}

/// One appointment of a course.
struct Appointment {
    day: Day,
    first: bool,
    last: bool,
}

fn write_appointment(
    world: &World,
    person: &Person,
    specialty: &Specialty,
    (trust, source): (&'static str, &'static str),
    appointment: &Appointment,
    draw: &mut Draw,
    sheets: &mut Sheets,
) {
    let day = appointment.day;
    let Some(index) = world.financial_years.iter().position(|year| year.holds(day)) else { return };
    let attended = draw.weighted_word(&ATTENDED);
    let outcome = if appointment.last && draw.chance(0.5) { "1" } else { draw.word(&["2", "2", "3"]) };
    let first_code = match (appointment.first, draw.chance(0.04)) {
        (true, false) => "1",
        (false, false) => "2",
        (true, true) => "3",
        (false, true) => "4",
    };
    sheets.tally.appointment(world, person, day);
    let key = sheets.keys.next(person.number);
    sheets.outpatients[index]
        .text(&person.id)
        .whole(key)
        .day(Some(day))
        .text(attended)
        .text(first_code)
        .text(outcome)
        .text(source)
        .text(&specialty.code)
        .text(&specialty.code)
        .text(trust)
        .text("R69X6")
        .day(Some(submitted_after(day)))
        .text(&world.financial_years[index].short_name)
        .end();
}
