//! The rows that a chunk of people brings, table by table.

use super::layouts;
use super::rows::Rows;
use super::tally::Tally;
use super::world::World;
use crate::day::{Day, Month};

/// Rows by table; tables that are cut by financial year have one entry a year.
pub struct Sheets {
    pub register: Rows,
    pub opt_outs: Rows,
    pub admissions: Vec<Rows>,
    pub outpatients: Vec<Rows>,
    pub emergency: Vec<Rows>,
    pub social_care: Vec<Rows>,
    pub community: Vec<Rows>,
    pub mental_health: Vec<Rows>,
    pub ambulance: Vec<Rows>,
    pub hospice: Rows,
    pub care_plans: Rows,
    pub gp_events: Rows,
    pub prescriptions: Rows,
    pub truth: Rows,
    pub keys: Keys,
    pub tally: Tally,
}

impl Sheets {
    pub fn new(world: &World) -> Sheets {
        let years = world.financial_years.len();
        let yearly = |layout| (0..years).map(|_| Rows::new(layout)).collect();
        Sheets {
            register: Rows::new(layouts::REGISTER),
            opt_outs: Rows::new(layouts::OPT_OUTS),
            admissions: yearly(layouts::APC),
            outpatients: yearly(layouts::OUTPATIENTS),
            emergency: yearly(layouts::EMERGENCY),
            social_care: (0..world.submissions.len()).map(|_| Rows::new(layouts::SOCIAL_CARE)).collect(),
            community: yearly(layouts::COMMUNITY),
            mental_health: yearly(layouts::MENTAL_HEALTH),
            ambulance: yearly(layouts::AMBULANCE),
            hospice: Rows::new(layouts::HOSPICE),
            care_plans: Rows::new(layouts::CARE_PLANS),
            gp_events: Rows::new(layouts::GP_EVENTS),
            prescriptions: Rows::new(layouts::PRESCRIPTIONS),
            truth: Rows::new(layouts::TRUTH_PEOPLE),
            keys: Keys { person: u32::MAX, used: 0 },
            tally: world.new_tally(),
        }
    }
}

/// Record keys: different for every record of every person, whatever else is made.
pub struct Keys {
    person: u32,
    used: u64,
}

impl Keys {
    pub fn next(&mut self, person: u32) -> u64 {
        if self.person != person {
            *self = Keys { person, used: 0 };
        }
        self.used += 1;
        100_000_000_000 + u64::from(person) * 100_000 + self.used
    }
}

/// The day on which a trust sends the records of a day: the 19th of the month after next.
pub fn submitted_after(day: Day) -> Day {
    Day(Month(day.month().0 + 2).first_day().0 + 18)
}

/// Month and year of birth as hospital records write it, such as `041950`.
pub fn month_of_birth(birth: Day) -> String {
    let (year, month, _) = birth.to_ymd();
    format!("{month:02}{year:04}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_sent_two_months_later() {
        let sent = submitted_after(Day::from_ymd(2015, 12, 31).unwrap());
        assert_eq!(sent.to_string(), "2016-02-19");
    }

    #[test]
    fn keys_differ_between_people() {
        let mut keys = Keys { person: u32::MAX, used: 0 };
        assert_eq!([keys.next(0), keys.next(0), keys.next(1)], [100_000_000_001, 100_000_000_002, 100_000_100_001]);
    }
}
