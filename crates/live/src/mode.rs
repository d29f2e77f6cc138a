//! What may be served while something is down. Unknown means deny: the longer the store was not heard of, the less runs.

use std::time::Duration;

use ambit_model::Effect;

/// The store was confirmed longer ago than this: a revocation may have been missed, so nothing that changes anything runs.
pub const WRITES_FOR: Duration = Duration::from_secs(3);

/// The store was confirmed longer ago than this: nothing runs.
pub const READS_FOR: Duration = Duration::from_secs(30);

/// What may be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Everything.
    Normal,
    /// Only calls of effect read, and lists.
    ReadsOnly(Down),
    /// Nothing.
    Refuse(Down),
}

/// What is down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Down {
    /// The store does not answer.
    #[error("the store cannot be reached")]
    Store,
    /// The trail cannot be written.
    #[error("the trail cannot be written")]
    Trail,
}

impl Mode {
    /// Judges the state of store and trail.
    pub fn of(store_answers: bool, confirmed_ago: Duration, trail_is_writable: bool) -> Self {
        if !trail_is_writable {
            Self::Refuse(Down::Trail)
        } else if confirmed_ago > READS_FOR {
            Self::Refuse(Down::Store)
        } else if !store_answers || confirmed_ago > WRITES_FOR {
            Self::ReadsOnly(Down::Store)
        } else {
            Self::Normal
        }
    }

    /// Whether a call of this effect may run.
    ///
    /// # Errors
    /// What is down.
    pub const fn permits(self, effect: Effect) -> Result<(), Down> {
        match (self, effect) {
            (Self::Normal, _) | (Self::ReadsOnly(_), Effect::Read) => Ok(()),
            (Self::ReadsOnly(down), Effect::Write | Effect::Destructive) | (Self::Refuse(down), _) => Err(down),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_runs_the_longer_the_store_is_silent() {
        let secs = Duration::from_secs;
        for (answers, ago, writable, effect, runs) in [
            (true, secs(0), true, Effect::Destructive, true),
            (true, secs(4), true, Effect::Write, false),
            (false, secs(1), true, Effect::Write, false),
            (false, secs(1), true, Effect::Read, true),
            (false, secs(30), true, Effect::Read, true),
            (false, secs(31), true, Effect::Read, false),
            (true, secs(31), true, Effect::Read, false),
            (true, secs(0), false, Effect::Read, false),
        ] {
            let mode = Mode::of(answers, ago, writable);
            assert_eq!(mode.permits(effect).is_ok(), runs, "{answers} {ago:?} {writable} {effect}");
        }
    }
}
