//! How many people died in the history or are born in the follow-up, for each who is alive between the two.

use super::conditions::{OPEN_BAND_MEAN_YEARS, Population};
use super::people::{ARRIVAL_SHARE, LEAVER_SHARE};
use super::tables::{AGES, ByAge, Rates, Sex};

pub struct Turnover {
    /// Deaths in the history for one alive at the end of it, at the same age; the highest of them.
    pub deaths: ByAge,
    pub highest: f64,
    /// People who died in the history, and who are born in the follow-up, for one alive between the two.
    pub dead_share: f64,
    pub born_share: f64,
}

impl Turnover {
    /// The history and the follow-up are in years.
    pub fn new(rates: &Rates, population: &Population, history: f64, follow_up: f64) -> Turnover {
        let people = |sex: Sex, age: usize| population.0[sex as usize][age].iter().sum::<f64>();
        // Half of the history of those who come or go is lived elsewhere.
        let present = (1.0 - ARRIVAL_SHARE / 2.0) * (1.0 - LEAVER_SHARE / 2.0);
        let deaths = ByAge::from_fn(|sex, age| {
            let lived = years_lived(rates, &people, sex, age, history);
            present * rates.deaths.at(sex, age) * lived / people_of(&people, sex, age)
        });
        let (mut all, mut dead, mut newborn) = (0.0, 0.0, 0.0);
        for sex in [Sex::Female, Sex::Male] {
            for age in 0..AGES {
                let count = people(sex, age);
                all += count;
                dead += count * deaths.at(sex, age as i32);
                newborn += if age == 0 { count } else { 0.0 };
            }
        }
        let highest = deaths.0.iter().flatten().copied().fold(0.0, f64::max);
        Turnover { deaths, highest, dead_share: dead / all, born_share: newborn / all * follow_up }
    }
}

/// People of one year of age: the last year of the table stands for all after it, so it is continued as it thins out.
fn people_of(people: &dyn Fn(Sex, usize) -> f64, sex: Sex, age: i32) -> f64 {
    let beyond = (age - LAST_WHOLE_YEAR as i32).max(0);
    people(sex, (age as usize).min(LAST_WHOLE_YEAR)) * (-f64::from(beyond) / OPEN_BAND_MEAN_YEARS).exp()
}

const LAST_WHOLE_YEAR: usize = AGES - 2;

/// Years lived at an age in the history: those who were of the age some years before its end are of a greater age now, and
/// more of them than now are left.
fn years_lived(rates: &Rates, people: &dyn Fn(Sex, usize) -> f64, sex: Sex, age: i32, history: f64) -> f64 {
    let steps = history.ceil() as i32;
    let mut alive = 1.0;
    let mut lived = 0.0;
    for years in 0..steps {
        let now = (people_of(people, sex, age + years) + people_of(people, sex, age + years + 1)) / 2.0;
        let half_year = (1.0 - rates.deaths.at(sex, age + years)).sqrt();
        lived += now / (alive * half_year) * (history - f64::from(years)).min(1.0);
        alive *= 1.0 - rates.deaths.at(sex, age + years);
    }
    lived
}
