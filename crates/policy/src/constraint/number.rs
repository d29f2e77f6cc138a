//! Numbers by value: whole numbers of both signs and floats compared exactly, without rounding one into the other.

use std::cmp::Ordering;

use serde_json::Number;

/// Beyond this a float is not turned into a whole number; no integer of JSON reaches it.
const WHOLE_LIMIT: f64 = 1e36;
/// The largest step whose float is exact.
pub(super) const MAX_STEP: u64 = 1 << 53;

enum Exact {
    Whole(i128),
    /// Not whole, or larger than any integer here.
    Float(f64),
}

fn exact(number: &Number) -> Exact {
    if let Some(whole) = number.as_i128() {
        return Exact::Whole(whole);
    }
    let float = number.as_f64().unwrap_or(f64::NAN);
    if float.fract() == 0.0 && float.abs() < WHOLE_LIMIT {
        Exact::Whole(whole_part(float))
    } else {
        Exact::Float(float)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "every caller stays below the limit")]
fn whole_part(float: f64) -> i128 {
    float.floor() as i128
}

/// Which of two numbers is larger.
pub(super) fn compare(one: &Number, other: &Number) -> Ordering {
    match (exact(one), exact(other)) {
        (Exact::Whole(one), Exact::Whole(other)) => one.cmp(&other),
        (Exact::Whole(one), Exact::Float(other)) => against(one, other),
        (Exact::Float(one), Exact::Whole(other)) => against(other, one).reverse(),
        (Exact::Float(one), Exact::Float(other)) => one.total_cmp(&other),
    }
}

/// A whole number against a float that is not one.
fn against(whole: i128, float: f64) -> Ordering {
    if float.abs() >= WHOLE_LIMIT {
        return if float > 0.0 { Ordering::Less } else { Ordering::Greater };
    }
    if whole <= whole_part(float) { Ordering::Less } else { Ordering::Greater }
}

/// Whether it has no fraction, however it is spelled.
pub(super) fn is_whole(number: &Number) -> bool {
    match exact(number) {
        Exact::Whole(_) => true,
        Exact::Float(float) => float.fract() == 0.0,
    }
}

/// Whether it is a multiple of a step of at most [`MAX_STEP`].
pub(super) fn is_multiple(number: &Number, step: u64) -> bool {
    match exact(number) {
        Exact::Whole(whole) => whole % i128::from(step) == 0,
        #[expect(clippy::cast_precision_loss, reason = "steps are bounded so that none is lost")]
        Exact::Float(float) => float % (step as f64) == 0.0,
    }
}

/// One spelling per value: a float that is an integer becomes one.
pub(super) fn canonical(number: &Number) -> Number {
    match exact(number) {
        Exact::Whole(whole) => Number::from_i128(whole).unwrap_or_else(|| number.clone()),
        Exact::Float(_) => number.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_are_ordered_by_value() {
        let ordered = [
            "-1e300",
            "-9223372036854775808",
            "-1.5",
            "-1",
            "0",
            "0.5",
            "1",
            "1.5",
            "2",
            "9007199254740992",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "1e20",
            "1e300",
        ];
        for (i, one) in ordered.iter().enumerate() {
            for (j, other) in ordered.iter().enumerate() {
                assert_eq!(compare(&number(one), &number(other)), i.cmp(&j), "{one} {other}");
            }
        }
        for (one, other) in
            [("1.0", "1"), ("-0.0", "0"), ("1e3", "1000"), ("9223372036854775808.0", "9223372036854775808")]
        {
            assert_eq!(compare(&number(one), &number(other)), Ordering::Equal, "{one} {other}");
            assert_eq!(canonical(&number(one)), canonical(&number(other)));
        }
    }

    #[test]
    fn whole_and_multiple_do_not_depend_on_the_spelling() {
        assert!(is_whole(&number("4.0")) && is_whole(&number("1e300")) && !is_whole(&number("4.5")));
        assert!(is_multiple(&number("-9.0"), 3) && is_multiple(&number("18446744073709551615"), 5));
        assert!(!is_multiple(&number("4.5"), 3) && !is_multiple(&number("10"), 3));
    }
}
