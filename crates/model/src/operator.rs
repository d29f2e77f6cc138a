//! Who has a part in running a deployment: roles by operating-system user and by person. They say who may act on Ambit
//! itself, never who may call a tool.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::ids::{ServerSlug, UserKey};

/// What stands before the name of a user of the operating system, in trail, store and tokens.
pub const OS_USER_PREFIX: &str = "operator:";

/// Who acts on the deployment itself. Made where it is proved: by the kernel's word on the peer of a socket, or by a person's
/// token. Reads in trail and store as `operator:NAME`, `user ISSUER:SUBJECT` and `ambit`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// A user of the operating system the server runs on.
    OsUser(String),
    /// A person.
    Person(UserKey),
    /// The program itself, at its first start.
    Ambit,
}

impl Actor {
    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "ambit" {
            return Some(Self::Ambit);
        }
        if let Some(name) = text.strip_prefix(OS_USER_PREFIX) {
            return Some(Self::OsUser(name.to_owned()));
        }
        UserKey::parse(text.strip_prefix("user ")?).ok().map(Self::Person)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OsUser(name) => write!(f, "{OS_USER_PREFIX}{name}"),
            Self::Person(user) => write!(f, "user {user}"),
            Self::Ambit => f.write_str("ambit"),
        }
    }
}

/// A part in running the deployment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Does everything but what separation of duties forbids.
    Admin,
    /// Grants, reveals, accepts and blocks what belongs to its servers alone.
    Owner,
    /// Says yes or no to single calls.
    Approver,
    /// Reads everything and changes nothing.
    Auditor,
}

impl Role {
    /// The word of configuration and trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Owner => "owner",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
        }
    }
}

/// One entry: somebody and their roles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleHolder {
    /// The user of the operating system, as the operator socket sees it.
    pub os_user: Option<String>,
    /// The person record.
    pub person: Option<UserKey>,
    /// What they are.
    pub roles: BTreeSet<Role>,
    /// The servers an owner answers for.
    pub servers: BTreeSet<ServerSlug>,
}

/// Every entry of a deployment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roles(pub Vec<RoleHolder>);

/// What somebody may do, and who they are as a person.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rights {
    /// The person records that stand behind them.
    pub persons: BTreeSet<UserKey>,
    /// What they are.
    pub roles: BTreeSet<Role>,
    /// The servers they answer for.
    pub servers: BTreeSet<ServerSlug>,
}

impl Roles {
    /// The rights of a user of the operating system; `None` if no entry names it.
    pub fn of_os_user(&self, name: &str) -> Option<Rights> {
        Rights::of(self.0.iter().filter(|holder| holder.os_user.as_deref() == Some(name)))
    }

    /// The rights of a person; `None` if no entry names it.
    pub fn of_person(&self, person: &UserKey) -> Option<Rights> {
        Rights::of(self.0.iter().filter(|holder| holder.person.as_ref() == Some(person)))
    }

    /// What somebody may do. A user of the operating system that no entry names holds store and keys in their hands, so
    /// roles would be no bound for them; a person that no entry names may nothing.
    pub fn rights_of(&self, actor: &Actor) -> Rights {
        match actor {
            Actor::OsUser(name) => self.of_os_user(name).unwrap_or_else(Rights::everything),
            Actor::Ambit => Rights::everything(),
            Actor::Person(user) => {
                let mut rights = self.of_person(user).unwrap_or_default();
                rights.persons.insert(user.clone());
                rights
            }
        }
    }

    /// Whether an entry names this user of the operating system.
    pub fn names_os_user(&self, name: &str) -> bool {
        self.0.iter().any(|holder| holder.os_user.as_deref() == Some(name))
    }
}

impl Rights {
    /// Everything, of nobody in particular.
    pub fn everything() -> Self {
        Self { roles: [Role::Admin].into(), ..Self::default() }
    }

    fn of<'a>(holders: impl Iterator<Item = &'a RoleHolder>) -> Option<Self> {
        let mut rights: Option<Self> = None;
        for holder in holders {
            let rights = rights.get_or_insert_default();
            rights.persons.extend(holder.person.clone());
            rights.roles.extend(&holder.roles);
            // Servers are those of the entry that makes somebody their owner, not of another.
            if holder.roles.contains(&Role::Owner) {
                rights.servers.extend(holder.servers.iter().cloned());
            }
        }
        rights
    }

    /// Whether they have a role.
    pub fn are(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether they answer for a server.
    pub fn own(&self, server: &ServerSlug) -> bool {
        self.servers.contains(server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(os_user: &str, person: Option<&str>, roles: &[Role], servers: &[&str]) -> RoleHolder {
        RoleHolder {
            os_user: Some(os_user.to_owned()),
            person: person.map(|person| UserKey::parse(person).unwrap()),
            roles: roles.iter().copied().collect(),
            servers: servers.iter().map(|slug| ServerSlug::parse(slug).unwrap()).collect(),
        }
    }

    #[test]
    fn entries_of_one_user_add_up_and_nobody_else_counts() {
        let roles = Roles(vec![
            holder("jana", Some("jana"), &[Role::Owner], &["mux"]),
            holder("jana", None, &[Role::Approver], &["crm"]),
            holder("root", None, &[Role::Admin], &[]),
        ]);
        let jana = roles.of_os_user("jana").unwrap();
        assert!(jana.are(Role::Owner) && jana.are(Role::Approver) && !jana.are(Role::Admin));
        assert!(jana.own(&ServerSlug::parse("mux").unwrap()));
        assert!(!jana.own(&ServerSlug::parse("crm").unwrap()), "an approver owns nothing");
        assert_eq!(roles.of_person(&UserKey::local("jana").unwrap()).unwrap().roles, [Role::Owner].into());
        assert_eq!(roles.of_os_user("mallory"), None);
        assert!(!roles.names_os_user("jan"));
    }

    #[test]
    fn whom_no_entry_names_may_everything_on_the_machine_and_nothing_as_a_person() {
        let roles = Roles(vec![holder("jana", Some("jana"), &[Role::Owner], &["mux"])]);
        let mallory = UserKey::local("mallory").unwrap();
        assert_eq!(roles.rights_of(&Actor::OsUser("mallory".into())), Rights::everything());
        let nothing = roles.rights_of(&Actor::Person(mallory.clone()));
        assert_eq!(nothing, Rights { persons: [mallory.clone()].into(), ..Rights::default() });
        assert!([Role::Admin, Role::Owner, Role::Approver, Role::Auditor].iter().all(|role| !nothing.are(*role)));
        // The same name is not the same somebody.
        assert!(!roles.rights_of(&Actor::OsUser("jana".into())).are(Role::Admin));
        assert!(!roles.rights_of(&Actor::Person(UserKey::parse("okta:jana").unwrap())).are(Role::Owner));
        for actor in [Actor::Person(mallory), Actor::OsUser("root".into()), Actor::OsUser("ambit".into()), Actor::Ambit]
        {
            assert_eq!(Actor::parse(&actor.to_string()), Some(actor));
        }
        assert_eq!(Actor::parse("root"), None);
    }
}
