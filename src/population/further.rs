//! Further diagnoses: what people in hospital have beside the reason for it and the conditions of their GP record.
//!
//! Draws come from a stream of their own, so that admissions stay where they are when the table changes.

use super::draw::{Draw, Subject};
use super::episodes::Spell;
use super::hospital::Likelihood;
use super::people::Person;
use super::tables::{number, rows, text};
use super::world::World;
use crate::day::Day;

/// Chance that what someone has for long is written down in a stay.
const CODED: f64 = 0.7;
/// How much of what passes in an emergency stay is written down in shorter and in planned ones.
const SAME_DAY: f64 = 0.35;
const PLANNED: f64 = 0.2;
/// Frailty as far as it is followed here: the frailest have so many stays that they need no more.
const MOST_FRAIL: f64 = 4.0;
const MOST_LIKELY: f64 = 0.9;

pub struct Further {
    likelihood: Likelihood,
    icd10: Vec<String>,
    lasting: bool,
    follows: f64,
}

pub fn further(position: &dyn Fn(&str) -> Option<usize>) -> Vec<Further> {
    let read = |row: &super::tables::Row| Further {
        likelihood: Likelihood::read(row, position),
        icd10: text(row, "icd10").split(';').map(str::to_owned).collect(),
        lasting: text(row, "kind") == "lasting",
        follows: number(row, "follows"),
    };
    rows(include_str!("tables/further_diagnoses.csv")).iter().map(read).collect()
}

impl Further {
    fn chance(&self, person: &Person, age: i32, day: Day) -> f64 {
        let own = 1.0 - self.follows + self.follows * person.frailty.min(MOST_FRAIL);
        (self.likelihood.of(person, age, day) * own).min(MOST_LIKELY)
    }
}

/// What one person has, and their stream of draws.
pub struct Burden<'a> {
    world: &'a World,
    person: &'a Person,
    lasting: Vec<&'a str>,
    draw: Draw,
}

impl<'a> Burden<'a> {
    pub fn of(world: &'a World, person: &'a Person) -> Burden<'a> {
        let mut draw = Draw::new(world.seed, person.number, Subject::FurtherDiagnoses);
        let last = Day(person.present.1.0 - 1);
        let age = person.age_on(last).max(0);
        let mut lasting = Vec::new();
        for further in world.further.iter().filter(|further| further.lasting) {
            if draw.chance(further.chance(person, age, last)) {
                lasting.push(draw.pick(&further.icd10).as_str());
            }
        }
        Burden { world, person, lasting, draw }
    }

    /// What is written down in a stay.
    pub fn of_stay(&mut self, spell: &Spell) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for &code in &self.lasting {
            if self.draw.chance(CODED) {
                found.push(code.to_owned());
            }
        }
        let part = match (spell.emergency, spell.days) {
            (true, 1..) => 1.0,
            (true, _) => SAME_DAY,
            (false, _) => PLANNED,
        };
        let age = self.person.age_on(spell.admitted).max(0);
        for further in self.world.further.iter().filter(|further| !further.lasting) {
            if self.draw.chance(part * further.chance(self.person, age, spell.admitted)) {
                found.push(self.draw.pick(&further.icd10).clone());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_form_of_icd10() {
        for further in further(&|_| None) {
            for code in further.icd10 {
                let bytes = code.as_bytes();
                assert!(bytes.len() == 4 && bytes[0].is_ascii_uppercase(), "{code}");
                assert!(bytes[1..3].iter().all(u8::is_ascii_digit), "{code}");
                assert!(bytes[3].is_ascii_digit() || bytes[3] == b'X', "{code}");
            }
        }
    }
}
