//! Who may approve, and which tools need nobody's yes.

use std::collections::{BTreeMap, BTreeSet};

use ambit_model::{
    approval::{Approver, ApproverRule, Party, Waiver},
    ids::{IssuerName, Millis, ToolName, UserKey},
    server::ServerApprovals,
};

use super::{Resolving, near};
use crate::config::{place::Place, problem::shown, raw};

/// The longest a waiver may reach into the future: a year and a day, for leap years.
const MAX_WAIVER_MS: Millis = 366 * 24 * 3_600_000;

const APPROVES: &str = "whoever approves logs in here";

impl Resolving<'_> {
    pub(super) fn server_approvals(&mut self, place: &Place, raw: &raw::Server) -> ServerApprovals {
        let named = place.key("approvers");
        let each = raw.approvers.iter().enumerate();
        let approvers: BTreeSet<_> =
            each.filter_map(|(index, text)| self.person_or_group(&named.index(index), text, APPROVES)).collect();
        let needed = raw.approvals_needed;
        if !(1..=raw::MAX_NEEDED).contains(&needed) {
            let message = format!("is `{needed}`: write a number from 1 to {}", raw::MAX_NEEDED);
            self.findings.error_once(&place.key("approvals_needed"), message);
        }
        let (accounts, people) = self.people_of(&approvers);
        if !approvers.is_empty() && people < usize::try_from(needed).unwrap_or(usize::MAX) {
            let message = format!(
                "asks for {needed} people, and `approvers` names {people}: no call could ever be approved; name more people"
            );
            let message =
                if accounts > people { message + ", accounts with one `email` are one person" } else { message };
            self.findings.error(&place.key("approvals_needed"), message);
        }
        let waivers = self.waivers(&place.key("approvals"), &raw.approvals);
        ServerApprovals { rule: ApproverRule { approvers, needed }, waivers }
    }

    /// They prove who they are at our own login, so only local accounts can be named; `why` says what they log in for.
    pub(super) fn person_or_group(&mut self, place: &Place, text: &str, why: &str) -> Option<Approver> {
        let approver = self.leaf(place, Approver::parse(text))?;
        match &approver {
            Approver::User(user) if user.issuer != IssuerName::local() => {
                let message = format!("is {}: {why}, so name a local account of that person", shown(text));
                self.findings.error(place, message);
            }
            Approver::User(user) => {
                self.user(place, &user.subject.to_string())?;
            }
            Approver::Group(group) => {
                let mut accounts = self.raw.accounts.values();
                if !accounts.any(|account| account.groups.iter().any(|own| own == group.as_str())) {
                    let message = format!("is {}, and no local account is in that group: add one", shown(text));
                    let known = self.raw.accounts.values().flat_map(|account| &account.groups);
                    self.findings.warn(place, message + &near(group.as_str(), known));
                }
            }
        }
        Some(approver)
    }

    /// How many local accounts some approvers are, and how many people those are: as votes are counted, by their addresses.
    fn people_of(&self, approvers: &BTreeSet<Approver>) -> (usize, usize) {
        let named = |name: &str, account: &raw::Account| {
            approvers.iter().any(|approver| match approver {
                Approver::User(user) => user.subject.as_str() == name,
                Approver::Group(group) => account.groups.iter().any(|own| own == group.as_str()),
            })
        };
        let accounts = self.raw.accounts.iter().filter(|(name, account)| named(name, account));
        let parties = accounts.filter_map(|(name, account)| {
            Some(Party { user: UserKey::local(name).ok()?, email: account.email.clone() })
        });
        let mut people: Vec<Party> = Vec::new();
        let mut count = 0;
        for party in parties {
            count += 1;
            if !people.iter().any(|known| known.is(&party.user, party.email.as_deref())) {
                people.push(party);
            }
        }
        (count, people.len())
    }

    fn waivers(&mut self, place: &Place, raw: &BTreeMap<String, raw::ToolApprovals>) -> BTreeMap<ToolName, Waiver> {
        let mut waivers = BTreeMap::new();
        for (name, own) in raw {
            let place = place.key(name);
            let Some(tool) = self.leaf(&place, ToolName::parse(name)) else { continue };
            let place = place.key("not_needed").key("until");
            let Some(until) = self.instant(&place, &own.not_needed.until) else { continue };
            if until <= self.now {
                let message =
                    format!("is `{}`, which is past: calls of `{name}` need an approval again", own.not_needed.until);
                self.findings.warn(&place, message);
            } else if until > self.now.saturating_add(MAX_WAIVER_MS) {
                let message = format!(
                    "is `{}`, more than a year from now: choose an earlier day, and look at it again then",
                    own.not_needed.until
                );
                self.findings.error(&place, message);
            }
            waivers.insert(tool, Waiver { reason: own.not_needed.reason.clone(), until });
        }
        waivers
    }
}
