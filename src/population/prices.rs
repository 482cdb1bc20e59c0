//! What things cost, in pence.

use super::episodes::Spell;
use super::tables::{number, rows, text};

/// Minutes of a GP visit: the table has a price a minute.
const GP_VISIT_MINUTES: i64 = 10;
/// An appointment and an A&E attendance, in pounds: averages of the reference costs of 2014/15, from general knowledge. The
/// table's price of an appointment holds all spending of hospitals that is not on admissions, so it is not used.
const APPOINTMENT: i64 = 112;
const ATTENDANCE: i64 = 124;

/// Unit prices from the cost table, in pence.
pub struct Prices {
    pub nursing_day: i64,
    pub residential_day: i64,
    pub short_term_day: i64,
    pub appointment: i64,
    pub attendance: i64,
    pub gp_visit: i64,
    pub community_contact: i64,
    pub mental_health_contact: i64,
    emergency_episode: i64,
    planned_episode: i64,
}

impl Prices {
    pub fn load() -> Prices {
        let table = rows(include_str!("tables/unit_costs.csv"));
        let pence = |activity: &str| {
            let row = table.iter().find(|row| text(row, "activity") == activity);
            (number(row.expect("the activity has a price"), "gbp") * 100.0).round() as i64
        };
        Prices {
            nursing_day: pence("ASC nursing home day"),
            residential_day: pence("ASC residential home day"),
            short_term_day: pence("ASC short-term support day"),
            appointment: APPOINTMENT * 100,
            attendance: ATTENDANCE * 100,
            gp_visit: pence("GP minute") * GP_VISIT_MINUTES,
            community_contact: pence("Community care contact"),
            mental_health_contact: pence("Mental health care contact"),
            emergency_episode: pence("Emergency inpatient episode (FCE), mean"),
            planned_episode: pence("Elective and other inpatient episode (FCE), mean"),
        }
    }

    /// A stay by its length, around the mean price of an episode: a day case costs less, a week more.
    pub fn stay(&self, spell: &Spell) -> i64 {
        let days = i64::from(spell.days);
        match (spell.emergency, spell.class) {
            (true, _) => self.emergency_episode * (6 + 6 * days) / 20,
            (false, "1") => self.planned_episode * (30 + 9 * days) / 20,
            (false, "3") => self.planned_episode * 3 / 20,
            (false, _) => self.planned_episode * 12 / 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::day::Day;

    #[test]
    fn a_longer_stay_costs_more() {
        let prices = Prices::load();
        let stay = |days: i32| prices.stay(&Spell { days, emergency: true, ..Spell::at(Day(0), "RVV", "RVV01") });
        assert_eq!([stay(0), stay(5)], [48_120, 288_720]);
    }
}
