//! The schema, step by step. A released step is never edited; a new one only adds.
//!
//! Written in what both engines read; `blob` is spelled `bytea` for PostgreSQL. Times are milliseconds since the epoch, flags
//! are 0 or 1, `…_hash` and `…_digest` are SHA-256, lists are JSON, a user is `issuer:subject`.

/// One step.
pub(crate) struct Step {
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

/// Every step, ascending.
pub(crate) const STEPS: &[Step] = &[
    Step { version: 1, name: "revision and nodes", sql: FLEET },
    Step { version: 2, name: "accounts, sessions and clients", sql: IDENTITY },
    Step { version: 3, name: "codes, families and consents", sql: AUTHORIZATION },
    Step { version: 4, name: "grants, revocations and acceptances", sql: ENTITLEMENT },
    Step { version: 5, name: "trail index", sql: TRAIL },
    Step { version: 6, name: "grants of every origin", sql: GRANT_RECORDS },
    Step { version: 7, name: "approvals", sql: APPROVALS },
    Step { version: 8, name: "applied rule sets", sql: RULE_SETS },
    Step { version: 9, name: "broken glass", sql: BROKEN_GLASS },
    Step { version: 10, name: "budgets of the day", sql: BUDGETS },
    Step { version: 11, name: "touched labels", sql: TOUCHED },
    Step { version: 12, name: "requests for access", sql: ACCESS_REQUESTS },
];

const FLEET: &str = "
create table revision (
    id bigint primary key check (id = 1),
    value bigint not null
);
insert into revision (id, value) values (1, 1);

create table nodes (
    id text primary key,
    config_digest blob not null,
    applied_revision bigint not null,
    last_seen_at bigint not null
);

create table applied_config (
    id bigint primary key check (id = 1),
    digest blob not null,
    applied_by text not null,
    applied_at bigint not null
);
";

const IDENTITY: &str = "
create table accounts (
    name text primary key,
    password_hash text,
    disabled bigint not null,
    created_at bigint not null,
    updated_at bigint not null
);

create table account_links (
    hash blob primary key,
    account text not null references accounts (name) on delete cascade,
    expires_at bigint not null,
    consumed_at bigint
);
create index account_links_by_account on account_links (account);

create table login_sessions (
    id_hash blob primary key,
    user_key text not null,
    auth_time bigint not null,
    amr text not null,
    csrf blob not null,
    created_at bigint not null,
    expires_at bigint not null,
    last_seen_at bigint not null
);
create index login_sessions_by_user on login_sessions (user_key);
create index login_sessions_by_expiry on login_sessions (expires_at);

create table pending_requests (
    id_hash blob primary key,
    request text not null,
    expires_at bigint not null
);
create index pending_requests_by_expiry on pending_requests (expires_at);

create table clients (
    id text primary key,
    metadata text not null,
    secret_hash blob,
    created_at bigint not null,
    first_used_at bigint
);
create index clients_unused on clients (created_at) where first_used_at is null;
";

const AUTHORIZATION: &str = "
create table codes (
    hash blob primary key,
    payload text not null,
    family text not null,
    expires_at bigint not null,
    consumed_at bigint
);
create index codes_by_expiry on codes (expires_at);

create table families (
    id text primary key,
    user_key text not null,
    client text not null,
    endpoint text not null,
    toolsets text not null,
    details text not null,
    auth_time bigint not null,
    created_at bigint not null,
    last_used_at bigint not null,
    revoked_at bigint
);
create index families_by_user on families (user_key, created_at);

create table refresh_tokens (
    hash blob primary key,
    family text not null references families (id) on delete cascade,
    generation bigint not null,
    issued_at bigint not null,
    expires_at bigint not null,
    rotated_at bigint,
    unique (family, generation)
);
create index refresh_tokens_by_expiry on refresh_tokens (expires_at);

create table consents (
    key_digest blob primary key,
    user_key text not null,
    client text not null,
    endpoint text not null,
    redirect_uri text not null,
    metadata_digest blob not null,
    ticked text not null,
    declined text not null,
    decided_at bigint not null
);
create index consents_by_user on consents (user_key);
";

const ENTITLEMENT: &str = "
create table grants (
    id text primary key,
    subject_kind text not null check (subject_kind in ('user', 'group', 'agent')),
    subject text not null,
    toolset text not null,
    reason text not null,
    approved_by text,
    starts_at bigint not null,
    expires_at bigint not null check (expires_at > starts_at),
    created_by text not null,
    created_at bigint not null,
    ended_by text,
    ended_at bigint
);
create index grants_by_expiry on grants (expires_at);

create table reveals (
    id text primary key,
    user_key text not null,
    client text not null,
    agent text,
    toolset text not null,
    reason text not null,
    approved_by text,
    starts_at bigint not null,
    expires_at bigint not null check (expires_at > starts_at and expires_at - starts_at <= 28800000),
    created_by text not null,
    created_at bigint not null,
    ended_by text,
    ended_at bigint
);
create index reveals_by_expiry on reveals (expires_at);

create table revocations (
    kind text not null,
    id text not null,
    revoked_at bigint,
    blocked bigint not null,
    acted_by text not null,
    reason text not null,
    acted_at bigint not null,
    primary key (kind, id)
);

create table acceptances (
    tool text primary key,
    digest blob not null,
    accepted_by text not null,
    accepted_at bigint not null
);

create table definitions (
    digest blob primary key,
    tool text not null,
    definition text not null,
    seen_at bigint not null
);
create index definitions_by_tool on definitions (tool, seen_at);
";

const TRAIL: &str = "
create table trail_bundles (
    node text not null,
    first_leaf bigint not null,
    last_leaf bigint not null check (last_leaf >= first_leaf),
    from_ms bigint not null,
    to_ms bigint not null,
    segment text not null,
    positions blob not null,
    primary key (node, first_leaf)
);
create index trail_bundles_by_time on trail_bundles (to_ms, node, first_leaf);

create table trail_keys (
    kind text not null,
    value text not null,
    to_ms bigint not null,
    node text not null,
    first_leaf bigint not null,
    from_ms bigint not null,
    primary key (node, first_leaf, kind, value),
    foreign key (node, first_leaf) references trail_bundles (node, first_leaf) on delete cascade
);
create index trail_keys_by_value on trail_keys (kind, value, to_ms, node, first_leaf);
";

// A second table rather than columns of `grants`: an earlier version beside this one would read a constrained grant as an
// unconstrained one, and a client's as somebody's. What it wrote is read from both.
const GRANT_RECORDS: &str = "
create table grant_records (
    id text primary key,
    subject_kind text not null check (subject_kind in ('user', 'group', 'agent', 'client', 'claim')),
    subject text not null,
    toolset text not null,
    reason text not null,
    ticket text,
    approved_by text,
    starts_at bigint not null,
    expires_at bigint not null check (expires_at > starts_at and expires_at - starts_at <= 31536000000),
    origin text not null check (origin in ('operator', 'request', 'break_glass', 'import')),
    constraints text,
    created_by text not null,
    created_at bigint not null,
    ended_by text,
    ended_at bigint
);
create index grant_records_by_expiry on grant_records (expires_at);
";

const APPROVALS: &str = "
create table approvals (
    id text primary key,
    call_digest blob not null,
    caller text not null,
    server text not null,
    tool text not null,
    endpoint text not null,
    user_key text,
    agent text,
    client text not null,
    needed bigint not null check (needed >= 1),
    told text not null,
    arguments blob,
    erase_at bigint not null,
    requested_at bigint not null,
    asked bigint not null,
    stage text not null check (stage in ('pending', 'approved', 'denied', 'lapsed', 'consumed', 'executed')),
    since bigint not null,
    until bigint,
    why text,
    record text,
    executed text
);
create unique index approvals_open on approvals (call_digest) where stage in ('pending', 'approved');
create index approvals_by_digest on approvals (call_digest, requested_at);
create index approvals_by_caller on approvals (caller) where stage = 'pending';
create index approvals_by_stage on approvals (stage, until);
create index approvals_by_tool on approvals (tool, since);
create index approvals_to_erase on approvals (erase_at) where arguments is not null;

create table approval_votes (
    approval text not null references approvals (id) on delete cascade,
    person text not null,
    email text,
    says text not null check (says in ('yes', 'no')),
    voted_at bigint not null,
    via text not null,
    reason text,
    primary key (approval, person)
);

create table approval_turns (
    caller text primary key,
    taken_at bigint not null
);
";

const RULE_SETS: &str = "
create table rule_sets (
    digest blob primary key,
    rules text not null,
    first_applied_at bigint not null,
    last_applied_at bigint not null
);
";

const BROKEN_GLASS: &str = "
create table broken_glass (
    reveal text primary key references reveals (id),
    reviewed_by text,
    reviewed_at bigint,
    review text
);
";

const BUDGETS: &str = "
create table day_counts (
    node text not null,
    day bigint not null,
    person blob not null,
    what text not null,
    count bigint not null,
    primary key (node, day, person, what)
);
";

const TOUCHED: &str = "
create table touched (
    caller blob not null,
    label text not null,
    until bigint not null,
    primary key (caller, label)
);
create index touched_by_end on touched (until);
";

const ACCESS_REQUESTS: &str = "
create table access_requests (
    id text primary key,
    user_key text not null,
    toolset text not null,
    endpoint text not null,
    client text not null,
    agent text,
    life_ms bigint not null check (life_ms > 0 and life_ms <= 31536000000),
    told text not null,
    words text,
    requested_at bigint not null,
    asked bigint not null,
    stage text not null check (stage in ('unconfirmed', 'waiting', 'approved', 'denied', 'withdrawn', 'lapsed')),
    since bigint not null,
    until bigint,
    why text,
    decided_by text,
    via text,
    decision text,
    grant_record text,
    check (stage <> 'approved' or grant_record is not null)
);
create unique index access_requests_open on access_requests (user_key, toolset) where stage in ('unconfirmed', 'waiting');
create index access_requests_by_user on access_requests (user_key, requested_at);
create index access_requests_by_stage on access_requests (stage, until);

create table access_turns (
    person text primary key,
    taken_at bigint not null
);
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_without_gaps_and_only_expand() {
        for (index, step) in STEPS.iter().enumerate() {
            assert_eq!(step.version, i64::try_from(index).unwrap() + 1, "{}", step.name);
            for narrowing in ["drop ", "rename ", "delete from", "truncate"] {
                assert!(!step.sql.contains(narrowing), "step {} says `{narrowing}`", step.version);
            }
        }
    }
}
