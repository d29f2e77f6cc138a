//! From what is written to what it means: the nouns of a deployment, and every check that looks at more than one value.
//!
//! Each function gives what it could make of its part and reports the rest; the result counts only when nothing was
//! reported. A value that already broke the rule of its own format is left out here without a second report.

use std::{
    collections::BTreeSet, fmt::Display, net::SocketAddr, num::NonZeroU32, path::Path, sync::Arc, time::Duration,
};

use ambit_egress::{EgressRules, Network};
use ambit_gateway::StreamSettings;
use ambit_live::{deployment::Deployment, lock::Lock};
use ambit_model::{
    Digest,
    ids::{IssuerName, Millis, UserKey},
    secret::SecretRef,
};
use ambit_policy::Policies;
use ambit_store::StoreUrl;

use super::{
    Overrides, Resolved, Rules, TrailSettings, format,
    place::Place,
    problem::{Findings, shown},
    quantity, raw, secrets,
};

mod access;
mod admin;
mod approvals;
mod authorities;
mod break_glass;
pub(super) mod budgets;
mod endpoints;
mod entitlement;
pub(crate) mod grants;
mod people;
mod servers;
mod webhooks;

/// What the parts share.
pub(super) struct Resolving<'a> {
    pub(super) raw: &'a raw::File,
    /// The directory that relative paths start from.
    pub(super) base: &'a Path,
    pub(super) now: Millis,
    pub(super) rules: Rules,
    pub(super) findings: &'a mut Findings,
}

impl Resolving<'_> {
    /// Everything; it counts only if nothing was reported.
    pub(super) fn run(mut self, file: &Path, digest: Digest) -> Resolved {
        let root = Place::root();
        let raw = self.raw;
        let allow = self.networks(&root.key("egress").key("allow"), &raw.egress.allow);
        let egress = EgressRules::new(allow);
        let documents = self.networks(&root.key("egress").key("client_documents"), &raw.egress.client_documents);
        let public_url = self.leaf(&root.key("public_url"), format::public_url(&raw.public_url)).unwrap_or_default();
        let data_dir = self.base.join(&raw.data_dir);
        let policies = self.policies();
        // A fleet's nodes agree on the rules as well.
        let digest = if policies.is_empty() {
            digest
        } else {
            Digest::of_parts([digest.0.as_slice(), policies.digest().0.as_slice()])
        };
        let admin = self.admin(&public_url);
        let (toolsets, roles) = (self.toolsets(), self.roles());
        let deployment = Deployment {
            access: self.access(&toolsets, &roles),
            endpoints: self.endpoints(&public_url),
            servers: self.servers(&egress),
            issuers: self.issuers(&egress),
            accounts: self.accounts(),
            agents: self.agents(),
            toolsets,
            grants: self.grants(),
            ceilings: self.ceilings(),
            clients: self.registered_clients(),
            roles,
            policies,
            break_glass: self.break_glass(),
            budgets: self.budgets(),
            admin: admin.as_ref().map(|(_, resource)| resource.clone()),
            operator_may_mint: raw.operator.mint,
            public_url,
            digest,
        };
        let webhooks = self.webhooks(&egress);
        let listen = self.leaf(&root.key("listen"), raw.listen.parse()).unwrap_or(([127, 0, 0, 1], 0).into());
        let metrics = self.metrics(&listen);
        self.warn_of_silence();
        Resolved {
            file: None,
            lock_file: file.with_extension("lock"),
            lock: Lock::default(),
            deployment,
            webhooks,
            listen,
            metrics,
            admin: admin.map(|(address, _)| address),
            store: self.store(&data_dir),
            trail: TrailSettings {
                reads: raw.trail.reads,
                checkpoint_file: raw.trail.checkpoint_file.as_ref().map(|file| self.base.join(file)),
                node: raw.trail.node.clone(),
                retain: self.retain(),
            },
            rules: super::policies::Place::of(&raw.policies, self.base),
            streams: self.streams(),
            trusted_proxies: self.networks(&root.key("trusted_proxies"), &raw.trusted_proxies),
            egress,
            client_documents: EgressRules::for_client_documents(documents),
            roots: self.roots(),
            key_dir: raw.key_dir.as_ref().map(|directory| self.base.join(directory)),
            data_dir,
            overrides: Overrides::default(),
            warnings: Vec::new(),
        }
    }

    /// The organisation's rules, read and checked as far as no tool is needed for it.
    fn policies(&mut self) -> Arc<Policies> {
        if self.rules == Rules::Leave {
            return Arc::default();
        }
        let place = Place::root().key("policies");
        let read = super::policies::read(&super::policies::Place::of(&self.raw.policies, self.base));
        let read = read.map_err(|error| error.to_string()).map(Arc::new);
        let checked = read.and_then(|policies| match ambit_policy::check(&policies) {
            Ok(()) => Ok(policies),
            Err(error) => Err(format!("cannot be used: {error}")),
        });
        self.leaf(&place, checked).unwrap_or_default()
    }

    fn retain(&mut self) -> Option<Duration> {
        /// What is younger may still be read again at a start.
        const SHORTEST: Duration = Duration::from_hours(24);
        let place = Place::root().key("trail").key("retain");
        let text = self.raw.trail.retain.as_deref()?;
        let retain = self.leaf(&place, quantity::duration(text).ok_or("is not a duration"))?;
        if retain < SHORTEST {
            self.findings.error_once(&place, format!("is `{text}`: records are kept for a day at least, `1d`"));
            return None;
        }
        Some(retain)
    }

    fn streams(&mut self) -> StreamSettings {
        /// One that ends sooner costs more than it tells.
        const SHORTEST: Duration = Duration::from_mins(1);
        let (raw, usual) = (&self.raw.streams, StreamSettings::default());
        let count =
            |many: Option<NonZeroU32>, usual| many.map_or(usual, |many| usize::try_from(many.get()).unwrap_or(usual));
        let place = Place::root().key("streams").key("life");
        let life = raw.life.as_deref().and_then(|text| {
            let life = self.leaf(&place, quantity::duration(text).ok_or("is not a duration"))?;
            if life < SHORTEST {
                self.findings
                    .error_once(&place, format!("is `{text}`: a stream stays open for a minute at least, `1m`"));
            }
            Some(life)
        });
        StreamSettings {
            per_person: count(raw.per_person, usual.per_person),
            at_once: count(raw.at_once, usual.at_once),
            life: life.unwrap_or(usual.life),
            ..usual
        }
    }

    fn metrics(&mut self, served: &SocketAddr) -> Option<SocketAddr> {
        let place = Place::root().key("metrics").key("listen");
        let text = self.raw.metrics.listen.as_ref()?;
        let address: SocketAddr = self.leaf(&place, text.parse())?;
        if address == *served && address.port() != 0 {
            self.findings.error(&place, format!("is `{address}`, where clients are served: use another port"));
        }
        if !address.ip().is_loopback() {
            let message =
                format!("is `{address}`: whoever reaches it reads the counters, so keep clients away from it");
            self.findings.warn(&place, message);
        }
        Some(address)
    }

    fn store(&mut self, data_dir: &Path) -> StoreUrl {
        let embedded = StoreUrl::File(data_dir.join("ambit.db"));
        let Some(text) = &self.raw.store else { return embedded };
        let place = Place::root().key("store");
        let url = if text.starts_with("env:") || text.starts_with("file:") {
            let Some(reference) = self.secret(&place, text) else { return embedded };
            let read = secrets::read(&reference).map_err(|why| format!("is `{reference}`: {why}"));
            self.leaf(&place, read).and_then(|url| self.leaf(&place, StoreUrl::parse(url.expose())))
        } else {
            self.leaf(&place, StoreUrl::parse(text))
        };
        match url {
            Some(StoreUrl::File(path)) => StoreUrl::File(self.base.join(path)),
            Some(other) => other,
            None => embedded,
        }
    }

    /// A value whose own rule the shape check already told about.
    fn leaf<T, E: Display>(&mut self, place: &Place, parsed: Result<T, E>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(error) => {
                self.findings.error_once(place, error.to_string());
                None
            }
        }
    }

    fn instant(&mut self, place: &Place, text: &str) -> Option<Millis> {
        self.leaf(place, quantity::instant(text).ok_or("is not a date"))
    }

    fn secret(&mut self, place: &Place, text: &str) -> Option<SecretRef> {
        match self.leaf(place, SecretRef::parse(text))? {
            SecretRef::File(path) => Some(SecretRef::File(self.base.join(path))),
            other => Some(other),
        }
    }

    fn networks(&mut self, place: &Place, texts: &[String]) -> Vec<Network> {
        let each = texts.iter().enumerate();
        each.filter_map(|(index, text)| self.leaf(&place.index(index), text.parse::<Network>())).collect()
    }

    /// A user that somebody can vouch for: a declared account, or anybody of a declared issuer.
    fn user(&mut self, place: &Place, text: &str) -> Option<UserKey> {
        let user = self.leaf(place, UserKey::parse(text))?;
        if user.issuer == IssuerName::local() {
            if !self.raw.accounts.contains_key(user.subject.as_str()) {
                let message =
                    format!("names {}, which is no local account: add `[accounts.{}]`", shown(text), user.subject);
                self.findings.error(place, message + &near(user.subject.as_str(), self.raw.accounts.keys()));
            }
        } else if !self.raw.issuers.contains_key(user.issuer.as_str()) {
            let message =
                format!("names {}, whose issuer is not declared: add `[issuers.{}]`", shown(text), user.issuer);
            self.findings.error(place, message);
        }
        Some(user)
    }

    /// A name that has to stand in another table.
    fn declared<'k, T>(
        &mut self,
        place: &Place,
        name: &str,
        table: &'static str,
        known: impl Iterator<Item = &'k T> + Clone,
    ) -> bool
    where
        T: AsRef<str> + ?Sized + 'k,
    {
        let names = known.map(AsRef::as_ref);
        if names.clone().any(|known| known == name) {
            return true;
        }
        let message = format!("names {}, which is not declared: add `[{table}.{name}]`", shown(name));
        self.findings.error_once(place, message + &near(name, names));
        false
    }

    /// Configurations that are valid and let nobody do anything.
    fn warn_of_silence(&mut self) {
        let root = Place::root();
        let raw = self.raw;
        if !raw.grants.is_empty() && raw.clients.is_empty() {
            let message = "is not there, so every client reaches nothing: add `[clients.default]` with \
                           `toolsets = [\"*\"]`, or an entry for each client";
            self.findings.warn(&root.key("clients"), message);
        }
        let published: BTreeSet<_> = raw.endpoints.iter().flat_map(|endpoint| &endpoint.servers).collect();
        for slug in raw.servers.keys().filter(|slug| !published.contains(slug)) {
            let message = "is published by no endpoint: name it in the `servers` of one";
            self.findings.warn(&root.key("servers").key(slug), message);
        }
    }
}

/// `, or did you mean …`, if some declared name is close.
fn near<T: AsRef<str>>(name: &str, known: impl Iterator<Item = T>) -> String {
    let nearest = known.map(|known| (super::shape::distance(name, known.as_ref()), known.as_ref().to_owned())).min();
    match nearest {
        Some((far, known)) if far <= known.len().div_ceil(3) => format!(", or did you mean `{known}`?"),
        Some(_) | None => String::new(),
    }
}
