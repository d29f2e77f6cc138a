//! `ambit_request_access`: a wish for a toolset becomes a request that the person has to confirm on a page. What may not be
//! asked for, real or not, gets one answer, in which the name that was asked for does not stand.

use ambit_identity::access::{self, Asked, Wish, catalogue};
use ambit_mcp::{reply, strict::Params};
use ambit_model::{
    access::{AccessRequest, AccessStage, DENIED_MS, MAX_OPEN, life_text},
    calendar::instant_text,
};
use serde_json::{Value, json};

use super::{Failed, OwnTool, Told, wish::WishArguments};
use crate::{
    approve::{
        claimed,
        words::{names, time},
    },
    authenticate::Entered,
    gateway::Gateway,
    http::Place,
};

pub(super) fn definition() -> Value {
    super::definition(
        OwnTool::RequestAccess,
        "Request access",
        "Asks for a toolset that the signed-in person does not hold yet. `ambit_status` lists what can be asked for. Nothing is \
         granted by this call: the person has to confirm the request at the link it answers with, and then somebody who \
         answers for the tools decides. Show the person the link. Asking again for the same toolset is the same request and \
         says where it stands.",
        &json!({
            "type": "object",
            "properties": {
                "toolset": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 200,
                    "description": "One of the toolsets that `ambit_status` says can be asked for.",
                },
                "reason": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 2000,
                    "description": "What it is needed for. The person and whoever decides read it as your claim.",
                },
                "for": {
                    "type": "string",
                    "pattern": "^[0-9]{1,4}[hd]$",
                    "description": "How long it is needed, such as `8h` or `30d`. As long as may be if absent.",
                },
            },
            "required": ["toolset", "reason"],
            "additionalProperties": false,
        }),
    )
}

pub(super) async fn answer(
    gateway: &Gateway,
    entered: &Entered,
    params: &Params<'_>,
    asked_for: &WishArguments<'_>,
) -> Result<Told, Failed> {
    let (place, caller) = (entered.place(), entered.caller().facts());
    let Some(view) = place.view() else { return Ok(not_requestable(entered)) };
    let wish = Wish {
        toolset: asked_for.toolset,
        reason: asked_for.reason,
        life_ms: asked_for.life_ms,
        endpoint: &view.endpoint,
        caller,
        claimed: claimed(params),
    };
    let asked = access::ask(gateway.live(), place.snapshot(), &wish).await?;
    let now = gateway.live().clock().now();
    Ok(match asked {
        Asked::Request { mut request, deciders } => {
            request.stage = request.stage.at(now);
            stands(place, &request, &deciders)
        }
        Asked::Held(until) => Told {
            sentence: format!(
                "nothing to ask for: the person you work for holds this toolset already, until {}. If its tools are not \
                 listed, `ambit_status` says why.",
                time(until)
            ),
            structured: json!({ "status": "held", "granted": true, "until": instant_text(until) }),
            outcome: reply::Outcome::Ok,
            result: "ok",
        },
        Asked::NotRequestable => not_requestable(entered),
        Asked::TooLong(longest_ms) => refused(
            format!(
                "not asked for: access is given for at most {}. Ask for less with `for`, or leave it out.",
                life_text(longest_ms)
            ),
            "too_long",
            "bad_arguments",
        ),
        Asked::NoReason => refused(
            "not asked for: `/reason` says nothing that could be shown. Say in plain words what it is needed for."
                .to_owned(),
            "no_reason",
            "bad_arguments",
        ),
        Asked::TooMany => refused(
            format!(
                "not asked for: {MAX_OPEN} requests of this person are open already. They can confirm or withdraw them at \
                 {}{}; ask again when fewer are open.",
                place.snapshot().deployment.public_url,
                "/access"
            ),
            "too_many_open",
            "access_capped",
        ),
        Asked::Nobody => refused(
            "not asked for: nobody could decide this request. It takes an owner of every server the toolset reaches, or an \
             admin, who is not the person you work for. Tell that person; whoever runs this gateway can name somebody."
                .to_owned(),
            "no_deciders",
            "no_deciders",
        ),
    })
}

fn refused(sentence: String, status: &'static str, result: &'static str) -> Told {
    let structured = json!({ "status": status, "granted": false });
    Told { sentence, structured, outcome: reply::Outcome::Error, result }
}

/// Out of who asks and where alone: nothing in it can tell a toolset that is there from one that is not.
fn not_requestable(entered: &Entered) -> Told {
    let (place, caller) = (entered.place(), entered.caller().facts());
    let named: Vec<_> = match place.view() {
        Some(view) => catalogue::of_caller(place.snapshot(), &view.endpoint, caller),
        None => Vec::new(),
    };
    let list: Vec<_> = named.iter().map(|toolset| format!("`{}`", toolset.slug)).collect();
    let there = if list.is_empty() {
        "There is nothing you can ask for here.".to_owned()
    } else {
        format!("You can ask for {}.", list.join(", "))
    };
    let slugs: Vec<_> = named.iter().map(|toolset| &toolset.slug).collect();
    Told {
        sentence: format!("not asked for: this is nothing that you can ask for here. {there}"),
        structured: json!({ "status": "not_requestable", "granted": false, "requestable": slugs }),
        outcome: reply::Outcome::Error,
        result: "not_requestable",
    }
}

/// Where a request stands, for whoever asked.
fn stands(place: &Place, request: &AccessRequest, deciders: &[String]) -> Told {
    let link = link(place, request);
    let (toolset, life) = (&request.toolset, life_text(request.life_ms));
    let (sentence, outcome, result) = match &request.stage {
        AccessStage::Unconfirmed { until } => (
            format!(
                "not granted yet: the person you work for has to confirm this request at {link} before {}. Show them this \
                 link. Then {} decides about `{toolset}` for {life}. Nothing was changed, and nobody sees the request before.",
                time(*until),
                names(deciders),
            ),
            reply::Outcome::Ok,
            "access_unconfirmed",
        ),
        AccessStage::Waiting { until, .. } => (
            format!(
                "not granted yet: the request for `{toolset}` for {life} is confirmed, and {} decides, before {}. Nothing was \
                 changed. See {link}; do not ask again for a while.",
                names(deciders),
                time(*until),
            ),
            reply::Outcome::Ok,
            "access_waiting",
        ),
        AccessStage::Denied { at } => (
            format!(
                "not granted: this was asked for and denied at {}. What was said stands at {link}. It can be asked for again \
                 after {}. Tell the person you work for instead of asking again.",
                time(*at),
                time(at.saturating_add(DENIED_MS)),
            ),
            reply::Outcome::Error,
            "access_denied",
        ),
        AccessStage::Approved { .. } | AccessStage::Withdrawn { .. } | AccessStage::Lapsed { .. } => {
            (format!("this request is over: see {link}"), reply::Outcome::Error, "access_over")
        }
    };
    let structured = json!({
        "status": request.stage.as_str(),
        "granted": false,
        "request": request.id,
        "toolset": toolset,
        "for_seconds": request.life_ms / 1000,
        "link": link,
        "deciders": deciders.iter().take(5).collect::<Vec<_>>(),
        "until": request.stage.open_until().map(instant_text),
    });
    Told { sentence, structured, outcome, result }
}

/// Where a request is looked at.
pub(super) fn link(place: &Place, request: &AccessRequest) -> String {
    format!("{}{}", place.snapshot().deployment.public_url, access::path(&request.id))
}
