//! Counts of refusals before anybody was identified: one record per source prefix, reason and minute, and a bounded number
//! of them, so that a flood without a token leaves little.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
};

use ambit_model::{
    event::{Event, RequestId, Rollup, VERSION},
    ids::Millis,
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
    reason: &'static str,
}

/// One count, taken out to be written.
#[derive(Debug)]
pub(super) struct Count {
    key: Key,
    endpoint: String,
    source: String,
    seen: u64,
}

impl Rollups {
    pub(super) fn count(&self, endpoint: &str, source: IpAddr, reason: &'static str, now: Millis) {
        let minute = now.div_euclid(MINUTE_MS) * MINUTE_MS;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = Key { minute, endpoint: endpoint.to_owned(), source: Some(prefix(source)), reason };
        if counts.len() >= MOST && !counts.contains_key(&key) {
            key = Key { minute, endpoint: "other".to_owned(), source: None, reason };
        }
        let count = counts.entry(key).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn take_due(&self, now: Millis, closing: bool) -> Vec<Count> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let due = counts.extract_if(|key, _| closing || now >= key.minute.saturating_add(MINUTE_MS));
        let mut due: Vec<_> = due.map(|(key, count)| Count::new(key, count)).collect();
        due.sort_unstable_by(|a, b| (a.key.minute, &a.source).cmp(&(b.key.minute, &b.source)));
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
        Self { endpoint: key.endpoint.clone(), source, seen, key }
    }

    pub(super) fn event(&self, request: RequestId, at: Millis) -> Event<'_> {
        Event::Rollup(Rollup {
            v: VERSION,
            request,
            at,
            minute: self.key.minute,
            endpoint: &self.endpoint,
            source: &self.source,
            reason: self.key.reason,
            count: self.seen,
        })
    }
}

/// The first address of the source's prefix: IPv4 /24, IPv6 /56. An IPv4 address written as IPv6 is that IPv4 address.
pub(crate) fn prefix(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            IpAddr::V4([a, b, c, 0].into())
        }
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 72))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_a_bounded_number_of_counts_and_none_is_lost() {
        let rollups = Rollups::default();
        for n in 0..20_000_u32 {
            rollups.count("default", IpAddr::V4((n << 8).into()), "token_absent", 60_000);
        }
        assert!(rollups.take_due(119_999, false).is_empty());
        let due = rollups.take_due(120_000, false);
        assert!(due.len() <= MOST + 1, "{}", due.len());
        assert_eq!(due.iter().map(|count| count.seen).sum::<u64>(), 20_000);
        rollups.put_back(due.into_iter());
        assert_eq!(rollups.take_due(0, true).iter().map(|count| count.seen).sum::<u64>(), 20_000);
    }

    #[test]
    fn sources_are_kept_as_prefixes() {
        let p = |text: &str| prefix(text.parse().unwrap()).to_string();
        assert_eq!(p("192.0.2.77"), "192.0.2.0");
        assert_eq!(p("::ffff:192.0.2.77"), "192.0.2.0");
        assert_eq!(p("2001:db8:1:2ff::9"), "2001:db8:1:200::");
    }
}
