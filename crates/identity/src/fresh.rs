//! How recent a login has to be for what only a person who is there may decide.

use ambit_model::ids::Millis;

/// A login is fresh for so long.
pub(crate) const LOGIN_WITHIN_MS: Millis = 5 * 60_000;

/// By how much the clocks of two nodes may differ.
const CLOCKS_APART_MS: Millis = 5_000;

/// Whether a login is fresh. One that lies further in the future was made by a clock that was set back since: it is not.
pub(crate) fn is_fresh(login_at: Millis, now: Millis) -> bool {
    (-CLOCKS_APART_MS..LOGIN_WITHIN_MS).contains(&now.saturating_sub(login_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_fresh_for_five_minutes_and_not_before_it_was() {
        let now = 1_800_000_000_000;
        for (age, fresh) in [
            (0, true),
            (1, true),
            (LOGIN_WITHIN_MS - 1, true),
            (LOGIN_WITHIN_MS, false),
            (-CLOCKS_APART_MS, true),
            (-CLOCKS_APART_MS - 1, false),
        ] {
            assert_eq!(is_fresh(now - age, now), fresh, "{age}");
        }
        assert!(!is_fresh(Millis::MIN, now) && !is_fresh(Millis::MAX, now));
    }
}
