//! The hour and the day of an instant, in the zone the organisation names. The zones come with the program, so that every
//! node and every replay reads the same clock.

use ambit_model::ids::Millis;
use jiff::{
    Timestamp,
    civil::Weekday,
    tz::{TimeZone, TimeZoneDatabase},
};

/// A time zone that is not in the IANA database this program carries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time zone: name one of the IANA database, such as `Europe/Berlin`, or `UTC`")]
pub struct UnknownTimezone(String);

/// A named zone.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    name: String,
    zone: TimeZone,
}

/// What a clock on the wall shows.
pub(crate) struct WallClock {
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) weekday: &'static str,
    pub(crate) date: String,
}

impl Zone {
    pub(crate) fn utc() -> Self {
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    pub(crate) fn named(name: &str) -> Result<Self, UnknownTimezone> {
        if name == "UTC" {
            return Ok(Self::utc());
        }
        let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| UnknownTimezone(name.to_owned()))?;
        Ok(Self { name: name.to_owned(), zone })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What the wall shows at an instant, if it is one of the calendar.
    pub(crate) fn wall(&self, at: Millis) -> Option<WallClock> {
        let local = Timestamp::from_millisecond(at).ok()?.to_zoned_datetime(self.zone.clone());
        let weekday = match local.weekday() {
            Weekday::Monday => "monday",
            Weekday::Tuesday => "tuesday",
            Weekday::Wednesday => "wednesday",
            Weekday::Thursday => "thursday",
            Weekday::Friday => "friday",
            Weekday::Saturday => "saturday",
            Weekday::Sunday => "sunday",
        };
        let date = local.date().to_string();
        Some(WallClock { hour: local.hour().into(), minute: local.minute().into(), weekday, date })
    }
}

/// An instant as the engine reads it, if it is one of the calendar.
pub(crate) fn datetime(at: Millis) -> Option<String> {
    let utc = Timestamp::from_millisecond(at).ok()?.to_zoned_datetime(TimeZone::UTC);
    let date = utc.date();
    let millis = at.rem_euclid(1000);
    Some(format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{millis:03}Z",
        date.year(),
        date.month(),
        date.day(),
        utc.hour(),
        utc.minute(),
        utc.second()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_is_read_in_the_named_zone() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        // 2026-11-25T23:30:00Z is past midnight in Berlin, and so is 2026-07-01T22:30:00Z in summer.
        for (at, expected) in [
            (1_795_649_400_000, (0, 30, "thursday", "2026-11-26")),
            (1_782_945_000_000, (0, 30, "thursday", "2026-07-02")),
        ] {
            let wall = berlin.wall(at).unwrap();
            assert_eq!((wall.hour, wall.minute, wall.weekday, wall.date.as_str()), expected);
        }
        let utc = Zone::utc().wall(1_795_649_400_000).unwrap();
        assert_eq!((utc.hour, utc.weekday, utc.date.as_str()), (23, "wednesday", "2026-11-25"));
        assert_eq!(datetime(1_795_649_400_007).as_deref(), Some("2026-11-25T23:30:00.007Z"));
        assert!(datetime(i64::MAX).is_none() && Zone::utc().wall(i64::MIN).is_none());
        let unknown = Zone::named("Europe/Atlantis").unwrap_err().to_string();
        assert!(unknown.contains("`Europe/Atlantis` is no time zone"), "{unknown}");
    }
}
