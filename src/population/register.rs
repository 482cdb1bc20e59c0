//! The register: one row for each time that someone was with a practice, and who has opted out.

use super::people::Person;
use super::places::deprivation_score_tenths;
use super::sheets::Sheets;
use super::world::World;

pub fn write_registrations(world: &World, person: &Person, sheets: &mut Sheets) {
    let (year, month, _) = person.birth.to_ymd();
    let area = &world.places.areas[person.area];
    let score = deprivation_score_tenths(person.decile, person.area * 8 + person.lsoa);
    for registration in &person.registrations {
        sheets
            .register
            .text(&person.id)
            .text(&format!("{year:04}-{month:02}"))
            .text(person.sex_code)
            .text(person.ethnic)
            .text(&world.places.practices[registration.practice].code)
            .text(&area.lsoas[person.lsoa].code)
            .whole(person.decile.into())
            .decimal(Some(score))
            .day(Some(registration.start))
            .day(registration.end)
            .day(person.death)
            .end();
    }
    if person.opted_out {
        sheets.opt_outs.text(&person.id).end();
    }
}
