//! Every route, once: what the router serves, what the description says, and what the tests hold each to.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{gives, grants, wants};

/// What is done at a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Metadata of the admin API as a resource (RFC 9728).
    Metadata,
    /// The description of everything here.
    OpenApi,
    /// Lists grants and reveals.
    ListGrants,
    /// Makes a grant.
    MakeGrant,
    /// Ends a grant or reveal.
    EndGrant,
    /// Makes a reveal.
    MakeReveal,
    /// Lists requests for approval.
    ListApprovals,
    /// One of them, with its arguments.
    ShowApproval,
    /// A yes or no to it.
    Decide,
    /// Ends everything of a scope issued until now.
    Revoke,
    /// Refuses everything of a scope.
    Block,
    /// Lifts a block.
    Unblock,
    /// Lists broken glass.
    ListGlass,
    /// What somebody says of one.
    ReviewGlass,
}

/// A route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path; `{id}` stands for one segment.
    pub path: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Who may, for people; what counts is asked for each act.
    pub who: &'static str,
    /// What is done.
    pub operation: Operation,
    /// What it takes.
    pub takes: Takes,
    /// What it gives.
    pub gives: Shape,
}

/// What a route takes beside its path.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// A body of JSON.
    Body(Shape),
    /// A query, each name once.
    Query(Shape),
}

/// A type that travels: its schema, and whether a value is one of it.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The schema.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Whether a value is one of the type, or why not.
    pub fits: fn(Value) -> Result<(), String>,
}

const fn shape<T: JsonSchema + DeserializeOwned>() -> Shape {
    Shape { schema: SchemaGenerator::subschema_for::<T>, fits: fits::<T> }
}

fn fits<T: DeserializeOwned>(value: Value) -> Result<(), String> {
    serde_json::from_value::<T>(value).map(drop).map_err(|error| error.to_string())
}

impl Route {
    /// Whether anybody may ask.
    pub const fn is_public(&self) -> bool {
        matches!(self.operation, Operation::Metadata | Operation::OpenApi)
    }

    /// The status when it was done.
    pub const fn status(&self) -> u16 {
        match self.operation {
            Operation::MakeGrant | Operation::MakeReveal => 201,
            Operation::Metadata
            | Operation::OpenApi
            | Operation::ListGrants
            | Operation::EndGrant
            | Operation::ListApprovals
            | Operation::ShowApproval
            | Operation::Decide
            | Operation::Revoke
            | Operation::Block
            | Operation::Unblock
            | Operation::ListGlass
            | Operation::ReviewGlass => 200,
        }
    }
}

const ANYBODY: &str = "anybody";
const READERS: &str = "an admin or auditor everything; an owner what reaches their servers";
const GIVERS: &str = "an admin, or the owner of every server it reaches; nobody for themselves";
const STOPPERS: &str = "an admin; the owner of a server for it and its tools";
const APPROVERS: &str = "an approver or admin, for the calls they may decide; nobody their own";
const REVIEWERS: &str = "an admin or auditor; not who broke it";

/// Every route of the admin API.
pub const ROUTES: [Route; 14] = [
    Route {
        method: "GET",
        path: ambit_identity::admin::METADATA,
        purpose: "Metadata of the admin API as a protected resource (RFC 9728)",
        who: ANYBODY,
        operation: Operation::Metadata,
        takes: Takes::Nothing,
        gives: shape::<gives::Any>(),
    },
    Route {
        method: "GET",
        path: "/openapi.json",
        purpose: "This description",
        who: ANYBODY,
        operation: Operation::OpenApi,
        takes: Takes::Nothing,
        gives: shape::<gives::Any>(),
    },
    Route {
        method: "GET",
        path: "/v1/grants",
        purpose: "List grants and reveals, what ends first in front",
        who: READERS,
        operation: Operation::ListGrants,
        takes: Takes::Query(shape::<grants::Query>()),
        gives: shape::<gives::Holdings>(),
    },
    Route {
        method: "POST",
        path: "/v1/grants",
        purpose: "Grant a toolset",
        who: GIVERS,
        operation: Operation::MakeGrant,
        takes: Takes::Body(shape::<wants::NewGrant>()),
        gives: shape::<gives::Done<gives::GrantMade>>(),
    },
    Route {
        method: "DELETE",
        path: "/v1/grants/{id}",
        purpose: "End a grant or reveal before its time",
        who: "an admin, or the owner of every server it reaches",
        operation: Operation::EndGrant,
        takes: Takes::Query(shape::<wants::Ending>()),
        gives: shape::<gives::Done<gives::Ended>>(),
    },
    Route {
        method: "POST",
        path: "/v1/reveals",
        purpose: "Make the destructive tools of a toolset visible to one user in one client, for at most eight hours",
        who: GIVERS,
        operation: Operation::MakeReveal,
        takes: Takes::Body(shape::<wants::NewReveal>()),
        gives: shape::<gives::Done<gives::RevealMade>>(),
    },
    Route {
        method: "GET",
        path: "/v1/approvals",
        purpose: "List the calls that wait for you",
        who: APPROVERS,
        operation: Operation::ListApprovals,
        takes: Takes::Nothing,
        gives: shape::<gives::Done<gives::WaitingCalls>>(),
    },
    Route {
        method: "GET",
        path: "/v1/approvals/{id}",
        purpose: "One of them, with its complete arguments",
        who: APPROVERS,
        operation: Operation::ShowApproval,
        takes: Takes::Nothing,
        gives: shape::<gives::Done<gives::WaitingCall>>(),
    },
    Route {
        method: "POST",
        path: "/v1/approvals/{id}/decision",
        purpose: "Say yes or no to one exact call",
        who: APPROVERS,
        operation: Operation::Decide,
        takes: Takes::Body(shape::<wants::Decision>()),
        gives: shape::<gives::Done<gives::Decided>>(),
    },
    Route {
        method: "POST",
        path: "/v1/revocations",
        purpose: "End everything of a scope issued until now; a new login is possible",
        who: STOPPERS,
        operation: Operation::Revoke,
        takes: Takes::Body(shape::<wants::Marking>()),
        gives: shape::<gives::Done<gives::Marked>>(),
    },
    Route {
        method: "POST",
        path: "/v1/blocks",
        purpose: "Refuse everything of a scope until it is lifted; again, it changes nothing",
        who: STOPPERS,
        operation: Operation::Block,
        takes: Takes::Body(shape::<wants::Marking>()),
        gives: shape::<gives::Done<gives::Marked>>(),
    },
    Route {
        method: "DELETE",
        path: "/v1/blocks",
        purpose: "Lift a block; what was revoked stays dead",
        who: "an admin; the owner of a server for it and its tools; nobody for themselves",
        operation: Operation::Unblock,
        takes: Takes::Query(shape::<wants::Lifting>()),
        gives: shape::<gives::Done<gives::Marked>>(),
    },
    Route {
        method: "GET",
        path: "/v1/break-glass",
        purpose: "List every broken glass, newest first",
        who: "an admin or auditor",
        operation: Operation::ListGlass,
        takes: Takes::Nothing,
        gives: shape::<gives::Done<gives::BrokenGlass>>(),
    },
    Route {
        method: "POST",
        path: "/v1/break-glass/{id}/review",
        purpose: "Say what came of looking at one, once",
        who: REVIEWERS,
        operation: Operation::ReviewGlass,
        takes: Takes::Body(shape::<wants::Review>()),
        gives: shape::<gives::Done<gives::Reviewed>>(),
    },
];
