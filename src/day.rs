//! Days, as-of dates and windows.
//!
//! A [`Day`] is a whole number of days since 1970-01-01, in the proleptic Gregorian calendar: the only form of a
//! date past the reading of files. A [`Window`] says which events count for an as-of day, by their age in days.
//! Nothing here knows a clock.

use std::fmt;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

/// Days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Day(pub i32);

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        let text = String::deserialize(deserializer)?;
        let not_a_date = || de::Error::custom(format!("\"{text}\" is not a date; write \"2016-04-01\""));
        Day::parse(text.as_bytes()).ok_or_else(not_a_date)
    }
}

/// A calendar month, counted from January of year 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Month(pub i32);

impl Day {
    /// The day of a calendar date, or `None` where the calendar has no such date.
    ///
    /// # Source
    /// The usual era arithmetic for the proleptic Gregorian calendar: 400 years are 146,097 days.
    pub fn from_ymd(year: i32, month: u32, day: u32) -> Option<Day> {
        if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
            return None;
        }
        let shifted_year = if month <= 2 { year - 1 } else { year };
        let era = shifted_year.div_euclid(400);
        let year_of_era = shifted_year.rem_euclid(400);
        let month_from_march = (month as i32 + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + day as i32 - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Some(Day(era * 146_097 + day_of_era - 719_468))
    }

    /// Year, month (1 to 12) and day (1 to 31).
    pub fn to_ymd(self) -> (i32, u32, u32) {
        let from_march_0 = self.0 + 719_468;
        let era = from_march_0.div_euclid(146_097);
        let day_of_era = from_march_0.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
        let year = year_of_era + era * 400 + i32::from(month <= 2);
        (year, month, day)
    }

    /// A date written `2016-04-01` or `20160401`; anything else is `None`.
    pub fn parse(text: &[u8]) -> Option<Day> {
        let (year, month, day) = match text {
            [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] => ([*y1, *y2, *y3, *y4], [*m1, *m2], [*d1, *d2]),
            [y1, y2, y3, y4, m1, m2, d1, d2] => ([*y1, *y2, *y3, *y4], [*m1, *m2], [*d1, *d2]),
            _ => return None,
        };
        Day::from_ymd(digits(&year)? as i32, digits(&month)?, digits(&day)?)
    }

    /// The calendar month that this day lies in.
    pub fn month(self) -> Month {
        let (year, month, _) = self.to_ymd();
        Month::new(year, month)
    }

    /// The same day so many months earlier, or that month's last day where it has fewer.
    pub fn months_before(self, months: u32) -> Day {
        let (_, _, day_of_month) = self.to_ymd();
        let month = Month(self.month().0 - months as i32);
        (1..=day_of_month)
            .rev()
            .find_map(|day| Day::from_ymd(month.year(), month.month_of_year(), day))
            .expect("every month has a first day")
    }

    pub fn minus_days(self, days: i32) -> Day {
        Day(self.0 - days)
    }
}

impl Month {
    /// `month` is 1 to 12.
    pub fn new(year: i32, month: u32) -> Month {
        Month(year * 12 + month as i32 - 1)
    }

    /// A month written `2016-04` or `201604`, or the month of a whole date; anything else is `None`.
    pub fn parse(text: &[u8]) -> Option<Month> {
        let (year, month) = match text {
            [y1, y2, y3, y4, b'-', m1, m2] | [y1, y2, y3, y4, m1, m2] => ([*y1, *y2, *y3, *y4], [*m1, *m2]),
            _ => return Day::parse(text).map(Day::month),
        };
        let month = digits(&month)?;
        (1..=12).contains(&month).then_some(Month::new(digits(&year)? as i32, month))
    }

    pub fn first_day(self) -> Day {
        Day::from_ymd(self.year(), self.month_of_year(), 1).expect("every month has a first day")
    }

    pub fn year(self) -> i32 {
        self.0.div_euclid(12)
    }

    /// 1 to 12.
    pub fn month_of_year(self) -> u32 {
        self.0.rem_euclid(12) as u32 + 1
    }

    /// Whole years from this month of birth to a day.
    ///
    /// # Boundaries
    /// Births are known to the month and taken as its first day, so a person turns a year older on the first of it.
    pub fn age_years_on(self, day: Day) -> i32 {
        self.age_years_in(day.month())
    }

    /// As [`Month::age_years_on`], on any day of a month.
    pub fn age_years_in(self, month: Month) -> i32 {
        (month.0 - self.0).div_euclid(12)
    }
}

/// The month of each day of the years in which people live, worked out once: a look-up in place of a division.
pub struct Months {
    first_day: i32,
    first_month: i32,
    months: Vec<u16>,
}

impl Months {
    /// The one table of the process.
    pub fn shared() -> &'static Months {
        static MONTHS: std::sync::LazyLock<Months> = std::sync::LazyLock::new(Months::new);
        &MONTHS
    }

    fn new() -> Months {
        let day = |year| Day::from_ymd(year, 1, 1).expect("every year has a first day").0;
        let (first_day, last_day) = (day(1900), day(2100));
        let first_month = Day(first_day).month().0;
        let months = (first_day..last_day).map(|day| (Day(day).month().0 - first_month) as u16).collect();
        Months { first_day, first_month, months }
    }

    #[inline]
    pub fn of(&self, day: i32) -> Month {
        match self.months.get((day - self.first_day) as usize) {
            Some(month) => Month(self.first_month + i32::from(*month)),
            None => divided(day),
        }
    }
}

/// Kept apart from the look-up: where both are in one loop, the divisions are drawn to its front and done every time.
#[cold]
#[inline(never)]
fn divided(day: i32) -> Month {
    Day(day).month()
}

/// The number that ASCII digits spell, or `None` where one of them is not a digit.
fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0u32, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.to_ymd();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year(), self.month_of_year())
    }
}

/// Which events count, by their age in days at a reference day: `after_days < age ≤ up_to_days`.
///
/// # Boundaries
/// `[0, 30]` holds ages 1 to 30: the reference day itself is not yet known. `[0, 30]` and `[30, 90]` neither overlap
/// nor leave a gap. `ever` has no far end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Window {
    pub after_days: i32,
    pub up_to_days: i32,
}

impl Window {
    /// Everything before the reference day.
    pub const EVER: Window = Window { after_days: 0, up_to_days: i32::MAX };

    #[inline]
    pub fn holds(self, age_days: i32) -> bool {
        self.after_days < age_days && age_days <= self.up_to_days
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.after_days, self.up_to_days) {
            (0, i32::MAX) => write!(f, "ever before"),
            (after, i32::MAX) => write!(f, "more than {after} days before"),
            (0, up_to) => write!(f, "in the {up_to} days before"),
            (after, up_to) => write!(f, "{} to {up_to} days before", after + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates_have_their_known_day_numbers() {
        for (text, day) in [
            ("1970-01-01", 0),
            ("2000-02-29", 11_016),
            ("2016-04-01", 16_892),
            ("1899-12-30", -25_569),
            ("1600-01-01", -135_140),
        ] {
            assert_eq!(Day::parse(text.as_bytes()), Some(Day(day)), "{text}");
            assert_eq!(Day(day).to_string(), text);
        }
    }

    #[test]
    fn every_day_of_four_centuries_survives_the_round_trip() {
        for day in -135_140..60_000 {
            let (year, month, day_of_month) = Day(day).to_ymd();
            assert_eq!(Day::from_ymd(year, month, day_of_month), Some(Day(day)));
        }
    }

    #[test]
    fn the_table_of_months_agrees_with_the_calendar_inside_and_outside_its_years() {
        let months = Months::shared();
        for day in (-60_000..90_000).step_by(13) {
            assert_eq!(months.of(day), Day(day).month());
        }
    }

    #[test]
    fn dates_that_the_calendar_lacks_are_refused() {
        for text in [
            "2015-02-29",
            "1900-02-29",
            "2016-13-01",
            "2016-00-01",
            "2016-04-31",
            "2016-4-01",
            "",
            "0201-01",
            "2016/04/01",
        ] {
            assert_eq!(Day::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_person_turns_a_year_older_on_the_first_of_the_month_of_birth() {
        let born = Month::parse(b"1950-04").unwrap();
        assert_eq!(born.age_years_on(Day::parse(b"2016-03-31").unwrap()), 65);
        assert_eq!(born.age_years_on(Day::parse(b"2016-04-01").unwrap()), 66);
    }

    #[test]
    fn neighbouring_windows_neither_overlap_nor_leave_a_gap() {
        let near = Window { after_days: 0, up_to_days: 30 };
        let far = Window { after_days: 30, up_to_days: 90 };
        let held: Vec<_> = [0, 1, 30, 31, 90, 91].map(|age| (near.holds(age), far.holds(age))).into();
        assert_eq!(held, [(false, false), (true, false), (true, false), (false, true), (false, true), (false, false)]);
    }
}
