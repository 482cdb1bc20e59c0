//! Who there is: birth, sex, home, registrations, frailty, conditions, residence and death.

use super::conditions::{Bearer, OPEN_BAND_FROM, OPEN_BAND_MEAN_YEARS, Onset};
use super::draw::{Draw, Subject};
use super::tables::{AGES, BANDS, Sex};
use super::world::World;
use crate::day::Day;

pub const DAYS_PER_YEAR: f64 = 365.25;

/// Part of the chance of death that follows a person's frailty.
pub const DEATH_FOLLOWS_FRAILTY: f64 = 0.3;

const OPT_OUT_SHARE: f64 = 0.031;
/// Share of those who opted out that also told their practice, and of others who only told it.
const TOLD_PRACTICE: f64 = 0.6;
const ONLY_TOLD_PRACTICE: f64 = 0.002;
const UNKNOWN_SEX_SHARE: f64 = 0.0003;
pub const ARRIVAL_SHARE: f64 = 0.11;
pub const LEAVER_SHARE: f64 = 0.045;
const MOVER_SHARE: f64 = 0.12;

/// White British, Irish, other White, mixed, Asian, Black, Chinese, other, not stated: letters and shares in hundredths.
const ETHNIC: [(&str, f64); 18] = [
    ("A", 82.0),
    ("B", 0.7),
    ("C", 3.6),
    ("D", 0.4),
    ("E", 0.2),
    ("F", 0.5),
    ("G", 0.4),
    ("H", 1.2),
    ("J", 0.3),
    ("K", 0.3),
    ("L", 1.1),
    ("M", 0.2),
    ("N", 0.9),
    ("P", 0.1),
    ("R", 0.4),
    ("S", 0.5),
    ("Z", 6.2),
    ("99", 1.0),
];

pub struct Registration {
    pub practice: usize,
    pub start: Day,
    pub end: Option<Day>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Smoking {
    Never,
    Former,
    Current,
}

pub struct Person {
    pub number: u32,
    pub id: String,
    pub sex: Sex,
    /// As the register has it: 1 male, 2 female, 9 not specified.
    pub sex_code: &'static str,
    pub birth: Day,
    pub area: usize,
    pub lsoa: usize,
    pub decile: u8,
    pub ethnic: &'static str,
    pub frailty: f64,
    pub registrations: Vec<Registration>,
    /// First day with events, and the first day without.
    pub present: (Day, Day),
    pub death: Option<Day>,
    pub care_home_from: Option<Day>,
    pub palliative_from: Option<Day>,
    pub conditions: Vec<Onset>,
    pub smoking: Smoking,
    /// On the list of those who opted out.
    pub opted_out: bool,
    /// Told the practice: a Type 1 opt-out, which stands in the GP record.
    pub told_practice: bool,
}

impl Person {
    pub fn age_on(&self, day: Day) -> i32 {
        (f64::from(day.0 - self.birth.0) / DAYS_PER_YEAR).floor() as i32
    }

    /// Each year of age in which the person is here: its first day here, the day after its last, and the age.
    pub fn years_of_age(&self) -> impl Iterator<Item = (Day, Day, i32)> {
        let (mut from, end) = self.present;
        std::iter::from_fn(move || {
            let start = from;
            let age = self.age_on(start).max(0);
            let birthday = self.birth.0 + (f64::from(age + 1) * DAYS_PER_YEAR).ceil() as i32;
            from = Day(birthday.max(start.0 + 1)).min(end);
            (start < end).then_some((start, from, age))
        })
    }

    /// Whether the condition is present on the day and not resolved.
    pub fn has(&self, condition: usize, day: Day) -> bool {
        self.conditions.iter().any(|onset| {
            onset.condition == condition && onset.since <= day && onset.resolved.is_none_or(|resolved| resolved > day)
        })
    }

    /// The practice that holds the person's record in the end.
    pub fn practice(&self) -> usize {
        self.registrations.last().expect("everyone is registered somewhere").practice
    }

    /// The practice that the person was with on a day, or the nearest to it.
    pub fn practice_on(&self, day: Day) -> usize {
        let on_day = self.registrations.iter().rev().find(|registration| registration.start <= day);
        on_day.unwrap_or(&self.registrations[0]).practice
    }

    /// Frailty, with only a part of it followed: mean 1.
    pub fn tempered(&self, follows: f64) -> f64 {
        1.0 - follows + follows * self.frailty
    }

    pub fn make(world: &World, number: u32) -> Person {
        let id = identity(world.seed, number);
        let mut draw = Draw::new(world.seed, number, Subject::Person);
        let point = (f64::from(number) + 0.5) / f64::from(world.people);
        let area = world.places.area_near(point, &mut draw);
        let lsoa = draw.below(world.places.areas[area].lsoas.len() as u32) as usize;
        let life = Life::make(world, area, &mut draw);
        let (registrations, from, left) = registrations(world, point, &life, &mut draw);
        let until = life.death.map_or(world.last, |death| death.min(world.last));
        let until = left.map_or(until, |left| left.min(until));
        let mut person = Person {
            number,
            id,
            sex: life.sex,
            sex_code: sex_code(life.sex, &mut draw),
            birth: life.birth,
            area,
            lsoa,
            decile: world.places.areas[area].lsoas[lsoa].decile,
            ethnic: draw.weighted_word(&ETHNIC),
            frailty: life.frailty,
            registrations,
            present: (from.max(life.birth).max(world.first), Day(until.0 + 1)),
            death: life.death,
            care_home_from: None,
            palliative_from: None,
            conditions: Vec::new(),
            smoking: Smoking::Never,
            opted_out: draw.chance(OPT_OUT_SHARE),
            told_practice: false,
        };
        person.settle(world);
        person
    }

    /// Conditions, residence and habits, from an own stream.
    fn settle(&mut self, world: &World) {
        let mut draw = Draw::new(world.seed, self.number, Subject::Conditions);
        let end = self.death.unwrap_or(world.last).min(world.last);
        let until = end.min(world.reference);
        let age = self.age_on(until);
        if until < self.birth {
            return;
        }
        let (sex, decile, frailty, birth) = (self.sex, self.decile, self.frailty, self.birth);
        let who = Bearer { sex, age, decile, frailty, birth, until, end };
        self.conditions = world.conditions.of_person(&who, &mut draw);
        let demented = self.has(world.dementia, until);
        self.care_home_from = world.residence.care_home_from(self, demented, age, until, &mut draw);
        self.palliative_from = world.residence.palliative_from(self, world.reference, &mut draw);
        self.smoking = smoking(self, age, &mut draw);
        // Where files are without fault, whoever told the practice is on the list as well.
        let unlisted = if world.faulty { ONLY_TOLD_PRACTICE } else { 0.0 };
        self.told_practice = draw.chance(if self.opted_out { TOLD_PRACTICE } else { unlisted });
    }
}

/// Pseudonym of a person: 32 lower-case hexadecimal characters that say nothing of the number.
fn identity(seed: u64, number: u32) -> String {
    let mut draw = Draw::new(seed, number, Subject::Identity);
    format!("{:016x}{:016x}", draw.long_bits(), draw.long_bits())
}

fn sex_code(sex: Sex, draw: &mut Draw) -> &'static str {
    match (draw.chance(UNKNOWN_SEX_SHARE), sex) {
        (true, _) => "9",
        (false, Sex::Female) => "2",
        (false, Sex::Male) => "1",
    }
}

/// Birth, death and frailty.
struct Life {
    sex: Sex,
    birth: Day,
    death: Option<Day>,
    frailty: f64,
}

impl Life {
    /// Someone alive on the reference day, or dead before it, or born after it, in their expected proportions.
    fn make(world: &World, area: usize, draw: &mut Draw) -> Life {
        let kind = draw.unit() * (1.0 + world.turnover.dead_share + world.turnover.born_share);
        if kind < 1.0 {
            return Life::alive(world, area, draw);
        }
        if kind < 1.0 + world.turnover.dead_share { Life::dead(world, area, draw) } else { Life::born(world, draw) }
    }

    fn alive(world: &World, area: usize, draw: &mut Draw) -> Life {
        let (sex, age_days) = age_and_sex(world, area, draw);
        let frailty = draw.gamma(world.frailty_shape, 1.0 / world.frailty_shape);
        let age = (age_days / DAYS_PER_YEAR) as i32;
        let own = 1.0 - DEATH_FOLLOWS_FRAILTY + DEATH_FOLLOWS_FRAILTY * frailty;
        let dies = draw.chance(world.rates.deaths.at(sex, age) * own);
        let follow_up_days = world.last.0 - world.reference.0;
        let death = dies.then(|| Day(world.reference.0 + draw.between(0, follow_up_days)));
        Life { sex, birth: Day(world.reference.0 - 1 - age_days as i32), death, frailty }
    }

    fn dead(world: &World, area: usize, draw: &mut Draw) -> Life {
        let death = Day(draw.between(world.first.0, world.reference.0 - 1));
        let mut found = age_and_sex(world, area, draw);
        for _ in 0..2_000 {
            let chance = world.turnover.deaths.at(found.0, (found.1 / DAYS_PER_YEAR) as i32);
            if draw.chance(chance / world.turnover.highest) {
                break;
            }
            found = age_and_sex(world, area, draw);
        }
        // Those who died were frailer: the part that follows frailty is drawn from its size-biased distribution.
        let shape = world.frailty_shape + if draw.chance(DEATH_FOLLOWS_FRAILTY) { 1.0 } else { 0.0 };
        let frailty = draw.gamma(shape, 1.0 / world.frailty_shape);
        Life { sex: found.0, birth: Day(death.0 - found.1 as i32), death: Some(death), frailty }
    }

    fn born(world: &World, draw: &mut Draw) -> Life {
        let sex = if draw.chance(0.513) { Sex::Male } else { Sex::Female };
        let birth = Day(draw.between(world.reference.0, world.last.0));
        let frailty = draw.gamma(world.frailty_shape, 1.0 / world.frailty_shape);
        Life { sex, birth, death: None, frailty }
    }
}

/// Sex, and age in days, from the area's population.
fn age_and_sex(world: &World, area: usize, draw: &mut Draw) -> (Sex, f64) {
    let place = draw.cumulative(&world.age_sex_totals[area]);
    let sex = if place < BANDS { Sex::Female } else { Sex::Male };
    let band = place % BANDS;
    let years = if band == BANDS - 1 {
        OPEN_BAND_FROM as f64 + draw.exponential(OPEN_BAND_MEAN_YEARS)
    } else {
        band as f64 * 5.0 + draw.unit() * 5.0
    };
    (sex, years.min(AGES as f64 - 0.01) * DAYS_PER_YEAR)
}

/// Registrations in order, the day from which the person lives here, and the day on which they left.
fn registrations(world: &World, point: f64, life: &Life, draw: &mut Draw) -> (Vec<Registration>, Day, Option<Day>) {
    let home = world.places.practice_at(point);
    let (first, last) = (world.first.0, world.reference.0 - 1);
    let end = life.death.unwrap_or(world.last).0;
    let newborn = life.birth.0 >= first;
    let arrives = !newborn && draw.chance(ARRIVAL_SHARE);
    let start = if newborn {
        life.birth.0 + draw.between(3, 40)
    } else if arrives {
        draw.between(first, last.min(end))
    } else {
        draw.between(life.birth.0 + 10, first)
    };
    let from = if arrives { Day(start) } else { Day(life.birth.0.max(first)) };
    let leaves = life.death.is_none() && draw.chance(LEAVER_SHARE) && start + 60 < last;
    let left = leaves.then(|| Day(draw.between(start + 30, last)));
    let closed = left.or(life.death.map(|death| Day(death.0.max(start))));
    let only = |start: i32| Registration { practice: home, start: Day(start), end: closed };
    let until = closed.map_or(last, |day| day.0).min(last);
    // Nothing is known of a move before the first day.
    let moves = draw.chance(MOVER_SHARE) && start + 400 < until && first + 30 <= until;
    if !moves {
        return (vec![only(start)], from, left);
    }
    let moved = draw.between(first.max(start + 30), until - 30);
    let before = other_practice(world, home, point, draw);
    // Lists are not closed on the day: some overlap for weeks, some leave a gap.
    let gap = match draw.below(10) {
        0 => draw.between(1, 60),
        1 => -draw.between(2, 40),
        _ => -1,
    };
    let earlier = Registration { practice: before, start: Day(start), end: Some(Day((moved + gap).max(start))) };
    (vec![earlier, only(moved)], from, left)
}

/// A practice that someone was with before: mostly a neighbour.
fn other_practice(world: &World, home: usize, point: f64, draw: &mut Draw) -> usize {
    let near = (point + draw.normal(0.0, 0.05)).rem_euclid(1.0);
    let other = world.places.practice_at(if draw.chance(0.7) { near } else { draw.unit() });
    if other == home { (home + 1) % world.places.practices.len() } else { other }
}

fn smoking(person: &Person, age: i32, draw: &mut Draw) -> Smoking {
    if age < 14 {
        return Smoking::Never;
    }
    let by_age = match age {
        14..25 => 0.2,
        25..45 => 0.24,
        45..65 => 0.18,
        _ => 0.09,
    };
    let deprived = 1.7 - f64::from(person.decile) * 0.13;
    let current = (by_age * deprived * person.tempered(0.25)).min(0.7);
    let former = (0.05 + f64::from(age.min(75)) * 0.006).min(0.5);
    let at = draw.unit();
    if at < current {
        Smoking::Current
    } else if at < current + (1.0 - current) * former {
        Smoking::Former
    } else {
        Smoking::Never
    }
}
