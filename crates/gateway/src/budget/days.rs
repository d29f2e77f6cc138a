//! The counts of the day, for whoever keeps them over a restart. Rates and places are not kept: after a restart everybody
//! begins with a fresh burst.

use ambit_model::{
    Effect,
    budget::DayCount,
    ids::{Millis, ToolId},
};

use super::{Budgets, Key, What, spent::day_of};

impl Budgets {
    /// The counts of today that changed since this was last asked.
    pub(crate) fn changed(&self, now: Millis) -> Vec<DayCount> {
        let (day, _) = day_of(now);
        let changed = self.kept.iter().filter_map(|(key, spent)| {
            let count = spent.day().changed(day)?;
            Some(DayCount { day, person: key.person, what: key.what.to_text(), count })
        });
        changed.collect()
    }

    /// Gives counts back that could not be kept: they are told again.
    pub(crate) fn unsaved(&self, counts: &[DayCount]) {
        for (spent, _) in counts.iter().filter_map(|count| Some((self.kept.get(&key(count)?)?, count))) {
            spent.day().unsaved();
        }
    }

    /// Begins from counts that were kept, as far as they are of today.
    pub(crate) fn restore(&self, counts: &[DayCount], now: Millis) {
        let (today, _) = day_of(now);
        for (key, count) in
            counts.iter().filter(|count| count.day == today).filter_map(|count| Some((key(count)?, count)))
        {
            self.spent(&key).day().restore(count.day, count.count);
        }
    }
}

/// `None` for what is not counted any more.
fn key(count: &DayCount) -> Option<Key> {
    Some(Key { person: count.person, what: What::from_text(&count.what)? })
}

impl What {
    fn to_text(&self) -> String {
        match self {
            Self::Request => "request".to_owned(),
            Self::Effect(effect) => format!("effect:{effect}"),
            Self::Tool(tool) => format!("tool:{tool}"),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None => (text == "request").then_some(Self::Request),
            Some(("effect", effect)) => {
                Effect::ALL.into_iter().find(|known| known.as_str() == effect).map(Self::Effect)
            }
            Some(("tool", tool)) => ToolId::parse(tool).ok().map(Self::Tool),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Taken;
    use ambit_model::{Digest, budget::Limits};

    const T0: Millis = 1_800_000_000_000;

    fn use_up(budgets: &Budgets, key: &Key, times: u32) -> u32 {
        let limits = Limits { per_day: std::num::NonZeroU32::new(10), ..Limits::default() };
        let once = |_| Taken::from(&budgets.spent(key), limits, T0).map(|mut taken| taken.keep()).is_ok();
        u32::try_from((0..times).filter(|n| once(*n)).count()).unwrap()
    }

    #[test]
    fn a_count_is_told_once_and_survives_in_whatever_begins_from_it() {
        let keys = [What::Request, What::Effect(Effect::Write), What::Tool(ToolId::parse("s/a-tool").unwrap())]
            .map(|what| Key { person: Digest::of(b"alice"), what });
        let before = Budgets::new();
        for key in &keys {
            assert_eq!(use_up(&before, key, 7), 7);
        }
        let told = before.changed(T0);
        assert_eq!(told.len(), 3);
        assert!(before.changed(T0).is_empty());
        before.unsaved(&told[..1]);
        assert_eq!(before.changed(T0), told[..1]);

        let after = Budgets::new();
        after.restore(&told, T0);
        assert!(after.changed(T0).is_empty());
        for key in &keys {
            assert_eq!(use_up(&after, key, 10), 3, "{key:?}");
        }
        let tomorrow = Budgets::new();
        tomorrow.restore(&told, T0 + 86_400_000);
        assert_eq!(tomorrow.kept(), 0);
    }

    #[test]
    fn what_means_nothing_any_more_is_left_out() {
        let budgets = Budgets::new();
        let count = |what: &str| DayCount { day: day_of(T0).0, person: Digest::of(b"a"), what: what.into(), count: 1 };
        budgets.restore(&[count("effect:odd"), count("tool:"), count("else:x"), count("")], T0);
        assert_eq!(budgets.kept(), 0);
    }
}
