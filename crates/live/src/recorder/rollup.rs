//! Counts of refusals: before anybody was identified one record per source prefix, reason and minute, and of logins per
//! account as well; of a caller that asks too often one per person, reason and minute. A bounded number of them, so that a
//! flood leaves little.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use ambit_model::{
    event::{Event, RequestId, Rollup, VERSION, Who},
    ids::{Millis, UserKey},
    source::prefix,
};

/// Most counts kept at once. What comes beyond is counted under `other`.
const MOST: usize = 4096;

const MINUTE_MS: Millis = 60_000;

/// The source of what is counted by who it is of.
const ANYWHERE: &str = "any";

#[derive(Debug, Default)]
pub(super) struct Rollups {
    counts: Mutex<HashMap<Key, u64>>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Key {
    minute: Millis,
    endpoint: String,
    of: Of,
    reason: &'static str,
}

/// What one count is of.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Of {
    Source(IpAddr),
    Account(Option<IpAddr>, UserKey),
    User(String),
    Agent(String),
    Client(String),
    /// More than are told apart.
    Other,
}

/// Whose refusal is counted.
#[derive(Debug)]
pub enum Counted<'a> {
    /// Nobody's, from somewhere.
    Source(IpAddr),
    /// Of a login to an account that exists.
    Account(IpAddr, &'a UserKey),
    /// A verified caller's, counted for whoever stands behind it.
    Caller(&'a Who<'a>),
}

/// One count, taken out to be written.
#[derive(Debug)]
pub(super) struct Count {
    key: Key,
    endpoint: String,
    source: String,
    subject: Option<String>,
    agent: Option<String>,
    client: Option<String>,
    seen: u64,
}

impl Rollups {
    pub(super) fn count(&self, endpoint: &str, counted: &Counted<'_>, reason: &'static str, now: Millis) {
        let minute = now.div_euclid(MINUTE_MS) * MINUTE_MS;
        let of = match *counted {
            Counted::Source(source) => Of::Source(prefix(source)),
            Counted::Account(source, account) => Of::Account(Some(prefix(source)), account.clone()),
            // Whoever stands behind it, and never which client: a person registers as many of those as they like.
            Counted::Caller(who) => match (&who.user, &who.agent) {
                (Some(user), _) => Of::User(user.as_ref().to_owned()),
                (None, Some(agent)) => Of::Agent(agent.as_ref().to_owned()),
                (None, None) => Of::Client(who.client.as_ref().to_owned()),
            },
        };
        let mut key = Key { minute, endpoint: endpoint.to_owned(), of, reason };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST && !counts.contains_key(&key) {
            key = match key.of {
                // Accounts are declared, so there are few: which of them is attacked is kept from however many places it is.
                Of::Account(_, account) => Key { of: Of::Account(None, account), ..key },
                Of::Source(_) | Of::User(_) | Of::Agent(_) | Of::Client(_) | Of::Other => {
                    Key { endpoint: "other".to_owned(), of: Of::Other, ..key }
                }
            };
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
        let prefix = |source: Option<IpAddr>| match source {
            Some(IpAddr::V4(address)) => format!("{address}/24"),
            Some(IpAddr::V6(address)) => format!("{address}/56"),
            None => "other".to_owned(),
        };
        let (source, subject, agent, client) = match &key.of {
            Of::Source(source) => (prefix(Some(*source)), None, None, None),
            Of::Account(source, account) => (prefix(*source), Some(format!("user {account}")), None, None),
            Of::User(user) => (ANYWHERE.to_owned(), Some(format!("user {user}")), None, None),
            Of::Agent(agent) => (ANYWHERE.to_owned(), None, Some(agent.clone()), None),
            Of::Client(client) => (ANYWHERE.to_owned(), None, None, Some(client.clone())),
            Of::Other => (prefix(None), None, None, None),
        };
        Self { endpoint: key.endpoint.clone(), source, subject, agent, client, seen, key }
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
            agent: self.agent.as_deref(),
            client: self.client.as_deref(),
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
            rollups.count("default", &Counted::Source(IpAddr::V4((n << 8).into())), "token_absent", 60_000);
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
            let source = IpAddr::V4((n << 8).into());
            rollups.count("login", &Counted::Account(source, &alice), "login_failed", 60_000);
            rollups.count("login", &Counted::Source(source), "login_failed", 60_000);
        }
        let due = rollups.take_due(120_000, false);
        assert!(due.len() <= MOST + 2, "{}", due.len());
        let hers: Vec<_> = due.iter().filter(|count| count.subject.as_deref() == Some("user local:alice")).collect();
        assert_eq!(hers.iter().map(|count| count.seen).sum::<u64>(), 20_000);
        assert!(hers.iter().any(|count| count.source == "other" && count.endpoint == "login"));
    }

    #[test]
    fn a_person_is_one_count_and_a_flood_of_callers_is_bounded() {
        let rollups = Rollups::default();
        let count = |user: &str, client: String| {
            let who = Who {
                user: Some(user.to_owned().into()),
                agent: None,
                client: client.into(),
                assurance: "dynamic",
                actors: Vec::new().into(),
                token: ambit_model::Digest::of(b""),
            };
            rollups.count("default", &Counted::Caller(&who), "over_budget", 60_000);
        };
        (0..1_000).for_each(|n| count("local:alice", format!("her-client-{n}")));
        (0..20_000).for_each(|n| count(&format!("idp:{n}"), "c1".to_owned()));
        let due = rollups.take_due(120_000, false);
        assert!(due.len() <= MOST + 1, "{}", due.len());
        assert_eq!(due.iter().map(|count| count.seen).sum::<u64>(), 21_000);
        let hers = due.iter().find(|count| count.subject.as_deref() == Some("user local:alice")).unwrap();
        assert_eq!((hers.seen, hers.client.as_deref(), hers.source.as_str()), (1_000, None, "any"));
    }

    #[test]
    fn sources_are_kept_as_prefixes() {
        let p = |text: &str| prefix(text.parse().unwrap()).to_string();
        assert_eq!(p("192.0.2.77"), "192.0.2.0");
        assert_eq!(p("::ffff:192.0.2.77"), "192.0.2.0");
        assert_eq!(p("2001:db8:1:2ff::9"), "2001:db8:1:200::");
    }
}
