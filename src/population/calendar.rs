//! Financial years: 1 April to 31 March, as hospital and social-care files are cut.

use crate::day::{Day, Month};

pub struct FinancialYear {
    pub first: Day,
    pub last: Day,
    /// The calendar year in which it begins.
    pub starts_in: i32,
    /// Such as `1213`.
    pub short_name: String,
}

impl FinancialYear {
    pub fn holds(&self, day: Day) -> bool {
        self.first <= day && day <= self.last
    }

    fn starting_in(year: i32) -> FinancialYear {
        let april = |year: i32| Day::from_ymd(year, 4, 1).expect("every year has an April");
        FinancialYear {
            first: april(year),
            last: Day(april(year + 1).0 - 1),
            starts_in: year,
            short_name: format!("{:02}{:02}", year.rem_euclid(100), (year + 1).rem_euclid(100)),
        }
    }
}

/// What a submission of social-care data covers: from the beginning of a financial year to the end of one of its quarters.
pub struct Submission {
    pub first: Day,
    pub last: Day,
    /// Such as `2012Q4`.
    pub name: String,
}

/// One submission for each whole year, or one for each quarter, every one covering the year so far.
pub fn submissions(years: &[FinancialYear], quarterly: bool) -> Vec<Submission> {
    let quarters = if quarterly { 1..=4 } else { 4..=4 };
    let of_year = |year: &FinancialYear, quarter: i32| {
        let after = Month(year.first.month().0 + 3 * quarter).first_day();
        Submission { first: year.first, last: Day(after.0 - 1), name: format!("{}Q{quarter}", year.starts_in) }
    };
    years.iter().flat_map(|year| quarters.clone().map(move |quarter| of_year(year, quarter))).collect()
}

/// The financial years that hold any day of a period, in order.
pub fn financial_years(first: Day, last: Day) -> Vec<FinancialYear> {
    let starts_in = |day: Day| {
        let (year, month, _) = day.to_ymd();
        if month >= 4 { year } else { year - 1 }
    };
    (starts_in(first)..=starts_in(last)).map(FinancialYear::starting_in).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_touches_the_years_of_its_ends() {
        let day = |text: &str| Day::parse(text.as_bytes()).unwrap();
        let years = financial_years(day("2012-04-01"), day("2017-03-31"));
        let names: Vec<&str> = years.iter().map(|year| year.short_name.as_str()).collect();
        assert_eq!(names, ["1213", "1314", "1415", "1516", "1617"]);
        assert!(years[0].holds(day("2013-03-31")) && !years[0].holds(day("2013-04-01")));
    }
}
