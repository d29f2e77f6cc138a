//! `ambit_status`: what the person behind the caller holds at this endpoint and until when, what they asked for, what waits
//! for others, and what can be asked for. Only of this person, only of this endpoint, and nothing that is hidden here.

use std::collections::BTreeSet;

use ambit_identity::{
    access::{self, catalogue},
    approvals,
};
use ambit_live::snapshot::{index_of, position_of};
use ambit_mcp::reply;
use ambit_model::{
    access::{AccessRequest, is_offered_at, life_text},
    approval::Stage,
    calendar::instant_text,
    caller::TokenScopes,
    ids::{Millis, ToolId},
    toolset::Toolset,
};
use ambit_policy::ToolIndex;
use serde_json::{Value, json};

use super::{
    Failed, OwnTool, Told,
    request::link,
    wish::{object, only},
};
use crate::{
    approve::words::{page, time},
    authenticate::Entered,
    authorize,
    gateway::Gateway,
};

/// Most requests, and most calls that wait, that are told.
const MOST: usize = 10;

pub(super) fn definition() -> Value {
    super::definition(
        OwnTool::Status,
        "Access status",
        "Says what the signed-in person holds at this endpoint and until when, which requests for access and which calls wait \
         for people, and which toolsets can be asked for with `ambit_request_access`. Call it when a tool that is needed is \
         not listed.",
        &json!({ "type": "object", "properties": {}, "additionalProperties": false }),
    )
}

/// A toolset the caller has something of.
struct Holding<'a> {
    toolset: &'a Toolset,
    granted_until: Option<Millis>,
    revealed_until: Option<Millis>,
    /// How many of its tools are listed.
    listed: usize,
    /// Whether the login carries it.
    carried: bool,
}

pub(super) async fn answer(gateway: &Gateway, entered: &Entered, arguments: &Value) -> Result<Told, Failed> {
    object(arguments).and_then(|members| only(members, &[])).map_err(Failed::Arguments)?;
    let now = gateway.live().clock().now();
    let (place, facts) = (entered.place(), entered.caller().facts());
    let (Some(view), Some(user)) = (place.view(), facts.user()) else {
        return Err(Failed::Arguments("nobody stands behind this call".to_owned()));
    };
    let deployment = &place.snapshot().deployment;
    let holdings = holdings(entered, now);
    let held: BTreeSet<_> =
        holdings.iter().filter(|one| one.granted_until.is_some()).map(|one| &one.toolset.slug).collect();
    let requestable = catalogue::of_caller(place.snapshot(), &view.endpoint, facts);
    let requestable: Vec<_> = requestable.into_iter().filter(|toolset| !held.contains(&toolset.slug)).collect();
    let requests: Vec<_> = access::of_person(gateway.live(), &user.key)
        .await
        .map_err(approvals::Unable::from)?
        .into_iter()
        .filter(|request| {
            let toolset = deployment.toolsets.get(&request.toolset);
            toolset.is_some_and(|toolset| is_offered_at(toolset, &view.endpoint))
        })
        .map(|request| AccessRequest { stage: request.stage.clone().at(now), ..request })
        .take(MOST)
        .collect();
    let calls = waiting_calls(gateway, entered, now).await?;
    let mut lines = vec![format!(
        "You work for {} at {}.",
        approvals::people::name(place.snapshot(), &user.key),
        view.endpoint.title
    )];
    lines.extend(section("Held here", "nothing", holdings.iter().map(Holding::line)));
    lines.extend(section("Requests for access", "none", requests.iter().map(|request| request_line(entered, request))));
    if !calls.is_empty() {
        lines.extend(section("Calls that wait for approval", "none", calls.iter().map(Call::line)));
    }
    let asked = requestable.iter().map(|toolset| named(toolset));
    lines.extend(section("Can be asked for with `ambit_request_access`", "nothing", asked));
    let longest = deployment.access.life(None).map(life_text).unwrap_or_default();
    if !requestable.is_empty() {
        lines.push(format!("Access is given for at most {longest}."));
    }
    let structured = json!({
        "user": user.key.to_string(),
        "endpoint": view.endpoint.slug,
        "toolsets": holdings.iter().map(Holding::members).collect::<Vec<_>>(),
        "requests": requests.iter().map(|request| request_members(entered, request)).collect::<Vec<_>>(),
        "waiting_calls": calls.iter().map(Call::members).collect::<Vec<_>>(),
        "requestable": requestable.iter().map(|toolset| json!({
            "toolset": toolset.slug,
            "title": toolset.title,
        })).collect::<Vec<_>>(),
    });
    Ok(Told { sentence: lines.join("\n"), structured, outcome: reply::Outcome::Ok, result: "ok" })
}

fn section(title: &str, nothing: &str, lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut section: Vec<_> = lines.map(|line| format!("- {line}")).collect();
    if section.is_empty() {
        return vec![format!("{title}: {nothing}.")];
    }
    section.insert(0, format!("{title}:"));
    section
}

fn named(toolset: &Toolset) -> String {
    if toolset.title.is_empty() || toolset.title == toolset.slug.as_str() {
        format!("`{}`", toolset.slug)
    } else {
        format!("`{}` ({})", toolset.slug, toolset.title)
    }
}

/// The toolsets of the person of which this caller is listed something here.
fn holdings(entered: &Entered, now: Millis) -> Vec<Holding<'_>> {
    let (place, caller) = (entered.place(), entered.caller());
    let snapshot = place.snapshot();
    let visible = authorize::visible(place, caller, now);
    let tools: Vec<_> = visible
        .tools
        .iter()
        .filter(|tool| !authorize::is_revoked(snapshot, **tool, caller.issued_at()))
        .filter_map(|tool| snapshot.catalogue.entry(position_of(*tool)))
        .map(|entry| (entry.tool.id(), entry.tool.effect.effect))
        .collect();
    let held = snapshot.judge.holdings(caller.class(), now);
    let holding = |one: ambit_policy::Held| {
        let toolset = snapshot.deployment.toolsets.get(&one.toolset)?;
        let listed = tools.iter().filter(|(id, effect)| toolset.contains(id, *effect)).count();
        let carried = match &caller.facts().scopes {
            TokenScopes::Toolsets(carried) => carried.contains(&one.toolset),
            TokenScopes::None => true,
        };
        let (granted_until, revealed_until) = (one.granted_until, one.revealed_until);
        (listed > 0).then_some(Holding { toolset, granted_until, revealed_until, listed, carried })
    };
    held.into_iter().filter_map(holding).collect()
}

impl Holding<'_> {
    fn line(&self) -> String {
        let until = match (self.granted_until, self.revealed_until) {
            (Some(until), Some(revealed)) => {
                format!("until {}, its destructive tools revealed until {}", time(until), time(revealed))
            }
            (Some(until), None) => format!("until {}", time(until)),
            (None, Some(revealed)) => format!("revealed until {}", time(revealed)),
            (None, None) => String::new(),
        };
        let carried = if self.carried {
            ""
        } else {
            "; this login does not carry it yet: call one of its tools to see how it can"
        };
        format!("{} {until}, tools listed: {}{carried}", named(self.toolset), self.listed)
    }

    fn members(&self) -> Value {
        json!({
            "toolset": self.toolset.slug,
            "title": self.toolset.title,
            "until": self.granted_until.map(instant_text),
            "revealed_until": self.revealed_until.map(instant_text),
            "tools_listed": self.listed,
            "in_this_login": self.carried,
        })
    }
}

fn request_line(entered: &Entered, request: &AccessRequest) -> String {
    let open = request.stage.open_until().map(|until| format!(", until {}", time(until))).unwrap_or_default();
    format!("`{}` {}{open}: {}", request.toolset, request.stage.as_str(), link(entered.place(), request))
}

fn request_members(entered: &Entered, request: &AccessRequest) -> Value {
    json!({
        "request": request.id,
        "toolset": request.toolset,
        "status": request.stage.as_str(),
        "until": request.stage.open_until().map(instant_text),
        "link": link(entered.place(), request),
    })
}

/// A call of this caller that waits for people, or has their yes.
struct Call {
    tool: ToolId,
    shown: String,
    id: String,
    stage: &'static str,
    link: String,
}

/// Those of this person through this very client and agent, of tools that are listed now.
async fn waiting_calls(gateway: &Gateway, entered: &Entered, now: Millis) -> Result<Vec<Call>, Failed> {
    let (place, caller) = (entered.place(), entered.caller());
    let facts = caller.facts();
    let (Some(view), Some(user)) = (place.view(), facts.user()) else { return Ok(Vec::new()) };
    let visible = authorize::visible(place, caller, now);
    let own = approvals::of_person(gateway.live(), &user.key).await.map_err(approvals::Unable::from)?;
    let calls = own.into_iter().filter_map(|approval| {
        let stage = approval.stage.clone().at(now);
        let open = matches!(stage, Stage::Pending { .. } | Stage::Approved { .. });
        let ours = approval.endpoint == view.endpoint.slug
            && approval.client == facts.client.id
            && approval.agent.as_ref() == facts.agent().map(|agent| &agent.id);
        let position = place.snapshot().catalogue.position(&approval.tool).filter(|_| open && ours)?;
        let number: ToolIndex = index_of(position)?;
        let listed =
            visible.tools.contains(&number) && !authorize::is_revoked(place.snapshot(), number, caller.issued_at());
        let shown = view.shown_name(position).filter(|_| listed)?.to_owned();
        let link = page(&place.snapshot().deployment, &approval);
        Some(Call { tool: approval.tool, shown, id: approval.id.to_string(), stage: stage.as_str(), link })
    });
    Ok(calls.take(MOST).collect())
}

impl Call {
    fn line(&self) -> String {
        format!("`{}` {}: {}", self.shown, self.stage, self.link)
    }

    fn members(&self) -> Value {
        json!({
            "approval": self.id,
            "tool": self.shown,
            "server": self.tool.server,
            "status": self.stage,
            "link": self.link,
        })
    }
}
