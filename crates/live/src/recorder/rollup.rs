//! Counts of refusals before anybody was identified: one record per source prefix, reason and minute, and of logins per
//! account as well; a bounded number of them, so that a flood without a token leaves little.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use ambit_model::{
    event::{Event, RequestId, Rollup, VERSION},
    ids::{Millis, UserKey},
    source::prefix,
};

/// Most counts kept at once. What comes beyond is counted under `other`.
const MOST: usize = 4096;

const MINUTE_MS: Millis = 60_000;

#[derive(Debug, Default)]
pub(super) struct Rollups {
    counts: Mutex<HashMap<Key, u64>>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Key {
    minute: Millis,
    endpoint: String,
    source: Option<IpAddr>,
    account: Option<UserKey>,
    reason: &'static str,
}

/// One count, taken out to be written.
#[derive(Debug)]
pub(super) struct Count {
    key: Key,
    endpoint: String,
    source: String,
    subject: Option<String>,
    seen: u64,
}

impl Rollups {
    pub(super) fn count(
        &self,
        endpoint: &str,
        source: IpAddr,
        account: Option<&UserKey>,
        reason: &'static str,
        now: Millis,
    ) {
        let minute = now.div_euclid(MINUTE_MS) * MINUTE_MS;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let account = account.cloned();
        let mut key = Key { minute, endpoint: endpoint.to_owned(), source: Some(prefix(source)), account, reason };
        if counts.len() >= MOST && !counts.contains_key(&key) {
            // Accounts are declared, so there are few: which of them is attacked is kept from however many places it is.
            let endpoint = if key.account.is_some() { key.endpoint } else { "other".to_owned() };
            key = Key { endpoint, source: None, ..key };
        }
        let count = counts.entry(key).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn take_due(&self, now: Millis, closing: bool) -> Vec<Count> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let due = counts.extract_if(|key, _| closing || now >= key.minute.saturating_add(MINUTE_MS));
        let mut due: Vec<_> = due.map(|(key, count)| Count::new(key, count)).collect();
        due.sort_unstable_by(|a, b| (a.key.minute, &a.source, &a.subject).cmp(&(b.key.minute, &b.source, &b.subject)));
        due
    }

    pub(super) fn put_back(&self, kept: impl Iterator<Item = Count>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for Count { key, seen, .. } in kept {
            let standing = counts.entry(key).or_default();
            *standing = standing.saturating_add(seen);
        }
    }
}

impl Count {
    fn new(key: Key, seen: u64) -> Self {
        let source = match key.source {
            Some(IpAddr::V4(address)) => format!("{address}/24"),
            Some(IpAddr::V6(address)) => format!("{address}/56"),
            None => "other".to_owned(),
        };
        let subject = key.account.as_ref().map(|account| format!("user {account}"));
        Self { endpoint: key.endpoint.clone(), source, subject, seen, key }
    }

    pub(super) fn event(&self, request: RequestId, at: Millis) -> Event<'_> {
        Event::Rollup(Rollup {
            v: VERSION,
            request,
            at,
            minute: self.key.minute,
            endpoint: &self.endpoint,
            source: &self.source,
            subject: self.subject.as_deref(),
            reason: self.key.reason,
            count: self.seen,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_a_bounded_number_of_counts_and_none_is_lost() {
        let rollups = Rollups::default();
        for n in 0..20_000_u32 {
            rollups.count("default", IpAddr::V4((n << 8).into()), None, "token_absent", 60_000);
        }
        assert!(rollups.take_due(119_999, false).is_empty());
        let due = rollups.take_due(120_000, false);
        assert!(due.len() <= MOST + 1, "{}", due.len());
        assert_eq!(due.iter().map(|count| count.seen).sum::<u64>(), 20_000);
        rollups.put_back(due.into_iter());
        assert_eq!(rollups.take_due(0, true).iter().map(|count| count.seen).sum::<u64>(), 20_000);
    }

    #[test]
    fn an_attacked_account_is_named_from_however_many_places_it_is_attacked() {
        let (rollups, alice) = (Rollups::default(), UserKey::local("alice").unwrap());
        for n in 0..20_000_u32 {
            rollups.count("login", IpAddr::V4((n << 8).into()), Some(&alice), "login_failed", 60_000);
            rollups.count("login", IpAddr::V4((n << 8).into()), None, "login_failed", 60_000);
        }
        let due = rollups.take_due(120_000, false);
        assert!(due.len() <= MOST + 2, "{}", due.len());
        let hers: Vec<_> = due.iter().filter(|count| count.subject.as_deref() == Some("user local:alice")).collect();
        assert_eq!(hers.iter().map(|count| count.seen).sum::<u64>(), 20_000);
        assert!(hers.iter().any(|count| count.source == "other" && count.endpoint == "login"));
    }

    #[test]
    fn sources_are_kept_as_prefixes() {
        let p = |text: &str| prefix(text.parse().unwrap()).to_string();
        assert_eq!(p("192.0.2.77"), "192.0.2.0");
        assert_eq!(p("::ffff:192.0.2.77"), "192.0.2.0");
        assert_eq!(p("2001:db8:1:2ff::9"), "2001:db8:1:200::");
    }
}
