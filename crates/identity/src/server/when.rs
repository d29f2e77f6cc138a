//! Times on pages: a date and a minute, in UTC.

use ambit_model::{calendar::civil_from_days, ids::Millis};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `25 November 2026, 09:33 UTC`
pub(crate) fn minute(at_ms: Millis) -> String {
    let minutes = at_ms.div_euclid(60_000);
    let (year, month, day) = civil_from_days(minutes.div_euclid(1440));
    let of_day = minutes.rem_euclid(1440);
    let month = usize::try_from(month - 1).ok().and_then(|index| MONTHS.get(index)).copied().unwrap_or("");
    format!("{day} {month} {year}, {:02}:{:02} UTC", of_day / 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(minute(0), "1 January 1970, 00:00 UTC");
        assert_eq!(minute(951_782_400_000), "29 February 2000, 00:00 UTC");
        assert_eq!(minute(1_795_599_225_000), "25 November 2026, 09:33 UTC");
        assert_eq!(minute(-1), "31 December 1969, 23:59 UTC");
    }
}
