//! Times on pages: a date and a minute, in UTC.

use ambit_model::ids::Millis;

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
    let (year, month, day) = civil(minutes.div_euclid(1440));
    let of_day = minutes.rem_euclid(1440);
    let month = usize::try_from(month - 1).ok().and_then(|index| MONTHS.get(index)).copied().unwrap_or("");
    format!("{day} {month} {year}, {:02}:{:02} UTC", of_day / 60, of_day % 60)
}

/// Days since 1970-01-01 as year, month, day (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
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
