//! What the records do not say: each person's latent values, for tests that check what was found.

use super::people::{Person, Smoking};
use super::rows::Rows;
use super::tables::Sex;
use super::world::World;

pub fn write_truth(world: &World, person: &Person, rows: &mut Rows) {
    let conditions: Vec<String> = person
        .conditions
        .iter()
        .map(|onset| format!("{}:{}", world.conditions.list[onset.condition].name, onset.since))
        .collect();
    rows.text(&person.id)
        .whole(person.number.into())
        .decimal(Some((person.frailty * 1e6).round() as i64))
        .text(if person.sex == Sex::Female { "female" } else { "male" })
        .day(Some(person.birth))
        .whole(person.decile.into())
        .day(person.death)
        .day(person.care_home_from)
        .day(person.palliative_from)
        .text(match person.smoking {
            Smoking::Never => "never",
            Smoking::Former => "former",
            Smoking::Current => "current",
        })
        .text(&conditions.join(";"))
        .text(match (person.opted_out, person.told_practice) {
            (false, false) => "",
            (true, false) => "listed",
            (false, true) => "type 1 only",
            (true, true) => "listed and type 1",
        })
        .end();
}
