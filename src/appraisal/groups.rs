//! The groups that figures are given for: age, sex, deprivation, ethnicity, what the practice's feeds cover, locality.

use crate::model::Sex;
use crate::person::{Standing, WordColumn};
use crate::run::{BackCast, Cast, PastDay};
use crate::score::fidelity::Grade;

/// One way to part people, with everybody in one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    pub name: &'static str,
    pub levels: Vec<String>,
    /// One a person of the cast: the place of the level.
    pub of: Vec<u16>,
}

const NOT_KNOWN: &str = "not known";

/// First age of each band, and its name.
const AGE_BANDS: [(i32, &str); 6] =
    [(0, "0 to 17"), (18, "18 to 44"), (45, "45 to 64"), (65, "65 to 74"), (75, "75 to 84"), (85, "85 and over")];

/// Fifths of the deprivation ranking, from two deciles each; decile 1 is the most deprived.
const FIFTHS: [&str; 5] = ["1, most deprived", "2", "3", "4", "5, least deprived"];

/// Every grouping that the data allows, for the people of a cast.
pub fn groupings(back_cast: &BackCast, day: &PastDay, model: usize, cast: &Cast) -> Vec<Grouping> {
    let spine = &back_cast.loaded.people.spine;
    let practices = &back_cast.loaded.people.practices;
    let terms = back_cast.prepared.models[model].terms.len();
    let practice = |person: u32| match day.scored.scores.standings[person as usize] {
        Standing::Registered { practice, .. } => Some(practice),
        _ => None,
    };
    let age = |person: u32| {
        let age = spine.births[person as usize]?.age_years_on(day.as_of);
        Some(AGE_BANDS.iter().rev().find(|(first, _)| age >= *first)?.1)
    };
    let sex = |person: u32| match spine.sexes[person as usize]? {
        Sex::Male => Some("male"),
        Sex::Female => Some("female"),
    };
    let fifth = |person: u32| {
        let decile = spine.numbers.get("imd_decile").map(|column| column[person as usize] / 1_000)?;
        (1..=10).contains(&decile).then(|| FIFTHS[(decile as usize - 1) / 2])
    };
    let coverage = |person: u32| {
        let unavailable = day.scored.availability.unavailable(model, practice(person)?);
        Some(match Grade::of(unavailable.into(), terms) {
            Grade::A => "every term",
            Grade::B => "up to one term in ten missing",
            Grade::C => "up to four in ten missing",
            Grade::D => "more than four in ten missing",
        })
    };
    let all = [
        grouping("age", &cast.people, age),
        grouping("sex", &cast.people, sex),
        grouping("deprivation fifth", &cast.people, fifth),
        grouping("ethnicity", &cast.people, |person| spine.words.get("ethnicity")?.of(person)),
        grouping("practice coverage", &cast.people, coverage),
        grouping("locality", &cast.people, |person| {
            practices.value(&spine.practices[practice(person)? as usize], "locality")
        }),
    ];
    // A feed that has nothing of the kind leaves one level, which says nothing.
    all.into_iter().filter(|grouping| grouping.levels.iter().any(|level| level != NOT_KNOWN)).collect()
}

/// Levels in order of their names, what is not known last.
fn grouping<'a>(name: &'static str, people: &[u32], level: impl Fn(u32) -> Option<&'a str>) -> Grouping {
    let column = WordColumn::new(people.iter().map(|&person| level(person)));
    let mut levels = column.words;
    let not_known = levels.len() as u16;
    let of: Vec<u16> = column
        .places
        .iter()
        .map(|&place| if place == WordColumn::MISSING { not_known } else { place as u16 })
        .collect();
    if of.contains(&not_known) {
        levels.push(NOT_KNOWN.to_owned());
    }
    Grouping { name, levels, of }
}
