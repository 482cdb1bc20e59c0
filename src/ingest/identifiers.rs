//! Whether a column holds what identifies people: NHS numbers, full postcodes, full dates of birth, names, addresses,
//! telephone numbers, e-mail addresses.
//!
//! Extracts are pseudonymised before they get here; this module catches the feed that was not. It judges columns and
//! never a single value: one number in eleven passes the check digit of an NHS number by chance, and one code looks
//! like a postcode. What is looked at is a sample of every column of every file, whether the run reads it or not, and
//! afterwards, in full, whatever of the register can reach an output. A finding names the column and says how many
//! distinct values were of which kind; it never holds a value.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Input;
use super::column::{BAD_DAY, parse_day};
use super::files::{self, InputFile};
use super::layout::Builds;
use crate::day::Day;

/// A column without a telling header is judged from this many distinct values on: six ten-digit numbers that all pass
/// the check digit by chance are one case in 1.8 million.
const DISTINCT_MIN: usize = 6;
/// The chance of a ten-digit number to pass the check digit of an NHS number.
const PASS_BY_CHANCE: f64 = 1.0 / 11.0;
/// The largest probability of so many passes by chance at which a column is still called NHS numbers.
const CHANCE_MAX: f64 = 1e-6;

/// What a settings file says about identifiers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// NHS numbers of the range 999 000 0000 to 999 999 9999, which is never issued, are let through.
    pub accept_test_numbers: bool,
    /// Columns that only look like identifiers; no statement lets NHS numbers through.
    pub accept: Vec<Accepted>,
}

/// A column that its owner vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    pub source: String,
    pub column: String,
    /// Why it identifies nobody, in words; it is published with the run.
    pub because: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    NhsNumbers,
    Postcodes,
    DatesOfBirth,
    Emails,
    Phones,
    Addresses,
    Names,
}

/// What a column was found to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    /// What was counted, in words.
    pub evidence: String,
}

impl Finding {
    /// The finding in words, with what to do about it.
    pub fn describe(&self) -> String {
        let (what, then) = match self.kind {
            Kind::NhsNumbers => {
                ("NHS numbers", "the sending body replaces them by pseudonyms; see `riskstrat pseudonymise --help`")
            }
            Kind::Postcodes => ("full postcodes", "send the small area (LSOA) instead, or leave the column out"),
            Kind::DatesOfBirth => ("full dates of birth", "send year and month, such as 1950-04"),
            Kind::Emails => ("e-mail addresses", "leave the column out"),
            Kind::Phones => ("telephone numbers", "leave the column out"),
            Kind::Addresses => ("addresses", "send the small area (LSOA) instead, or leave the column out"),
            Kind::Names => ("names of people", "leave the column out"),
        };
        format!("the column holds {what} ({}); {then}", self.evidence)
    }
}

/// What is known of a column besides its values.
#[derive(Debug, Clone, Copy, Default)]
pub struct About<'a> {
    pub header: &'a str,
    /// The register's column of birth months, with the days that stand for "missing".
    pub births: Option<&'a [String]>,
    /// One row is not a person but a practice, whose name is public.
    pub of_practices: bool,
}

/// What a column's distinct values say of it, the gravest kind first; blank values count for nothing.
pub fn judge<'v>(about: About, distinct: impl Iterator<Item = &'v [u8]>, rules: &Rules) -> Option<Finding> {
    let mut tally = Tally { accept_test_numbers: rules.accept_test_numbers, ..Tally::default() };
    distinct.map(<[u8]>::trim_ascii).filter(|value| !value.is_empty()).for_each(|value| tally.take(value, about));
    let header = Header::new(about.header);
    tally
        .nhs_numbers(&header)
        .or_else(|| tally.postcodes(&header))
        .or_else(|| tally.births(&header, about.births.is_some()))
        .or_else(|| tally.emails())
        .or_else(|| tally.phones(&header, about.of_practices))
        .or_else(|| tally.addresses(&header, about.of_practices))
        .or_else(|| tally.names(&header, about.of_practices))
}

/// A header as it is compared: its words in lower case, and all of them as one.
struct Header {
    words: Vec<String>,
    joined: String,
}

impl Header {
    fn new(header: &str) -> Header {
        let lower = header.to_lowercase();
        let words = lower.split(|mark: char| !mark.is_alphanumeric()).filter(|word| !word.is_empty());
        let words: Vec<String> = words.map(str::to_owned).collect();
        Header { joined: words.concat(), words }
    }

    fn says(&self, parts: &[&str]) -> bool {
        parts.iter().any(|part| self.joined.contains(part))
    }
}

/// Counts of a column's distinct values, by what they look like.
#[derive(Default)]
struct Tally {
    accept_test_numbers: bool,
    values: usize,
    ten_digits: usize,
    passes: usize,
    postcodes: usize,
    /// Of these, the ones written with the space, which no code is.
    spaced_postcodes: usize,
    whole_dates: usize,
    days_of_month: BTreeSet<u32>,
    numbers_to_31: usize,
    emails: usize,
    phones: usize,
    /// Of these, mobile numbers and those with the country's code, which no other number looks like.
    sure_phones: usize,
    /// Words, perhaps with a number, as an address has them.
    like_addresses: usize,
    /// A number, words, and the kind of a road.
    roads: usize,
    like_names: usize,
}

impl Tally {
    fn take(&mut self, value: &[u8], about: About) {
        self.values += 1;
        if let Some(digits) = ten_digits(value)
            && !(self.accept_test_numbers && is_test_number(&digits))
        {
            self.ten_digits += 1;
            self.passes += usize::from(passes_check_digit(&digits));
        }
        if is_postcode(value) {
            self.postcodes += 1;
            self.spaced_postcodes += usize::from(value.contains(&b' '));
        }
        if let Some(day) = whole_date(value)
            && !about.births.is_some_and(|nulls| nulls.contains(&day.to_string()))
        {
            self.whole_dates += 1;
            self.days_of_month.insert(day.to_ymd().2);
        }
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u8>().ok());
        self.numbers_to_31 += usize::from(number.is_some_and(|number| (1..=31).contains(&number)));
        self.emails += usize::from(is_email(value));
        let phone = phone(value);
        self.phones += usize::from(phone.is_some());
        self.sure_phones += usize::from(phone == Some(true));
        self.like_addresses += usize::from(is_like_an_address(value));
        self.roads += usize::from(is_road(value));
        self.like_names += usize::from(is_like_a_name(value));
    }

    fn nhs_numbers(&self, header: &Header) -> Option<Finding> {
        let named = header.says(&["nhsno", "nhsnum"]);
        let by_header = named && self.passes > 0 && 2 * self.passes >= self.ten_digits;
        let evidence = format!("{} of {} distinct ten-digit values pass the check digit", self.passes, self.ten_digits);
        let found = by_header || is_beyond_chance(self.passes, self.ten_digits);
        found.then_some(Finding { kind: Kind::NhsNumbers, evidence })
    }

    fn postcodes(&self, header: &Header) -> Option<Finding> {
        let by_header = header.says(&["postcode", "postalcode"]) && 2 * self.postcodes >= self.values;
        let by_half = self.postcodes >= DISTINCT_MIN && 2 * self.postcodes >= self.values;
        let by_space = self.spaced_postcodes >= DISTINCT_MIN && 20 * self.spaced_postcodes >= self.values;
        let evidence = format!("{} of {} distinct values", self.postcodes, self.values);
        let found = self.postcodes > 0 && (by_header || by_half || by_space);
        found.then_some(Finding { kind: Kind::Postcodes, evidence })
    }

    /// Dates that all fall on one day of the month say no more than the month.
    fn births(&self, header: &Header, is_birth_month: bool) -> Option<Finding> {
        let named = header.says(&["dateofbirth", "birthdate"]) || header.words.iter().any(|word| word == "dob");
        let days = self.days_of_month.len();
        let whole = 2 * self.whole_dates >= self.values;
        // Elsewhere than in the register it is not known which dates stand for "missing".
        let by_dates = whole && (is_birth_month && days >= 2 || named && days >= 3);
        let by_day = header.says(&["dayofbirth"]) && self.numbers_to_31 >= 2;
        let evidence = match by_day {
            true => format!("{} days of the month", self.numbers_to_31),
            false => format!("dates on {days} different days of the month"),
        };
        (by_dates || by_day).then_some(Finding { kind: Kind::DatesOfBirth, evidence })
    }

    /// One is enough: nothing else is written so.
    fn emails(&self) -> Option<Finding> {
        let evidence = format!("{} of {} distinct values", self.emails, self.values);
        (self.emails > 0).then_some(Finding { kind: Kind::Emails, evidence })
    }

    /// The telephone of a practice is public.
    fn phones(&self, header: &Header, of_practices: bool) -> Option<Finding> {
        let named = header.says(&["phone", "mobileno", "mobilenumber"])
            || header.words.iter().any(|word| matches!(word.as_str(), "mobile" | "tel" | "landline"));
        let by_header = named && self.phones > 0 && 2 * self.phones >= self.values;
        let by_shape = self.sure_phones >= DISTINCT_MIN && 2 * self.sure_phones >= self.values;
        let evidence = format!("{} of {} distinct values", self.phones, self.values);
        (!of_practices && (by_header || by_shape)).then_some(Finding { kind: Kind::Phones, evidence })
    }

    /// The address of a practice is public.
    fn addresses(&self, header: &Header, of_practices: bool) -> Option<Finding> {
        let named = header.says(&["address", "addressline", "addrline", "housename", "housenumber", "streetname"])
            || header.joined == "street";
        let by_header = named && self.like_addresses > 0 && 2 * self.like_addresses >= self.values;
        let by_shape = self.roads >= DISTINCT_MIN && 2 * self.roads >= self.values;
        let evidence = format!("{} of {} distinct values", self.like_addresses.max(self.roads), self.values);
        (!of_practices && (by_header || by_shape)).then_some(Finding { kind: Kind::Addresses, evidence })
    }

    fn names(&self, header: &Header, of_practices: bool) -> Option<Finding> {
        const PARTS: [&str; 15] = [
            "forename",
            "surname",
            "firstname",
            "lastname",
            "givenname",
            "familyname",
            "middlename",
            "maidenname",
            "fullname",
            "patientname",
            "personname",
            "clientname",
            "nameofpatient",
            "nextofkin",
            "birthname",
        ];
        let named = header.says(&PARTS) || (!of_practices && header.joined == "name");
        let evidence = format!("by its header; {} of {} distinct values are words", self.like_names, self.values);
        (named && self.like_names > 0 && 2 * self.like_names >= self.values)
            .then_some(Finding { kind: Kind::Names, evidence })
    }
}

/// The ten digits of a value that has them, perhaps spaced 3-3-4 as an NHS number is printed.
pub fn ten_digits(value: &[u8]) -> Option<[u8; 10]> {
    let mut digits = [0; 10];
    let is_spaced = match value.len() {
        10 => false,
        12 if value[3] == value[7] && matches!(value[3], b' ' | b'-') => true,
        _ => return None,
    };
    let plain = value.iter().enumerate().filter(|(place, _)| !(is_spaced && matches!(place, 3 | 7)));
    for (digit, (_, byte)) in digits.iter_mut().zip(plain) {
        *digit = byte.is_ascii_digit().then(|| byte - b'0')?;
    }
    Some(digits)
}

/// Whether the last of ten digits is the check digit of an NHS number.
///
/// # Source
/// Weights 10 to 2 on the first nine digits; 11 less the sum's remainder by 11, where 11 is 0 and 10 means that there
/// is no such number. Scotland's CHI and Northern Ireland's numbers have the same check digit and are caught as well.
pub fn passes_check_digit(digits: &[u8; 10]) -> bool {
    let sum: u32 = digits[..9].iter().zip((2..=10).rev()).map(|(digit, weight)| u32::from(*digit) * weight).sum();
    (11 - sum % 11) % 11 == u32::from(digits[9])
}

fn is_test_number(digits: &[u8; 10]) -> bool {
    digits[..3] == [9, 9, 9]
}

/// Whether so many passes among so many ten-digit values are no chance: at least twice the share that chance gives,
/// and a probability below one in a million, by Chernoff's bound on the binomial tail.
fn is_beyond_chance(passes: usize, values: usize) -> bool {
    let share = passes as f64 / values as f64;
    if passes < DISTINCT_MIN || share < 2.0 * PASS_BY_CHANCE {
        return false;
    }
    let part = |share: f64, chance: f64| if share > 0.0 { share * (share / chance).ln() } else { 0.0 };
    let divergence = part(share, PASS_BY_CHANCE) + part(1.0 - share, 1.0 - PASS_BY_CHANCE);
    -(values as f64) * divergence < CHANCE_MAX.ln()
}

/// A full postcode, as it is written: one or two letters, a digit and perhaps a letter or digit, then a digit and two
/// letters, with at most one space between. Codes that mix capitals and small letters are none.
fn is_postcode(value: &[u8]) -> bool {
    let Some((inward, outward)) = value.len().checked_sub(3).map(|cut| (&value[cut..], &value[..cut])) else {
        return false;
    };
    let outward = outward.strip_suffix(b" ").unwrap_or(outward);
    let letter = |byte: &u8| byte.is_ascii_alphabetic();
    let digit = |byte: &u8| byte.is_ascii_digit();
    let starts = outward.iter().take_while(|byte| letter(byte)).count();
    let rest = outward.get(starts..).unwrap_or_default();
    let one_case = !(value.iter().any(u8::is_ascii_lowercase) && value.iter().any(u8::is_ascii_uppercase));
    one_case
        && (1..=2).contains(&starts)
        && matches!(rest, [a] if digit(a)) | matches!(rest, [a, b] if digit(a) && b.is_ascii_alphanumeric())
        && matches!(inward, [a, b, c] if digit(a) && letter(b) && letter(c))
}

/// The day of a value that is a whole date; a month alone is none.
fn whole_date(value: &[u8]) -> Option<Day> {
    value.first().filter(|byte| byte.is_ascii_digit())?;
    // Eight digits alone may be any number; a date of birth has a year of its own.
    let day = Some(parse_day(value)).filter(|day| *day > BAD_DAY).map(Day)?;
    (1850..=2100).contains(&day.to_ymd().0).then_some(day)
}

/// One `@` between a name and a domain.
fn is_email(value: &[u8]) -> bool {
    if !value.contains(&b'@') {
        return false;
    }
    let Some((name, domain)) = std::str::from_utf8(value).ok().and_then(|text| text.split_once('@')) else {
        return false;
    };
    let fits = |mark: char| mark.is_ascii_alphanumeric() || matches!(mark, '.' | '-' | '_' | '+' | '\'');
    let top = domain.rsplit_once('.').map_or("", |(_, top)| top);
    !name.is_empty()
        && name.chars().all(fits)
        && domain.chars().all(|mark| fits(mark) && mark != '\'')
        && top.len() >= 2
        && top.chars().all(|mark| mark.is_ascii_alphabetic())
}

/// Whether a value is a telephone number of this country, and if so, whether it can be nothing else: a mobile number, or
/// one with the country's code in front.
fn phone(value: &[u8]) -> Option<bool> {
    let international = value.starts_with(b"+44") || value.starts_with(b"0044");
    let fits = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b' ' | b'-' | b'(' | b')' | b'+');
    if !value.iter().all(fits) {
        return None;
    }
    let digits: Vec<u8> = value.iter().copied().filter(u8::is_ascii_digit).collect();
    match (international, &digits[..]) {
        (true, digits) => (11..=15).contains(&digits.len()).then_some(true),
        (false, [b'0', b'7', ..]) if digits.len() == 11 => Some(true),
        (false, [b'0', b'1' | b'2' | b'3' | b'8', ..]) if matches!(digits.len(), 10 | 11) => Some(false),
        _ => None,
    }
}

/// Two words or more with letters among them.
fn is_like_an_address(value: &[u8]) -> bool {
    let words = value.split(|byte| matches!(byte, b' ' | b',')).filter(|word| !word.is_empty()).count();
    words >= 2 && value.iter().any(u8::is_ascii_alphabetic)
}

/// `12 High Street`: a number, words, and the kind of a road at the end.
fn is_road(value: &[u8]) -> bool {
    const KINDS: [&str; 16] = [
        "road", "rd", "street", "st", "avenue", "ave", "lane", "ln", "close", "drive", "way", "crescent", "court",
        "gardens", "terrace", "grove",
    ];
    if !value.first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let first_line = text.split(',').next().unwrap_or_default().trim_end_matches('.').to_lowercase();
    let words: Vec<&str> = first_line.split_whitespace().collect();
    let is_number = |word: &str| {
        word.starts_with(|mark: char| mark.is_ascii_digit())
            && word.len() <= 5
            && word.chars().all(char::is_alphanumeric)
    };
    words.len() >= 3 && is_number(words[0]) && KINDS.contains(words.last().expect("three words or more"))
}

/// Words of letters, as names are, and no digit.
fn is_like_a_name(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let fits = |mark: char| mark.is_alphabetic() || matches!(mark, ' ' | '-' | '\'' | '’' | '.');
    (2..=60).contains(&text.chars().count())
        && text.chars().all(fits)
        && text.chars().filter(|mark| mark.is_alphabetic()).count() >= 2
}

/// What a sample of every column of a file shows, in words, without any value.
///
/// # Errors
/// A file that cannot be opened.
pub fn look_at_file(input: &Input, file: &InputFile, rules: &Rules) -> anyhow::Result<Vec<String>> {
    let births = input.layout.register.as_ref().and_then(|register| register.birth_month.as_ref());
    let of_practices = input.layout.layout.builds == Builds::Practices;
    let columns = files::sample(file, &input.dialect)?;
    let found = columns.iter().filter_map(|column| {
        let births = births.filter(|births| births.column == column.name).map(|births| &births.null[..]);
        let about = About { header: &column.name, births, of_practices };
        let finding = judge(about, column.distinct.iter().map(|value| &value[..]), rules)?;
        let is_accepted = rules.accepts(&input.name, &column.name, finding.kind);
        (!is_accepted).then(|| told(&input.name, Some(&file.name), &column.name, &finding))
    });
    Ok(found.collect())
}

/// A finding with its place: source, file where there is one, column.
pub fn told(source: &str, file: Option<&str>, column: &str, finding: &Finding) -> String {
    let file = file.map(|file| format!("{file}, ")).unwrap_or_default();
    format!("source \"{source}\": {file}column \"{column}\": {}", finding.describe())
}

impl Rules {
    pub fn accepts(&self, source: &str, column: &str, kind: Kind) -> bool {
        kind != Kind::NhsNumbers
            && self.accept.iter().any(|accepted| accepted.source == source && accepted.column == column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(header: &str, values: &[&str]) -> Option<Kind> {
        kind_by(header, values, &Rules::default())
    }

    fn kind_by(header: &str, values: &[&str], rules: &Rules) -> Option<Kind> {
        let about = About { header, ..About::default() };
        judge(about, values.iter().map(|value| value.as_bytes()), rules).map(|finding| finding.kind)
    }

    /// Numbers with these first nine digits and their check digit, where they have one.
    fn numbers(first: impl Iterator<Item = u64>) -> Vec<String> {
        let number = |nine: u64| {
            (0..10)
                .map(|digit| format!("{nine:09}{digit}"))
                .find(|text| passes_check_digit(&ten_digits(text.as_bytes()).unwrap()))
        };
        first.filter_map(number).collect()
    }

    #[test]
    fn the_check_digit_is_that_of_the_published_rule() {
        let passes = |text: &str| ten_digits(text.as_bytes()).is_some_and(|digits| passes_check_digit(&digits));
        // 9434765919: 90 + 36 + 24 + 28 + 42 + 30 + 20 + 27 + 2 = 299; 299 mod 11 = 2; 11 - 2 = 9.
        assert!(passes("9434765919") && passes("943 476 5919") && passes("943-476-5919") && passes("9876543210"));
        // The two that are printed as examples elsewhere and fail.
        assert!(!passes("9876544321") && !passes("9991234560"));
        for text in ["943476591", "94347659190", "94 3476 5919", "943 476-5919", "94347659I9", ""] {
            assert_eq!(ten_digits(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_column_is_nhs_numbers_where_far_more_pass_than_one_in_eleven() {
        let valid = numbers(400_000_000..400_000_040);
        let texts: Vec<&str> = valid.iter().map(String::as_str).collect();
        assert_eq!(kind_of("person_id", &texts), Some(Kind::NhsNumbers));
        assert_eq!(kind_of("person_id", &texts[..6]), Some(Kind::NhsNumbers));
        assert_eq!(kind_of("person_id", &texts[..5]), None, "five may be chance");
        assert_eq!(kind_of("NHS_Number", &texts[..1]), Some(Kind::NhsNumbers), "the header says what they are");
        // Ten thousand numbers one after the other: 1 in 11 passes, which says nothing.
        let any: Vec<String> = (4_000_000_000u64..4_000_010_000).map(|number| number.to_string()).collect();
        let texts: Vec<&str> = any.iter().map(String::as_str).collect();
        assert_eq!(kind_of("episode_key", &texts), None);
        // The same with a fifth of real ones among them.
        let more = numbers(450_000_000..450_002_500);
        let mixed: Vec<&str> = texts.iter().copied().chain(more.iter().map(String::as_str)).collect();
        assert_eq!(kind_of("episode_key", &mixed), Some(Kind::NhsNumbers));
    }

    #[test]
    fn the_test_range_is_no_exception_unless_it_is_said_so() {
        let valid = numbers(999_000_000..999_000_030);
        let texts: Vec<&str> = valid.iter().map(String::as_str).collect();
        assert_eq!(kind_of("person_id", &texts), Some(Kind::NhsNumbers));
        let rules = Rules { accept_test_numbers: true, ..Rules::default() };
        assert_eq!(kind_by("person_id", &texts, &rules), None);
        let real = numbers(400_000_000..400_000_030);
        let texts: Vec<&str> = real.iter().map(String::as_str).collect();
        assert_eq!(kind_by("person_id", &texts, &rules), Some(Kind::NhsNumbers));
    }

    #[test]
    fn a_column_is_postcodes_by_shape_or_by_header() {
        let written = ["CT1 2AB", "ME14 4AA", "W1A 1HQ", "M1 1AE", "EC1A 1BB", "B33 8TH"];
        assert_eq!(kind_of("area", &written), Some(Kind::Postcodes));
        assert_eq!(
            kind_of("area", &written.map(|text| &text[..text.len() - 2])),
            None,
            "sectors are no full postcodes"
        );
        let closed = ["CT12AB", "ME144AA", "W1A1HQ", "M11AE", "EC1A1BB", "B338TH"];
        assert_eq!(kind_of("area", &closed), Some(Kind::Postcodes));
        assert_eq!(kind_of("area", &written[..5]), None);
        assert_eq!(kind_of("Usual_Address_Postcode", &written[..1]), Some(Kind::Postcodes));
        let codes =
            ["E01000001", "G82001", "XaZ89", "X40Jb", "E119", "I10X", "0212000B0AAAAAA", "RVV", "1011481000000105"];
        assert_eq!(kind_of("code", &codes), None);
        let mut among: Vec<String> = (0..90).map(|number| format!("E{number:08}")).collect();
        among.extend(written.map(str::to_owned));
        let among: Vec<&str> = among.iter().map(String::as_str).collect();
        assert_eq!(kind_of("lsoa11", &among), Some(Kind::Postcodes), "a few in every hundred are enough");
    }

    #[test]
    fn a_date_of_birth_is_full_where_its_day_tells_something() {
        let births = |values: &[&str], nulls: &[String]| {
            let about = About { header: "born", births: Some(nulls), ..About::default() };
            judge(about, values.iter().map(|value| value.as_bytes()), &Rules::default()).map(|finding| finding.kind)
        };
        assert_eq!(births(&["1950-04-17", "1961-12-02"], &[]), Some(Kind::DatesOfBirth));
        assert_eq!(births(&["17/04/1950", "02/12/1961"], &[]), Some(Kind::DatesOfBirth));
        assert_eq!(births(&["1950-04-01", "1961-12-01"], &[]), None, "the first of the month stands for the month");
        assert_eq!(births(&["1950-04", "1961-12"], &[]), None);
        assert_eq!(births(&["1950-04-01", "1582-10-15"], &["1582-10-15".to_owned()]), None);
        assert_eq!(kind_of("Patient_DOB", &["1950-04-17", "1961-12-02", "1970-01-03"]), Some(Kind::DatesOfBirth));
        assert_eq!(
            kind_of("birth_datetime", &["1950-04-17 00:00:00", "1961-12-02", "1970-01-03"]),
            Some(Kind::DatesOfBirth)
        );
        assert_eq!(kind_of("event_date", &["1950-04-17", "1961-12-02", "1970-01-03"]), None);
        assert_eq!(kind_of("MYDOB", &["041950", "121961", "011970"]), None, "month and year");
        assert_eq!(kind_of("day_of_birth", &["1", "17"]), Some(Kind::DatesOfBirth));
    }

    #[test]
    fn names_are_known_by_header_and_shape() {
        assert_eq!(kind_of("Patient_Surname", &["O'Brien", "Smith-Jones"]), Some(Kind::Names));
        assert_eq!(kind_of("first name", &["Zoë", "Anne Marie"]), Some(Kind::Names));
        assert_eq!(
            kind_of("surname", &["4004dc5791220e8c", "b6d5b7feb86ebfb7"]),
            None,
            "a pseudonym under an old header"
        );
        assert_eq!(kind_of("surname", &["", " "]), None);
        assert_eq!(kind_of("ward", &["Smith", "Jones"]), None);
        assert_eq!(kind_of("name", &["Ann Smith"]), Some(Kind::Names));
        let practices = About { header: "name", of_practices: true, ..About::default() };
        assert_eq!(judge(practices, [&b"The Surgery"[..]].into_iter(), &Rules::default()), None);
    }

    #[test]
    fn e_mail_addresses_telephones_and_addresses_are_known_by_header_or_shape() {
        assert_eq!(kind_of("contact", &["ann.o'neill@nhs.net"]), Some(Kind::Emails));
        assert_eq!(kind_of("note", &["a@b", "@nhs.net", "ann@nhs", "ann smith@nhs.net", "5@3.2"]), None);
        let mobiles =
            ["07700900001", "07700 900002", "+44 7700 900003", "(07700) 900004", "00447700900005", "07700-900006"];
        assert_eq!(kind_of("contact", &mobiles), Some(Kind::Phones));
        assert_eq!(kind_of("contact", &mobiles[..5]), None, "five may be chance");
        let landlines = ["01227 000001", "020 7946 0002", "0161 496 0003", "01634000004", "01474000005", "01622000006"];
        assert_eq!(kind_of("code", &landlines), None, "without a header other numbers look so");
        assert_eq!(kind_of("Home_Telephone", &landlines[..1]), Some(Kind::Phones));
        assert_eq!(kind_of("telehealth", &["1", "0"]), None);
        let roads = [
            "1 High Street",
            "22a Mill Lane",
            "3 Station Rd",
            "44 The Avenue, Whitstable",
            "5 Park Close",
            "6 Oak Way.",
        ];
        assert_eq!(kind_of("line_1", &roads), Some(Kind::Addresses));
        assert_eq!(kind_of("line_1", &roads[..5]), None);
        assert_eq!(kind_of("Patient Address 1", &["Flat 2", "Rose Cottage"]), Some(Kind::Addresses));
        assert_eq!(kind_of("address_id", &["4004dc5791220e8c", "17"]), None, "a key under that header");
        let of_practices = About { header: "address", of_practices: true, ..About::default() };
        assert_eq!(judge(of_practices, roads.iter().map(|road| road.as_bytes()), &Rules::default()), None);
    }

    #[test]
    fn a_finding_never_holds_a_value() {
        let valid = numbers(400_000_000..400_000_040);
        let about = About { header: "person_id", ..About::default() };
        let finding = judge(about, valid.iter().map(|value| value.as_bytes()), &Rules::default()).unwrap();
        let words = told("gp", Some("gp.csv"), "person_id", &finding);
        assert!(
            words.starts_with("source \"gp\": gp.csv, column \"person_id\": the column holds NHS numbers"),
            "{words}"
        );
        assert!(valid.iter().all(|value| !words.contains(&value[..6])), "{words}");
    }

    #[test]
    fn a_statement_lets_anything_through_but_nhs_numbers() {
        let accepted = Accepted { source: "r".to_owned(), column: "c".to_owned(), because: "invented".to_owned() };
        let rules = Rules { accept: vec![accepted], ..Rules::default() };
        assert!(rules.accepts("r", "c", Kind::Postcodes) && rules.accepts("r", "c", Kind::DatesOfBirth));
        assert!(!rules.accepts("r", "c", Kind::NhsNumbers) && !rules.accepts("s", "c", Kind::Names));
    }
}
