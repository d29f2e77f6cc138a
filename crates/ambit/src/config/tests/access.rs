//! What may be asked for: who, where, for how long, and whether anybody could ever give it.

use super::*;
use ambit_model::{
    access::AccessRules,
    caller::UserFacts,
    ids::{EndpointSlug, GroupName, ToolsetSlug, UserKey},
};

const DAY_MS: Millis = 24 * 3_600_000;

fn asking(settings: &str, toolset: &str, more: &str) -> String {
    let base = "[[endpoints]]\npath = \"/mcp\"\nservers = [\"mux\"]\n[[endpoints]]\npath = \"/mcp/quiet\"\nservers = \
                [\"mux\"]\naccess_requests = false\n[accounts.alice]\ngroups = [\"staff\"]\n[accounts.bob]\n";
    let toolset = format!("[toolsets.reads]\ntools = [\"mux/*\"]\n{toolset}\n");
    with_server("") + base + settings + &toolset + more
}

fn rules(text: &str) -> AccessRules {
    load_text(text).unwrap().deployment.access
}

#[test]
fn who_may_ask_for_what_is_read() {
    let owner = "[[operator.roles]]\nperson = \"bob\"\nroles = [\"owner\"]\nservers = [\"mux\"]\n";
    let text = asking("[access_requests]\nlongest = \"30d\"\n", "requestable_by = [\"group staff\"]", owner);
    let rules = rules(&text);
    let staff = UserFacts {
        key: UserKey::local("alice").unwrap(),
        groups: [GroupName::parse("staff").unwrap()].into(),
        claims: BTreeMap::new(),
    };
    let reads = ToolsetSlug::parse("reads").unwrap();
    assert!(rules.admit(&staff, &reads));
    assert!(!rules.admit(&UserFacts { groups: std::collections::BTreeSet::new(), ..staff }, &reads));
    assert_eq!(rules.life(None), Ok(30 * DAY_MS));
    let on = |slug: &str| rules.are_on_at(&EndpointSlug::parse(slug).unwrap());
    assert!(on("default") && !on("quiet"));
    assert_eq!(problems(&text), "", "somebody could say yes");
}

#[test]
fn without_a_word_the_tools_are_there_and_nothing_can_be_asked_for() {
    let rules = rules(&asking("", "", ""));
    assert!(rules.enabled && rules.requestable_by.is_empty());
    assert_eq!(rules.life(None), Ok(90 * DAY_MS));
    assert!(!self::rules(&asking("[access_requests]\nenabled = false\n", "", "")).enabled);
}

#[test]
fn what_cannot_be_meant_is_told() {
    let told = problems(&asking(
        "[access_requests]\nlongest = \"2y\"\n",
        "requestable_by = [\"user carol\", \"user okta:x\", \"staff\"]",
        "",
    ));
    for said in ["access_requests.longest", "no local account", "whoever asks confirms", "user NAME"] {
        assert!(told.contains(said), "{said}: {told}");
    }
    let told = problems(&asking("[access_requests]\nlongest = \"366d\"\n", "", ""));
    assert!(told.contains("up to `365d`"), "{told}");
    // Nobody could give it: no role at all, an owner of something else, a role without a person.
    for roles in [
        "",
        "[[operator.roles]]\nperson = \"bob\"\nroles = [\"approver\"]\n",
        "[[operator.roles]]\nos_user = \"ops\"\nroles = [\"admin\"]\n",
    ] {
        let told = problems(&asking("", "requestable_by = [\"user alice\"]", roles));
        assert!(told.contains("what nobody could give them: name a `person` who is `owner` of `mux`"), "{told}");
    }
}
