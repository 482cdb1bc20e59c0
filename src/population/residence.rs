//! Who lives in a care home, and who is known to be dying.

use super::conditions::{Conditions, Population};
use super::draw::{Draw, Subject};
use super::people::{DAYS_PER_YEAR, Person};
use super::tables::{AGES, ByAge, Rates, Sex, number, rows, text};
use crate::day::Day;

/// How much likelier women, men, people with and without dementia are to live in a home: assumptions, so the share by age is
/// that of the table whatever they are.
const WOMEN: f64 = 1.2;
const MEN: f64 = 0.75;
const WITH_DEMENTIA: f64 = 4.0;
const WITHOUT_DEMENTIA: f64 = 0.5;
/// Part of the chance that follows frailty.
const FOLLOWS: f64 = 0.5;
const MOST_LIKELY: f64 = 0.9;
/// People in the sample that the chance is scaled over.
const SAMPLE: usize = 600;

/// Share of those who die that is known to be dying, and for how many days in the mean.
const KNOWN: f64 = 0.45;
const KNOWN_DAYS: f64 = 150.0;
const LEAST_DAYS: i32 = 7;
/// How much likelier the old are to be on the register without dying within a year.
const OLD: i32 = 65;
const OLD_TIMES: f64 = 12.0;

/// Chances of living in a care home and of being on the palliative register.
pub struct Residence {
    /// Chance for someone of a sex and age with all weights 1.
    care_home: ByAge,
    /// Chance of being on the palliative register for those below and from 65 who do not die soon.
    palliative: [f64; 2],
}

impl Residence {
    pub fn new(rates: &Rates, conditions: &Conditions, population: &Population, dementia: usize) -> Residence {
        let people = |sex: Sex, age: usize| population.0[sex as usize][age].iter().sum::<f64>();
        let frailties = frailties(conditions.shape);
        let care_home = ByAge::from_fn(|sex, age| {
            let at = age as usize;
            let (women, men) = (people(Sex::Female, at), people(Sex::Male, at));
            let of_sex = if sex == Sex::Female { WOMEN } else { MEN } * (women + men) / (WOMEN * women + MEN * men);
            let wanted = rates.care_home_share.at(sex, age) * of_sex;
            scale_to(wanted, &|frailty| conditions.chance(dementia, sex, age, frailty), &frailties)
        });
        Residence { care_home, palliative: palliative(rates, population) }
    }

    /// Since when the person lives in a home, if at all; nobody moves out.
    pub fn care_home_from(
        &self,
        person: &Person,
        demented: bool,
        age: i32,
        until: Day,
        draw: &mut Draw,
    ) -> Option<Day> {
        let chance = self.care_home.at(person.sex, age) * weight(demented, person.frailty);
        let days = draw.exponential(2.2 * DAYS_PER_YEAR) as i32 + 1;
        draw.chance(chance.min(MOST_LIKELY)).then(|| Day((until.0 - days).max(person.birth.0)))
    }

    /// Since when the person is known to be dying, or is on the palliative register without dying soon.
    pub fn palliative_from(&self, person: &Person, reference: Day, draw: &mut Draw) -> Option<Day> {
        let known = draw.chance(KNOWN);
        let days = draw.exponential(KNOWN_DAYS) as i32 + LEAST_DAYS;
        let age = person.age_on(reference);
        let stray = draw.chance(self.palliative[usize::from(age >= OLD)]);
        match person.death {
            Some(death) if known && person.age_on(death) >= 18 => Some(Day(death.0 - days)),
            None if stray && age >= 18 => Some(Day(reference.0 - 3 * days)),
            _ => None,
        }
    }
}

fn weight(demented: bool, frailty: f64) -> f64 {
    let of_dementia = if demented { WITH_DEMENTIA } else { WITHOUT_DEMENTIA };
    of_dementia * (1.0 - FOLLOWS + FOLLOWS * frailty)
}

/// Frailties as they are spread over people: a fixed sample, brought to a mean of 1.
fn frailties(shape: f64) -> Vec<f64> {
    let mut draw = Draw::new(0, u32::MAX, Subject::Person);
    let mut sample: Vec<f64> = (0..SAMPLE).map(|_| draw.gamma(shape, 1.0 / shape)).collect();
    let mean = sample.iter().sum::<f64>() / sample.len() as f64;
    sample.iter_mut().for_each(|frailty| *frailty /= mean);
    sample
}

/// The factor on the weights that brings the mean chance to what is wanted, given the chance of dementia by frailty.
fn scale_to(wanted: f64, demented: &dyn Fn(f64) -> f64, frailties: &[f64]) -> f64 {
    let people: Vec<(f64, f64)> = frailties.iter().map(|&frailty| (frailty, demented(frailty))).collect();
    let mean = |scale: f64| {
        let chance = |demented: bool, frailty: f64| (scale * weight(demented, frailty)).min(MOST_LIKELY);
        let of =
            |&(frailty, share): &(f64, f64)| share * chance(true, frailty) + (1.0 - share) * chance(false, frailty);
        people.iter().map(of).sum::<f64>() / people.len() as f64
    };
    // The cap bends the line, so a few steps of proportion are taken.
    let mut scale = wanted / mean(1e-6) * 1e-6;
    for _ in 0..12 {
        scale *= if wanted > 0.0 { wanted / mean(scale) } else { 0.0 };
        if scale == 0.0 {
            break;
        }
    }
    scale
}

/// What brings the palliative register to its published share, after those who die within a year.
fn palliative(rates: &Rates, population: &Population) -> [f64; 2] {
    let register = rows(include_str!("tables/qof.csv"));
    let row =
        register.iter().find(|row| text(row, "qof_code") == "PC").expect("the palliative register is in the table");
    let wanted = number(row, "kent_medway_prevalence");
    // Deaths are spread over a year; someone is on the register before the year where death comes sooner than was known.
    let early: f64 =
        (0..365).map(|day| (-f64::from((day - LEAST_DAYS).max(0)) / KNOWN_DAYS).exp()).sum::<f64>() / 365.0;
    let (mut people, mut dying, mut stray) = (0.0, 0.0, 0.0);
    for sex in [Sex::Female, Sex::Male] {
        for age in 0..AGES {
            let count: f64 = population.0[sex as usize][age].iter().sum();
            let deaths = count * rates.deaths.at(sex, age as i32);
            people += count;
            if age >= 18 {
                dying += deaths * KNOWN * early;
                stray += (count - deaths) * if age as i32 >= OLD { OLD_TIMES } else { 1.0 };
            }
        }
    }
    let young = ((wanted * people - dying) / stray).max(0.0);
    [young, young * OLD_TIMES]
}
